#!/usr/bin/env bash
# gptbench train, parity and profile on the command line: keys as options, synthetic data, a training
# that is stopped and gone on with, weights that say what model they are of.
# kinds: sanitized (words, exit codes and bits)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

tiny=(--vocab_size=64 --n_layer=1 --n_head=2 --n_embd=32 --batch_size=2 --sequence_length=16)
train() { # ARGUMENTS...: of a tiny model, on one thread
    "$gptbench" train --backend cpu --threads 1 "${tiny[@]}" "$@" >out 2>err </dev/null
    rc=$?
}
refused() { # WHAT PATTERN COMMAND...: exit code 2 and the words
    local what=$1 pattern=$2
    shift 2
    "$@" >out 2>err
    [ $? -eq 2 ] && grep -qE -- "$pattern" err
    check "$what" $?
}

# ---- keys are options ----
# As people type who come from a trainer in Python. Everything is taken but the last value, which is
# wrong on purpose: such a model takes minutes.
wrong=(--val_tokens=0)
is_taken() { refused "taken: $*" '^gptbench: val_tokens = 0: must be between' "$gptbench" train "$@" "${wrong[@]}"; }
is_taken --model=d12_mlp3x --batch_size=4 --sequence_length=512 --num_iterations=5000 --val_loss_every=100
is_taken --model=d12_mlp3x --batch_size=4 --sequence_length=512 --num_iterations=100
is_taken --model=d12 --num_iterations=2000 --val_loss_every=100
is_taken --model d12 --n_layer 12 --n_head 12 --n_embd 768 --mlp_expansion_factor 3 --attention_type gqa \
    --n_kv_head 4 --post_norm true --qk_norm true --use_swiglu_mlp false
note=(--model=d12_mlp3x --batch_size=4)
launcher='gptbench trains by itself, in one process: leave out torchrun.s options and the script.s name'
refused "a launcher's option" "no option --standalone: $launcher" \
    "$gptbench" train --standalone --nproc_per_node=1 train_gpt2_mod.py "${note[@]}"
refused "a launcher's other option" "no option --nproc_per_node: $launcher" \
    "$gptbench" train --nproc_per_node=1 train_gpt2_mod.py "${note[@]}"
refused "a script" "train_gpt2_mod.py: $launcher" "$gptbench" train train_gpt2_mod.py "${note[@]}"
refused "another trainer's word for a key" 'unknown option --lr; did you mean --learning_rate\?' \
    "$gptbench" train --lr=0.1
refused "a dash for an underscore" 'unknown option --batch-size; did you mean --batch_size\?' \
    "$gptbench" train --batch-size 4
refused "a boolean as Python writes it" 'post_norm = True: no such value, did you mean true' \
    "$gptbench" train --post_norm=True
refused "a boolean without a value" '--post_norm needs a value: --post_norm true\|false' \
    "$gptbench" train --post_norm --qk_norm true
refused "a key given as an option and by --set" 'n_layer is given twice, --set n_layer=2 and --n_layer 3' \
    "$gptbench" train --set n_layer=2 --n_layer 3
refused "an option given twice" '--n_layer is given twice, 2 and 3' "$gptbench" train --n_layer=2 --n_layer 3
refused "a key that can do nothing" '--window_size 8: window_size has an effect only with' \
    "$gptbench" train --window_size 8

train --num_iterations=6 --losses one.csv
is "--KEY=VALUE: exits 0" $rc 0
"$gptbench" train --backend cpu --threads 1 --vocab_size 64 --n_layer 1 --n_head 2 --n_embd 32 --batch_size 2 \
    --sequence_length 16 --num_iterations 6 --losses two.csv >out 2>err
"$gptbench" train --backend cpu --threads 1 --set vocab_size=64 --set n_layer=1 --set n_head=2 --set n_embd=32 \
    --set batch_size=2 --set sequence_length=16 --set num_iterations=6 --set train=synth:vocab=64,seed=1 \
    --set val=synth:vocab=64,seed=1 --losses three.csv >out 2>err3
is "--KEY VALUE and --set are the same training, and the synthetic source is the one that is named" \
    "$(md5sum <one.csv) $(md5sum <one.csv)" "$(md5sum <two.csv) $(md5sum <three.csv)"
is "losses of six steps, and a heading" "$(wc -l <one.csv)" 7

# ---- without data ----
is "without data a line says what it trains on" "$(grep -v '^warning: A validation reads 1,280 tokens' err)" \
    "no data given: synthetic tokens, synth:vocab=64,seed=1 (yours: --train GLOB --val GLOB)"
