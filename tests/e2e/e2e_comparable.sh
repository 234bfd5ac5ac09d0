#!/usr/bin/env bash
# End to end: one rule of what may be compared, in the terminal's table, the report, its JSON, claims,
# `compare` and `why` alike.
#   tests/e2e/e2e_comparable.sh build/gptbench
# kinds: plain sanitized (what users have, too; words, exit codes and losses of tiny suites)
. "$(dirname "$0")/lib.sh"
needs "comparability" sqlite3 jq python3
unset OPENBLAS_CORETYPE OMP_NUM_THREADS

shard() { # FILE: tokens on stdin
    python3 -c '
import struct, sys
t = [int(x) for x in sys.stdin.read().split()]
h = [0] * 256
h[0], h[1], h[2] = 20240520, 1, len(t)
open(sys.argv[1], "wb").write(struct.pack("<256i", *h) + struct.pack("<%dH" % len(t), *t))' "$1"
}
suite() { # NAME REPLICATES BLOCKS TRAIN VAL ITERATIONS: models of 4k parameters, without [matrix]
    cat <<INI
[suite]
name = $1
replicates = $2
profile_steps = 2
[data]
train = $4
val = $5
[train]
sequence_length = 32
num_iterations = $6
val_loss_every = $6
precision = fp32
[timing]
blocks = $3
burst_steps = 3
process_blocks = 0
[model]
vocab_size = 64
n_layer = 1
n_head = 2
n_embd = 16
INI
}
synth=synth:vocab=64,seed=1
run() { # SUITE.ini
    "$gptbench" run "$1" --threads 1 >out 2>err
}

# ---- other tokens per step: speed is a matter of tokens ----
{
    suite tokens 2 16 $synth $synth 30
    printf '[matrix]\nbatch_size = 8, 2\n'
    printf '[claim step]\nconfig = b2\nexpect = step_avg speedup >= 50%%\n'
    printf '[claim rate]\nconfig = b2\nexpect = tokens_per_s reduction >= 40%%\n'
} >tokens.ini
run tokens.ini
is "cells with other batches run" $? 0
db=results/tokens.db
# 1 ms for 256 tokens, 0.5 ms for 64: by step time half as long, per token twice as long. Bursts of
# both wander by some tenths of a per cent.
query "UPDATE burst SET median_ms = (SELECT iif(tokens_per_step = 256, 1.0, 0.5) FROM timing_arm a
         WHERE a.timing_id = burst.timing_id AND a.arm = burst.arm) * (1 + 0.004 * ((block * 37 + arm * 61) % 101) / 101.0);
       UPDATE burst SET mean_ms = median_ms;
       UPDATE burst_step SET step_ms = coalesce((SELECT median_ms FROM burst b
         WHERE b.timing_id = burst_step.timing_id AND b.block = burst_step.block AND b.arm = burst_step.arm), step_ms)"
run tokens.ini
grep -E '^b2 ' out | grep -qE 'SLOWER \+(99|100)\.[0-9] % per token'
check "the terminal says SLOWER per token" $?
! grep -q FASTER out
check "and nothing is FASTER" $?
"$gptbench" report --db $db -o rep >out 2>err
grep -qE '^\| b2 +\| SLOWER: .*Per token' rep/report.md && ! grep -q 'Fastest: `b2`' rep/report.md
check "so does the report, and b2 is not its fastest" $?
is "and its JSON" "$(jq -r '.results[] | select(.label == "b2") | "\(.speed.verdict) \(.speed.per_token) \(.speed.not_compared) \(.speed.change.value | . * 10 | round)"' rep/report.json)" "SLOWER true null 10"
is "and its TSV" "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "speed_per_token") at = i } $1 == "b2" { print $at }' rep/results.tsv)" 1
grep -q '`b2` and `b8` do not compare step by step: tokens per step 256 and 64' rep/report.md
check "and its section Why holds no step of 64 tokens against one of 256" $?
"$gptbench" claims tokens.ini >out 2>err
grep -qE '^step +unsettled' out && grep -q 'step_avg does not compare: tokens per step 256 and 64' out
check "a claim on step_avg is unsettled, with the reason" $?
grep -qE '^rate +supported' out # (64 / 0.5) / (256 / 1) is half
check "a claim on tokens/s is judged" $?
"$gptbench" compare b8 b2 --metric step_avg >out 2>err
[ $? -eq 2 ] && grep -q 'tokens per step 256 and 64' err && grep -q -- '--metric tokens_per_s' err
check "compare refuses step_avg and says what to ask for" $?
"$gptbench" compare b8 b2 --metric tokens_per_s >out 2>err
[ $? -eq 0 ] && grep -q 'b2 is 50.0 % slower in tokens/s' out
check "and compares tokens/s" $?
# 30 steps of 256 and of 64 tokens.
"$gptbench" compare b8 b2 --metric val_loss >out 2>err
grep -q '^b2: Trained on 1.92k tokens, b8 on 7.68k\.$' out
check "a loss is not shown without what it was trained on" $?
is "in JSON too, where it is about a loss" \
    "$("$gptbench" compare b8 b2 --force --json | jq -c '[.metrics[] | select(.remark) | .metric]')" '["val_loss","best_val_loss"]'
