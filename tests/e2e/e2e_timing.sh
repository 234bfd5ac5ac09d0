#!/usr/bin/env bash
# Interleaved timing end to end: what is in the database afterwards, what is kept, and what becomes
# of the session when a worker, the baseline, the user or the program itself ends it.
# kinds: plain first (interleaved timing measures time)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

needs "interleaved timing" sqlite3

suite() { # TIMING...: writes tiny.ini with these lines in [timing]
    { cat <<'INI'
[suite]
name = tiny
baseline = base
replicates = 1

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 2
sequence_length = 16
num_iterations = 12
val_loss_every = 6
val_tokens = 64
precision = fp32

[model]
vocab_size = 64
n_layer = 1
n_head = 2
n_embd = 32

[matrix]
mlp_expansion_factor = 4, 3

[config wide]
n_embd = 48

[timing]
INI
      printf '%s\n' "$@"; } >tiny.ini
}
run() { # ARGUMENTS...
    "$gptbench" run tiny.ini --no-report --threads 1 --db "$db" "$@" >out 2>err
    rc=$?
}

# ---- a whole session ----
suite 'blocks = 6' 'burst_steps = 4' 'process_blocks = 3' 'seed = 9'
db=whole.db
run --dry-run
is "a dry run tells of the timing, then of the runs" "$(tail -n 2 out)" \
    $'first, 3 configs would be timed in turn, the baseline twice\n3 to run, 0 kept, 0 of them not ok'
run --dry-run --speed-only
is "a dry run with --speed-only: only the timing" "$(grep -c ' run$' out) $(tail -n 1 out)" '0 0 to run, 0 kept, 0 of them not ok'
run
is "a suite with interleaved timing exits 0" $rc 0
grep -q 'interleaved, 6 blocks. Noise floor: ' out && grep -qE '^wide .* UNCLEAR [+−]' out
check "the table at the end has verdicts and the noise floor" $?
run --dry-run --speed-only
grep -q 'would be timed' out
is "a dry run afterwards: nothing to time" $? 1
is "one session, whole" "$(query 'SELECT status, blocks_done, seed, timed_steps, min_blocks, max_blocks FROM timing')" 'ok|6|9|4|6|6'
is "arms: the cells, and the baseline again as control" \
    "$(query 'SELECT config, is_baseline, is_control, status, blocks, timed_steps, processes FROM timing_summary ORDER BY arm')" \
    $'base|1|0|ok|6|24|2\ne3|0|0|ok|6|24|2\nwide|0|0|ok|6|24|2\nbase|0|1|ok|6|24|2'
is "every block visits every arm once, at every position once" \
    "$(query 'SELECT count(*) FROM (SELECT block FROM burst GROUP BY block HAVING count(*) = 4 AND count(DISTINCT arm) = 4 AND count(DISTINCT position) = 4 AND max(position) = 3)')" 6
is "the order is not always the same" "$(query 'SELECT count(DISTINCT o) > 1 FROM (SELECT group_concat(arm) o FROM (SELECT * FROM burst ORDER BY block, position) GROUP BY block)')" 1
is "bursts follow each other in time" "$(query 'SELECT count(*) FROM burst b JOIN burst c ON c.block * 4 + c.position = b.block * 4 + b.position + 1 WHERE c.began_s < b.ended_s OR b.ended_s <= b.began_s')" 0
is "a new process after three blocks" "$(query 'SELECT DISTINCT block, process FROM burst')" $'0|1\n1|1\n2|1\n3|2\n4|2\n5|2'
is "each process warms up by at least ten steps before its bursts" \
    "$(query "SELECT count(*), min(n) >= 20 FROM (SELECT count(*) n FROM burst_step WHERE block IS NULL AND tag = 'warmup' GROUP BY arm)")" '4|1'
is "a burst's mean and median are those of its timed steps" \
    "$(query "SELECT count(*) FROM burst b WHERE abs(mean_ms - (SELECT avg(step_ms) FROM burst_step s WHERE s.arm = b.arm AND s.block = b.block AND tag = 'timed')) > 1e-9 OR abs(median_ms - (SELECT avg(step_ms) FROM (SELECT step_ms FROM burst_step s WHERE s.arm = b.arm AND s.block = b.block AND tag = 'timed' ORDER BY step_ms LIMIT 2 OFFSET 1))) > 1e-9")" 0
# Where the kernel's counters did not move, or went back, a reading has no share of stolen time: of steps
# that only such readings cover, nothing is known.
is "the machine was watched and every step judged that a reading covers" \
    "$(query "SELECT (SELECT count(*) > 0 FROM timing_sample), (SELECT count(disturbance) > 0 FROM burst_step), (SELECT count(*) FROM burst_step b, (SELECT at_s, lag(at_s) OVER (ORDER BY at_s) AS since_s, coalesce(cpu_steal, cpu_clock_mhz) AS known FROM timing_sample) r WHERE b.disturbance IS NULL AND r.known IS NOT NULL AND r.since_s + 1e-6 < b.ended_s AND r.at_s - 1e-6 > b.ended_s - b.step_ms / 1000)")" '1|1|0'
