#!/usr/bin/env bash
# Runs every fuzzer for some seconds, as many at once as there are processors:
#   scripts/fuzz.sh BUILD_DIR SECONDS [NAME...]
# Seeds come from tests/fuzz/corpus/NAME and tests/fixtures/NAMEs/ where there are any (and from
# suites/ for the suite reader),
# words from tests/fuzz/NAME.dict; what a fuzzer finds interesting is kept in BUILD_DIR/corpus/NAME,
# what breaks the program in BUILD_DIR/crash-NAME-*. Fails when something broke.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: fuzz.sh BUILD_DIR SECONDS [NAME...]}
seconds=${2:?usage: fuzz.sh BUILD_DIR SECONDS [NAME...]}
shift 2
[ $# -gt 0 ] || for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    set -- "$@" "${name#fuzz_}"
done
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
ended=$(mktemp -d) # a file per fuzzer that found nothing
trap 'rm -rf "$ended"' EXIT

fuzz() { # NAME
    local name=$1 log=$build/fuzz-$1.log corpus=$build/corpus/$1 seeds=() began=$SECONDS rc
    mkdir -p "$corpus"
    [ -d "tests/fixtures/${name}s" ] && seeds+=("tests/fixtures/${name}s")
    [ -d "tests/fuzz/corpus/$name" ] && seeds+=("tests/fuzz/corpus/$name")
    [ "$name" = suite ] && seeds+=(suites)
    [ -f "tests/fuzz/$name.dict" ] && seeds+=(-dict="tests/fuzz/$name.dict")
    "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -artifact_prefix="$build/crash-$name-" -print_final_stats=1 "$corpus" "${seeds[@]}" \
        >"$log" 2>&1
    rc=$?
    printf 'fuzz_%-12s %6d s %12s inputs  %s\n' "$name" $((SECONDS - began)) \
        "$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")" \
        "$([ $rc -eq 0 ] && echo 'nothing found' || echo "FOUND something: $build/crash-$name-*")"
    if [ "$rc" -ne 0 ]; then
        grep -v '^#[0-9]' "$log" | tail -40
    else
        touch "$ended/$name"
    fi
}

for name; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
        wait -n
    done
    fuzz "$name" &
done
wait
clean=$(find "$ended" -type f | wc -l)
echo "$# fuzzers, $([ "$clean" -eq $# ] && echo "nothing found" || echo "see above")"
[ "$clean" -eq $# ]
