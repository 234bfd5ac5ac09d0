#!/usr/bin/env bash
# scripts/gpu_check.sh itself, on the emulated GPU: what its table says of a backend that is right,
# and whether each kind of line can fail.
# kinds: emulated first
. "$(dirname "$0")/../e2e/lib.sh"
build=$(dirname "$gptbench")
export GPU_CHECK_TINY=1 GPU_CHECK_OPS=embed GPU_CHECK_FIXTURES=smallest


# gpu_check STATUS [NAME=VALUE ...] DIR: whether it ends with that exit status.
gpu_check() {
    local status=$1 dir=${!#}
    env "${@:2:$#-2}" bash "$root/scripts/gpu_check.sh" "$dir" >"$work/out" 2>&1
    [ $? -eq "$status" ]
}

# Stand-ins for compute-sanitizer: one finds nothing, one finds a race.
cat >"$work/clean" <<'SH'
#!/bin/sh
[ "$1 $3 $4" = "--tool --error-exitcode 99" ] || exit 98
shift 4
"$@" && echo "========= ERROR SUMMARY: 0 errors"
SH
cat >"$work/racy" <<'SH'
#!/bin/sh
echo "========= Error: Race reported between Write access and Read access"
exit 99
SH
chmod +x "$work/clean" "$work/racy"

gpu_check 0 GPU_CHECK_SANITIZER="$work/clean" "$build" &&
    grep -qE '^device +SIMT emulator, sm_90$' "$work/out" &&
    grep -qE '^PASS  ops-bf16 +1 groups$' "$work/out" &&
    grep -qE '^PASS  pytorch-parity-fp32 +1 groups$' "$work/out" &&
    grep -qE '^PASS  curve-fp32 +largest relative difference [0-9.e-]+ \(step [0-9]+ of 8\), bound 1e-05$' "$work/out" &&
    grep -qE '^PASS  repeat-bf16 +8 losses, bit-equal in two processes$' "$work/out" &&
    grep -qE '^PASS  suite-fp32 +2 runs to do, every one ended ok$' "$work/out" &&
    grep -qE '^PASS  racecheck-bf16 +2 steps' "$work/out" &&
    ! grep -q '^FAIL' "$work/out" &&
    [ "$(tail -1 "$work/out")" = "gpu-check: $(grep -c '^PASS' "$work/out") passed, 0 failed, $(grep -c '^SKIP' "$work/out") skipped" ]
check "a backend that is right passes every line" $?

gpu_check 1 GPU_CHECK_ONLY='curve-*[26]' GPU_CHECK_FP32_BOUND=1e-12 "$build" &&
    grep -qE '^FAIL  curve-fp32 .*bound 1e-12$' "$work/out" &&
    grep -qE '^PASS  curve-bf16 ' "$work/out" &&
    [ "$(tail -1 "$work/out")" = "gpu-check: 1 passed, 1 failed, 0 skipped" ]
check "a curve beyond its bound fails" $?

gpu_check 1 GPU_CHECK_ONLY=racecheck-fp32 GPU_CHECK_SANITIZER="$work/racy" "$build" &&
    grep -qE '^FAIL  racecheck-fp32 +=+ Error: Race reported' "$work/out"
check "what the sanitizer finds fails" $?

gpu_check 1 GPU_CHECK_ONLY=suite-fp32 GPTBENCH_TEST_FAULT=nan@3 "$build" &&
    grep -qE '^FAIL  suite-fp32 +.*2 of 2 runs did not end ok' "$work/out"
check "a suite whose runs end otherwise fails" $?

# A program whose second process of the same training differs in the last bit.
mkdir -p "$work/build"
cat >"$work/build/gptbench" <<SH
#!/bin/bash
"$gptbench" "\$@" || exit
[[ "\$*" == *repeat-fp32* ]] && sed -i '\$ { s/5\$/6/; t; s/.\$/5/ }' "\${!#}"
true
SH
chmod +x "$work/build/gptbench"
gpu_check 1 GPU_CHECK_ONLY='repeat-*' "$work/build" &&
    grep -qE '^FAIL  repeat-fp32 +losses differ in two processes: 1 of 8 steps$' "$work/out" &&
    grep -qE '^PASS  repeat-bf16 ' "$work/out"
check "a repeat that is not bit-equal fails" $?

gpu_check 1 GPU_CHECK_ONLY=ops-fp32 GPU_CHECK_OPS=nothing "$build" &&
    grep -qE '^FAIL  ops-fp32 +no test ran$' "$work/out"
check "a test that runs nothing fails" $?

gpu_check 3 SIMT_DEVICES= "$build" && grep -q '^gpu-check: no GPU to check: .*no NVIDIA GPU is visible' "$work/out"
check "without a GPU it exits 3 and says why" $?

finish
