#!/usr/bin/env bash
# One program of the test suite, for `prove --exec`: tests/run_one.sh LABEL. tests/run_tests.sh has put
# its command into $GPTBENCH_TEST_RESULTS/LABEL.command, an argument a line. What it prints is kept in
# LABEL.out and LABEL.err, its exit status in LABEL.status, how long it took in LABEL.seconds (wall, user, system); prove gets its TAP and its exit status when it has
# ended.
set -uo pipefail
files=$GPTBENCH_TEST_RESULTS/$1
mapfile -t command <"$files.command"
# Into files, not pipes: whoever is left behind in the background must not hold up the others.
TIMEFORMAT='%R %U %S'
{ time timeout --kill-after=10 "$GPTBENCH_TEST_LIMIT_S" "${command[@]}" >"$files.out" 2>"$files.err" </dev/null; } 2>"$files.seconds"
status=$?
echo "$status" >"$files.status"
# cmocka before 1.1.6 calls a test that was skipped `not ok`.
[[ " ${command[*]} " != *" CMOCKA_MESSAGE_OUTPUT=TAP "* ]] || sed -i -E 's/^not (ok [0-9]+ # SKIP)/\1/' "$files.out"
cat "$files.out"
exit "$status"
