#!/bin/bash
# Data that make losses mean less, and data that are missing or wrong: what plan, run and report say.
. "$(dirname "$0")/lib.sh"
needs "reports and shards" jq sqlite3 python3

# shard FILE COUNT FACTOR: tokens i * FACTOR % 64 for i = 1..COUNT, in the format of model/shard.h
shard() {
    python3 - "$@" <<'P'
import struct, sys
n, factor = int(sys.argv[2]), int(sys.argv[3])
header = [20240520, 1, n] + [0] * 253
tokens = [i * factor % 64 for i in range(1, n + 1)]
open(sys.argv[1], "wb").write(struct.pack("<256i", *header) + struct.pack("<%dH" % n, *tokens))
P
}
# suite TRAIN VAL STEPS: two cells
suite() {
    tiny_pair s 1 "$3" "$3" 0 | sed "s|^train = .*|train = $1|; s|^val = .*|val = $2|; s/^val_tokens.*/val_tokens = 4096/"
}
plan() {
    "$gptbench" plan s.ini --gflops 10 "$@" >out 2>err
}
run() {
    rm -rf results
    "$gptbench" run s.ini --threads 1 "$@" >out 2>err
}
says() { # WHAT FILE WORDS
    grep -qF -- "$3" "$2"
    check "$1" $?
}

shard fineweb_train_000000.bin 6000 7
shard fineweb_val_000000.bin 6000 5

# ---- good data: nothing to say ----
suite 'fineweb_train_*.bin' 'fineweb_val_*.bin' 20 >s.ini
plan
! grep -qi warning out
check "plan: apart" $?
# 32 tokens a step: (6000 - 1) / 32 = 187 batches a pass; 20 / 187 = 0.11
says "epochs are a column of plan" out "epochs/run"
is "of 20 steps" "$(awk '$1 == "a" {print $(NF - 2)}' out)" 0.11
run
! grep -qi warning err results/s/report.md
check "run and report: apart" $?
says "the report has the epochs" results/s/report.md "1 shard, 6,000 tokens; a run reads them 0.11 times (epochs)"
is "report.json too" "$(jq -r '.data | "\(.epochs_high * 187 | round) \(.shared_shards) \(.warnings | length)"' results/s/report.json)" "20 0 0"

