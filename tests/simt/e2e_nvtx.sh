#!/usr/bin/env bash
# NVTX ranges and CUPTI around the CUDA backend, on the emulator: op by op all ranges are there, a replay
# has those of its phases; activities come through CUPTI's own records (tests/fakes/fake_cupti.c); without
# permission or library the run goes on.
. "$(dirname "$0")/../e2e/lib.sh"
tests=$(dirname "$gptbench")/tests
export OMP_WAIT_POLICY=passive

model=(--backend cuda --set vocab_size=32 --set n_layer=2 --set n_embd=16 --set n_head=2 --set batch_size=1
    --set sequence_length=8 --set precision=fp32)

if [ -e "$tests/fake_nvtx.so" ]; then
    GPTBENCH_CUDA_GRAPHS=0 bash "$root/tests/e2e/e2e_nvtx.sh" "$gptbench" cuda >nested 2>&1 # its checks are ours
    nested=$?
    grep -v '^ok - \|^1\.\.' nested | sed 's/^/# /'
    while read -r line; do
        [[ $line != "ok - "* ]] || check "${line#ok - }" 0
        [[ $line != "not ok - "* ]] || check "${line#not ok - }" 1
    done <nested
    [ "$nested" -eq 0 ] && [ "$(tail -n 1 nested)" = "1..$(grep -c '^ok - ' nested)" ]
    check "all of that went to its end" $?
    FAKE_NVTX_OUT=$PWD/replays.txt NVTX_INJECTION64_PATH=$tests/fake_nvtx.so "$gptbench" train "${model[@]}" \
        --train synth:vocab=32,seed=1 --val 'synth:vocab=32,seed=1,stream=val' --set num_iterations=5 \
        --set val_loss_every=5 --set val_tokens=8 >out 2>err
    # Steps 0 and 1 run plainly; step 2 is recorded, op by op, and replayed; 3 and 4 are replayed.
    awk '/^category/ { kind[$2] = $3 }
         /^push/ { what = kind[$2]; if (what == "step") step = $3 + 1; is[++depth] = what
                   if (step && what != "step") {
                       text = $0; sub(/^push [0-9]+ [^ ]+ /, "", text)
                       if (what == "op" && phase ~ /data/) what = "data op"
                       if (what == "phase") { phase = text; names[step] = names[step] " " text }
                       n[step, what]++ } }
         /^pop/ { if (is[depth--] == "step") step = 0 }
         END { for (s = 1; s <= 5; s++) print s - 1, n[s, "layer"] + 0, n[s, "op"] + 0 names[s] }' \
        replays.txt >found
    # 4 layer ranges: two layers, there and back. Ops: 3 + 2 * 9 forward, 2 + 2 * 13 backward, 1 update.
    cat >expected <<'TEXT'
0 4 50 data forward backward data update
1 4 50 data forward backward data update
2 4 50 data forward backward forward and backward data update
3 0 0 data forward and backward data update
4 0 0 data forward and backward data update
TEXT
    diff expected found >err
    check "a replay has the ranges of its phases and no others" $?
else
    skip "ranges" "NVTX is not built in"
fi

if [ ! -e "$tests/fake_cupti.so" ]; then
    skip_rest "CUPTI: its headers were not found"
fi

profile() { # ARGS...
    "$gptbench" profile "${model[@]}" --steps "${steps:-2}" --timed-steps 1 "$@" >out 2>err
}
# Ops, phases and calls, which do not depend on time; whether all was placed.
ops() {
    sed -nE 's/^([a-z_]+) +([a-z]+) +[0-9.]+ +-?[0-9.]+ % +([0-9.]+).*/\1 \2 \3/p' "$1" | sort
}
profile --trace trace.json
cp out plain
export GPTBENCH_CUPTI_LIBRARY=$tests/fake_cupti.so
FAKE_CUPTI="records_per_buffer=50" profile
check "a profile through CUPTI's records ends well" $?
! grep -q '^note:' out && [ "$(ops out)" = "$(ops plain)" ] && grep -q '^idle ' out && ! grep -q '^unattributed' out
check "and has the ops of the emulator's own, all placed" $?
FAKE_CUPTI="records_per_buffer=1" profile
check "with too few buffers the run goes on" $?
grep -qE '^note: incomplete: the profiler dropped [0-9]+ records' out
check "and says what was dropped" $?
steps=4 FAKE_CUPTI="lose_every=100" profile
check "with records lost from replays the run goes on" $?
grep -qE '^note: incomplete: [1-3] of 8 replays had another number of nodes than recorded; all activities have their op' out &&
    ! grep -q '^unattributed' out && [ "$(ops out)" = "$(ops plain)" ]
check "and the rest of them have their ops, by the nodes of those that are whole" $?
FAKE_CUPTI="enable_error=35" profile
check "without permission the run goes on" $?
grep -q '^note: op by op between events, gaps within an op included: CUPTI: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; run as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0$' out
check "and says so, with the remedy" $?
[ "$(ops out | grep -v ^unattributed)" = "$(ops plain | grep -v ^idle)" ]
check "with the same ops, timed one by one" $?
"$gptbench" doctor --quick >out 2>err
grep -qE "^ok +cupti +.*/fake_cupti.so, API version [0-9]+" out
check "doctor names the library and its version" $?
GPTBENCH_CUPTI_LIBRARY=/nowhere/libcupti.so "$gptbench" doctor --quick >out 2>err
grep -qE '^warn +cupti +CUPTI of the CUDA toolkit [0-9]+ is not installed \(looked for /nowhere/libcupti.so\)' out
check "or where it looked" $?
GPTBENCH_CUPTI_LIBRARY=/nowhere/libcupti.so profile
check "and runs go on without it" $?
grep -q '^note: op by op .*looked for /nowhere/libcupti.so' out
check "saying so" $?
finish
