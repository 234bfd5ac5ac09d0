#!/usr/bin/env bash
# `gptbench run` on a suite that takes a second: what it writes, what it does again and what not,
# how runs that go wrong end.
# kinds: plain sanitized (what users have, too; rows, messages and exit codes)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

bench() { # ARGUMENTS...: runs the program; its exit code is in $rc
    "$gptbench" "$@" >out 2>err
    rc=$?
}
run() { # one thread: a busy machine then costs no more than its share
    bench run "$@" --threads 1
}
query() { # DATABASE SQL
    sqlite3 "$1" "$2"
}

# 70 steps: warm-up takes at most 50 of them, so that some are timed on any machine.
suite() { # CELL-B-EXPANSION: a suite of two cells, two replicates
    tiny_pair tiny 2 70 35 0 "$1"
}
needs "gptbench run" sqlite3
suite 3 >tiny.ini

run tiny.ini --dry-run
is "a dry run exits 0" $rc 0
is "a dry run says what it would do" "$(grep -c ' run$' out)" 4
[ ! -e results ]
check "a dry run writes nothing" $?

run tiny.ini
is "a suite of two cells exits 0" $rc 0
db=results/tiny.db
if grep -q '^report: ' out; then
    [ -s results/tiny/index.html ] && [ -s results/tiny/report.md ]
    check "the report lies beside the database" $?
else
    skip "the report" "$(tail -n 1 err)"
fi
is "its four runs are ok" "$(query $db "SELECT count(*) FROM run_summary WHERE status = 'ok'")" 4
is "every step is there" "$(query $db 'SELECT count(*), min(step), max(step) FROM step')" "280|0|69"
is "every validation is there" \
    "$(query $db 'SELECT group_concat(step) FROM eval WHERE run_id = 1')" "0,35,70"
is "the baseline is marked" "$(query $db 'SELECT config FROM config_summary WHERE is_baseline')" a
is "MFU has its peak" "$(query $db 'SELECT count(*) FROM run_summary WHERE mfu > 0')" 4
is "and nothing is faster than it" "$(query $db 'SELECT count(*) FROM run_summary WHERE mfu > 1')" 0
is "step_avg is the mean of timed steps alone" \
    "$(query $db "SELECT count(*) FROM run_summary s WHERE abs(step_avg_ms - (SELECT avg(step_ms) FROM step t WHERE t.run_id = s.run_id AND tag = 'timed')) < 1e-9")" 4
is "the parts of the profiled steps add up to them" \
    "$(query $db "SELECT count(*) FROM (SELECT s.run_id FROM step s WHERE tag = 'profiled' GROUP BY run_id HAVING abs(sum(step_ms) - (SELECT sum(time_ms) FROM op_time o WHERE o.run_id = s.run_id AND phase <> 'eval')) < 1e-6 * sum(step_ms))")" 4
is "steps end one after the other, after the start of their run" \
    "$(query $db 'SELECT count(*) FROM (SELECT ended_s > 0 AND ended_s > coalesce(lag(ended_s) OVER (PARTITION BY run_id ORDER BY step), 0) AS good FROM step) WHERE good')" 280
# Steps 68 and 69 are the last; spans are kept of replicate 0, of two cells.
is "spans lie within the last step, on the clock of steps and samples" \
    "$(query $db 'SELECT count(*) FROM run r WHERE spans_zero_s >= (SELECT ended_s FROM step s WHERE s.run_id = r.run_id AND step = 68) AND spans_zero_s + (SELECT max(end_ms) / 1000 FROM op_span o WHERE o.run_id = r.run_id) <= (SELECT ended_s FROM step s WHERE s.run_id = r.run_id AND step = 69)')" 2
is "each run has samples, from before its first step to after its last" \
    "$(query $db 'SELECT count(*) FROM run r WHERE (SELECT min(at_s) FROM sample s WHERE s.run_id = r.run_id) < (SELECT min(ended_s - step_ms / 1000) FROM step t WHERE t.run_id = r.run_id) AND (SELECT max(at_s) FROM sample s WHERE s.run_id = r.run_id) >= (SELECT max(ended_s) FROM step t WHERE t.run_id = r.run_id)')" 4
is "what could not be sampled is said" \
    "$(query $db 'SELECT count(*) FROM run WHERE sensors_missing IS NULL')" 0
is "the database is whole" "$(query $db 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
# At step 35 a busy machine may still be warming up, which is over after 50: nothing to average yet.
grep -qE '^step:35/70 val_loss:[0-9]+\.[0-9]{4} train_time:[0-9]+ms step_avg:([0-9.]+|nan)ms$' err &&
    grep -qE '^step:70/70 val_loss:[0-9]+\.[0-9]{4} train_time:[0-9]+ms step_avg:[0-9.]+ms$' err
check "progress comes in the familiar form where there is no terminal" $?
grep -q '^b .*ok 2' out && grep -q "^database: $db" out
check "the table and the database's place are printed" $?

before=$(query $db 'SELECT run_id, started_at FROM run')
run tiny.ini --no-report
is "the same command again exits 0" $rc 0
is "and does nothing" "$(query $db 'SELECT run_id, started_at FROM run')" "$before"

