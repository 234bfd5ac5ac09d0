#!/usr/bin/env bash
# End to end: outputs say what they rest on: which database and suite, which run, what a heading is of, what
# disturbed the machine, and that they were not asked for what cannot be told.
#   tests/e2e/e2e_says.sh build/gptbench
# kinds: sanitized (words of a tiny suite)
. "$(dirname "$0")/lib.sh"
needs "what outputs say" sqlite3 jq
unset OPENBLAS_CORETYPE OMP_NUM_THREADS COLUMNS
suite() { # NAME REPLICATES BLOCKS
    tiny_suite "$1" "$2" 20 20 "$3" | sed 's/^replicates/profile_steps = 2\nreplicates/'
    tiny_cell a
    tiny_cell half 'mlp_expansion_factor = 2'
    tiny_cell long 'batch_size = 4'
    printf '\n[claim step]\nconfig = long\nbaseline = a\nexpect = step_avg speedup >= 1%%\n'
    printf '\n[claim rate]\nconfig = long\nbaseline = a\nexpect = tokens_per_s speedup >= 1%%\n'
    printf '\n[claim memory]\nconfig = long\nbaseline = a\nexpect = peak_memory reduction >= 1%%\n'
    printf '\n[claim loss]\nconfig = long\nbaseline = a\nexpect = val_loss reduction >= 1%%\n'
}

# ---- before it runs ----
suite few 1 4 >few.ini
"$gptbench" plan few.ini --gflops 10 >out 2>err
check "a plan of 4 blocks" $?
grep -q '^warning: With blocks = 4 no speed gets an interval' out
check "warns that 4 blocks give no interval" $?
is "a claim on steps of other lengths is not predicted, one per token is" \
    "$(awk -F '  +' '$1 == "step" || $1 == "rate" || $1 == "memory" { printf "%s:%s:%s ", $1, $6, $7 }' out)" \
    "step:not compared:- rate:at equal FLOP/s:no memory:not compared:- "
grep -q '^claim step: step_avg does not compare: tokens per step 32 and 64; per token their speeds do: tokens_per_s' out
check "with the reason" $?
suite enough 1 8 >enough.ini
sed 's/^blocks = 4/blocks = 4\nstop = precision 1%\nmax_blocks = 7/' few.ini >stop.ini
sed 's/^blocks = 4/blocks = 4\nstop = precision 1%\nmax_blocks = 8/' few.ini >later.ini
sed 's/^blocks = 4/blocks = 0/' few.ini >none.ini
for s in enough stop later none; do
    "$gptbench" plan $s.ini --gflops 10 >out 2>err
    echo "$s $(grep -c 'no speed gets an interval' out)"
done >counts
is "8 blocks are enough, with stop it is the most that counts, without timing nothing" "$(tr '\n' ' ' <counts)" \
    "enough 0 stop 1 later 0 none 0 "

# ---- a run's name ----
"$gptbench" run few.ini --threads 1 >out 2>err
check "the suite runs" $?
grep -q '^warning: With blocks = 4 no speed gets an interval' err
check "run warns too" $?
grep -q '^\[1 of 3\] run 1: a, replicate 0$' err && grep -q '^ok: run 3, long, replicate 0: 20 steps' err
check "runs are called by their number, how many there are is beside it" $?
sqlite3 results/few.db "UPDATE run SET status = 'failed', message = 'made up' WHERE run_id = 2"
"$gptbench" run few.ini --threads 1 >out 2>err
grep -q 'gptbench show 2 --db results/few.db' err
check "what failed is called so" $?
"$gptbench" run few.ini --threads 1 --retry-failed >out 2>err
is "the only one to do is the fourth run" "$? $(grep -c '^\[1 of 1\] run 4: half, replicate 0' err)" "0 1"
"$gptbench" show 4 >out 2>err
is "and show takes that name" "$(awk '$1 == "config" { print $2 }' out)" half

# ---- headings ----
"$gptbench" run few.ini --threads 1 >out 2>err
is "each heading says of what it is" "$(grep '^config ' out | grep -o '[A-Za-z]* vs base' | tr '\n' ' ')" "FLOPs vs base time vs base "