is "the runs are there as well" "$(query "SELECT count(*) FROM run_summary WHERE status = 'ok'")" 3
run
is "the same command measures nothing again" "$rc $(query 'SELECT count(*) FROM timing')" '0 1'
run --loss-only
is "--loss-only neither" "$rc $(query 'SELECT count(*) FROM timing')" '0 1'

# ---- what is asked for ----
db=speed.db
run --speed-only
is "--speed-only trains nothing to its end" "$rc $(query "SELECT (SELECT count(*) FROM timing), (SELECT count(*) FROM run WHERE status <> 'planned')")" '0 1|0'
db=loss.db
run --loss-only
is "--loss-only times nothing" "$rc $(query "SELECT (SELECT count(*) FROM timing), (SELECT count(*) FROM run WHERE status = 'ok')")" '0 0|3'
losses="SELECT count(*), group_concat(printf('%!.17g', val_loss)) FROM (SELECT * FROM eval JOIN run_summary USING (run_id) ORDER BY config, step)"
is "timing does not change a loss" "$(query "$losses" | sha256sum)" "$(sqlite3 whole.db "$losses" | sha256sum)"
is "of which there are nine" "$(query "$losses" | cut -d'|' -f1)" 9
run --speed-only --loss-only
is "both together are refused" "$rc $(grep -c 'nothing to do' err)" '2 1'
db=only.db
run --speed-only --only wide
is "--only: those cells, the baseline, the control" "$(query 'SELECT config, is_control FROM timing_summary ORDER BY arm')" $'base|0\nwide|0\nbase|1'
suite 'blocks = 0'
db=none.db
run
is "blocks = 0 times nothing in turn" "$rc $(query 'SELECT count(*) FROM timing')" '0 0'
suite 'blocks = 3' 'max_blocks = 5' 'burst_steps = 3' 'stop = precision 0.001%'
db=stop.db
run --speed-only
is "a precision that is not reached ends at max_blocks" "$rc $(query 'SELECT status, blocks_done, precision_reached FROM timing')" '0 ok|5|0'

# ---- what goes wrong ----
suite 'blocks = 4' 'burst_steps = 4' 'process_blocks = 0'
db=crash.db
GPTBENCH_TEST_FAULT=crash@20@e3 run --speed-only
is "a config that crashes is left out, the others go on" \
    "$rc $(query "SELECT group_concat(config || ' ' || status || ' ' || (blocks = 4), ', ') FROM (SELECT * FROM timing_summary ORDER BY arm)")" \
    '1 base ok 1, e3 failed 0, wide ok 1, base ok 1'
grep -q 'e3: failed: crashed with SIGSEGV' err
check "and the terminal says which and how" $?
run --speed-only
is "it is not tried again by itself" "$rc $(query 'SELECT count(*) FROM timing')" '0 1'
run --speed-only --retry-failed
is "--retry-failed does" "$rc $(query "SELECT count(*), sum(status = 'ok') FROM timing_arm WHERE timing_id = 2")" '0 4|4'
for kind in nan oom exit garbage; do
    db=$kind.db
    GPTBENCH_TEST_FAULT=$kind@20@wide run --speed-only
    case $kind in nan) want=nan ;; oom) want=oom ;; *) want=failed ;; esac
    is "$kind: status of the arm" "$rc $(query "SELECT a.status FROM timing_arm a JOIN config USING (config_id) WHERE name = 'wide'")" "1 $want"
done
db=baseline.db
GPTBENCH_TEST_FAULT=nan@20@base run --speed-only
is "without the baseline there is no session" "$rc $(query 'SELECT status FROM timing')" '1 failed'
grep -q 'no speeds: the baseline failed' err
check "and it says so" $?

begin() { # FAULT: starts the program and waits until the fault holds it up
    GPTBENCH_TEST_FAULT=$1 "$gptbench" run tiny.ini --no-report --threads 1 --db "$db" >out 2>err &
    runner=$!
    for _ in $(seq 300); do
        [ -n "$(sqlite3 "$db" "SELECT 1 FROM timing WHERE status = 'running'" 2>/dev/null)" ] && break
        sleep 0.1
    done
    sleep 1
}
left() { # PIDS: how many of them still run, after a little while
    for _ in $(seq 40); do
        n=0
        for pid in $1; do
            kill -0 "$pid" 2>/dev/null && n=$((n + 1))
        done
        [ "$n" -eq 0 ] && break
        sleep 0.1
    done
    echo $n
}
db=stopped.db
begin pause@20@wide
workers=$(pgrep -P "$runner")
kill -INT "$runner"
wait "$runner"
rc=$?
is "Ctrl-C in a session: exit code, and the session is interrupted" "$rc $(query 'SELECT status FROM timing')" '1 interrupted'
is "no worker is left, of several" "$(($(wc -w <<<"$workers") > 1)) $(left "$workers")" '1 0'
runner=
run
is "the same command measures from the start" "$rc $(query 'SELECT group_concat(status) FROM timing')" '0 interrupted,ok'
db=killed.db
begin hang@20@wide
workers=$(pgrep -P "$runner")
kill -9 "$runner"
wait "$runner" 2>/dev/null
is "kill -9 of the program: its workers die with it" "$(left "$workers")" 0
runner=
is "and the database is whole" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
run
is "the same command marks it and goes on" "$rc $(query 'SELECT group_concat(status) FROM timing')" '0 interrupted,ok'
finish
