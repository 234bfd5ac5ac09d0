#!/usr/bin/env bash
# Runs the whole test suite and ends with one line: `N passed, N failed, N skipped`, of single checks.
#   tests/run_tests.sh [--simt SIMT_DIR] [BUILD_DIR [SANITIZED_BUILD_DIR]]
# Unit tests (cmocka programs) from BUILD_DIR/tests, the end-to-end scripts tests/e2e/e2e_*.sh on
# BUILD_DIR/gptbench, and the formatting check. With one BUILD_DIR all of them are run there; with a
# sanitized one beside it, each runs where it can find something: in its line `kinds: WORD...` stands
# `plain`, `sanitized` or both (both where there is no such line). With --simt also the tests of the CUDA
# backend on the emulator (kind `emulated`, and all in tests/simt) from the folder `simt` of a build.
# Folders are relative to the root of the sources.
# A script that does less as one kind than as the other reads GPTBENCH_TEST_KIND: plain, sanitized or all.
# `first` on that line starts a program before the others: one that takes long.
#
# Everything speaks TAP and is run by perl's prove, several at once, tests/run_one.sh around each.
# Whatever failed is shown in full, and what is skipped with its reason.
#   GPTBENCH_TEST_ONLY=GLOB    picks programs by name
#   GPTBENCH_TEST_JOBS=N       so many at once
#   GPTBENCH_TEST_LIMIT_S=N    the time that a program has
#   GPTBENCH_TEST_RESULTS=DIR  keeps what each program printed
set -uo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."
export GPTBENCH_TEST_LIMIT_S=${GPTBENCH_TEST_LIMIT_S:-1200} # on a slow and busy machine
only=${GPTBENCH_TEST_ONLY:-*}
# Half as many again at once as there are processors: most of them wait for something much of the time.
jobs=${GPTBENCH_TEST_JOBS:-$(($(nproc) * 3 / 2))}

simt=""
if [ "${1:-}" = --simt ]; then
    simt=$(realpath -m "$2")
    shift 2
fi
if [ -z "$simt${1:-}" ]; then
    echo "usage: tests/run_tests.sh [--simt SIMT_DIR] [BUILD_DIR [SANITIZED_BUILD_DIR]]" >&2
    exit 2
fi
for folder in ${simt:+"$simt"} "$@"; do
    [ -d "$folder" ] || { echo "run_tests.sh: there is no folder $folder" >&2; exit 2; }
done
build=${1:+$(realpath "$1")}
sanitized=${2:+$(realpath "$2")}

if [ -z "${GPTBENCH_TEST_DATA:-}" ] && [ -d ../shared/data ]; then
    GPTBENCH_TEST_DATA=$(realpath ../shared/data)
    export GPTBENCH_TEST_DATA