# ---- what was read ----
said() { # COMMAND...: the line that names suite and database
    "$gptbench" "$@" 2>err | grep -c '^suite few in results/few\.db$'
}
is "compare, why and claims say what they read" \
    "$(said compare a half) $(said why a half) $(said claims few.ini) $(said compare a half --db results/few.db)" "1 1 1 1"
"$gptbench" show 1 >out 2>err
is "show too" "$(grep -c '^database  *results/few\.db$' out)" 1
"$gptbench" report -o rep >out 2>err
is "report too, beside the files that it lists" "$(cat err) $(grep -c few out)" "report of suite few in results/few.db 0"
"$gptbench" report --db results/few.db --suite few -o rep >out 2>err
is "but not what was named" "$(wc -l <err)" 0
for c in "compare a half" "why a half" "claims few.ini"; do
    "$gptbench" $c --json 2>err | jq -r '.database // .base.database'
done >out
is "JSON has it in a field" "$(sort -u out)" results/few.db

# ---- claims: as the plan ----
"$gptbench" claims few.ini >out 2>err
grep -q '^- step is unsettled: step_avg does not compare: tokens per step 32 and 64; per token their speeds do: tokens_per_s' out
check "a claim on other steps has the plan's reason" $?
is "and no prediction" "$(awk '$1 == "step" || $1 == "memory" { printf "%s ", $NF }' out)" "- - "
! grep -q 'It promises more than FLOPs' out || ! grep -A1 '^- step' out | grep -q FLOPs
check "nor a sentence about FLOPs" $?
# 20 steps of 64 and of 32 tokens
grep -A1 '^- loss' out | grep -q 'Trained on 1.28k tokens, a on 640'
check "one on a loss says what the two were trained on" $?
"$gptbench" compare a long --metric val_loss >out 2>err
grep -q '^By the estimates alone, long is .* in loss than a; no interval' out && grep -q '^long: Trained on 1.28k tokens, a on 640' out
check "compare: a change without an interval is an estimate, and has that remark" $?

# ---- the machine ----
disturb() { # SQL: then the sentence of the terminal, and whether report.md has it
    sqlite3 results/few.db "$1"
    "$gptbench" run few.ini --threads 1 >out 2>err
    sentence=$(grep '^The machine was disturbed' out)
    grep -qF -- "- $sentence" results/few/report.md && echo "$sentence"
}
quiet="UPDATE burst SET median_ms = 1 + 0.0001 * block, mean_ms = 1 + 0.0001 * block;
    UPDATE burst_step SET disturbance = ''; UPDATE timing_sample SET cpu_clock_mhz = 3000, gpu_clock_mhz = NULL;"
sqlite3 results/few.db "INSERT OR IGNORE INTO timing_sample (timing_id, at_s, cpu_clock_mhz) VALUES (1, -1, 3000), (1, -2, 3000)"
disturb "$quiet" >/dev/null
is "a quiet machine is not spoken of" "$(grep -c 'machine was disturbed' out results/few/report.md | tr '\n' ' ')" \
    "out:0 results/few/report.md:0 "
is "marked steps are, in the terminal and the report" "$(disturb "$quiet UPDATE burst_step SET disturbance = 'preempted' WHERE tag = 'timed'")" \
    "The machine was disturbed: 100.0 % of the timed steps are marked."
# The control 2 % slower than the baseline in each block; one sample of the clock at 2400 MHz.
is "clock and control too" "$(disturb "$quiet UPDATE burst SET median_ms = 1.02 * median_ms, mean_ms = 1.02 * mean_ms WHERE arm = (SELECT arm FROM timing_arm WHERE is_control);
    UPDATE timing_sample SET cpu_clock_mhz = 2400 WHERE at_s = -1")" \
    "The machine was disturbed: the clock went from 2400 to 3000 MHz and the baseline differs from itself by 2.0 %."
is "without interleaved timing the runs count" "$(sed -i 's/^blocks = 4/blocks = 0/' few.ini
    disturb "DELETE FROM timing; UPDATE step SET disturbance = iif(step % 2, 'steal', '') WHERE tag = 'timed'; DELETE FROM step_summary" | grep -c ' % of the timed steps are marked\.$')" 1
finish
