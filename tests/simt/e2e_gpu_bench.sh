#!/usr/bin/env bash
# scripts/gpu_bench.sh itself, on the emulated GPU with a small model: no number here is a speed.
. "$(dirname "$0")/../e2e/lib.sh"
build=$(dirname "$gptbench")
# Up to 50 steps of a busy machine are warm-up (model/warmup.h) and 3 are profiled: of 40 + 24 some
# are timed whatever the machine does.
export GPU_BENCH_TINY=1 GPU_BENCH_STEPS=40 GPU_BENCH_BATCH=2 GPU_BENCH_OUT=$work/json


# A Python that "has PyTorch", whose every block takes 8 ms a step.
cat >"$work/python" <<'SH'
#!/bin/bash
[ "$1" = -c ] && exit 0
echo "$*" >>"$ARGUMENTS"
echo "ready: a stand-in"
while read -r _; do
    echo "8.000 ms/step, 8000 tokens/s"
done
SH
chmod +x "$work/python"

ARGUMENTS=$work/arguments PYTHON=$work/python GPU_BENCH_CASES='d12_mlp3x_gqa' GPU_BENCH_ROUNDS=2 \
    bash "$root/scripts/gpu_bench.sh" "$build" >"$work/out" 2>&1
status=$?
row=$(grep '^d12_mlp3x_gqa  ' "$work/json/table.txt")
[ $status -eq 0 ] && [ "$(grep -c '^d12_mlp3x_gqa bf16 B 2 T 32: ' "$work/out")" -eq 2 ] &&
    [ "$(grep -c '^pytorch: 8.000 ms/step' "$work/out")" -eq 2 ] &&
    awk '{ ms = $4; ratio = $NF; exit !(ms > 0 && ratio > 0 && (ratio * ms / 8 - 1) ^ 2 < 1e-2) }' <<<"$row"
check "two rounds in turn, and the ratio of their medians ($row)" $?
grep -q -- '--length 32 --batch 2 .*--heads 12 --kv-heads 4 --width 768 --post-norm --qk-norm --expansion 3' "$work/arguments"
check "the peer is asked for the same model, length and batch" $?
grep -qE '^  backward  attention +[0-9.]+ +[0-9.]+ +[0-9.]+%$' "$work/out" &&
    grep -qE '^  update    adamw +[0-9.]+ +[0-9.]+ +[0-9.]+%$' "$work/out" &&
    grep -qE '^  idle      idle +-?[0-9.]+$' "$work/out"
check "every op with its time, floor and share" $?
json=$work/json/d12_mlp3x_gqa-2.json
grep -q '"model": "d12_mlp3x_gqa"' "$json" && grep -q '"batch_size": 2,' "$json" &&
    grep -q '"device": "SIMT emulator' "$json" && grep -qE '"mfu": [0-9.e-]+,' "$json" &&
    grep -qE '"driver": "CUDA driver' "$json" && grep -qE '"commit": "[^"]+' "$json" &&
    grep -qE '"copy_bytes_per_s": [1-9]' "$json" && grep -qE '"peak_memory_bytes": [1-9]' "$json"
check "the JSON names model, batch, device, driver, commit and rates" $?

# A hundredth of the emulator's 16 GiB does not hold d12, however far the batch is halved.
"$build/tests/bench_gpu" --model d12 --set batch_size=65536 --set sequence_length=1024 \
    --set precision=bf16 --set num_iterations=1 --fit --fit-percent 1 --copy-mib 1 >"$work/out" 2>&1
grep -q 'not even one sequence fits into the memory of SIMT emulator' "$work/out"
check "a model that fits in no batch is refused by name" $?

PYTHON=/nonexistent SIMT_DEVICES='' bash "$root/scripts/gpu_bench.sh" "$build" >"$work/out" 2>&1
[ $? -eq 3 ] && grep -q '^gpu-bench: no GPU to measure: .*no NVIDIA GPU is visible' "$work/out"
check "without a GPU it exits 3 and says why" $?

finish
