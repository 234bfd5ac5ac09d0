#!/usr/bin/env bash
# Tests under valgrind's memcheck, as many at once as there are processors: scripts/valgrind.sh BUILD_DIR TEST...
# Invalid reads and writes, use of memory that nobody wrote, and memory that is lost for good are
# errors. No suppressions. Before that a program with such a mistake must be found out.
set -uo pipefail
cd "$(dirname "$0")/.."
export build=${1:?usage: valgrind.sh BUILD_DIR TEST...}
shift
: "${1:?usage: valgrind.sh BUILD_DIR TEST...}"
# One thread: valgrind runs one at a time.
export OMP_NUM_THREADS=1

memcheck() { # LOG PROGRAM
    valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$2" >"$1" 2>&1
}
check_one() { # TEST
    local log
    log=$(mktemp)
    if memcheck "$log" "$build/tests/$1" && ! grep -q '^==.*\(Invalid\|uninitialised\|definitely\)' "$log"; then
        echo "ok - $1: $(grep -c '^\[       OK' "$log") tests under valgrind"
        rm "$log"
    else
        { echo "not ok - $1" && grep '^==\|FAILED\|error' "$log"; } | head -60
        rm "$log"
        return 1
    fi
}
export -f memcheck check_one

log=$(mktemp)
trap 'rm -f "$log"' EXIT
memcheck "$log" "$build/tests/planted_faults"
if [ $? -ne 9 ]; then
    echo "not ok - valgrind does not see the planted fault" && cat "$log"
    exit 1
fi
echo "ok - valgrind sees the planted fault"
printf '%s\n' "$@" | xargs -P "$(nproc)" -I NAME bash -c 'check_one NAME' || exit 1
