#!/usr/bin/env bash
# Holds the CUDA backend of a built program against everything that can be checked on the GPU at
# hand, and prints one table: scripts/gpu_check.sh [BUILD_DIR]
#
# Needs BUILD_DIR/gptbench and BUILD_DIR/tests/test_{conformance,parity} (`make gpu-check` builds
# them, `make gpu-bundle` packs them for a machine without compiler), and tests/fixtures. Exit
# status: 0 nothing failed, 1 something did, 3 there is no GPU to check.
#
# Environment, all optional:
#   CUDA_VISIBLE_DEVICES     the GPU to use, as for every CUDA program
#   GPU_CHECK_ONLY           glob of the checks to run
#   GPU_CHECK_OPS, GPU_CHECK_FIXTURES   globs of the groups of ops and of the PyTorch fixtures
#   GPU_CHECK_TINY=1         a model and a number of steps for a slow device (an emulator)
#   GPU_CHECK_FP32_BOUND, GPU_CHECK_BF16_BOUND   instead of the bounds below
#   GPU_CHECK_SANITIZER      instead of compute-sanitizer where it is found
#   GPU_CHECK_LOGS           directory that keeps the output of every check
set -uo pipefail
here=$(realpath "$(dirname "$0")/..")
cd "$here" || exit 2
build=$(realpath -m "${1:-build}")
. scripts/gpu_paths.sh
gptbench=$build/gptbench
work=$(mktemp -d)
export GPTBENCH_CACHE_DIR=$work/cache # algorithms are timed anew, and nothing is left behind
trap 'rm -rf "$work"' EXIT
logs=${GPU_CHECK_LOGS:-$work/logs}
only=${GPU_CHECK_ONLY:-*}
mkdir -p "$logs"

# Bounds on the largest relative difference of a step's training loss over a whole curve, from what
# the CPU backend differs from itself on these two models (the plain one; the variant with grouped
# heads, SwiGLU and both norms):
#
# fp32, CUDA against CPU: 1e-5, what conformance allows a single op. The CPU's AVX-512 and generic
# code, which sum in different orders, differ by 3.9e-8 and 2.7e-7 (1 and 2 threads: 0). A GPU has
# another order again, and other exp and erf; a mistake in an op shows as 1e-3 and more.
#
# bf16 against the fp32 curve of the same GPU: 5e-3. On the CPU the two curves differ by 2.2e-4 and
# 1.1e-3; five times that leaves room for other places of rounding.
fp32_bound=${GPU_CHECK_FP32_BOUND:-1e-5}
bf16_bound=${GPU_CHECK_BF16_BOUND:-5e-3}

steps=200 blocks=8
model=(--set vocab_size=256 --set n_layer=4 --set n_head=4 --set n_embd=128 --set batch_size=8
    --set sequence_length=128 --set learning_rate=0.002 --set warmup_iters=20
    --set val_tokens=1024 --train synth:vocab=256,seed=1 --val synth:vocab=256,seed=1,stream=val)
if [ "${GPU_CHECK_TINY:-}" = 1 ]; then
    steps=8 blocks=2
    model=(--set vocab_size=32 --set n_layer=2 --set n_head=2 --set n_embd=32 --set batch_size=2
        --set sequence_length=16 --set learning_rate=0.002 --set warmup_iters=2
        --set val_tokens=32 --train synth:vocab=32,seed=1 --val synth:vocab=32,seed=1,stream=val)
fi
# For the sanitizer, which slows a program a hundred times: grouped heads with norm and SwiGLU, and
# one sequence length that fills no tile.
tiny=(--set vocab_size=67 --set n_layer=2 --set n_head=4 --set n_embd=64 --set batch_size=2
    --set sequence_length=33 --set num_iterations=2 --set val_loss_every=2 --set val_tokens=66
    --set attention_type=gqa --set n_kv_head=2 --set qk_norm=true --set use_swiglu_mlp=true
    --train synth:vocab=67,seed=1 --val synth:vocab=67,seed=1,stream=val)

# ---- the table ----

passed=0 failed=0 skipped=0
# row RESULT NAME WHAT
row() {
    case $1 in
    PASS) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) ;;
    SKIP) skipped=$((skipped + 1)) ;;
    esac
    printf '%-4s  %-28s  %s\n' "$1" "$2" "$3"
}

# why LOG: the last thing that a failed program said.
why() {
    tail -5 "$1" | grep -v '^ *$' | tail -1 | cut -c1-200
}

wanted() {
    [[ $1 == $only ]]
}

# run NAME COMMAND...: output to the log of that name; the exit status.
run() {
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1 </dev/null
}

