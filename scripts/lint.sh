#!/usr/bin/env bash
# clang-tidy and cppcheck over the C sources, as many at a time as there are cores:
#   scripts/lint.sh BUILD_DIR [FILE...]
# Prints what they find and fails when there is anything. .clang-tidy and scripts/cppcheck.supp
# say what is left out and why.
set -uo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: lint.sh BUILD_DIR [FILE...]}
shift
files=("$@")
if [ $# -eq 0 ]; then
    mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.c')
fi
export LINT_FLAGS="-std=c17 -I. -I$build/gen -D_GNU_SOURCE -fopenmp"

tidy_one() {
    local flags=$LINT_FLAGS out
    case $1 in
    */isa/*) flags="$flags -march=x86-64-v4 -DGB_ISA=avx512 -DGB_ISA_avx512=1" ;;
    esac
    # Standard error holds only the count of suppressed warnings, or why clang-tidy could not run.
    if ! out=$(clang-tidy --quiet "$1" -- $flags 2>&1); then
        # The finding and its line; `clang-tidy` by hand shows the path that leads there.
        printf '%s\n' "$out" | grep -A 2 ' error: ' | grep -v '^--$\| note: '
        return 1
    fi
}
export -f tidy_one

status=0
echo "clang-tidy: ${#files[@]} files"
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy_one "$1"' _ || status=1

echo "cppcheck: ${#files[@]} files"
cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=scripts/cppcheck.supp --error-exitcode=1 -j "$(nproc)" -I. -I"$build/gen" \
    -D_GNU_SOURCE -DGB_ISA=avx512 -DGB_ISA_avx512=1 "${files[@]}" || status=1

[ "$status" -eq 0 ] && echo "lint: nothing found"
exit "$status"
