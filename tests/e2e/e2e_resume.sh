#!/usr/bin/env bash
# Runs on real text that are killed or stopped at many places and gone on with: every loss in the
# database has the bits that it has in a database of runs that nobody disturbed, nothing is counted
# twice, and no checkpoint is left behind.
# kinds: plain sanitized (what users have, too; a run that goes on has the bits of one that did not stop, however it is compiled)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
text=${GPTBENCH_TEST_DATA:-$root/../shared/data}/text/tinyshakespeare.txt

needs "going on from checkpoints" sqlite3
if [ ! -r "$text" ]; then
    skip_rest "there is no text to train on at $text (GPTBENCH_TEST_DATA)"
fi

# Small shards, so that a run goes through all of them and starts again.
head -c 9000 "$text" | "$gptbench" data pack --bytes --shard-tokens 2000 -o train - >out 2>err &&
    tail -c 3000 "$text" | "$gptbench" data pack --bytes -o val.bin - >out 2>err
check "text is packed" $?

suite() { # CHECKPOINT_EVERY
    cat <<INI
[suite]
name = text
replicates = 2
profile_steps = 3
checkpoint_every = $1

[timing]
blocks = 0

[data]
train = train_*.bin
val = val.bin

[train]
batch_size = 4
sequence_length = 32
num_iterations = 40
val_loss_every = 10
val_tokens = 256
grad_clip = 1

[model]
vocab_size = 256
n_layer = 2
n_head = 2
n_embd = 32

[config fp32]
precision = fp32
grad_accumulation_steps = 2

[config bf16]
precision = bf16
use_swiglu_mlp = true
INI
}
suite 5 >text.ini

run() { # ARGUMENTS...; more in $fault
    GPTBENCH_TEST_FAULT=${fault:-} "$gptbench" run text.ini --no-report --threads 2 --db "$db" "$@" >out 2>err
    rc=$?
}
# All that a run computes, to the last bit: 17 digits give a double back.
results="SELECT c.name, r.replicate, 'step', t.step, printf('%!.17g %!.17g %!.17g %!.17g', t.train_loss, t.grad_norm, t.learning_rate, t.flops)
  FROM step t JOIN run r USING (run_id) JOIN config c USING (config_id) WHERE r.status = 'ok'
  UNION ALL SELECT c.name, r.replicate, 'eval', e.step, printf('%!.17g %d', e.val_loss, e.val_tokens)
  FROM eval e JOIN run r USING (run_id) JOIN config c USING (config_id) WHERE r.status = 'ok'
  ORDER BY 1, 2, 3, 4"
whole() { # WHAT: the suite is done, as if nothing had happened
    is "$1: the suite is done" "$rc" 0
    is "$1: the database is whole" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
    [ "$(query "$results" | sha256sum)" = "$calm" ]
    check "$1: every loss, norm and validation has the bits of the calm suite" $?
    is "$1: each run once ok, with all its steps, validations and ops" \
        "$(query "SELECT config, replicate, count(*), sum(steps_done), sum((SELECT count(*) FROM step t WHERE t.run_id = s.run_id)), sum((SELECT count(*) FROM eval e WHERE e.run_id = s.run_id)), sum((SELECT max(steps) FROM op_time o WHERE o.run_id = s.run_id)) FROM run_summary s WHERE status = 'ok' GROUP BY 1, 2")" \
        $'bf16|0|1|40|40|5|3\nbf16|1|1|40|40|5|3\nfp32|0|1|40|40|5|3\nfp32|1|1|40|40|5|3'
    is "$1: sessions add up to the run, each with a warm-up of its own" \
        "$(query "SELECT count(*) FROM run_summary s WHERE status = 'ok' AND (
             (SELECT sum(steps) FROM session x WHERE x.run_id = s.run_id) <> 40
             OR (SELECT sum(warmup_steps) FROM session x WHERE x.run_id = s.run_id) <> s.warmup_steps
             OR (SELECT sum(timed_steps) FROM session_summary x WHERE x.run_id = s.run_id) <> coalesce(s.timed_steps, 0)
             OR EXISTS (SELECT 1 FROM step t JOIN session x USING (run_id, session) WHERE t.run_id = s.run_id AND t.tag = 'timed' AND t.step < x.first_step + 10)
             OR EXISTS (SELECT 1 FROM step t JOIN session x USING (run_id, session) WHERE t.run_id = s.run_id AND t.step < x.first_step))")" 0
    is "$1: two replicates of each config count" "$(query 'SELECT group_concat(replicates_ok) FROM config_summary')" 2,2
    [ ! -e "${db%.db}.checkpoints" ]
    check "$1: no checkpoint is left" $?
}
# Where the runs that ended ok were taken up.
resumed="SELECT group_concat(DISTINCT coalesce(resumed_step, 'start')) FROM run WHERE status = 'ok'"

db=calm.db
run
calm=$(query "$results" | sha256sum)
whole calm
is "calm: one session each" "$(query 'SELECT max(sessions) FROM run_summary')" 1
is "calm: no step beside a checkpoint is timed" \
    "$(query "SELECT count(*) FROM step WHERE tag = 'timed' AND step % 5 = 0 AND step > 0")" 0

# A new database that knows the machine already: its peaks need not be measured again.
sqlite3 calm.db "VACUUM INTO 'machine.db'" && sqlite3 machine.db 'PRAGMA foreign_keys = ON; DELETE FROM suite'
check "a database of the machine alone" $?
new() { # NAME
    db=$1.db
    cp machine.db "$db"
}