# ---- is there anything to check? ----

if [ ! -x "$gptbench" ]; then
    echo "gpu-check: no program $gptbench; \`make gpu-check\` builds it" >&2
    exit 3
fi
if ! run gpu "$gptbench" train "${tiny[@]}" --backend cuda --set precision=fp32; then
    echo "gpu-check: no GPU to check: $(why "$logs/gpu.log")" >&2
    exit 3
fi
echo "program  $("$gptbench" --version | head -1)"
sed -n 's/^device:\(.*\) threads:.* isa:\([^ ]*\) libraries:\(.*\)/device   \1, \2\nlibraries \3/p' "$logs/gpu.log"
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=driver_version,memory.total,compute_cap --format=csv,noheader |
        sed 's/^/driver   /'
fi
echo

# ---- a, b: ops and the model against their references ----

# cmocka_check NAME PROGRAM ENVIRONMENT...
# With maybe=SUBJECT set, a subject that this GPU cannot run is skipped.
cmocka_check() {
    local name=$1 program=$2 good
    shift 2
    wanted "$name" || return 0
    if [ ! -x "$build/tests/$program" ]; then
        row SKIP "$name" "$program is not built"
        return
    fi
    run "$name" env "$@" "$build/tests/$program"
    local status=$?
    good=$(grep -c '^\[       OK \]' "$logs/$name.log")
    if [ $status -eq 0 ] && [ "$good" -gt 0 ]; then
        row PASS "$name" "$good groups"
    elif [ $status -eq 0 ] && grep -q "^# skip ${maybe:-nothing}: " "$logs/$name.log"; then
        row SKIP "$name" "$(sed -n "s/^# skip $maybe: //p" "$logs/$name.log" | cut -c1-160)"
    elif [ $status -eq 0 ]; then
        row FAIL "$name" "no test ran"
    else
        row FAIL "$name" "exit status $status, $good groups pass: $(grep -m1 '^cuda' "$logs/$name.log" | cut -c1-160)"
    fi
}
for precision in fp32 bf16; do
    cmocka_check "ops-$precision" test_conformance GPTBENCH_CONFORMANCE=cuda \
        "GPTBENCH_CONFORMANCE_TESTS=cuda $precision - ${GPU_CHECK_OPS:-*}"
done
# The attention kernels for compute capability 9.0, which do not run unless asked for.
if [[ attention == ${GPU_CHECK_OPS:-*} ]]; then
    maybe="cuda bf16 hopper" cmocka_check ops-bf16-hopper test_conformance \
        GPTBENCH_CONFORMANCE=cuda "GPTBENCH_CONFORMANCE_TESTS=cuda bf16 hopper attention"
fi
for precision in fp32 bf16; do
    cmocka_check "pytorch-parity-$precision" test_parity "GPTBENCH_PARITY_TESTS=parity, cuda $precision: ${GPU_CHECK_FIXTURES:-*}"
done

# ---- c, d: loss curves ----

variant=(--set attention_type=gqa --set n_kv_head=2 --set qk_norm=true --set post_norm=true
    --set use_swiglu_mlp=true)
if [ "${GPU_CHECK_TINY:-}" = 1 ]; then
    variant=(--set attention_type=gqa --set n_kv_head=1 --set use_swiglu_mlp=true)
fi

# curve FILE BACKEND PRECISION [NAME=VALUE]: trains, once per file; names with `variant` train the
# other model. The exit status.
curve() {
    local file=$1 backend=$2 precision=$3 settings=("${model[@]}")
    shift 3
    [ -e "$work/$file" ] && return 0
    [[ $file == *variant* ]] && settings+=("${variant[@]}")
    run "curve-$file" env "$@" "$gptbench" train "${settings[@]}" --backend "$backend" \
        --set precision="$precision" --set num_iterations="$steps" --set val_loss_every="$steps" \
        --losses "$work/$file" && return 0
    rm -f "$work/$file"
    broken=$logs/curve-$file.log
    return 1
}

