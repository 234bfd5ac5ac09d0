#!/usr/bin/env bash
# `make format-check` as one check in TAP, for tests/run_tests.sh.
cd "$(dirname "$0")/.." || exit 1
if ! command -v clang-format >/dev/null; then
    echo "1..0 # SKIP formatting: clang-format is not installed"
    exit 0
fi
make --no-print-directory -s format-check 2>&1 | sed 's/^/# /'
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] && echo "ok - formatting" || echo "not ok - formatting: make format mends it"
echo "1..1"
exit "$status"
