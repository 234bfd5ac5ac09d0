#!/usr/bin/env bash
# Does interleaved timing keep its promises on this very machine, as noisy as it is now?
#   scripts/timing_check.sh BUILD_DIR [ROUNDS]
# ROUNDS suites (20) of two configs that do the same work: how many are called FASTER or SLOWER?
# ROUNDS suites in which one of them is made 3 % slower by a busy wait inside its steps: how many are
# called SLOWER? At most one false alarm in twenty and every slow-down found: exit code 0.
set -euo pipefail
gptbench=$(realpath "${1:?usage: timing_check.sh BUILD_DIR [ROUNDS]}")/gptbench
rounds=${2:-20}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

suite() { # SEED
    cat >pair.ini <<INI
[suite]
name = pair
replicates = 1

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 8
sequence_length = 64
num_iterations = 50
precision = fp32

[timing]
seed = $1

[model]
vocab_size = 64
n_layer = 2
n_head = 12
n_embd = 192

; another number, the same work
[matrix]
weight_decay = 0.1, 0.11
INI
}

# verdicts NAME FAULT: one line per round, the second config's verdict and change
verdicts() {
    for ((i = 1; i <= rounds; i++)); do
        suite "$i"
        GPTBENCH_TEST_FAULT=$2 "$gptbench" run pair.ini --speed-only --no-report --db "$1-$i.db" \
            2>/dev/null | grep -oE '(FASTER|SLOWER|SAME|UNCLEAR) \S+ ?%' | head -n 1 |
            tee -a "$1.txt" | sed "s/^/$1, round $i: /"
    done
}

verdicts equal ''
verdicts slower 'slow@30@*0.11*'
false_alarms=$(grep -cE 'FASTER|SLOWER' equal.txt || true)
found=$(grep -c SLOWER slower.txt || true)
echo
echo "equal configs called different: $false_alarms of $rounds"
echo "3 % slower called SLOWER:       $found of $rounds"
[ $((false_alarms * 20)) -le "$rounds" ] && [ "$found" -eq "$rounds" ]
