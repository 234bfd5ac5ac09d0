#!/usr/bin/env bash
# A CUDA error that the process cannot get rid of: it ends the run that met it, by name, and the
# suite goes on with a fresh process. On the emulated GPU, which is lost from a launch on that only
# the deeper of two models comes to.
. "$(dirname "$0")/../e2e/lib.sh"
needs "a lost device" sqlite3
export OMP_WAIT_POLICY=passive GPTBENCH_CUDA_GRAPHS=0 GPTBENCH_CACHE_DIR=$work/cache

cat >two.ini <<'INI'
[suite]
name = two
baseline = shallow
replicates = 2

[timing]
blocks = 0

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 1
sequence_length = 8
num_iterations = 4
val_loss_every = 4
val_tokens = 16
precision = fp32

[config shallow]
vocab_size = 64
n_layer = 1
n_head = 1
n_embd = 16

[config deep]
vocab_size = 64
n_layer = 6
n_head = 1
n_embd = 16
INI

db=two.db
SIMT_FAULT_AT=250 timeout 300 "$gptbench" run two.ini --backend cuda --no-report --db "$db" >out 2>err
is "the suite goes on to its end and exits 1" $? 1
is "one model ends ok, the other failed, each time" \
    "$(query 'SELECT config, status, count(*) FROM run_summary GROUP BY 1, 2')" \
    $'deep|failed|2\nshallow|ok|2'
is "the message names the error" \
    "$(query "SELECT count(*) FROM run WHERE status = 'failed' AND message LIKE '%cudaErrorIllegalAddress%'")" 2
timeout 300 "$gptbench" run two.ini --backend cuda --no-report --retry-failed --db "$db" >out 2>err
is "with the device back, --retry-failed finishes" $? 0
finish
