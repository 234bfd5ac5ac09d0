#!/usr/bin/env bash
# The same training step in gptbench and in PyTorch, in turn (ours, theirs, ours, ...), so that a
# drift of the machine meets both: scripts/bench_peers.sh BUILD_DIR PYTHON [ROUNDS] [STEPS]
# Prints every measurement, then the medians over the rounds and their ratio.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench_peers.sh BUILD_DIR PYTHON [ROUNDS] [STEPS]}
python=${2:?usage: bench_peers.sh BUILD_DIR PYTHON [ROUNDS] [STEPS]}
rounds=${3:-5} steps=${4:-12}
threads=$(nproc)

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "bench-peers: skipped: $python has no PyTorch; make bench-peers PYTHON=... names one that has"
    exit 0
fi

# The milliseconds in front of "ms/step".
ms_of() {
    sed -n 's|.*: \([0-9.]*\) ms/step.*|\1|p' <<<"$1"
}
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for precision in fp32 bf16; do
    ours=() theirs=()
    for round in $(seq "$rounds"); do
        line=$("$build/tests/bench_step" --model small --precision "$precision" --steps "$steps" --no-ops | tail -1)
        echo "gptbench: $line"
        ours+=("$(ms_of "$line")")
        line=$("$python" bench/peers/pytorch_step.py --dtype "$precision" --threads "$threads" --steps "$steps" | tail -1)
        echo "$line"
        theirs+=("$(ms_of "$line")")
    done
    a=$(printf '%s\n' "${ours[@]}" | median) b=$(printf '%s\n' "${theirs[@]}" | median)
    awk -v p="$precision" -v a="$a" -v b="$b" -v n="$rounds" \
        'BEGIN { printf "small %s, median of %d rounds: gptbench %.1f ms/step, PyTorch %.1f ms/step, ratio %.2f\n", p, n, a, b, b / a }'
done