# ---- the glob for training holds the validation shard ----
suite 'fineweb_*.bin' 'fineweb_val_*.bin' 20 >s.ini
plan
is "plan succeeds" $? 0
says "and warns" out 'warning: Training and validation data overlap: the shard `fineweb_val_000000.bin` is in both (6,000 tokens together)'
run
is "run succeeds" $? 0
says "and warns" err 'warning: Training and validation data overlap'
[ "$(grep -n 'warning: Training' err | cut -d: -f1)" -lt "$(grep -n '^\[1 of' err | cut -d: -f1)" ]
check "before it trains" $?
says "the report warns" results/s/report.md 'Warning: Training and validation data overlap'
says "and the page" results/s/index.html 'Training and validation data overlap'
is "and report.json" "$(jq -r '.data.shared_shards' results/s/report.json)" 1
mkdir away
mv ./*.bin away
"$gptbench" report --db results/s.db -o again >out 2>err
says "a report without the files says the same" again/report.md 'Warning: Training and validation data overlap'
mv away/*.bin .

# ---- the same content under other names ----
mkdir t v
cp fineweb_train_000000.bin t/a.bin
cp fineweb_val_000000.bin t/b.bin
ln -s ../fineweb_val_000000.bin v/link.bin
suite 't/*.bin' 'v/*.bin' 20 >s.ini
plan
says "a copy, and a symbolic link" out '`t/b.bin` and `v/link.bin` are the same shard'
cp fineweb_train_000000.bin t/c.bin
suite 't/*.bin' synth:vocab=64,seed=1 20 >s.ini
plan
says "a copy within the training data" out 'hold the same shard twice: `t/a.bin` and `t/c.bin`'

# ---- a passage of the validation data inside of a larger training shard ----
# 30,000 tokens of one random text, in which from 12,345 on the first 3,000 validation tokens stand.
"$gptbench" data synth -o own.bin --tokens 30000 --spec synth:vocab=64,seed=3 >/dev/null
"$gptbench" data synth -o part_val.bin --tokens 6000 --spec synth:vocab=64,seed=4 >/dev/null
python3 - <<'P'
own, val = open("own.bin", "rb").read(), open("part_val.bin", "rb").read()
at = 1024 + 2 * 12345 # behind the header, two bytes a token
open("part.bin", "wb").write(own[:at] + val[1024:1024 + 2 * 3000] + own[at + 2 * 3000:])
P
# Every 64th training token begins a window of 64: from 12352 = 193 * 64 on 46 whole ones lie in the
# 3,000 tokens that begin at 12345, (15345 - 12352) / 64 = 46.8. 46 * 64 = 2944 of 4096 are 71.9 %.
found='Training data hold validation tokens: of the 4,096 tokens of a validation that were looked for, at least 2,944 (71.9 %) stand in the training data too, the first of `part_val.bin` in `part.bin`'
suite part.bin part_val.bin 20 >s.ini
plan
says "plan: a part of a shard" out "warning: $found"
run
says "run: a part of a shard" err "warning: $found"
says "report: a part of a shard" results/s/report.md "Warning: ${found%% the first*}"
is "report.json: how much of what" \
    "$(jq -c '.data | [.overlap_tokens, .overlap_looked_tokens, .overlap_train_looked_tokens]' results/s/report.json)" "[2944,4096,30000]"
mv part.bin part_val.bin away
"$gptbench" report --db results/s.db -o again >out 2>err
says "a report without the files: a part of a shard" again/report.md "Warning: ${found%% the first*}"
mv away/*.bin .
"$gptbench" train --backend cpu --threads 1 --vocab_size=64 --n_layer=1 --n_head=2 --n_embd=32 --batch_size=2 --sequence_length=16 \
    --num_iterations=2 --val_tokens=4096 --train part.bin --val part_val.bin >out 2>err
says "train: a part of a shard" err "warning: $found"
suite own.bin part_val.bin 20 >s.ini
plan
! grep -qi 'warning' out
check "two texts of their own: nothing to say" $?

# ---- synthetic data ----
suite synth:vocab=64,seed=1 synth:vocab=64,seed=1 20 >s.ini
plan
! grep -qi "overlap" out
check "one text for both means two streams" $?
suite synth:vocab=64,seed=1 synth:vocab=64,seed=1,stream=train 20 >s.ini
plan
says "one stream for both" out 'both read the same tokens'

# ---- many epochs, few tokens ----
suite fineweb_train_000000.bin fineweb_val_000000.bin 900 >s.ini # 900 / 187 = 4.8
plan --only a
says "epochs" out 'warning: A run of `a` reads its training data 4.8 times'
sed -i 's/^val_tokens.*/val_tokens = 384/' s.ini # 2 / sqrt(384) = 0.10
plan
says "few tokens" out 'warning: A validation of `a` reads 384 tokens. The loss over so few is uncertain by about 0.10 nats'

# ---- missing and wrong data: at their own line, by plan as by run ----
line_of() {
    grep -n "^$1 = " s.ini | cut -d: -f1
}
refuses() { # WHAT KEY WORDS [OPTION...]: run and plan, at the line of KEY
    local what=$1 place="s.ini:$(line_of "$2"): " words=$3
    shift 3
    plan "$@"
    [ $? -eq 2 ] && grep -qF -- "$place" err && grep -qF -- "$words" err
    check "plan: $what" $?
    grep -q "^a  *[0-9]" out
    check "plan: the plan is there all the same" $?
    run "$@"
    [ $? -eq 2 ] && grep -qF -- "$place" err && grep -qF -- "$words" err && [ ! -e results ]
    check "run: $what" $?
}
suite missing.bin fineweb_val_000000.bin 20 >s.ini
refuses "no training data" train "missing.bin: no such file"
says "and how to do without" <(plan; cat err) "--no-data"
plan --no-data
is "plan without data" $? 0
suite fineweb_train_000000.bin 'missing_*.bin' 20 >s.ini
refuses "no validation data" val "missing_*.bin: no such file"
plan --val 'other_*.bin'
grep -q '^gptbench: --val: other_\*.bin: no such file' err
check "from the command line: its option" $?
echo 'no shard' >text.bin
suite text.bin fineweb_val_000000.bin 20 >s.ini
refuses "no tokens" train "text.bin"
suite fineweb_train_000000.bin fineweb_val_000000.bin 20 | sed 's/vocab_size = 64/vocab_size = 32/' >s.ini
refuses "tokens of a larger vocabulary" train "is not below vocab_size = 32"
suite fineweb_train_000000.bin fineweb_val_000000.bin 20 | sed 's/^val_tokens.*/val_tokens = 100000/' >s.ini
refuses "fewer validation tokens than asked for" val "cell a: val_tokens = 100000"
suite fineweb_train_000000.bin fineweb_val_000000.bin 20 | sed 's/^sequence_length.*/sequence_length = 4096/' >s.ini
refuses "too few for a batch" train "too few for one batch"
finish
