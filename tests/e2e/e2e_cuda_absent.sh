#!/usr/bin/env bash
# A program with the CUDA backend on a machine where no GPU can be used: it says why, falls back to
# the CPU, and refuses --backend cuda clearly. An empty CUDA_VISIBLE_DEVICES hides every GPU, so
# this holds with and without a driver.
# kinds: plain (the sanitized program has no CUDA backend)
. "$(dirname "$0")/lib.sh"
export CUDA_VISIBLE_DEVICES=

if "$gptbench" --version | grep -q 'cuda is not built in'; then
    skip_rest "this program was built without CUDA"
fi

reason='no NVIDIA (driver|GPU)'
cat >tiny.ini <<'INI'
[suite]
name = absent
baseline = base
replicates = 1
[data]
train = synth:vocab=32,seed=1,order=2
val = synth:vocab=32,seed=1,order=2,stream=val
[train]
batch_size = 2
sequence_length = 16
num_iterations = 70
val_loss_every = 70
val_tokens = 64
learning_rate = 0.004
precision = fp32
[model]
vocab_size = 32
n_layer = 1
n_head = 2
n_embd = 32
[matrix]
mlp_expansion_factor = 4
INI
"$gptbench" doctor --quick >out 2>err
grep -qE "cuda_bf16.*$reason" out && [ ! -s err ]
check "doctor says why CUDA is off" $?

"$gptbench" run tiny.ini --backend auto --db auto.db >out 2>err
check "run --backend auto falls back to the CPU" $?

"$gptbench" run tiny.ini --backend cuda --db cuda.db >out 2>err
rc=$?
[ "$rc" -eq 3 ] && grep -qE "$reason" err
check "run --backend cuda exits 3 and says why (exit status $rc)" $?

# A device was asked for: falling back to the CPU would not be what was asked.
for backend in auto cuda; do
    "$gptbench" run tiny.ini --backend $backend --device 0 --db device.db >out 2>err
    rc=$?
    [ "$rc" -eq 3 ] && grep -qE "$reason" err
    check "run --backend $backend --device 0 exits 3 and says why (exit status $rc)" $?
done
"$gptbench" doctor --quick --device 0 >out 2>err
rc=$?
[ "$rc" -eq 3 ] && grep -qE "$reason" err
check "doctor --device 0 exits 3 and says why (exit status $rc)" $?

finish
