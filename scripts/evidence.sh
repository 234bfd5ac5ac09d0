#!/usr/bin/env bash
# What a machine with a GPU has to say about gptbench, in minutes and one table: evidence.sh [WHAT...]
#
#   evidence.sh                 correctness, speed beside PyTorch, a profile, a suite, llm.c: 470 s
#   evidence.sh second          compute-sanitizer and Nsight Compute: 180 s
#   evidence.sh speed 'curve-*' phases or rows alone, by name; --list shows them
#
#   --out FOLDER                the results; otherwise $OUT, or ./evidence
#   --build FOLDER              the programs; otherwise build/ beside scripts/
#
# Each phase has a limit and writes its file when it ends; every row is PASS, FAIL or SKIP with a figure
# or a reason. The table is printed last, and kept as evidence.md and evidence.json, which are whole at
# any moment: what has not been reached is SKIP. It needs no network and no package manager, and changes
# no setting of the card. Exit status: 0 nothing failed, 1 something did, 2 wrong command line, 3 no row
# could be run, for want of programs or a GPU.
#
# Environment, all optional:
#   CUDA_VISIBLE_DEVICES        the GPU, as for every CUDA program
#   GPU_EVIDENCE_S              seconds for all (470; second 180; phases alone: as long as they may take)
#   GPU_EVIDENCE_SINCE          when they began, of `date +%s` (now)
#   GPU_EVIDENCE_LIMITS         "NAME=LIMIT[:NEED] ...": seconds that a phase or row may take, and those
#                               without which a phase is not begun
#   PYTHON                      a Python with PyTorch (python3); without one its rows are SKIP
#   LLMC                        llm.c's train_gpt2cu (beside this script)
#   GPU_EVIDENCE_MODEL, _BATCH, _LENGTH, _STEPS, _ROUNDS   of the speed phase: preset (d12), sequences
#                               (64), tokens of each (1024), steps of a run (75), rounds (2)
#   GPU_EVIDENCE_BLOCKS         of the suite (6)
#   GPU_EVIDENCE_FP32_BOUND, _BF16_BOUND   instead of the bounds of the loss curves
#   GPU_EVIDENCE_TINY=1         small models, for an emulator; _OPS, _FIXTURES: globs of groups of ops
#                               and of PyTorch fixtures; _PEER: more arguments for the PyTorch peers
set -uo pipefail
root=$(realpath "$(dirname "$0")")
[ -d "$root/scripts/evidence" ] || root=$(dirname "$root")
started_in=$PWD
command_line="$(basename "$0")${*:+ $*}"

# The plan: row, phase, its limit and need in seconds, the call it belongs to. Rows of a phase share
# its limit. What a phase needs is kept free by those before it if it is the headline, speed.
plan='
machine               machine      60  0  first second
ops-fp32              correctness 150 25  first
ops-bf16              correctness 150 25  first
ops-bf16-hopper       correctness 150 25  first
attention-bounds      correctness 150 25  first
attention             correctness 150 25  first
attention-pytorch     correctness 150 25  first
parity-fp32           correctness 150 25  first
parity-bf16           correctness 150 25  first
curve-fp32            correctness 150 25  first
curve-fp32-variant    correctness 150 25  first
curve-bf16            correctness 150 25  first
curve-bf16-variant    correctness 150 25  first
repeat-fp32           correctness 150 25  first
repeat-bf16           correctness 150 25  first
graphs-fp32           correctness 150 25  first
graphs-bf16           correctness 150 25  first
runs-fp32             correctness 150 25  first
runs-bf16             correctness 150 25  first
portable              speed       210 90  first
hopper                speed       210 90  first
pytorch-fp32-residual speed       210 90  first
pytorch-bf16-residual speed       210 90  first
profile               profile      45 20  first
suite                 suite        75 35  first
llmc                  llmc         60 20  first
memcheck              sanitizer   100 30  second
memcheck-hopper       sanitizer   100 30  second
memcheck-variant      sanitizer   100 30  second
memcheck-fp32         sanitizer   100 30  second
racecheck             sanitizer   100 30  second
racecheck-hopper      sanitizer   100 30  second
initcheck             sanitizer   100 30  second
synccheck             sanitizer   100 30  second
synccheck-hopper      sanitizer   100 30  second
counters              counters     60 25  second
counters-hopper       counters     60 25  second
'
headline=speed
reserve_ms=4000 # for the table

