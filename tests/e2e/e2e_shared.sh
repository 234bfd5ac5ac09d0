#!/usr/bin/env bash
# Several runners on one database: they share the runs, each is taken once, one that dies leaves its
# run to the others, and the losses are those of a single runner. With another text of the suite, or
# with a lock from another program, nothing is spoiled.
# kinds: sanitized (rows and losses; several processes at once in either)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
pids=()
cleanup() {
    [ "${#pids[@]}" -gt 0 ] && kill -9 "${pids[@]}" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

needs "sharing a database" sqlite3

suite() { # NAME REPLICATES ITERATIONS BLOCKS
    tiny_pair "$1" "$2" "$3" 10 "$4" 3
}
suite fifty 25 20 0 >fifty.ini

run() { # NUMBER ARGUMENTS...: in the background, its words in out.N and err.N
    "$gptbench" run "${@:2}" --threads 1 --db "$db" >"out.$1" 2>"err.$1" &
    pids[$1]=$!
}
end_of() { # NUMBER: waits for it, two minutes at most; its exit code is in $rc
    for _ in $(seq 1200); do
        kill -0 "${pids[$1]}" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "${pids[$1]}" 2>/dev/null
    wait "${pids[$1]}"
    rc=$?
    unset "pids[$1]"
    cp "out.$1" out
    cp "err.$1" err
}
until_true() { # SQL: waits until the answer is 1
    for _ in $(seq 300); do
        [ "$(query "$1" 2>/dev/null)" = 1 ] && return 0
        sleep 0.05
    done
    return 1
}
losses="SELECT config, replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1, 2, 3"
whole() { # WHAT: all runs there, each ok once, as a single runner leaves them
    is "$1: the database is whole" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
    is "$1: 50 runs ok, each once" \
        "$(query "SELECT count(*), count(DISTINCT config || '/' || replicate) FROM run_summary WHERE status = 'ok'")" "50|50"
    is "$1: nothing is left to do" \
        "$(query "SELECT count(*) FROM run WHERE status IN ('planned', 'running')")" 0
    is "$1: the losses are those of a single runner" "$(query "$losses" | sha256sum)" "$calm"
}

db=single.db
run 1 fifty.ini --no-report
end_of 1
is "one runner alone exits 0" $rc 0
calm=$(query "$losses" | sha256sum)
is "one runner alone: 50 runs, 20 steps each" \
    "$(query "SELECT count(*) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok'")" 1000

# ---- two from the first moment on: they make the file, and measure the peak once ----
db=two.db
run 1 fifty.ini --report report1
run 2 fifty.ini --report report2
end_of 1
is "two at once: the first exits 0" $rc 0
end_of 2
is "two at once: the second exits 0" $rc 0
whole "two at once"
is "two at once: no run was begun twice" "$(query 'SELECT count(*), max(attempt) FROM run')" "50|1"
is "two at once: both did some" \
    "$(query "SELECT count(DISTINCT runner_id), min(n) > 5 FROM (SELECT runner_id, count(*) AS n FROM run GROUP BY 1)")" "2|1"
is "two at once: both have said that they ended" \
    "$(query 'SELECT count(*), count(ended_at) FROM runner')" "2|2"
sed 's/report[12]//' report1/results.tsv >tsv1
sed 's/report[12]//' report2/results.tsv >tsv2
[ -s tsv1 ] && cmp -s tsv1 tsv2
check "two at once: both report the same" $?

# ---- one of three is killed, again and again ----
db=killed.db
run 1 fifty.ini --no-report
for round in 1 2 3 4 5 6; do
    run 2 fifty.ini --no-report
    until_true "SELECT count(*) > 0 FROM run JOIN runner USING (runner_id) WHERE runner.pid = ${pids[2]} AND run.status <> 'planned'"
    sleep "0.0$((RANDOM % 9))"
    kill -9 "${pids[2]}"
    wait "${pids[2]}" 2>/dev/null
    unset 'pids[2]'
done
run 3 fifty.ini --no-report
end_of 1
is "one killed: the one that lives exits 0" $rc 0
end_of 3
is "one killed: so does one that came later" $rc 0
whole "one killed"
is "one killed: what it was doing was tried again" \
    "$(query "SELECT count(*) FROM run r WHERE status = 'interrupted' AND NOT EXISTS (SELECT 1 FROM run s WHERE s.config_id = r.config_id AND s.replicate = r.replicate AND s.status = 'ok')")" 0

# ---- the last run is in another's hands, which dies ----
db=left.db
suite left 1 20 0 >left.ini
GPTBENCH_TEST_FAULT=hang@7@b run 1 left.ini --no-report
until_true "SELECT count(*) = 7 FROM step JOIN run_summary USING (run_id) WHERE config = 'b' AND status = 'running'"
run 2 left.ini --no-report
for _ in $(seq 200); do
    grep -q 'waiting for 1 run in the hands' err.2 && break
    sleep 0.05
done
grep -q 'waiting for 1 run in the hands' err.2
check "the last run is in another's hands: the second says that it waits" $?
kill -0 "${pids[2]}" 2>/dev/null
check "the last run is in another's hands: and does" $?

# Another text under the same name is refused meanwhile, and changes nothing.
sed 's/num_iterations = 20/num_iterations = 30/' left.ini >other.ini
before=$(query 'SELECT text FROM suite; SELECT run_id, in_plan, status FROM run; SELECT config_id, in_plan FROM config')
run 3 other.ini --no-report
end_of 3
is "another text of the suite meanwhile: exit code" $rc 2
grep -q "process ${pids[1]} is at work on suite left" err
check "another text of the suite meanwhile: says who works by another" $?
is "another text of the suite meanwhile: the plan stands" \
    "$(query 'SELECT text FROM suite; SELECT run_id, in_plan, status FROM run; SELECT config_id, in_plan FROM config' | sha256sum)" \
    "$(sha256sum <<<"$before")"
run 3 left.ini --no-report --dry-run
end_of 3
is "a dry run beside them: exit code" "$rc $(tail -1 out)" "0 0 to run, 1 kept, 0 of them not ok"

kill -9 "${pids[1]}"
wait "${pids[1]}" 2>/dev/null
unset 'pids[1]'
end_of 2
is "the other died: the second does its run and exits 0" $rc 0
is "the other died: as another attempt" \
    "$(query "SELECT config, attempt, status, steps_done FROM run_summary WHERE config = 'b' ORDER BY 2")" \
    $'b|1|interrupted|7\nb|2|ok|20'

# ---- speeds are measured by one, alone ----
db=timing.db
suite timing 2 20 3 >timing.ini
run 1 timing.ini --no-report
run 2 timing.ini --no-report
end_of 1
is "timing: the first exits 0" $rc 0
end_of 2
is "timing: the second exits 0" $rc 0
is "timing: one session, whole" "$(query "SELECT count(*), sum(status = 'ok') FROM timing")" "1|1"
is "timing: no run went on beside it" \
    "$(query 'SELECT count(*) FROM run, timing WHERE run.started_at < timing.ended_at AND run.ended_at > timing.started_at')" 0
grep -q 'waiting: another runner on this database measures speeds' err.1 err.2
check "timing: the other says that it waits" $?

# ---- the file is locked by another program ----
db=locked.db
suite locked 1 3000 0 | sed 's/val_loss_every = 10/val_loss_every = 1000/' >locked.ini
run 1 locked.ini --no-report --db-wait 60
until_true "SELECT count(*) >= 10 FROM step"
mkfifo shell
sqlite3 "$db" <shell >/dev/null 2>&1 &
pids[9]=$!
exec 9>shell
printf '.timeout 10000\nBEGIN EXCLUSIVE;\n' >&9
for _ in $(seq 200); do
    grep -q 'another program has the database locked' err.1 && break
    sleep 0.05
done
grep -q 'another program has the database locked' err.1
check "locked: the runner says so" $?
echo 'ROLLBACK;' >&9
exec 9>&-
wait "${pids[9]}"
unset 'pids[9]'
end_of 1
is "locked: then it goes on and exits 0" $rc 0
grep -q 'free again' err
check "locked: says that it is free again" $?
is "locked: no step is lost" "$(query "SELECT count(*), max(step) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok'")" "6000|2999"

db=forever.db
run 1 locked.ini --no-report --db-wait 3
until_true "SELECT count(*) >= 10 FROM step"
mkfifo shell2
sqlite3 "$db" <shell2 >/dev/null 2>&1 &
pids[9]=$!
exec 9>shell2
printf '.timeout 10000\nBEGIN EXCLUSIVE;\n' >&9
end_of 1
is "locked for longer than --db-wait: exit code" $rc 3
grep -q "forever.db: locked by another program for 3 s" err
check "locked for longer than --db-wait: says so" $?
exec 9>&-
wait "${pids[9]}"
unset 'pids[9]'
run 1 locked.ini --no-report
end_of 1
is "locked for longer than --db-wait: the same command finishes" \
    "$rc $(query "SELECT count(*) FROM run_summary WHERE status = 'ok'")" "0 2"
finish