! grep -q 'no data given' err3
check "with data nothing does" $?
refused "validation data alone" 'no train data' "$gptbench" train "${tiny[@]}" --val synth:vocab=64
train --num_iterations=2 --train synth:vocab=64,seed=1 --losses four.csv
is "a synthetic source serves for validation too" "$rc $(head -3 four.csv | wc -l)" "0 3"
"$gptbench" profile --backend cpu --threads 1 "${tiny[@]}" --steps 1 --timed-steps 1 --num_iterations 7 >out 2>err
is "profile: exits 0" $? 0
grep -q '^no data given: synthetic tokens, synth:vocab=64,seed=1 (yours: --train GLOB)$' err &&
    grep -q '^num_iterations: no effect here: --timed-steps and --steps say how many' err
check "profile says which data, and which key does nothing" $?

# ---- what it prints ----
# 50 steps are warm-up (docs/MEASURING.md) unless they are steady before; the first is never timed.
train --num_iterations=120 --val_loss_every=60 --val_tokens=4096 --losses five.csv
grep -qE '^step:0/120 val_loss:[0-9.]+ train_time:0ms step_avg:nanms$' out &&
    grep -qE '^step:1/120 train_loss:[0-9.]+ train_time:[0-9]+ms step_avg:nanms lr:' out
check "no mean of timed steps before there is one" $?
# What a script makes of the lines that reads step, loss, time and mean: sums and means once more.
awk -F'[ :]' '/train_loss:/ {
        split($2, step, "/"); ms = $12 + 0; time += ms
        if ($14 == "timed") { n++; sum += ms }
        want = n ? sum / n : "nan"; got = $8; sub("ms$", "", got)
        if (step[1] != ++i || $6 + 0 < time - 0.01 * i - 1 || $6 + 0 > time + 0.01 * i + 1) bad = 1
        if (n ? (got - want > 0.02 || want - got > 0.02) : got != want) bad = 1
    } END { exit bad || i != 120 || !n }' out
check "train_time is the sum of all steps, step_avg the mean of the timed ones" $?
# The spread of -ln p from the same formula as in model/synth.h, with its defaults and 64 tokens.
spread=$(awk 'BEGIN { V = 64; B = 8; noise = 1 / 16
    for (k = 0; k < B; k++) sum += 0.5 ^ k
    for (k = 0; k < V; k++) { p = noise / V + (k < B ? (1 - noise) * 0.5 ^ k / sum : 0)
        h -= p * log(p); s += p * log(p) ^ 2 }
    printf "%.6f nats/token, exact; over the 4,096 tokens of a validation the best possible loss is that ± %.2g", h, sqrt((s - h * h) / 4096) }')
grep -qF "entropy floor of the validation source: $spread" out
check "the entropy floor, and how a validation scatters about it: $spread" $?
is "data that are good: no warning" "$(grep -c warning err)" 0

# ---- what it says of its data, as plan and run do ----
"$gptbench" data synth -o t.bin --tokens 3000 --spec synth:vocab=64,seed=1 >/dev/null
cp t.bin v.bin
# 93 batches of 32 tokens are a pass: (3000 - 1) / 32; 400 / 93 = 4.3
train --num_iterations=400 --train t.bin --val v.bin --val_tokens=64
is "train with data that say little: exits 0" $rc 0
grep -qF 'warning: Training and validation data overlap: `t.bin` and `v.bin` are the same shard' err &&
    grep -qF 'warning: A run reads its training data 4.3 times' err &&
    grep -qF 'warning: A validation reads 64 tokens. The loss over so few is uncertain by about 0.25 nats' err
check "overlap, epochs, few tokens: it is said" $?
refused "data that are not there, and by which option" '^gptbench: --train: none.bin: no such file' \
    "$gptbench" train "${tiny[@]}" --train none.bin --val v.bin
refused "validation data that are too few" '^gptbench: --val: val_tokens = 6400: v.bin holds only' \
    "$gptbench" train "${tiny[@]}" --train t.bin --val v.bin --val_tokens 6400
train --num_iterations=1 --save w.txt
grep -q '^--save w.txt: what is written there is safetensors' err && [ -s w.txt ]
check "a file of weights with another ending: what it is" $?

