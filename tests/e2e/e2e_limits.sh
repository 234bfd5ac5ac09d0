#!/usr/bin/env bash
# Runs that hang, outgrow their memory, take too long, die or diverge, and what [limits] makes of it;
# memory as planned against memory as measured.
# kinds: plain first (memory as planned and as measured; a sanitizer takes more)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
needs "limits" sqlite3
db=limits.db
sanitized=false
grep -q __asan_init "$gptbench" && sanitized=true
# Real text where there is some, byte by byte; else a synthetic language.
data=synth:vocab=256,seed=1
text=$(find "${GPTBENCH_TEST_DATA:-/nonexistent}/text" -type f -size +100k 2>/dev/null | sort | head -n 1)
if [ -n "$text" ] && head -c 100000 "$text" >text && "$gptbench" data pack -o real.bin text >/dev/null; then
    data=real.bin
fi
suite() { # LINES-OF-LIMITS
    cat <<INI
[suite]
name = tiny
baseline = a
replicates = 1

[timing]
blocks = 0

[limits]
$1

[data]
train = $data
val = $data

[train]
batch_size = 2
sequence_length = 16
num_iterations = 70
val_loss_every = 35
val_tokens = 64
grad_clip = 1

[model]
vocab_size = 256
n_layer = 1
n_head = 2
n_embd = 32

[config a]
qk_norm = true

[config b]
mlp_expansion_factor = 3
INI
}
run() { # FAULT ARGUMENTS...
    rm -f mark
    GPTBENCH_TEST_FAULT=$1 "$gptbench" run tiny.ini --no-report --threads 1 --db $db "${@:2}" >out 2>err
    rc=$?
}
fresh() {
    rm -f $db*
    run "$@"
}
ends="SELECT group_concat(config || attempt || status, ' ') FROM (SELECT * FROM run_summary ORDER BY run_id)"
message="SELECT message FROM run_summary WHERE config = 'b' AND attempt = 1"

# ---- the watchdog ----
suite 'heartbeat_timeout = 1 s' >tiny.ini
fresh hang@5@b
is "hang: exit code" $rc 1
is "hang: the run failed, the other is ok" "$(query "$ends")" "a1ok b1failed"
query "$message" | grep -q 'no sign of life for 1.* after step 5 of 70; its last step took'
check "hang: the message says since when, and how it went until then" $?
worker=$(query "SELECT pid FROM run WHERE status = 'failed'")
! kill -0 "$worker" 2>/dev/null
check "hang: the worker is gone, though it ignores SIGTERM" $?

suite 'max_time = 1 s' >tiny.ini
fresh pause@5@b
is "over time: the run failed, the other is ok" "$rc $(query "$ends")" "1 a1ok b1failed"
query "$message" | grep -q 'over max_time = 1.00 s: ended after 1.* after step'
check "over time: the message names the limit and what was reached" $?

# ---- memory ----
if $sanitized; then
    skip "growing" "under a sanitizer memory is another matter"
else
    suite 'max_memory = 200 MiB' >tiny.ini
    fresh grow@5@b
    is "growing: the run is oom, the other ok" "$rc $(query "$ends")" "1 a1ok b1oom"
    query "$message" | grep -qE 'takes 2[0-9][0-9] MiB of memory, max_memory is 200 MiB'
    check "growing: the message has both numbers" $?
fi

{ suite 'max_memory = 700 MiB'; printf '\n[config big]\nn_embd = 2048\nn_head = 32\n'; } >tiny.ini
rm -f $db*
run "" --dry-run
grep -qE '^big .*be oom: needs (79|8[0-9])[0-9] MiB, max_memory is 700 MiB' out
check "cannot fit: a dry run says so, with the numbers" $?
grep -qE '^[1-9][0-9]* cannot fit and would be oom$' out
check "cannot fit: and counts it apart from what is kept" $?
"$gptbench" plan tiny.ini --gflops 100 >out 2>err
grep -qE '^oom: big needs (79|8[0-9])[0-9] MiB, max_memory is 700 MiB' out
check "cannot fit: plan says so" $?
run ""
is "cannot fit: oom without being started, the others are ok" \
    "$rc $(query "SELECT group_concat(config || status || (started_at IS NULL), ' ') FROM (SELECT * FROM run_summary ORDER BY run_id)")" \
    "1 aok0 bok0 bigoom1"
before=$(query 'SELECT count(*), max(run_id) FROM run')
run ""
is "cannot fit: again, and no further row" "$(query 'SELECT count(*) FROM run')" "${before%|*}"
sed -i 's/^max_memory = .*/max_memory = 1 MiB/' tiny.ini
fresh ""
is "nothing fits: nothing runs, not even timing" "$rc $(query "$ends")" "1 a1oom b1oom big1oom"

# ---- transient faults ----
suite 'max_retries = 2' >tiny.ini
fresh "kill@5@b@mark"
is "killed once: another attempt, and all is well" "$rc $(query "$ends")" "0 a1ok b1killed b2ok"
grep -q 'a transient fault: again in 1 s, retry 1 of 2' err
check "killed once: it is said" $?
losses="SELECT config, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1, 2"
retried=$(query "$losses" | sha256sum)
fresh ""
is "killed once: the losses are those of a calm run" "$retried" "$(query "$losses" | sha256sum)"
fresh crash@5@b
is "a crash is not tried again" "$rc $(query "$ends")" "1 a1ok b1failed"
suite 'max_retries = 0' >tiny.ini
fresh "kill@5@b@mark" --max-retries 1
is "--max-retries overrules the suite" "$rc $(query "$ends")" "0 a1ok b1killed b2ok"

