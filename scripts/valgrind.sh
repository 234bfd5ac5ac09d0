#!/usr/bin/env bash
# Tests under valgrind's memcheck: scripts/valgrind.sh BUILD_DIR TEST...
# Invalid reads and writes, use of memory that nobody wrote, and memory that is lost for good are
# errors. No suppressions. Before that a program with such a mistake must be found out.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: valgrind.sh BUILD_DIR TEST...}
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One thread: valgrind runs one at a time.
export OMP_NUM_THREADS=1
memcheck=(valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite)
failed=0

"${memcheck[@]}" "$build/tests/planted_faults" >"$log" 2>&1
if [ $? -ne 9 ]; then
    echo "not ok - valgrind does not see the planted fault" && cat "$log"
    exit 1
fi
echo "ok - valgrind sees the planted fault"
for name in "$@"; do
    if "${memcheck[@]}" "$build/tests/$name" >"$log" 2>&1 && ! grep -q '^==.*\(Invalid\|uninitialised\|definitely\)' "$log"; then
        echo "ok - $name: $(grep -c '^\[       OK' "$log") tests under valgrind"
    else
        echo "not ok - $name" && grep '^==\|FAILED\|error' "$log" | head -60
        failed=1
    fi
done
exit $failed
