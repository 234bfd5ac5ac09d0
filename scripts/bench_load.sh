#!/usr/bin/env bash
# What a training step costs while other programs want the same processors: scripts/bench_load.sh BUILD_DIR
#
# In every round, for each instruction set that this CPU has, a training of the small model beside
# nothing and one beside as many busy loops as it has threads: half of the processors' time is then
# its own, so 2 times the quiet time is what a program can have that loses nothing. What threads wait
# for each other comes on top. Prints a table in Markdown; exit status 1 where the median of the
# ratios is above 2.2.
#
# Environment, all optional; make bench-load takes them as variables:
#   ROUNDS  10        STEPS  15, of which each training's median is taken
#   ISAS    generic,avx2,avx512,avx512_bf16        PRECISION  fp32 or bf16
set -euo pipefail
build=$(realpath "${1:?usage: bench_load.sh BUILD_DIR}")
rounds=${ROUNDS:-10} steps=${STEPS:-15} precision=${PRECISION:-fp32} limit=2.2
IFS=, read -ra isas <<<"${ISAS:-generic,avx2,avx512,avx512_bf16}"
for number in "$rounds" "$steps"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || { echo "bench-load: ROUNDS and STEPS are whole numbers from 1, not '$number'" >&2; exit 2; }
done
[[ $precision =~ ^(fp32|bf16)$ ]] || { echo "bench-load: PRECISION is fp32 or bf16, not '$precision'" >&2; exit 2; }

loops=()
quiet() {
    [ ${#loops[@]} -eq 0 ] || kill "${loops[@]}" 2>/dev/null || true
    loops=()
}
busy() {
    local i
    for ((i = 0; i < $(nproc); i++)); do
        (while :; do :; done) &
        loops+=($!)
    done
}
trap quiet EXIT
trap 'exit 130' INT TERM

step_ms() { # ISA: the median of its steps; nothing where the CPU lacks it
    GPTBENCH_ISA=$1 "$build/tests/bench_step" --model small --precision "$precision" --no-ops --steps "$steps" 2>/dev/null |
        sed -n 's/^small .* threads: \([0-9.]*\) ms\/step.*/\1/p' || true
}
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

declare -A alone=() beside=() ratio=()
for ((round = 0; round < rounds; round++)); do
    for isa in "${isas[@]}"; do
        before=$(step_ms "$isa")
        [ -n "$before" ] || continue
        busy
        during=$(step_ms "$isa")
        quiet
        alone[$isa]+="$before"$'\n'
        beside[$isa]+="$during"$'\n'
        ratio[$isa]+="$(awk "BEGIN { print $during / $before }")"$'\n'
    done
done
if [ ${#ratio[@]} -eq 0 ]; then
    echo "bench-load: this CPU has none of ${isas[*]}, or bench_step failed" >&2
    exit 2
fi
echo "small $precision, $(nproc) threads beside $(nproc) busy loops, medians of $rounds rounds; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
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
