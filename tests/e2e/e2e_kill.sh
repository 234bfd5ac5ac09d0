#!/usr/bin/env bash
# kill -9 of a run in the middle, of the whole program in the middle, Ctrl-C: nothing is lost,
# nothing doubled, nobody left behind, and the same command goes on.
# kinds: sanitized (what a signal handler and an early end leave)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

needs "killing runs" sqlite3

{
    tiny_suite tiny 2 20 10 0
    tiny_cell a
    tiny_cell b 'mlp_expansion_factor = 3'
} >tiny.ini

# The process of a run of cell b that has done 7 steps; cell a's runs may be seen at work too.
stopped="SELECT pid FROM run JOIN config USING (config_id) WHERE name = 'b' AND status = 'running' AND (SELECT count(*) FROM step WHERE step.run_id = run.run_id) >= 7"

# Starts the program with cell b's runs stopping at step 7, and waits until one has stopped: steps 0
# to 6 are then in the database, since they are written while the run goes on.
start() { # FAULT
    GPTBENCH_TEST_FAULT="$1@7@b" "$gptbench" run tiny.ini --no-report --threads 1 --db "$db" >out 2>err &
    runner=$!
    worker=
    for _ in $(seq 300); do
        worker=$(sqlite3 "$db" "$stopped" 2>/dev/null)
        [ -n "$worker" ] && return
        sleep 0.1
    done
    check "a run was seen at work" 1
    finish
}
# What `show` says of the run that the database calls running, and `list` of it.
seen() {
    local run
    run=$(query "SELECT run_id FROM run WHERE status = 'running'")
    "$gptbench" show --db "$db" "$run" | awk '/^(status|message) / { $1 = ""; print substr($0, 2) }'
    "$gptbench" list --db "$db" | awk -v run="$run" '$1 == run { print $6 }'
}
gone() { # PID: true when no such process is left within some seconds
    for _ in $(seq 100); do
        kill -0 "$1" 2>/dev/null || return 0
        [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = Z ] && return 0
        sleep 0.05
    done
    return 1
}
ended() { # waits for the program; its exit code is in $rc
    wait "$runner"
    rc=$?
    runner=
}
whole() { # no lost and no doubled rows, in a sound file
    is "$1: the database is whole" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
    is "$1: each run once ok, with all of its steps and validations" \
        "$(query "SELECT config, replicate, count(*), sum((SELECT count(*) FROM step t WHERE t.run_id = s.run_id)), sum((SELECT count(*) FROM eval e WHERE e.run_id = s.run_id)) FROM run_summary s WHERE status = 'ok' GROUP BY 1, 2")" \
        $'a|0|1|20|3\na|1|1|20|3\nb|0|1|20|3\nb|1|1|20|3'
}
again() { # ARGUMENTS...
    "$gptbench" run tiny.ini --no-report --threads 1 --db "$db" "$@" >out 2>err
    rc=$?
}

# The uninterrupted run, to compare with.
db=calm.db
again
is "the suite alone exits 0" $rc 0
losses="SELECT config, replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1, 2, 3"
calm=$(query "$losses" | sha256sum)

# ---- kill -9 of the child ----
db=child.db
start hang
kill -9 "$worker"
first=$worker # the second run of cell b comes to the same place
for _ in $(seq 300); do
    worker=$(query "$stopped AND pid <> $first")
    [ -n "$worker" ] && break
    sleep 0.1
done
kill -9 "$worker"
ended
is "child killed: the suite went on and exits 1" $rc 1
is "child killed: its runs are killed, the others ok" \
    "$(query 'SELECT config, status, count(*) FROM run_summary GROUP BY 1, 2')" \
    $'a|ok|2\nb|killed|2'
is "child killed: the steps until then are kept" \
    "$(query "SELECT count(*), max(step) FROM step JOIN run_summary USING (run_id) WHERE status = 'killed' GROUP BY run_id")" \
    $'7|6\n7|6'
again --retry-failed
is "child killed: --retry-failed finishes" $rc 0
whole "child killed"
is "child killed: the losses are those of the calm suite" "$(query "$losses" | sha256sum)" "$calm"

# ---- kill -9 of the program ----
db=parent.db
start hang
is "program at work: its run is running" "$(seen)" $'running\nrunning'
kill -9 "$runner"
wait "$runner" 2>/dev/null
runner=
gone "$worker"
check "program killed: its worker dies with it" $?
is "program killed: what was committed is there" \
    "$(query "SELECT count(*) FROM step JOIN run_summary USING (run_id) WHERE status = 'running'")" 7
is "program killed: show and list know that nobody is doing the run" "$(seen)" \
    $'interrupted\ngptbench itself ended while this run was going on\ninterrupted'
"$gptbench" report --db "$db" -o report >out 2>err
grep -q '| interrupted | .* | gptbench itself ended while this run was going on |' report/report.md
check "program killed: so does the report" $?
is "program killed: the database is whole at once" "$(query 'PRAGMA integrity_check')" ok
again
is "program killed: the same command finishes" $rc 0
whole "program killed"
is "program killed: the current run is interrupted, its rows kept, and done again" \
    "$(query "SELECT attempt, status, (SELECT count(*) FROM step t WHERE t.run_id = s.run_id) FROM run_summary s WHERE config = 'b' AND replicate = 0 ORDER BY 1")" \
    $'1|interrupted|7\n2|ok|20'
is "program killed: the losses are those of the calm suite" "$(query "$losses" | sha256sum)" "$calm"
again
is "program killed: then there is nothing left to do" \
    "$rc $(query 'SELECT count(*) FROM run')" "0 5"

# ---- Ctrl-C ----
db=stop.db
start pause
kill -INT "$runner"
ended
is "Ctrl-C: exit code" $rc 1
grep -q 'the same command continues' err
check "Ctrl-C: says how to go on" $?
gone "$worker"
check "Ctrl-C: no worker is left" $?
is "Ctrl-C: the current run is interrupted, the others wait" \
    "$(query "SELECT config, replicate, status FROM run_summary ORDER BY 1, 2")" \
    $'a|0|ok\na|1|planned\nb|0|interrupted\nb|1|planned'
again
is "Ctrl-C: the same command finishes" $rc 0
whole "Ctrl-C"

# ---- twice Ctrl-C at a worker that does not listen ----
db=twice.db
start hang
kill -INT "$runner"
sleep 0.5
kill -INT "$runner"
began=$SECONDS
ended
is "Ctrl-C twice: exit code" $rc 1
[ $((SECONDS - began)) -lt 10 ] && gone "$worker"
check "Ctrl-C twice: the worker is killed at once" $?
is "Ctrl-C twice: interrupted" \
    "$(query "SELECT status FROM run_summary WHERE config = 'b' AND replicate = 0")" interrupted
finish
