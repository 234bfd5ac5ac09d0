#!/usr/bin/env bash
# Whether the tests bite: puts one mistake at a time into the CUDA kernels (tests/mutation/mutants.sh lists
# them), builds the conformance test with it for the emulator and expects that test to fail.
#   tests/mutation/mutations.sh SIMT_DIR [NAME-GLOB ...]
# SIMT_DIR is the folder simt of a build (`make test-simt` leaves build-asan/simt). Prints `caught` or
# `SURVIVED` per mutant and ends with a count. Exit status: 0 all caught, 1 not all, 2 a mutant that
# can no longer be made (its text is gone, or is there twice, or it does not compile) or a test that
# fails without any. MUTATIONS_TABLE=FILE is read instead of tests/mutation/mutants.sh.
set -uo pipefail
cd "$(dirname "$0")/../.."
if [ $# -eq 0 ] || [ ! -e "$1/libgptbench.a" ]; then
    echo "usage: tests/mutation/mutations.sh SIMT_DIR [NAME-GLOB ...], the folder simt of a build" >&2
    exit 2
fi
build=$1
shift
globs=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GPTBENCH_CONFORMANCE=cuda
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
limit_s=300 # a mutant may loop for ever
made=0 caught=0
declare -A baseline # groups of tests that pass without any mutant

wanted() {
    [ ${#globs[@]} -eq 0 ] && return 0
    local glob
    for glob in "${globs[@]}"; do
        [[ $1 == $glob ]] && return 0
    done
    return 1
}

stop() {
    echo "mutations: $1" >&2
    exit 2
}

# conformance TESTS PROGRAM: the exit status of the tests of that name.
conformance() {
    GPTBENCH_CONFORMANCE_TESTS="cuda $1" timeout --kill-after=5 "$limit_s" "$2" >"$work/log" 2>&1
}

check_baseline() {
    [ -n "${baseline[$1]:-}" ] && return
    conformance "$1" "$build/tests/test_conformance" && grep -q '^\[       OK \]' "$work/log" ||
        stop "'$1' does not pass, or names no test, without any mutant: $(tail -3 "$work/log")"
    baseline[$1]=passed
}

# mutant NAME FILES TESTS WHAT OLD NEW
# FILES: the file that is changed, then the .cu files to compile where it is a header. TESTS: the
# group that must fail, "fp32 - embed". OLD: text that stands in the file exactly once.
mutant() {
    local name=$1 tests=$3 what=$4 old=$5 new=$6 file sources text rest start status
    wanted "$name" || return 0
    read -r file sources <<<"$2"
    text=$(<"$file")
    rest=${text/"$old"/}
    [ "${#rest}" -eq $((${#text} - ${#old})) ] || stop "$name: $file no longer has the text: $old"
    [ "${rest/"$old"/}" = "$rest" ] || stop "$name: $file has the text more than once: $old"
    check_baseline "$tests"
    start=$SECONDS
    rm -rf "$work/tree"
    mkdir -p "$work/tree/$(dirname "$file")"
    printf '%s\n' "${text/"$old"/"$new"}" >"$work/tree/$file"
    for source in ${sources:-$file}; do
        [ -e "$work/tree/$source" ] || cp "$source" "$work/tree/$source"
    done
    make --no-print-directory -s SANITIZE="${SANITIZE-address,undefined}" OPT="-O1 -g" \
        BUILD="$(dirname "$build")" MUTANT="$work/tree" mutant >"$work/make" 2>&1 ||
        stop "$name does not compile: $(grep -m3 -i 'error' "$work/make")"
    conformance "$tests" "$work/tree/test_conformance"
    status=$?
    made=$((made + 1))
    if [ $status -eq 0 ]; then
        printf 'SURVIVED'
    else
        caught=$((caught + 1))
        printf 'caught  '
    fi
    printf ' %-26s %-18s %s (%d s)\n' "$name" "$tests" "$what" $((SECONDS - start))
}

. "${MUTATIONS_TABLE:-tests/mutation/mutants.sh}"
echo "$caught of $made mutants caught"
[ $made -gt 0 ] || stop "no mutant has such a name"
[ "$caught" -eq "$made" ]