grep -q 'Not all of them were trained on equally many tokens' rep/report.md
check "nor does the report name the best without it" $?
"$gptbench" why b8 b2 >out 2>err
[ $? -eq 2 ] && grep -q 'tokens per step 256 and 64' err
check "why refuses the steps" $?

# By single runs, without interleaved timing: the same.
sed 's/^blocks = .*/blocks = 0/; s/^name = .*/name = plain/' tokens.ini >plain.ini
run plain.ini
db=results/plain.db
query "UPDATE step SET step_ms = iif(run_id IN (SELECT run_id FROM run WHERE tokens_per_step = 256), 1.0, 0.5)
         * (1 + 0.004 * ((step * 37 + run_id * 61) % 101) / 101.0); DELETE FROM step_summary"
run plain.ini
grep -E '^b2 ' out | grep -qE '\+(99|100)\.[0-9] % per token'
check "without interleaved timing the terminal goes by tokens, too" $?
"$gptbench" report --db $db -o rep >out 2>err
grep -q 'Most tokens per second, by the estimates alone: `b8`' rep/report.md && grep -qE '`b2`: time per token \+(99|100)\.[0-9] %' rep/report.md
check "and the report" $?

# ---- other validation tokens: no loss is held against another ----
yes 7 | head -4000 | shard tr.bin
python3 -c "
import random
random.seed(2)
t = [7] * 1281 + [random.randrange(64) for _ in range(3000)]
print(*t, sep='\n')" >tokens
shard va.bin <tokens
{
    suite stretch 3 0 tr.bin va.bin 30
    printf '[matrix]\nval_tokens = 3840, 1024\nbatch_size = 2\n'
    printf '[claim c]\nconfig = val_tokens1024\nbaseline = val_tokens3840\nexpect = val_loss reduction >= 10%%\n'
} >stretch.ini
run stretch.ini
is "cells with other validation tokens run" $? 0
grep -q "Loss of val_tokens1024 is not compared with the baseline's: validation tokens 3840 and 1024" out
check "the terminal says that they do not compare" $?
"$gptbench" report --db results/stretch.db -o rep >out 2>err
! grep -qE 'BETTER|WORSE|Lowest|Pareto front, where|At equal budgets' rep/report.md
check "the report has no verdict, no lowest, no front, no equal budgets" $?
grep -qi 'not compared: validation tokens 3840 and 1024' rep/report.md
check "but the reason" $?
is "so does its JSON" "$(jq -r '[.results[] | "\(.on_pareto_front) \(.pareto_front_probability) \(.loss.not_compared?)"] | join("; ")' rep/report.json)" \
    "false null null; false null validation tokens 3840 and 1024"
"$gptbench" claims stretch.ini >out 2>err
grep -qE '^c +unsettled' out && grep -q 'val_loss does not compare: validation tokens 3840 and 1024' out
check "a claim on the loss is unsettled, with the reason" $?
"$gptbench" compare val_tokens3840 val_tokens1024 --db results/stretch.db --metric val_loss >out 2>err
is "compare refuses the loss" "$? $(grep -c 'validation tokens 3840 and 1024' err)" "2 1"

# ---- what was read counts, not the file ----
one() { # NAME VAL VAL_TOKENS: a database of its own with one cell `a`
    {
        suite "$1" 2 0 tr.bin "$2" 8
        printf '[config a]\nval_tokens = %s\nbatch_size = 2\n' "$3"
    } >"$1.ini"
    run "$1.ini"
}
{ head -n 1500 tokens && yes 9 | head -n 200; } | shard longer.bin # another end
{ yes 8 | head -n 20; tail -n +21 tokens; } | shard other.bin    # another beginning
one first va.bin 1024 && one same longer.bin 1024 && one second other.bin 1024
is "three databases" $? 0
"$gptbench" compare a a --base-db results/first.db --db results/same.db --metric val_loss >out 2>err
is "another file with the same tokens where it was read compares" $? 0
"$gptbench" compare a a --base-db results/first.db --db results/second.db --metric val_loss >out 2>err
is "a file with other tokens there does not" "$? $(grep -c 'validation data' err)" "2 1"
sqlite3 results/same.db "UPDATE run SET val_stretch_hash = NULL" # as an older version left it
"$gptbench" compare a a --base-db results/first.db --db results/same.db --metric val_loss >out 2>err
is "where the tokens are not known the file stands for them" "$? $(grep -c 'validation data' err)" "2 1"

# ---- the batch does not decide what is read ----
{
    suite batches 1 0 $synth $synth 4
    printf '[matrix]\nbatch_size = 4, 1, 3, 200\n'
} >batches.ini
run batches.ini
is "batches that do not divide the validation, and one that is larger" $? 0
db=results/batches.db
# 80 sequences of 32 tokens
is "every batch_size validates on the same tokens" \
    "$(query "SELECT count(DISTINCT val_stretch_hash), min(val_tokens), max(val_tokens) FROM run")" "1|2560|2560"
# The weights are the same before the first step; products of another size may add in another order, which
# rounds an fp32 logit otherwise: 6e-8 of it.
is "and gives the same loss before the first step" \
    "$(query "SELECT count(*), max(val_loss) / min(val_loss) - 1 < 1e-7 FROM eval WHERE step = 0")" "4|1"
"$gptbench" plan batches.ini >out 2>err
is "as plan says" "$? $(awk '$1 == "val_tokens" { print $2, $3 }' out)" "0 2560 default"
finish