. "$root/scripts/evidence/table.sh"
. "$root/scripts/evidence/limits.sh"
. "$root/scripts/evidence/machine.sh"
. "$root/scripts/evidence/correctness.sh"
. "$root/scripts/evidence/peers.sh"
. "$root/scripts/evidence/speed.sh"
. "$root/scripts/evidence/sanitizer.sh"

usage() { # WHAT IS WRONG
    echo "evidence.sh: $1" >&2
    exit 2
}

# ---- the command line ----
declare -a rows=() phases=()
declare -A phase_of=() planned_limit=() planned_need=() wanted=()
selected=() out=${OUT:-evidence} build=""
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set /{ /^set /d; s/^# \{0,1\}//; p; }' "$0"
        exit 0
        ;;
    --list)
        echo "$plan" | awk 'NF { printf "%-22s %-12s %s\n", $1, $2, $5 }'
        exit 0
        ;;
    --out) out=${2:?--out FOLDER} && shift ;;
    --build) build=${2:?--build FOLDER} && shift ;;
    -*) usage "$1: there is no such option; --help shows them" ;;
    *) selected+=("$1") ;;
    esac
    shift
done
[ ${#selected[@]} -gt 0 ] || selected=(first)

alone=1
[[ " first second " == *" ${selected[*]} "* ]] && alone=0
for name in "${selected[@]}"; do
    found=0
    while read -r row phase limit need calls; do
        [ -n "$row" ] || continue
        if [[ $row == $name || $phase == $name || " $calls " == *" $name "* ]]; then
            found=1
            wanted[$row]=1
        fi
    done <<<"$plan"
    [ $found -eq 1 ] || usage "$name: there is no such phase or row; --list shows them"
done
wanted[machine]=1
total=0
while read -r row phase limit need calls; do
    [ -n "$row" ] && [ -n "${wanted[$row]:-}" ] || continue
    rows+=("$row")
    phase_of[$row]=$phase
    if [[ " ${phases[*]} " != *" $phase "* ]]; then
        phases+=("$phase")
        planned_limit[$phase]=$limit
        planned_need[$phase]=$need
        total=$((total + limit))
    fi
done <<<"$plan"
# PyTorch compiles while correctness runs; alone, speed has to wait for it.
if [ $alone -eq 1 ] && [ -n "${planned_limit[speed]:-}" ]; then
    planned_limit[speed]=$((planned_limit[speed] + 240))
    total=$((total + 240))
fi
case ${selected[*]} in
first) total=470 ;;
second) total=180 ;;
esac
read_limits "${GPU_EVIDENCE_LIMITS:-}"

build=$(realpath -m "${build:-$root/build}")
out=$(realpath -m "$out")
[ ! -e "$out/evidence.json" ] || usage "$out holds the results of an earlier run; --out names another folder"
mkdir -p "$out" || usage "$out: this folder cannot be made"
cd "$root" || exit 2

# ---- the run ----
work=$(mktemp -d)
mkdir -p "$work"/{rows,logs,facts,processes,measurements}
export GPTBENCH_CACHE_DIR=$work/cache # algorithms are timed anew, and nothing is left behind
start_clock "${GPU_EVIDENCE_S:-$total}" "${GPU_EVIDENCE_SINCE:-}"

stopped=""
leave() {
    end_processes
    table_write
    table_print
    rm -rf "$work"
}
trap leave EXIT
trap 'stopped="stopped by a signal"; exit 1' INT TERM HUP

# The phases, one after another: a function of the same name does each, in which rows end with `row`.
run_phases() {
    local phase
    for phase in "${phases[@]}"; do
        begin_phase "$phase" || continue
        "phase_$phase"
        end_phase "$phase"
    done
}

find_libraries
table_write
[ -z "${wanted[pytorch-fp32-residual]:-}" ] || peer_start fp32
[ -z "${wanted[pytorch-bf16-residual]:-}" ] || peer_start bf16
run_phases
stopped="no row was written: a mistake of this script"
[ -z "$no_device" ] || exit 3
table_has FAIL && exit 1
exit 0
