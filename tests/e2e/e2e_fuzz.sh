#!/usr/bin/env bash
# Every fuzzer of tests/fuzz on its corpus and for a second or two on inputs made of it, the same ones
# each time. `make fuzz` runs them for longer, guided by clang's libFuzzer.
# kinds: sanitized (what a fuzzer finds is mostly an error of memory)
. "$(dirname "$0")/lib.sh"
programs="$(dirname "$gptbench")/tests"
seconds=${GPTBENCH_FUZZ_SECONDS:-1.5}

for source in "$root"/tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    seeds=("$root/tests/fuzz/corpus/$name"/*)
    [ "$name" = suite ] && seeds+=("$root"/suites/*.ini "$root"/tests/fixtures/suites/*.ini)
    [ -e "${seeds[0]}" ]
    check "$name has a corpus" $?
    timeout 120 "$programs/fuzz_$name" "$seconds" 4096 "${seeds[@]}" >out 2>err
    check "$name: $(cat out)" $?
    if [ -e fuzz_input ]; then
        echo "#   input: $(base64 -w 0 fuzz_input)"
        rm fuzz_input
    fi
done
finish
