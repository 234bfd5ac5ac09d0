#!/usr/bin/env bash
# The choice of a GPU, on the emulator, which pretends to have as many as SIMT_DEVICES names.
. "$(dirname "$0")/../e2e/lib.sh"
export SIMT_DEVICES="90 80 75"

"$gptbench" doctor --quick >out 2>err
grep -qE '^ok +gpu_0 +SIMT emulator, sm_90, 16\.0 GiB, fits this program' out &&
    grep -qE '^ok +gpu_1 +SIMT emulator 80, sm_80' out &&
    grep -qE '^warn +gpu_2 +SIMT emulator 75, sm_75, 16\.0 GiB, fp32 only' out &&
    grep -qE -- '-> the GPU does not compute in bf16' out && grep -qE '^ok +cuda +built in$' out
check "doctor lists every GPU with its compute capability and memory, and which fits" $?
"$gptbench" doctor --quick --device 1 >out 2>err
grep -qE '^ok +cuda_bf16 +SIMT emulator 80, code path sm_80' out
check "doctor --device 1 opens the second" $?

cat >tiny.ini <<'INI'
[suite]
name = devices
baseline = base
replicates = 1
[timing]
blocks = 0

[data]
train = synth:vocab=32,seed=1,order=2
val = synth:vocab=32,seed=1,order=2,stream=val
[train]
batch_size = 1
sequence_length = 8
num_iterations = 3
val_loss_every = 3
val_tokens = 8
learning_rate = 0.004
precision = fp32
[model]
vocab_size = 32
n_layer = 1
n_head = 2
n_embd = 16
[matrix]
mlp_expansion_factor = 4
INI
data=(--train synth:vocab=32,seed=1 --val 'synth:vocab=32,seed=1,stream=val')
model=(--set vocab_size=32 --set n_layer=1 --set n_head=2 --set n_embd=16
    --set mlp_expansion_factor=2 --set batch_size=1 --set sequence_length=8
    --set num_iterations=2 --set val_loss_every=2 --set val_tokens=8)

"$gptbench" train "${model[@]}" "${data[@]}" --device 1 --set precision=bf16 >out 2>err
grep -q '^device:SIMT emulator 80 .*isa:sm_80' out
check "train --device 1 runs on the second" $?
"$gptbench" train "${model[@]}" "${data[@]}" --device 2 --set precision=bf16 >out 2>err
rc=$?
[ $rc -eq 3 ] && grep -q 'cannot run bf16 on device 2: the GPU does not compute in bf16' err
check "train --device 2 --set precision=bf16 exits 3 where that GPU cannot ($rc)" $?
printf '\2\0\0\0\0\0\0\0{}' >w # weights without metadata and tensors: the device is looked for before
for command in train run parity doctor; do
    case $command in
    train) arguments=("${model[@]}" "${data[@]}") ;;
    run) arguments=(tiny.ini) ;;
    parity) arguments=(--weights w --tokens t -o o --set batch_size=1) ;;
    doctor) arguments=(--quick) ;;
    esac
    "$gptbench" $command "${arguments[@]}" --device 3 >out 2>err
    rc=$?
    [ $rc -eq 2 ] && grep -q -- '--device 3: no such device is visible; they are 0 to 2' err
    check "$command --device 3 exits 2 and says which there are ($rc)" $?
done

# What was done on one model of GPU is not taken for the result of another.
"$gptbench" run tiny.ini --device 0 --db d.db --no-report >out 2>err
check "run --device 0" $?
"$gptbench" run tiny.ini --device 0 --db d.db --dry-run >out 2>err && grep -q '^0 to run, 1 kept' out
check "the same GPU: the result is kept" $?
"$gptbench" run tiny.ini --device 1 --db d.db --dry-run >out 2>err && grep -q '^1 to run, 0 kept' out
check "another model of GPU: the run is to be done" $?

finish
