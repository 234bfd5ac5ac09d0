#!/usr/bin/env bash
# Tests built by clang with ThreadSanitizer, as many at once as there are processors: scripts/tsan.sh BUILD_DIR TEST...
# Archer tells TSan of OpenMP's forks, joins, barriers and locks: without it every parallel loop would
# look like a race. oneDNN and its libgomp are not instrumented, and what happens inside of them is not
# seen. Before that a program with a race must be found out.
set -uo pipefail
cd "$(dirname "$0")/.."
export build=${1:?usage: tsan.sh BUILD_DIR TEST...}
shift
: "${1:?usage: tsan.sh BUILD_DIR TEST...}"
archer=$(ls /usr/lib/llvm-*/lib/libarcher.so 2>/dev/null | sort -V | head -1)
omp=$(ldd "$build/tests/planted_faults" | awk '/libomp/ { print $3 }')
# The one that belongs to the library that is linked.
[ -n "$omp" ] && [ -e "$(dirname "$(readlink -f "$omp")")/libarcher.so" ] && archer=$(dirname "$(readlink -f "$omp")")/libarcher.so
if [ -z "$omp" ] || [ ! -e "$archer" ]; then
    echo "tsan.sh: no libomp with libarcher.so beside it (Debian: apt install libomp-dev)" >&2
    exit 3
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export OMP_TOOL_LIBRARIES=$archer OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OMP_WAIT_POLICY=passive
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$PWD/scripts/tsan.supp print_suppressions=0 exitcode=66"

check_one() { # TEST
    local log
    log=$(mktemp)
    if "$build/tests/$1" >"$log" 2>&1 && ! grep -q 'WARNING: ThreadSanitizer' "$log"; then
        echo "ok - $1: $(grep -c '^\[       OK' "$log") tests under ThreadSanitizer"
        rm "$log"
    else
        { echo "not ok - $1" && grep -A40 'WARNING: ThreadSanitizer\|FAILED' "$log"; } | head -80
        rm "$log"
        return 1
    fi
}
export -f check_one

"$build/tests/planted_faults" race >"$log" 2>&1
if [ $? -ne 66 ] || ! grep -q 'data race.*\|WARNING: ThreadSanitizer: data race' "$log"; then
    echo "not ok - ThreadSanitizer does not see the planted race" && cat "$log"
    exit 1
fi
echo "ok - ThreadSanitizer sees the planted race"
printf '%s\n' "$@" | xargs -P "$(nproc)" -I NAME bash -c 'check_one NAME' || exit 1
