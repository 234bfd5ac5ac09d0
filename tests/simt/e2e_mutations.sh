#!/usr/bin/env bash
# tests/mutation/mutations.sh itself: three mistakes of the table that the tests must catch (`make mutations`
# tries them all), and what it says of a mutant that survives or can no longer be made.
. "$(dirname "$0")/../e2e/lib.sh"
build=$(dirname "$gptbench")
cd "$root" || exit 1


# mutations STATUS [NAME ...]: whether it ends with that exit status.
mutations() {
    local status=$1
    shift
    tests/mutation/mutations.sh "$build" "$@" >"$work/out" 2>&1
    [ $? -eq "$status" ]
}

mutations 0 embed-scan-barrier rope-sign embed-gather &&
    [ "$(grep -c '^caught  ' "$work/out")" -eq 3 ] && grep -q '^3 of 3 mutants caught$' "$work/out"
check "a dropped barrier, a wrong sign and a shifted index are each caught" $?

export MUTATIONS_TABLE=$work/table
cat >"$MUTATIONS_TABLE" <<'TABLE'
mutant same kernels/cuda/embed.cu 'fp32 - embed' 'another way to write the same' 'return CUDA_LAUNCH(dev, op, embed_rank_kernel' 'return CUDA_LAUNCH((dev), op, embed_rank_kernel'
mutant gone kernels/cuda/embed.cu 'fp32 - embed' 'text that is not there' 'no such text' 'x'
mutant twice kernels/cuda/embed.cu 'fp32 - embed' 'text that is everywhere' 'int64_t' 'int32_t'
mutant broken kernels/cuda/embed.cu 'fp32 - embed' 'what no compiler takes' 'return CUDA_LAUNCH(dev, op, embed_rank_kernel' 'return CUDA_LAUNCH(dev op, embed_rank_kernel'
mutant nothing kernels/cuda/embed.cu 'fp32 - nothing' 'no test of that name' 'embed_count_kernel, grid' 'embed_count_kernel, grid'
TABLE
mutations 1 same && grep -q '^SURVIVED same ' "$work/out" && grep -q '^0 of 1 mutants caught$' "$work/out"
check "a mutant that no test finds is reported and fails" $?
mutations 2 gone && grep -q 'gone: kernels/cuda/embed.cu no longer has the text: no such text' "$work/out"
check "a text that is gone stops it" $?
mutations 2 twice && grep -q 'twice: .* more than once' "$work/out"
check "a text that is not unique stops it" $?
mutations 2 broken && grep -q 'broken does not compile: .*error' "$work/out"
check "a mutant that does not compile stops it" $?
mutations 2 nothing && grep -q "'fp32 - nothing' does not pass, or names no test" "$work/out"
check "a group that runs no test stops it" $?

finish