# compare_curves NAME A B BOUND: relative to B, by the largest difference of a step.
compare_curves() {
    local text status
    text=$(awk -F, -v bound="$4" -v steps="$steps" '
        FNR == 1 { next }
        NR == FNR { want[$1] = $2; next }
        { n++; d = ($2 - want[$1]) / want[$1]; d = d < 0 ? -d : d
          if (!(d <= bound)) bad = 1
          if (d >= largest) { largest = d; at = $1 } }
        END {
            printf "largest relative difference %.2g (step %d of %d), bound %g\n", largest, at, n, bound
            exit bad || n != steps
        }' "$work/$3" "$work/$2")
    status=$?
    row "$([ $status -eq 0 ] && echo PASS || echo FAIL)" "$1" "$text"
}

for kind in '' -variant; do
    name=curve-fp32$kind
    if ! wanted "$name"; then
        :
    elif curve cpu$kind.csv cpu fp32 && curve fp32$kind.csv cuda fp32; then
        compare_curves "$name" fp32$kind.csv cpu$kind.csv "$fp32_bound"
    else
        row FAIL "$name" "training failed: $(why "$broken")"
    fi
    name=curve-bf16$kind
    if ! wanted "$name"; then
        :
    elif curve fp32$kind.csv cuda fp32 && curve bf16$kind.csv cuda bf16; then
        compare_curves "$name" bf16$kind.csv fp32$kind.csv "$bf16_bound"
    else
        row FAIL "$name" "training failed: $(why "$broken")"
    fi
done

# same_curves NAME PRECISION WHAT [NAME=VALUE]: a second process, to the last bit.
same_curves() {
    local name=$1 precision=$2 what=$3
    shift 3
    wanted "$name" || return 0
    if ! curve "$precision.csv" cuda "$precision" || ! curve "$name.csv" cuda "$precision" "$@"; then
        row FAIL "$name" "training failed: $(why "$broken")"
    elif cmp -s "$work/$precision.csv" "$work/$name.csv"; then
        row PASS "$name" "$steps losses, bit-equal $what"
    else
        row FAIL "$name" "losses differ $what: $(diff "$work/$precision.csv" "$work/$name.csv" |
            grep -c '^<') of $steps steps"
    fi
}
for precision in fp32 bf16; do
    same_curves "repeat-$precision" $precision "in two processes"
done

# ---- f: graphs, and a suite ----

for precision in fp32 bf16; do
    if ! wanted "graphs-$precision"; then
        continue
    elif ! grep -q GPTBENCH_CUDA_GRAPHS "$gptbench"; then
        row SKIP "graphs-$precision" "this program captures no CUDA graphs"
    else
        same_curves "graphs-$precision" $precision "with and without CUDA graphs" \
            GPTBENCH_CUDA_GRAPHS=0
    fi
done

write_suite() {
    cat >"$work/suite.ini" <<INI
[suite]
name = gpu_check
baseline = base
replicates = 1
[timing]
blocks = $2
process_blocks = $(($2 / 2))

[data]
train = synth:vocab=67,seed=1,order=2
val = synth:vocab=67,seed=1,order=2,stream=val
[train]
batch_size = 2
sequence_length = 32
num_iterations = 12
val_loss_every = 6
val_tokens = 64
learning_rate = 0.004
precision = $1
[model]
vocab_size = 67
n_layer = 2
n_head = 4
n_embd = 64
[matrix]
use_swiglu_mlp = false, true
INI
}
for precision in fp32 bf16; do
    name=suite-$precision
    wanted "$name" || continue
    write_suite $precision "$blocks"
    if run "$name" "$gptbench" run "$work/suite.ini" --backend cuda --no-report --db "$work/$name.db"; then
        row PASS "$name" "$(grep -o '[0-9]* runs to do' "$logs/$name.log"), every one ended ok"
    else
        row FAIL "$name" "$(why "$logs/$name.log")"
    fi
done

# ---- e: compute-sanitizer ----

find_sanitizer() {
    local nvcc
    nvcc=$(command -v nvcc) && nvcc=$(dirname "$(realpath "$nvcc")")
    for candidate in "${GPU_CHECK_SANITIZER:-compute-sanitizer}" \
        "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer" "${nvcc:-.}/compute-sanitizer"; do
        command -v "$candidate" && return 0
    done
    return 1
}
sanitizer=$(find_sanitizer)
for tool in memcheck racecheck initcheck synccheck; do
    for precision in fp32 bf16; do
        name=$tool-$precision
        wanted "$name" || continue
        if [ -z "$sanitizer" ]; then
            row SKIP "$name" "compute-sanitizer was not found"
            continue
        fi
        if run "$name" "$sanitizer" --tool $tool --error-exitcode 99 "$gptbench" train "${tiny[@]}" \
            --backend cuda --set precision=$precision; then
            row PASS "$name" "2 steps and a validation: $(grep -m1 -o 'ERROR SUMMARY.*\|RACECHECK SUMMARY.*' "$logs/$name.log")"
        else
            row FAIL "$name" "$(grep -m1 '=========.*\(Invalid\|Race\|Uninit\|Barrier\|error\)' "$logs/$name.log" | cut -c1-160)"
        fi
    done
done

echo "gpu-check: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