# ---- stopped, and gone on with ----
steps=2000
long=(--num_iterations=$steps --val_loss_every=500)
train "${long[@]}" --save calm.st --losses calm.csv
is "undisturbed: exits 0" $rc 0
mkfifo lines
# Starts a training that cannot end: nobody reads what it prints after step 20, and the pipe is full
# long before the last step.
start() { # ARGUMENTS...
    "$gptbench" train --backend cpu --threads 1 "${tiny[@]}" "${long[@]}" "$@" >lines 2>err </dev/null &
    runner=$!
    exec 5<lines
    while read -r line <&5; do
        case $line in "step:${seen:-20}/"*) break ;; esac
    done
}
goes_on() { # lets it print the rest; its exit code is in $rc
    cat <&5 >rest
    exec 5<&-
    wait "$runner"
    rc=$?
    runner=
}
continue_it() { # by the command that the message names
    local words
    words=$(sed -n '$s/^  //p' err)
    eval "$words" >out 2>err2 </dev/null
    rc=$?
}

start --save a.st --losses a.csv
kill -INT "$runner"
goes_on
at=$(sed -n 's/^gptbench: stopped after \([0-9]*\) of 2000 steps; .*/\1/p' err)
is "Ctrl-C: exit code, as of run" $rc 1
[ "${at:-0}" -ge 20 ] && [ "$at" -lt $steps ]
check "Ctrl-C: says after which step ($at)" $?
grep -q "; a checkpoint at step $at is kept in a.st.checkpoints; the weights as they are now: a.st; to go on, add --resume:\$" err
check "Ctrl-C: says what is kept" $?
is "Ctrl-C: the checkpoint is there" "$(ls a.st.checkpoints)" "$(printf 'step-%012d.safetensors' "$at")"
is "Ctrl-C: losses up to there" "$(tail -1 a.csv | cut -d, -f1)" "$at"
cmp -s a.st calm.st
is "Ctrl-C: the weights are those of then" $? 1
cp err err.stopped
refused "the same without --resume" "a.st.checkpoints: holds checkpoints of a training that was stopped, the last at step $at; --resume" \
    "$gptbench" train --backend cpu --threads 1 "${tiny[@]}" "${long[@]}" --save a.st
"$gptbench" train --backend cpu --threads 1 "${tiny[@]}" "${long[@]}" --save a.st --resume --learning_rate=0.1 >out 2>err
is "with other settings: exit code" $? 2
grep -q "passed over: .*: a checkpoint of another run: 'learning_rate=0.0018' there, 'learning_rate=0.1' here" err &&
    grep -q 'holds no checkpoint that this run can go on from' err
check "with other settings: says which" $?
cp err.stopped err
continue_it
is "Ctrl-C, going on: exits 0" $rc 0
grep -q "^going on from the checkpoint at step $at\$" err2
check "Ctrl-C, going on: says from where" $?
cmp calm.csv a.csv && cmp calm.st a.st
check "Ctrl-C, going on: every loss and weight has the bits of the undisturbed training" $?
[ ! -e a.st.checkpoints ]
check "Ctrl-C, going on: no checkpoint is left" $?

start --checkpoints 'kept here' --losses b.csv
kill -TERM "$runner"
goes_on
is "SIGTERM: exit code" $rc 1
grep -q "^  .*gptbench train .* --checkpoints 'kept here' --losses b.csv --resume\$" err
check "SIGTERM: the command is quoted as a shell wants it" $?
continue_it
is "SIGTERM, going on: exits 0" $rc 0
cmp calm.csv b.csv
check "SIGTERM, going on: the same bits" $?

seen=50 start --checkpoints c --checkpoint-every '15 steps' --losses c.csv
kill -9 "$runner"
goes_on 2>/dev/null
kept=$(ls c | grep -c '^step-[0-9]*\.safetensors$')
last=$(ls c | grep '^step-[0-9]*\.safetensors$' | tail -1)
[ "$kept" -eq 2 ] || [ "$kept" -eq 3 ] # killed before the third was removed
check "kill -9: the last two checkpoints are there" $?
"$gptbench" train --backend cpu --threads 1 "${tiny[@]}" "${long[@]}" --checkpoints c --losses c.csv --resume >out 2>err
is "kill -9, going on: exits 0" $? 0
grep -q "^going on from the checkpoint at step $((10#$(tr -cd 0-9 <<<"$last")))\$" err
check "kill -9, going on: from the last checkpoint" $?
cmp calm.csv c.csv
check "kill -9, going on: the same bits" $?

start --save early.st
kill -INT "$runner"
kill -INT "$runner"
kill -TERM "$runner"
goes_on
[ -e early.st ] && grep -q '; a checkpoint at step [0-9]* is kept in early.st.checkpoints' err
check "signals that come together are one: all is kept ($rc)" $?

start
kill -INT "$runner"
goes_on
grep -q 'stopped after [0-9]* of 2000 steps; nothing of it is kept: --checkpoints DIR keeps it$' err &&
    ! grep -q 'resume' err