fi
# libgomp keeps its thread pool to the end of the process: not our leak.
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1
# Thousands of short parallel regions: threads that spin between them fight over busy cores.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
# What the program remembers about this machine is not for tests to read or write.
export GPTBENCH_CACHE_DIR=$work/cache
export GPTBENCH_TEST_RESULTS=${GPTBENCH_TEST_RESULTS:-$work/results}
results=$GPTBENCH_TEST_RESULTS
mkdir -p "$GPTBENCH_CACHE_DIR" "$results"
rm -f "$results"/*.{command,out,err,status}

# ---- what is run ----
: >"$work/first"
: >"$work/others"

# has_kind FILE WORD: whether that stands on its line `kinds:`; plain and sanitized where it has none.
has_kind() {
    local kinds
    kinds=$(sed -nE '1,40s/^[ #*\/]*kinds: *([a-z ]*).*/\1/p' "$1" | head -n 1)
    [[ " ${kinds:-plain sanitized} " == *" $2 "* ]]
}
# What would leave a test out without a word is refused: a kind that there is not, a place where nobody
# looks, a name that another room has too.
refuse() { # SOURCE WHAT
    echo "run_tests.sh: $1: $2" >&2
    exit 2
}
check_sources() {
    local source name kind stray seen=" "
    stray=$(find tests/unit tests/e2e \( -name 'test_*.c' -o -name 'e2e_*.sh' \) | grep -vE '^tests/(unit/[^/]+/test_[^/]*[.]c|e2e/e2e_[^/]*[.]sh)$' | head -n 1)
    [ -z "$stray" ] || refuse "$stray" "a test lies in tests/unit/ROOM or in tests/e2e"
    for source in tests/unit/*/test_*.c tests/e2e/e2e_*.sh; do
        name=$(basename "${source%.*}")
        [[ $seen != *" $name "* ]] || refuse "$source" "another room has a test of this name"
        seen+="$name "
        for kind in $(sed -nE '1,40s/^[ #*\/]*kinds: *([^(*.]*).*/\1/p' "$source" | head -n 1); do
            case $kind in
            plain | sanitized | emulated | memcheck | threads | first) ;;
            *) refuse "$source" "there is no kind '$kind'" ;;
            esac
        done
        has_kind "$source" plain || has_kind "$source" sanitized || has_kind "$source" emulated ||
            refuse "$source" "its kinds are neither plain, sanitized nor emulated, so nothing runs it"
    done
}
check_sources
# offer LABEL SOURCE COMMAND...: notes a program to run.
offer() {
    local label=$1 source=$2
    shift 2
    [[ ${label%% *} == $only ]] || return 0
    printf '%s\n' "$@" >"$results/$label.command"
    if has_kind "$source" first; then
        echo "$label" >>"$work/first"
    else
        echo "$label" >>"$work/others"
    fi
}
# offer_build SUFFIX FOLDER KIND: the unit tests and scripts of that kind, or all, on a build.
offer_build() {
    local suffix=$1 folder=$2 kind=$3 source name
    for source in tests/unit/*/test_*.c tests/e2e/e2e_*.sh; do
        [ "$kind" = all ] || has_kind "$source" "$kind" || continue
        name=$(basename "${source%.*}")
        if [[ $source == *.c ]]; then
            offer "$name$suffix" "$source" env CMOCKA_MESSAGE_OUTPUT=TAP "$folder/tests/$name"
        else
            offer "$name$suffix" "$source" env GPTBENCH_TEST_KIND="$kind" bash "$source" "$folder/gptbench"
        fi
    done
}
if [ -n "$sanitized" ]; then
    offer_build "" "$build" plain
    offer_build " (sanitized)" "$sanitized" sanitized
elif [ -n "$build" ]; then
    offer_build "" "$build" all
fi
if [ -n "$simt" ]; then
    for source in tests/simt/test_*.cpp tests/unit/*/test_*.c; do
        [[ $source == *.cpp ]] || has_kind "$source" emulated || continue
        name=$(basename "${source%.*}")
        offer "$name (emulated GPU)" "$source" \
            env CMOCKA_MESSAGE_OUTPUT=TAP GPTBENCH_CONFORMANCE=cuda "$simt/tests/$name"
    done
    for source in tests/simt/e2e_*.sh; do
        offer "$(basename "$source" .sh) (emulated GPU)" "$source" bash "$source" "$simt/gptbench"
    done
fi
[ -n "$build" ] && offer format-check scripts/format_check.sh bash scripts/format_check.sh

# ---- running it ----
cat "$work/first" "$work/others" >"$work/all"
if [ ! -s "$work/all" ]; then
    echo "run_tests.sh: no program has a name like '$only'" >&2
fi
prove --norc --timer --jobs "$jobs" --exec "bash tests/run_one.sh" - <"$work/all" 2>&1
proved=$?

# ---- counting it ----
# "passed failed skipped why" of one program: besides its failed checks, one failure when it ended otherwise
# than it should have.
judge() { # FILES
    awk -v status="$(cat "$1.status" 2>/dev/null)" -v limit="$GPTBENCH_TEST_LIMIT_S" '
        /^1\.\.[0-9]+/ { plans++; planned = substr($1, 4) + 0; none = /# *[Ss][Kk][Ii][Pp]/ }
        /^(not )?ok( |$)/ { ran++ }
        /^ok( |$).*# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
        /^ok( |$)/ { passed++ }
        /^not ok( |$)/ { failed++ }
        END {
            if (status == "") why = "was not run to its end"
            else if (status == 124 || status == 137) why = "stopped after " limit " s"
            else if (status > 128) why = "killed by signal " status - 128
            else if (plans != 1 || planned != ran) why = "ended in the middle, exit status " status
            else if (status != 0 && !failed) why = "exit status " status
            else if (!ran && !none) why = "ran no test"
            if (!ran && none && !why) skipped = 1
            print passed + 0, failed + (why != ""), skipped + 0, why
        }' "$1.out"
}
passed=0 failed=0 skipped=0
while read -r label; do
    files=$results/$label
    read -r ok bad skip why < <(touch "$files.out" "$files.err" && judge "$files")
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" -gt 0 ]; then
        echo
        echo "FAIL $label: $ok passed, $bad failed${why:+; $why}"
        grep -v '^ok\|^# ok - ' "$files.out" | sed 's/^/    | /'
        sed 's/^/    ! /' "$files.err"
    elif [ "$skip" -gt 0 ]; then
        echo "skipped in $label:"
        grep -iE '^(ok|1\.\.0).*# *skip' "$files.out" | sed -E 's/^(ok|1\.\.0)[ 0-9-]*(# SKIP )?/    /' | sort -u | head -n 3
    fi
done <"$work/all"
if [ "$proved" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "FAIL prove found what is not counted here: exit status $proved"
    failed=1
fi
echo "$passed passed, $failed failed$([ "$skipped" -gt 0 ] && echo ", $skipped skipped")"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
