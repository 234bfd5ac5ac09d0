#!/usr/bin/env bash
# The signals of a terminal: Ctrl-Z stops the worker too, and the steps around do not count as speed;
# when the terminal vanishes, or whoever read the output, the suite goes on to its end.
# kinds: plain (signals have to meet a step of half a millisecond)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

needs "signals" sqlite3

# Some seconds of steps of half a millisecond, so that a signal meets one, and not what is between two;
# they take longer under sanitizers.
steps=8000
ldd "$gptbench" | grep -q libasan && steps=1000
{
    tiny_suite long 1 $steps $((steps / 2)) 0
    tiny_cell a
} | sed 's/^n_layer = 1/n_layer = 4/; s/^sequence_length = 16/sequence_length = 32/' >long.ini

state_of() { # PID: one letter, as ps shows it
    sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null
}
until_state() { # PID LETTERS: waits until the state is one of them
    for _ in $(seq 200); do
        case $(state_of "$1") in
        [$2]) return 0 ;;
        esac
        sleep 0.02
    done
    return 1
}
until_true() { # SQL: waits until the answer is 1
    for _ in $(seq 400); do
        [ "$(query "$1" 2>/dev/null)" = 1 ] && return 0
        sleep 0.05
    done
    return 1
}
end_of() { # waits for the program, two minutes at most; its exit code is in $rc
    for _ in $(seq 1200); do
        kill -0 "$runner" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$runner" 2>/dev/null
    wait "$runner" 2>/dev/null
    rc=$?
    runner=
}
started="SELECT count(*) >= 20 FROM step"
losses="SELECT step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1"

db=calm.db
"$gptbench" run long.ini --no-report --threads 1 --db "$db" >out 2>err
is "undisturbed: exits 0" $? 0
calm=$(query "$losses" | sha256sum)

# ---- Ctrl-Z ----
db=stop.db
"$gptbench" run long.ini --no-report --threads 1 --db "$db" >out 2>err &
runner=$!
until_true "$started"
worker=$(query "SELECT pid FROM run WHERE status = 'running'")
kill -TSTP "$runner"
until_state "$runner" T
check "SIGTSTP: the runner stops" $?
until_state "$worker" T
check "SIGTSTP: the worker stops" $?
sleep 1
kill -CONT "$runner"
until_state "$worker" RSZ
check "SIGCONT: the worker goes on" $?
end_of
is "SIGCONT: the suite ends well" $rc 0
# It may have struck between two steps after all.
is "SIGTSTP: a step that has the second in it is marked, and not timed" \
    "$(query "SELECT (SELECT count(*) FROM step WHERE disturbance LIKE '%stopped%') <= 2, (SELECT count(*) FROM step WHERE disturbance LIKE '%stopped%' AND tag = 'timed'), (SELECT count(*) FROM step WHERE step_ms >= 900 AND disturbance NOT LIKE '%stopped%')")" \
    "1|0|0"
is "SIGTSTP: no timed step has it" "$(query "SELECT count(*) FROM step WHERE tag = 'timed' AND step_ms >= 900")" 0
is "SIGTSTP: the losses are the same" "$(query "$losses" | sha256sum)" "$calm"

# ---- the terminal vanishes ----
# script(1) gives the program a terminal of its own, which ends with it.
if command -v script >/dev/null; then
    db=hangup.db
    cat >start.sh <<'SH'
"$gptbench" run long.ini --report hangup --threads 1 --db hangup.db &
echo $! >runner.pid
wait
SH
    export gptbench
    # bash -m: the runner is a job of its own, as at a prompt.
    script -qec "bash -m start.sh" /dev/null </dev/null >typescript 2>&1 &
    script=$!
    until_true "$started"
    runner=$(cat runner.pid)
    is "a terminal vanishes: the runner had one" "$(readlink "/proc/$runner/fd/2" | sed 's/[0-9]*$//')" /dev/pts/
    children=$(pgrep -P "$script")
    kill -9 "$script" $children
    wait "$script" 2>/dev/null
    kill -HUP "$runner" # what the shell of a closed terminal sends its jobs
    for _ in $(seq 1200); do
        kill -0 "$runner" 2>/dev/null || break
        sleep 0.1
    done
    runner=
    is "a terminal vanishes: the suite was finished" "$(query "SELECT status, steps_done FROM run")" "ok|$steps"
    [ -s hangup/index.html ]
    check "a terminal vanishes: and reported" $?
    is "a terminal vanishes: the losses are the same" "$(query "$losses" | sha256sum)" "$calm"
else
    skip "a terminal vanishes (3 checks)" "there is no script(1) to make one"
fi

# ---- SIGHUP without a terminal, and nobody reads the output ----
db=pipe.db
mkfifo reader
"$gptbench" run long.ini --report pipe --threads 1 --db "$db" >reader 2>&1 &
runner=$!
head -c 1 <reader >/dev/null
until_true "$started"
kill -HUP "$runner"
end_of
is "nobody reads the output: says so in the end" $rc 3
is "nobody reads the output: the suite was finished" "$(query "SELECT status, steps_done FROM run")" "ok|$steps"
[ -s pipe/index.html ]
check "nobody reads the output: and reported" $?
finish