check "without a place for it nothing is kept, and it says so" $?

# The validation before the first step takes minutes.
"$gptbench" train --backend cpu --threads 1 --vocab_size=256 --n_layer=4 --n_embd=1024 --n_head=16 --batch_size=8 \
    --sequence_length=512 --val_tokens=409600 --num_iterations=50 --save e.st >out 2>err &
runner=$!
for _ in $(seq 1200); do
    grep -q '^device:' out && break
    sleep 0.1
done
kill -INT "$runner"
wait "$runner"
is "Ctrl-C before the first step: exit code" $? 1
runner=
grep -q '^gptbench: stopped after 0 of 50 steps; there is nothing to keep yet; the same command begins anew:$' err &&
    [ "$(tail -1 err)" = "  $gptbench train --backend cpu --threads 1 --vocab_size=256 --n_layer=4 --n_embd=1024 --n_head=16 --batch_size=8 --sequence_length=512 --val_tokens=409600 --num_iterations=50 --save e.st" ] &&
    [ ! -e e.st ]
check "and it says that nothing is kept, and the command" $?

# One step of a large model takes a single thread seconds.
"$gptbench" train --backend cpu --threads 1 --vocab_size=256 --n_layer=4 --n_embd=1024 --n_head=16 --batch_size=8 \
    --sequence_length=512 --val_tokens=512 --num_iterations=50 --save d.st >out 2>err &
runner=$!
for _ in $(seq 1200); do
    grep -q '^step:0/' out && break
    sleep 0.1
done
kill -INT "$runner"
sleep 0.7
kill -INT "$runner"
wait "$runner"
is "a second Ctrl-C, later, ends it at once" $? 130
runner=
[ ! -e d.st ]
check "a second Ctrl-C: no half of a file" $?

"$gptbench" train "${tiny[@]}" --num_iterations=2 --save nodir/x.st >out 2>err
[ $? -eq 3 ] && grep -q '^gptbench: --save nodir/x.st: cannot be written there: nodir: No such file or directory' err && [ ! -s out ]
check "a folder that is not there: said before the first step" $?
refused "--resume without a place" '--resume: say where the checkpoints lie, with --checkpoints DIR' \
    "$gptbench" train "${tiny[@]}" --resume
refused "--resume with nothing there" 'none: holds no checkpoint to go on from' \
    "$gptbench" train "${tiny[@]}" --checkpoints none --resume
refused "a time that is none" "--checkpoint-every soon: write so many steps, as '200', a time" \
    "$gptbench" train "${tiny[@]}" --checkpoints c --checkpoint-every soon
refused "so often, and nowhere" '--checkpoint-every 5: say where they are to lie' \
    "$gptbench" train "${tiny[@]}" --checkpoint-every 5
mkdir -p folder && : >plain
refused "weights into a folder" '--save folder: is a folder; name a file in it' \
    "$gptbench" train "${tiny[@]}" --save folder
refused "checkpoints in a file" 'plain: is no folder, and checkpoints lie in one' \
    "$gptbench" train "${tiny[@]}" --checkpoints plain
"$gptbench" train "${tiny[@]}" --checkpoints plain/x >out 2>err
is "checkpoints where no folder can be made: before the first step" "$?|$(grep -c '^step' out)|$(grep -c 'plain/x: checkpoints cannot be kept there: Not a directory' err)" "3|0|1"
"$gptbench" train --backend cpu --threads 1 "${tiny[@]}" --num_iterations 4 --checkpoints new/deeper/c --checkpoint-every 2 >out 2>err
is "folders above are made too" "$?|$(grep -c '^step:4/4 val_loss' out)" "0|1"
refused "never, and where" '--checkpoints c with --checkpoint-every never: leave one of them out' \
    "$gptbench" train "${tiny[@]}" --checkpoints c --checkpoint-every never

# ---- weights that say what they are of ----
"$gptbench" parity --backend cpu --weights calm.st --batch_size 2 --sequence_length 16 -o g.st >out 2>err
is "parity needs no key of the model" $? 0
train --load calm.st --num_iterations=1 --save e.st
is "train --load takes keys that agree" $rc 0
"$gptbench" train --backend cpu --load calm.st --num_iterations 1 --batch_size 2 --sequence_length 16 >out 2>err
is "train --load needs none" $? 0
# The first loss of a training that starts from the trained weights is far below that of new ones, ln 64.
awk -F'[: ]' '/train_loss/ { exit !($4 < 3) }' out
check "train --load starts from these weights" $?
contradicts="holds a model with n_layer = 1; leave it out, the file says what model it is"
refused "--KEY against the file" "^gptbench: --n_layer 2: calm.st $contradicts" \
    "$gptbench" train --load calm.st --n_layer 2
