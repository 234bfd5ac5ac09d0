#!/usr/bin/env bash
# What a training step costs while other programs want the same processors: scripts/bench_load.sh BUILD_DIR
#
# In every round, for each instruction set that this CPU has, a training of the small model beside
# nothing and one beside as many busy loops as it has threads: half of the processors' time is then
# its own, so 2 times the quiet time is what a program can have that loses nothing. What threads wait
# for each other comes on top. Prints a table in Markdown; exit status 1 where the median of the
# ratios is above 2.2, 2 where it could not be measured.
#
# Environment, all optional; make bench-load takes them as variables:
#   ROUNDS  10        STEPS  15, of which each training's median is taken
#   ISAS    generic,avx2,avx512,avx512_bf16        PRECISION  fp32 or bf16
set -euo pipefail
export LC_ALL=C
fail() {
    echo "bench-load: $*" >&2
    exit 2
}
[ $# -eq 1 ] || fail "usage: bench_load.sh BUILD_DIR"
bench=$1/tests/bench_step
[ -x "$bench" ] || fail "there is no $bench; make bench-load builds it"
rounds=${ROUNDS:-10} steps=${STEPS:-15} precision=${PRECISION:-fp32} limit=2.2
IFS=, read -ra isas <<<"${ISAS:-generic,avx2,avx512,avx512_bf16}"
for number in "$rounds" "$steps"; do
    [[ $number =~ ^[1-9][0-9]{0,3}$ ]] || fail "ROUNDS and STEPS are whole numbers from 1 to 9999, not '$number'"
done
[[ $precision =~ ^(fp32|bf16)$ ]] || fail "PRECISION is fp32 or bf16, not '$precision'"
for isa in "${isas[@]}"; do
    [[ $isa =~ ^(generic|avx2|avx512|avx512_bf16)$ ]] || fail "ISAS is a list of generic, avx2, avx512, avx512_bf16, not '$isa'"
done
# As many as the program will have, which does not ask OpenMP's variables.
unset OMP_NUM_THREADS OMP_THREAD_LIMIT
threads=$(nproc)

work=$(mktemp -d)
loops=()
quiet() {
    [ ${#loops[@]} -eq 0 ] || kill "${loops[@]}" 2>/dev/null || true
    loops=()
}
busy() { # ends with this script, however that ends
    local i
    for ((i = 0; i < threads; i++)); do
        (while kill -0 $$ 2>/dev/null; do for ((k = 0; k < 100000; k++)); do :; done; done) &
        loops+=($!)
    done
}
trap 'quiet; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# The median of its steps to $ms, or nothing where the CPU lacks the instruction set.
step() { # ISA
    local rc=0
    ms=
    GPTBENCH_ISA=$1 "$bench" --model small --precision "$precision" --no-ops --steps "$steps" >"$work/out" 2>"$work/err" || rc=$?
    if [ $rc -ne 0 ]; then
        grep -q 'this CPU does not have it' "$work/err" && return
        cat "$work/err" >&2
        fail "bench_step failed (exit status $rc)"
    fi
    ms=$(sed -n 's/^small .* threads: \([0-9.]*\) ms\/step.*/\1/p' "$work/out")
    [ -n "$ms" ] || fail "bench_step printed no time"
}
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

declare -A alone=() beside=() ratio=()
for ((round = 0; round < rounds; round++)); do
    for isa in "${isas[@]}"; do
        step "$isa"
        before=$ms
        [ -n "$before" ] || continue
        busy
        step "$isa"
        quiet
        alone[$isa]+="$before"$'\n'
        beside[$isa]+="$ms"$'\n'
        ratio[$isa]+="$(awk "BEGIN { print $ms / $before }")"$'\n'
    done
done
[ ${#ratio[@]} -gt 0 ] || fail "this CPU has none of ${isas[*]}"
echo "small $precision, $threads threads beside $threads busy loops, medians of $rounds rounds; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
echo
echo "| path | quiet ms | beside busy loops ms | ratio | from | to |"
echo "| --- | ---: | ---: | ---: | ---: | ---: |"
over=0
for isa in "${isas[@]}"; do
    [ -n "${ratio[$isa]:-}" ] || continue
    middle=$(median <<<"${ratio[$isa]%$'\n'}")
    printf '| %s | %.1f | %.1f | %.2f | %.2f | %.2f |\n' "$isa" "$(median <<<"${alone[$isa]%$'\n'}")" \
        "$(median <<<"${beside[$isa]%$'\n'}")" "$middle" \
        "$(sort -n <<<"${ratio[$isa]%$'\n'}" | head -n 1)" "$(sort -n <<<"${ratio[$isa]%$'\n'}" | tail -n 1)"
    awk "BEGIN { exit !($middle > $limit) }" && over=1
done
exit $over
