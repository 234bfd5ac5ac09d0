#!/usr/bin/env bash
# Runs the whole test suite and ends with one line: `N passed, N failed, N skipped`.
#   tests/run_tests.sh [--simt SIMT_BUILD_DIR] [BUILD_DIR [SANITIZED_BUILD_DIR]]
# Unit tests (cmocka programs) from BUILD_DIR/tests, the end-to-end scripts tests/e2e/e2e_*.sh on
# BUILD_DIR/gptbench, both once more as built with sanitizers, and the formatting check. With --simt
# also the tests of the CUDA backend on the emulator, from a build with SIMT=1, and the scripts
# tests/simt/e2e_*.sh on its program.
# One line per program or script; whatever failed is shown in full. GPTBENCH_TEST_ONLY=GLOB picks
# programs by name.
set -uo pipefail
cd "$(dirname "$0")/.."

simt=""
if [ "${1:-}" = --simt ]; then
    simt=$(realpath "$2")
    shift 2
fi
if [ -z "$simt${1:-}" ]; then
    echo "usage: tests/run_tests.sh [--simt SIMT_BUILD_DIR] [BUILD_DIR [SANITIZED_BUILD_DIR]]" >&2
    exit 2
fi
build=${1:+$(realpath "$1")}
sanitized=${2:+$(realpath "$2")}
only=${GPTBENCH_TEST_ONLY:-*}
limit_s=1200 # of a program, on a slow and busy machine

if [ -z "${GPTBENCH_TEST_DATA:-}" ] && [ -d ../shared/data ]; then
    GPTBENCH_TEST_DATA=$(realpath ../shared/data)
    export GPTBENCH_TEST_DATA
fi
# libgomp keeps its thread pool to the end of the process: not our leak.
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1
# Thousands of short parallel regions: threads that spin between them fight over busy cores.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

# Half as many again at once as there are processors: most of them wait for something much of the time.
jobs=${GPTBENCH_TEST_JOBS:-$(($(nproc) * 3 / 2))}
results=$(mktemp -d) # a file per program: what it printed, what is said of it, what it counts
n_programs=0
# What the program remembers about this machine is not for tests to read or write.
GPTBENCH_CACHE_DIR=$(mktemp -d)
export GPTBENCH_CACHE_DIR
trap 'rm -rf "$results" "$GPTBENCH_CACHE_DIR"' EXIT

# "passed failed skipped finished" of a cmocka program's output. cmocka names failed tests again
# in its closing summary, so only lines between "Running" and "test(s) run" count.
count_cmocka() {
    awk '/^\[==========\].*Running/ { inside = 1; next }
         /^\[==========\].*test\(s\) run/ { inside = 0; next }
         inside && /^\[       OK \]/ { ok++ }
         inside && /^\[  FAILED  \]/ { bad++ }
         inside && /^\[  SKIPPED \]/ { skip++ }
         END { print ok + 0, bad + 0, skip + 0, inside ? "no" : "yes" }' "$output"
}

count_script() {
    awk '/^ok - / { ok++ } /^not ok - / { bad++ } /^skip - / { skip++ }
         END { print ok + 0, bad + 0, skip + 0, "yes" }' "$output"
}