refused "--set against the file" "^gptbench: --set n_layer=2: calm.st $contradicts" \
    "$gptbench" parity --weights calm.st --set n_layer=2 -o g.st
refused "--model against the file" '^gptbench: --model d12: calm.st holds a model with vocab_size = 64; leave --model out' \
    "$gptbench" parity --weights calm.st --model d12 -o g.st
refused "--save over --load" '--save calm.st: would replace calm.st, which --load reads' \
    "$gptbench" train --load calm.st --save calm.st

if ! command -v python3 >/dev/null; then
    skip_rest "there is no python3 to write other metadata with"
fi
cat >meta.py <<'PY'
# meta.py IN OUT JSON: the weights of IN with other metadata; 'null': without any.
import json, struct, sys
raw = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', raw[:8])[0]
header, meta = json.loads(raw[8:8 + n]), json.loads(sys.argv[3])
header.pop('__metadata__')
text = json.dumps(header if meta is None else {'__metadata__': meta, **header}).encode()
text += b' ' * (-len(text) % 8)
open(sys.argv[2], 'wb').write(struct.pack('<Q', len(text)) + text + raw[8 + n:])
PY
cat >read.py <<'PY'
import json, struct
raw = open('calm.st', 'rb').read()
meta = json.loads(raw[8:8 + struct.unpack('<Q', raw[:8])[0]])['__metadata__']
assert all(type(v) is str for v in meta.values()), meta
config = json.loads(meta['gptbench.config'])
print(meta['format'], meta['gptbench.steps_done'], config['n_embd'], config['attention_type'], config['qk_norm'])
PY
is "metadata are text to text" "$(python3 read.py 2>&1)" "pt 2000 32 standard False"
version=$("$gptbench" --version | sed -n 's/^gptbench //p')
is "and name the program's version" "$(grep -aoF "\"gptbench.version\":\"$version\"" calm.st | wc -l)" 1
python=${GPTBENCH_TEST_PYTHON:-python3}
if "$python" -c 'import safetensors, numpy' 2>/dev/null; then
    is "the format's own library reads them" "$("$python" -c '
from safetensors import safe_open
with safe_open("calm.st", "np") as f:
    print(f.metadata()["gptbench.steps_done"], f.get_tensor("transformer.wte.weight").shape)')" "2000 (64, 32)"
else
    skip "the format's own library reads them" "there is none (GPTBENCH_TEST_PYTHON)"
fi

python3 meta.py calm.st plain.st null
refused "without metadata, without keys" 'plain.st: ' "$gptbench" parity --weights plain.st --batch_size 2 --sequence_length 16 -o h.st
"$gptbench" parity --backend cpu --weights plain.st "${tiny[@]}" -o h.st >out 2>err
is "without metadata the keys count" "$? $(cmp g.st h.st)" "0 "
damaged() { # WHAT JSON PATTERN
    python3 meta.py calm.st bad.st "$2"
    refused "damaged metadata: $1" "$3" "$gptbench" parity --weights bad.st "${tiny[@]}" -o h.st
}
damaged "no JSON" '{"gptbench.config": "{\"n_layer\":"}' '^gptbench: bad.st: its metadata, gptbench.config: no JSON object of a model'
damaged "an unknown key" '{"gptbench.config": "{\"n_layers\": 1}"}' 'gptbench.config: n_layers: no such key'
damaged "a wrong type" '{"gptbench.config": "{\"n_layer\": \"one\"}"}' 'gptbench.config: n_layer is missing or of the wrong type'
damaged "out of range" '{"gptbench.config": "{\"n_layer\": 0}"}' 'gptbench.config: n_layer = 0: must be between'
damaged "no keys" '{"gptbench.config": "{}"}' 'gptbench.config: has no key of a model'
damaged "a number for text" '{"gptbench.config": 1}' 'bad.st: __metadata__: gptbench.config is no text'
damaged "no table" '[1]' 'bad.st: __metadata__ is no JSON object'
# A file of a program that did not know a key: that one may be given.
python3 meta.py calm.st old.st '{"gptbench.config": "{\"vocab_size\": 64, \"n_layer\": 1, \"n_head\": 2, \"n_embd\": 32, \"mlp_expansion_factor\": 4}"}'
"$gptbench" parity --backend cpu --weights old.st --batch_size 2 --sequence_length 16 --qk_norm false -o h.st >out 2>err
is "metadata of fewer keys: the others have their defaults, or what is given" "$? $(cmp g.st h.st)" "0 "
finish