# As if something else had been at work when the peak was measured.
sqlite3 $db 'UPDATE gemm_peak SET flops_per_s = 1e5'
bench show 1 && cp out shown
bench report -o shown.d --db $db
grep -q "^ *MFU above 100 %: the GEMM peak was measured on a busy machine;" shown &&
    grep -q 'MFU above 100 %' shown.d/report.md
check "an MFU above 100 % is explained, by show and by the report" $?
run tiny.ini --no-report
is "run measures a beaten peak again, with nothing else to do" \
    "$rc|$(grep -c 'measured again: training had reached .* beyond the 0 measured before$' err)" "0|1"
! grep -q 'MFU above 100 %' out
check "and then there is nothing to explain" $?
is "no MFU is above 100 % then" \
    "$(query $db 'SELECT count(*), sum(mfu > 1) FROM run_summary WHERE mfu > 0')" "4|0"

suite 2 >tiny.ini
run tiny.ini --no-report
is "a changed suite exits 0" $rc 0
is "what changed was done, the rest was kept" \
    "$(query $db "SELECT config, count(*), min(run_id) > 4 FROM run_summary GROUP BY config")" \
    $'a|2|0\nb|2|1'
is "the runs of the old text are still there" "$(query $db 'SELECT count(*) FROM run')" 6
suite 3 >tiny.ini
run tiny.ini --no-report
is "back to the old text: nothing to do" "$(query $db 'SELECT count(*) FROM run')" 6

run tiny.ini --no-report --db other.db --only b
is "--only exits 0" $rc 0
is "--only does the cells that it names" \
    "$(query other.db "SELECT config, status, count(*) FROM run_summary GROUP BY 1, 2")" \
    $'a|planned|2\nb|ok|2'
losses="SELECT replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE config = 'b' ORDER BY 1, 2"
is "runs of equal identity have bit-equal losses" \
    "$(query other.db "$losses" | sha256sum)" "$(query $db "$losses" | sha256sum)"
is "and equal identities" \
    "$(query other.db "SELECT group_concat(identity) FROM run JOIN config USING (config_id) WHERE name = 'b'")" \
    "$(query $db "SELECT group_concat(identity) FROM run JOIN config c USING (config_id) WHERE name = 'b' AND c.in_plan")"
is "replicates differ" \
    "$(query $db "SELECT count(DISTINCT final_val_loss) FROM run_summary WHERE config = 'b'")" 2
run tiny.ini --no-report --only 'nosuch*'
is "--only without a match is a usage error" $rc 2

# ---- runs that go wrong ----
faulty() { # FAULT STATUS WORDS-IN-THE-MESSAGE
    rm -f fault.db*
    GPTBENCH_TEST_FAULT="$1@5@b" run tiny.ini --no-report --db fault.db
    is "$1: exit code" $rc 1
    is "$1: its runs say so, the others are ok" \
        "$(query fault.db 'SELECT config, status, count(*) FROM run_summary GROUP BY 1, 2')" \
        $'a|ok|2\nb|'"$2"'|2'
    query fault.db "SELECT message FROM run_summary WHERE config = 'b'" | grep -q "$3"
    check "$1: the message says why" $?
}
faulty nan nan 'test fault: nan'
faulty oom oom 'test fault: oom'
faulty crash failed 'SIGSEGV'
faulty kill killed 'SIGKILL'
faulty garbage failed 'event stream is broken'
faulty exit failed 'exited with code 7.*'
run tiny.ini --no-report --db fault.db
is "failed runs are kept" "$rc $(query fault.db 'SELECT count(*) FROM run')" "1 4"
run tiny.ini --no-report --db fault.db --retry-failed
is "--retry-failed tries them again" \
    "$rc $(query fault.db "SELECT group_concat(attempt || status) FROM (SELECT * FROM run_summary WHERE config = 'b' ORDER BY run_id)")" \
    "0 1failed,1failed,2ok,2ok"

# ---- looking at it ----
bench list
is "list exits 0" $rc 0
grep -q '^tiny .* a ' out && [ "$(grep -cE '^ +[0-9]+ +tiny ' out)" -eq 4 ]
check "list shows suite and runs" $?
bench show 1
is "show exits 0" $rc 0
grep -qE '^status +ok' out && grep -qE '^step_avg .*95 % CI' out && grep -qE '^ +70 +[0-9.]+ ' out
check "show has status, timing and validations" $?
bench show 4711
is "show of a run that is not there exits 2" $rc 2
is "what only reads leaves no file beside the databases" "$(find . -name '*.db-*')" ""
bench show --db tiny.ini 1
is "a file that is no database exits 2" $rc 2
run tiny.ini --db tiny.ini
is "nor is it written to" "$rc $(suite 3 | cmp - tiny.ini && echo same)" "2 same"

# ---- wrong from the start ----
sed 's/synth:vocab=64,seed=1/nowhere_*.bin/' tiny.ini >nodata.ini
run nodata.ini
is "data that is not there exits 2" $rc 2
grep -q 'nodata.ini:[0-9]*: .*nowhere_' err
check "and says where it is asked for" $?
run tiny.ini --backend gpu
is "an unknown backend exits 2" $rc 2
finish