# run_program LABEL COUNTER COMMAND...: runs it and prints what is to be said of it.
run_program() {
    local label=$1 counter=$2 started=$SECONDS rc ok bad skip finished why=""
    shift 2
    timeout --kill-after=10 "$limit_s" "$@" >"$output" 2>&1 </dev/null
    rc=$?
    read -r ok bad skip finished < <("$counter")
    if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
        why="stopped after $limit_s s"
    elif [ "$rc" -gt 128 ]; then
        why="killed by signal $((rc - 128))"
    elif [ "$finished" = no ]; then
        why="ended in the middle, exit status $rc"
    elif [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then
        why="exit status $rc"
    elif [ $((ok + bad + skip)) -eq 0 ]; then
        why="ran no test"
    fi
    [ -n "$why" ] && bad=$((bad + 1))
    echo "$ok $bad $skip" >"$counts"
    printf '%-4s %-34s %4d passed' "$([ "$bad" -eq 0 ] && echo ok || echo FAIL)" "$label" "$ok"
    [ "$bad" -gt 0 ] && printf ', %d failed' "$bad"
    [ "$skip" -gt 0 ] && printf ', %d skipped' "$skip"
    printf '  (%d s)%s\n' $((SECONDS - started)) "${why:+  $why}"
    if [ "$bad" -gt 0 ]; then
        grep -v '^\[       OK \]\|^\[ RUN      \]\|^ok - ' "$output" | sed 's/^/    | /'
    elif [ "$skip" -gt 0 ]; then
        grep '^skip - \|[Ss]kip' "$output" | grep -v '^\[' | sort -u | head -3 | sed 's/^/       /'
    fi
}

# run_one LABEL COUNTER COMMAND...: the same beside others.
run_one() {
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
        wait -n
    done
    n_programs=$((n_programs + 1))
    (
        output=$results/$n_programs.out counts=$results/$n_programs.counts
        trap - EXIT
        run_program "$@" >"$results/$n_programs.said"
        cat "$results/$n_programs.said"
    ) &
}

# What takes a minute or more begins first, so that nothing long is left to run alone.
long=" test_conformance test_parity test_checkpoint e2e_gpu_check e2e_inject e2e_limits e2e_timing e2e_kill_many "

# offer LABEL COUNTER COMMAND...: runs it in the pass that it belongs to.
offer() {
    local length=short
    [[ $long == *" ${1%% *} "* ]] && length=long
    [ $length = "$pass" ] && run_one "$@"
}

offer_all() {
    if [ -n "$build" ]; then
        for source in tests/unit/*/test_*.c; do
            name=$(basename "$source" .c)
            [[ $name == $only ]] && offer "$name" count_cmocka "$build/tests/$name"
        done
        for script in tests/e2e/e2e_*.sh; do
            name=$(basename "$script" .sh)
            [[ $name == $only ]] && offer "$name" count_script bash "$script" "$build/gptbench"
        done
    fi
    if [ -n "$sanitized" ]; then
        for source in tests/unit/*/test_*.c; do
            name=$(basename "$source" .c)
            [[ $name == $only ]] && offer "$name (sanitized)" count_cmocka "$sanitized/tests/$name"
        done
        for script in tests/e2e/e2e_*.sh; do
            name=$(basename "$script" .sh)
            [[ $name == $only ]] &&
                offer "$name (sanitized)" count_script bash "$script" "$sanitized/gptbench"
        done
    fi

    if [ -n "$simt" ]; then
        for name in test_simt test_simt_hopper test_cuda_gemm test_cuda_classifier test_backends test_conformance test_parity test_trainer test_checkpoint; do
            [[ $name == test_simt* ]] || [ -x "$simt/tests/$name" ] || continue
            [[ $name == $only ]] && GPTBENCH_CONFORMANCE=cuda offer "$name (emulated GPU)" \
                count_cmocka "$simt/tests/$name"
        done
        for script in tests/simt/e2e_*.sh; do
            name=$(basename "$script" .sh)
            [[ $name == $only ]] &&
                offer "$name (emulated GPU)" count_script bash "$script" "$simt/gptbench"
        done
    fi
}

check_format() {
    if ! command -v clang-format >/dev/null; then
        echo "skip - formatting: clang-format is not installed"
    elif make --no-print-directory -s format-check; then
        echo "ok - formatting"
    else
        echo "not ok - formatting: make format mends it"
        return 1
    fi
}
export -f check_format
for pass in long short; do
    offer_all
done
[ -n "$build" ] && [[ format == $only ]] && run_one "format-check" count_script bash -c check_format

wait
passed=0 failed=0 skipped=0
for ((i = 1; i <= n_programs; i++)); do
    if read -r ok bad skip <"$results/$i.counts"; then
        passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed$([ "$skipped" -gt 0 ] && echo ", $skipped skipped")"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
