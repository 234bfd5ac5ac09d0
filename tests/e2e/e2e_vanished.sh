#!/usr/bin/env bash
# What a run stands on goes away or changes under it: its data, the place of its database, the wall
# clock. Each ends with an honest status, or makes no difference.
# kinds: sanitized (statuses and messages)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
fake_clock=$(dirname "$gptbench")/tests/fake_clock.so
runner=
cleanup() {
    [ -n "$runner" ] && kill -9 "$runner" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

needs "vanished data" sqlite3

suite() { # ITERATIONS
    cat <<INI
[suite]
name = shards
baseline = a
replicates = 1

[timing]
blocks = 0

[data]
train = data/train_*.bin
val = synth:vocab=256,seed=1

[train]
batch_size = 2
sequence_length = 16
num_iterations = $1
val_loss_every = 1000
val_tokens = 64
precision = fp32

[config a]
vocab_size = 256
n_layer = 1
n_head = 2
n_embd = 32
INI
}
# 33 tokens a step: the second shard is read from step 60 on.
shards() {
    rm -rf data
    mkdir data
    head -c 4000 /dev/urandom >text
    "$gptbench" data pack --bytes --shard-tokens 2000 -o data/train text >/dev/null 2>&1 || exit 1
}
run() { # ARGUMENTS...
    timeout 120 "$gptbench" run "$@" --no-report --threads 1 >out 2>err
    rc=$?
}
# Starts a run that waits after step 20 until it is continued; the worker is then stopped.
start() {
    "$gptbench" run suite.ini --no-report --threads 1 --db "$db" >out 2>err &
    runner=$!
    for _ in $(seq 400); do
        worker=$(query "SELECT pid FROM run WHERE status = 'running' AND pid IS NOT NULL" 2>/dev/null)
        [ -n "$worker" ] && [ "$(query 'SELECT count(*) > 0 FROM step')" = 1 ] && break
        sleep 0.05
    done
    kill -STOP "$worker"
}
go_on() {
    kill -CONT "$worker"
    for _ in $(seq 1200); do
        kill -0 "$runner" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$runner" 2>/dev/null
    wait "$runner"
    rc=$?
    runner=
}
suite 200000 >suite.ini

shards
db=gone.db
start
rm -r data
go_on
is "data removed under a run: exit code" $rc 1
is "data removed under a run: the run failed and says of what" \
    "$(query "SELECT status, message LIKE '%data/train_00000%.bin: %' FROM run")" "failed|1"

shards
db=short.db
start
truncate -s 1100 data/train_000000.bin data/train_000001.bin
go_on
is "shards cut short under a run: exit code" $rc 1
is "shards cut short under a run: the run failed and says of what" \
    "$(query "SELECT status, message LIKE '%data/train_00000%.bin: %' FROM run")" "failed|1"

shards
db=before.db
rm data/train_*.bin
run suite.ini --db "$db"
is "no data from the start: exit code" $rc 2
grep -q 'data/train_\*.bin' err
check "no data from the start: says which" $?

# ---- a read-only place for the database ----
sed 's/^train = .*/train = synth:vocab=256,seed=1/' <(suite 50) >suite.ini
if unshare -rm mount -t tmpfs none /mnt 2>/dev/null; then
    run suite.ini --db ok.db
    mkdir place
    cp ok.db place/x.db
    cat >readonly.sh <<'SH'
mount --bind place place && mount -o remount,ro,bind place || exit 99
"$gptbench" run suite.ini --no-report --threads 1 --db "$1" >out 2>err
SH
    export gptbench
    unshare -rm bash readonly.sh place/x.db
    is "a database in a read-only place: exit code" $? 3
    grep -Eq 'place/x.db: .*(Read-only|readonly)' err
    check "a database in a read-only place: says so" $?
    unshare -rm bash readonly.sh place/new.db
    is "a new database in a read-only place: exit code" $? 3
    grep -Eq 'place/new.db: .*Read-only' err
    check "a new database in a read-only place: says so" $?
else
    skip "a read-only place (4 checks)" "no mount namespace may be made here"
fi

# ---- a wall clock that goes backwards ----
if [ -e "$fake_clock" ]; then
    db=clock.db
    ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$fake_clock run suite.ini --db "$db"
    is "the clock goes backwards: exits 0" $rc 0
    LD_PRELOAD= query "SELECT count(*) FROM run" >/dev/null
    is "the clock goes backwards: it did, under this program" \
        "$(query 'SELECT started_at < created_at FROM run')" 1
    is "the clock goes backwards: no run ends before it began" \
        "$(query 'SELECT ended_at >= started_at FROM run')" 1
    is "the clock goes backwards: steps last what they last, one after the other" \
        "$(query 'SELECT count(*), min(step_ms) > 0, max(step_ms) < 60000, min(ended_s) > 0, max(ended_s) < 600 FROM step')" "50|1|1|1|1"
    run suite.ini --db "$db"
    is "the clock goes backwards: nothing is done again" "$rc $(query 'SELECT count(*) FROM run')" "0 1"
else
    skip "the clock goes backwards (5 checks)" "there is no fake_clock.so"
fi
finish
