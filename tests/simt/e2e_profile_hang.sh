#!/usr/bin/env bash
# A profiler that never comes back, as CUPTI 13.0 may at the end of a profile: the run is ended by
# profile_timeout, says so, keeps the steps that were timed before, and the suite goes on.
. "$(dirname "$0")/../e2e/lib.sh"
tests=$(dirname "$gptbench")/tests
needs "a hanging profiler" sqlite3
export OMP_WAIT_POLICY=passive GPTBENCH_CACHE_DIR=$work/cache
[ -e "$tests/fake_cupti.so" ] || skip_rest "CUPTI: its headers were not found"

cat >two.ini <<'INI'
[suite]
name = two
baseline = a
replicates = 1
profile_steps = 2

[timing]
blocks = 0

[limits]
heartbeat_timeout = off
profile_timeout = 5 s

[data]
train = synth:vocab=32,seed=1
val = synth:vocab=32,seed=1

[train]
batch_size = 1
sequence_length = 8
num_iterations = 60
val_loss_every = 60
val_tokens = 8
precision = fp32

[config a]
vocab_size = 32
n_layer = 1
n_head = 1
n_embd = 16

[config b]
vocab_size = 32
n_layer = 2
n_head = 1
n_embd = 16
INI

db=two.db
FAKE_CUPTI="hang=1" GPTBENCH_CUPTI_LIBRARY=$tests/fake_cupti.so timeout 500 "$gptbench" run two.ini \
    --backend cuda --no-report --db "$db" >out 2>err
is "the suite goes on to its end and exits 1" $? 1
is "both runs are failed" "$(query "SELECT group_concat(config || status, ' ') FROM (SELECT * FROM run_summary ORDER BY 1)")" \
    "afailed bfailed"
is "the message says that it was the profile, and what does without" "$(query "SELECT count(*) FROM run
    WHERE message LIKE 'no sign of life for 5.% s while steps were profiled (profile_timeout allows 5.00 s), after step 60 of 60;%'
    AND message LIKE '%its times so far are kept; GPTBENCH_CUPTI=0 profiles without the GPU''s profiler'")" 2
is "all steps are kept" "$(query 'SELECT count(*) FROM step')" 120
check "timed ones among them" "$([ "$(query "SELECT count(*) FROM step WHERE tag = 'timed'")" -gt 0 ]; echo $?)"
GPTBENCH_CUPTI=0 FAKE_CUPTI="hang=1" GPTBENCH_CUPTI_LIBRARY=$tests/fake_cupti.so timeout 500 "$gptbench" run two.ini \
    --backend cuda --no-report --retry-failed --db "$db" >out 2>err
is "with GPTBENCH_CUPTI=0 --retry-failed finishes" $? 0
finish