# ---- kill -9 of the worker, at every kind of place ----
# After step K: 5 is the step behind a checkpoint, 4 comes before it is written, from 37 on steps are
# profiled.
for at in 2 4 5 20 38; do
    new child$at
    fault=kill@$at run
    is "worker killed after step $at: all are killed" "$rc $(query 'SELECT group_concat(DISTINCT status) FROM run')" "1 killed"
    run --retry-failed
    whole "worker killed after step $at"
    expected=$((at / 5 * 5))
    [ $expected -eq 0 ] && expected=start
    is "worker killed after step $at: taken up from the checkpoint" "$(query "$resumed")" $expected
done
is "a killed run says what is kept" \
    "$(query "SELECT DISTINCT message FROM run WHERE status = 'killed'")" \
    "killed from outside by SIGKILL after 38 steps; a checkpoint at step 35 is kept"

# ---- again and again: also without any progress between two kills ----
new often
fault=kill@7 run
for at in 6 13 13 22 38; do
    fault=kill@$at run --retry-failed
done
run --retry-failed
whole "killed six times"
is "killed six times: sessions and where they began" \
    "$(query "SELECT DISTINCT (SELECT group_concat(session || '@' || first_step, ' ') FROM session x WHERE x.run_id = r.run_id) FROM run r WHERE status = 'ok'")" \
    "1@0 2@5 3@10 4@20 5@35"

"$gptbench" report --db "$db" -o often >out 2>err
is "killed six times: the report has the sessions of the four runs side by side" \
    "$(sed -n '/^## Runs that went on/,/^## /p' often/report.md | awk -F ' *[|] *' '$4 ~ /^[0-9]+$/ { print $4 "@" $6 }' | sort | uniq -c | tr -s ' ')" \
    $' 4 1@0\n 4 2@5\n 4 3@10\n 4 4@20\n 4 5@35'
is "killed six times: so does its JSON" \
    "$(python3 -c 'import json; print(sorted({" ".join("%d@%d" % (s["session"], s["first_step"]) for s in r["sessions"]) for r in json.load(open("often/report.json"))["runs"] if r["status"] == "ok"}))')" \
    "['1@0 2@5 3@10 4@20 5@35']"

# ---- the program itself ----
seen="SELECT pid FROM run WHERE status = 'running' AND (SELECT count(*) FROM step WHERE step.run_id = run.run_id) >="
start() { # FAULT STEP: until that step of the first run is in the database
    GPTBENCH_TEST_FAULT="$1@$2" "$gptbench" run text.ini --no-report --threads 2 --db "$db" >out 2>err &
    runner=$!
    for _ in $(seq 300); do
        worker=$(sqlite3 "$db" "$seen $2" 2>/dev/null)
        [ -n "$worker" ] && return
        sleep 0.1
    done
    check "a run was seen at work" 1
    finish
}
finished() {
    wait "$runner"
    rc=$?
    runner=
}
first="SELECT (SELECT resumed_step FROM run WHERE status = 'ok' AND config_id = b.config_id AND replicate = b.replicate) FROM run b WHERE status = 'interrupted'"
for at in 7 38; do
    new parent$at
    start hang $at
    kill -9 "$runner"
    wait "$runner" 2>/dev/null
    runner=
    run
    whole "program killed after step $at"
    is "program killed after step $at: taken up" "$(query "$first")" $((at / 5 * 5))
done

# SIGTERM: saved where it stands, and the message says so.
for at in 9 21; do
    new term$at
    start pause $at
    kill -TERM "$runner"
    finished
    is "SIGTERM after step $at: exit code" $rc 1
    is "SIGTERM after step $at: what is said" "$(query "SELECT message FROM run WHERE status = 'interrupted'")" \
        "stopped by the user after $((at + 1)) steps; a checkpoint at step $((at + 1)) is kept"
    run
    whole "SIGTERM after step $at"
    is "SIGTERM after step $at: taken up" "$(query "$first")" $((at + 1))
done
grep -q "going on from the checkpoint at step 22" err
check "a run that goes on says so" $?
is "show tells where a run comes from" \
    "$("$gptbench" show --db "$db" "$(query "SELECT run_id FROM run WHERE resumed_step = 22")" | grep -c -e 'goes_on_from  *run [0-9]*, from its checkpoint at step 22' -e '^sessions')" 2

# ---- damaged, foreign and unwanted ones ----
newest() { # of the run that was interrupted or killed first
    find "${db%.db}.checkpoints" -name '*.safetensors' | sort | tail -1
}
new damaged
start pause 16
kill -TERM "$runner"
finished
is "the last two are kept: how many" "$(find damaged.checkpoints -type f | wc -l)" 2
printf 'x' | dd of="$(newest)" bs=1 seek=5000 conv=notrunc 2>/dev/null
run
grep -q "passed over: .*step-000000000017.safetensors: damaged: its checksum" err
check "a damaged one is named" $?
whole "last checkpoint damaged"
is "last checkpoint damaged: the one before serves" "$(query "$first")" 15

new lost
fault=kill@12 run
rm -f lost.db lost.db-*
cp machine.db lost.db
run
whole "checkpoints that the database does not know"
is "checkpoints that the database does not know are not used" "$(query "$resumed")" start

suite never >text.ini
new never
start pause 12
kill -TERM "$runner"
finished
[ ! -e never.checkpoints ]
check "checkpoint_every = never writes none" $?
is "checkpoint_every = never: no word of one" "$(query "SELECT message FROM run WHERE status = 'interrupted'")" \
    "stopped by the user after 13 steps"
run
is "checkpoint_every = never: done, from the start" "$rc $(query "$resumed")" "0 start"
[ "$(query "$results" | sha256sum)" = "$calm" ]
check "checkpoint_every = never: is the same suite, with the same bits" $?
finish