# ---- divergence ----
suite 'max_retries = 2' >tiny.ini
fresh nan@5@b
is "nan: a result, not tried again" "$rc $(query "$ends")" "1 a1ok b1nan"
is "nan: where, and what was before, as the steps have it" \
    "$(query 'SELECT nan_in, nan_step, last_good_step, last_good_loss = (SELECT train_loss FROM step s WHERE s.run_id = d.run_id AND step = 4), last_good_grad_norm = (SELECT grad_norm FROM step s WHERE s.run_id = d.run_id AND step = 4), learning_rate = (SELECT learning_rate FROM step s WHERE s.run_id = d.run_id AND step = 5) FROM run_divergence d')" \
    "training loss|5|4|1|1|1"
"$gptbench" show --db $db "$(query "SELECT run_id FROM run WHERE status = 'nan'")" >out
grep -qE '^not finite +training loss, at step 5' out && grep -qE '^last good step +4, loss [0-9.]+, gradient norm [0-9.]+$' out
check "nan: show says it" $?
suite 'on_nan = halve_lr' >tiny.ini
run "nan@5@b@mark"
is "halve_lr: a run that was nan before gets an attempt at half, and one more at a quarter" \
    "$rc $(query "SELECT group_concat(attempt || status || lr_scale || ' ' || learning_rate, ', ') FROM (SELECT * FROM run_summary WHERE config = 'b' ORDER BY run_id)")" \
    "0 1nan1.0 0.0018, 2nan0.5 0.0009, 3ok0.25 0.00045"
is "halve_lr: the steps went at that rate" \
    "$(query "SELECT max(abs(s.learning_rate - 0.25 * o.learning_rate)) < 1e-12 FROM run_summary r JOIN step s ON s.run_id = r.run_id JOIN step o ON o.step = s.step AND o.run_id = (SELECT run_id FROM run_summary WHERE config = 'a') WHERE r.config = 'b' AND r.status = 'ok'")" 1
grep -q '^b .*ok 1 (lr halved: 1)' out
check "halve_lr: the table at the end marks it" $?
is "halve_lr: and so does the view" "$(query "SELECT group_concat(config || replicates_lr_halved, ' ') FROM config_summary")" "a0 b1"
"$gptbench" compare a b --db $db --metric val_loss >out 2>err
is "halve_lr: losses at other rates are not compared" $? 2
grep -q 'learning rate after NaN' err
check "halve_lr: and it is said why" $?
"$gptbench" report --db $db -o rep >out 2>err
grep -q '^| b, lr halved 2x ' rep/report.md && grep -qi 'not compared: learning rate after NaN' rep/report.md && grep -q 'Where training diverged' rep/report.md
check "halve_lr: the report marks rows and verdict, and says where it diverged" $?
sed -i 's/^on_nan.*/on_nan = stop/' tiny.ini
run ""
is "back to stop: the run is nan again, attempts at lower rates are out of the plan" \
    "$rc $(query "$ends")" "1 a1ok b1nan"
sed -i 's/^on_nan.*/on_nan = halve_lr/' tiny.ini
run ""
is "and back: nothing to do" "$rc $(query 'SELECT count(*) FROM run')" "0 4"

# ---- a fault in timing ----
suite 'heartbeat_timeout = 2 s' | sed 's/^blocks = 0/blocks = 2/' >tiny.ini
fresh hang@5@b --speed-only
is "a hang in the timing session ends its arm" \
    "$rc $(query "SELECT group_concat(status, ' ') FROM (SELECT status FROM timing_arm ORDER BY arm)")" "1 ok failed ok"
query "SELECT message FROM timing_arm WHERE status = 'failed'" | grep -q 'no sign of life'
check "and its message says why" $?

# ---- prediction ----
# Within 5 % of what was measured: the requirement.
if $sanitized; then
    skip "memory as planned" "a sanitizer takes more"
    finish
fi
for precision in fp32 bf16; do
    cat >tiny.ini <<INI
[suite]
name = memory
replicates = 1
[timing]
blocks = 0
[data]
train = synth:vocab=256,seed=1
val = synth:vocab=256,seed=1
[train]
num_iterations = 3
val_loss_every = 3
val_tokens = 512
precision = $precision
[config narrow]
vocab_size = 256
n_layer = 4
n_head = 4
n_embd = 256
batch_size = 2
sequence_length = 256
[config wide]
vocab_size = 256
n_layer = 6
n_head = 8
n_embd = 512
batch_size = 1
sequence_length = 256
[config swiglu]
vocab_size = 256
n_layer = 3
n_head = 12
n_embd = 768
batch_size = 1
sequence_length = 256
use_swiglu_mlp = true
[config large_vocab]
vocab_size = 50257
n_layer = 1
n_head = 6
n_embd = 384
batch_size = 1
sequence_length = 256
INI
    rm -f $db*
    "$gptbench" run tiny.ini --no-report --db $db >out 2>err
    is "$precision: four configs are ok" "$(query "SELECT count(*) FROM run WHERE status = 'ok'")" 4
    is "$precision: memory as planned is within 5 % of what was measured" \
        "$(query 'SELECT count(*) FROM run WHERE abs(1.0 * planned_memory_bytes / peak_memory_bytes - 1) < 0.05')" 4
    query 'SELECT printf("#   %s: planned %.1f MiB, measured %.1f MiB, %+.2f %%", name, planned_memory_bytes / 1048576.0, peak_memory_bytes / 1048576.0, 100.0 * planned_memory_bytes / peak_memory_bytes - 100) FROM run JOIN config USING (config_id)'
done
finish
