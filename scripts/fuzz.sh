#!/usr/bin/env bash
# Runs every fuzzer for some seconds: scripts/fuzz.sh BUILD_DIR SECONDS
# Seeds come from tests/fuzz/corpus/NAME and tests/fixtures/NAMEs/ where there are any (and from
# suites/ for the suite reader),
# words from tests/fuzz/NAME.dict; what a fuzzer finds interesting is kept in BUILD_DIR/corpus/NAME,
# what breaks the program in BUILD_DIR/crash-NAME-*. Fails when something broke.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: fuzz.sh BUILD_DIR SECONDS}
seconds=${2:?usage: fuzz.sh BUILD_DIR SECONDS}
status=0 count=0

export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
for source in tests/fuzz/fuzz_*.c; do
    [ -e "$source" ] || break
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    corpus=$build/corpus/$name
    mkdir -p "$corpus"
    seeds=()
    [ -d "tests/fixtures/${name}s" ] && seeds+=("tests/fixtures/${name}s")
    [ -d "tests/fuzz/corpus/$name" ] && seeds+=("tests/fuzz/corpus/$name")
    [ "$name" = suite ] && seeds+=(suites)
    [ -f "tests/fuzz/$name.dict" ] && seeds+=(-dict="tests/fuzz/$name.dict")
    echo "fuzz_$name: $seconds s"
    "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$build/crash-$name-" -print_final_stats=1 "$corpus" "${seeds[@]}" \
        >"$build/fuzz-$name.log" 2>&1
    rc=$?
    count=$((count + 1))
    grep -E 'stat::number_of_executed_units|stat::peak_rss' "$build/fuzz-$name.log"
    if [ "$rc" -ne 0 ]; then
        status=1
        grep -v '^#[0-9]' "$build/fuzz-$name.log" | tail -40
        echo "fuzz_$name: FOUND something; input in $build/crash-$name-*"
    fi
done
echo "$count fuzzers, $([ "$status" -eq 0 ] && echo "nothing found" || echo "see above")"
exit "$status"
