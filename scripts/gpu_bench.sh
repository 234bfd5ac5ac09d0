#!/usr/bin/env bash
# Training speed on the GPU at hand, and PyTorch's on the same: scripts/gpu_bench.sh [BUILD_DIR]
#
# For each case gptbench and PyTorch (torch.compile, bf16 autocast) run in turn, ours, theirs, ours,
# ..., so that a drift of the machine meets both. Prints a table of ops with their floors per case,
# every measurement, and one table at the end: tokens/s, step_avg with its 95 % interval, MFU (exact
# FLOPs over the measured rate of a large product), peak memory, and the ratio. Needs
# BUILD_DIR/tests/bench_gpu, which `make gpu-bench` builds. Exit status: 0 measured, 1 a case of ours
# failed, 3 there is no GPU.
#
# Environment, all optional:
#   CUDA_VISIBLE_DEVICES   the GPU to use, as for every CUDA program
#   GPU_BENCH_OUT          directory for the JSON of every measurement (BUILD_DIR/gpu-bench); what is
#                          worth keeping goes to results/gpu/
#   GPU_BENCH_CASES        glob of the cases
#   GPU_BENCH_BATCH        sequences of the cases at T = 1024 (64; halved until it fits)
#   GPU_BENCH_ROUNDS, GPU_BENCH_STEPS   of each case (3), timed in each round (60; 11 more where
#                          step times settle at once, up to 29 fewer where they do not)
#   PYTHON                 a Python that has PyTorch (python3); without one the ratio is left out
#   GPU_BENCH_TINY=1, GPU_BENCH_BACKEND=cpu, GPU_BENCH_PEER="..."   to try the script out: a small
#                          model, another backend, more arguments for the peer
set -uo pipefail
here=$(realpath "$(dirname "$0")/..")
cd "$here" || exit 2
build=$(realpath -m "${1:-build}")
. scripts/gpu_paths.sh
bench=$build/tests/bench_gpu
out=${GPU_BENCH_OUT:-$build/gpu-bench}
rounds=${GPU_BENCH_ROUNDS:-3} timed=${GPU_BENCH_STEPS:-60} batch=${GPU_BENCH_BATCH:-64}
backend=${GPU_BENCH_BACKEND:-cuda}
python=${PYTHON:-python3}
if [ ! -x "$bench" ]; then
    echo "gpu-bench: no program $bench; \`make gpu-bench\` builds it" >&2
    exit 3
fi
mkdir -p "$out"
failures=0

tiny=()
common=(--backend "$backend" --fit --set precision=bf16 --set "num_iterations=$((timed + 24))")
if [ "${GPU_BENCH_TINY:-}" = 1 ]; then
    tiny=(--set n_layer=1 --set n_embd=64 --set n_head=4 --set vocab_size=64)
    common+=(--copy-mib 1)
fi

# value FILE KEY: of a JSON file with one key to a line.
value() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$1" | head -1
}

# peer_arguments PRESET: the same model, in the words of tests/perf/peers/pytorch_model.py.
peer_arguments() {
    local norms="--post-norm --qk-norm --expansion 3"
    case $1 in
    d12) echo --heads 12 --width 768 --expansion 4 ;;
    d12_mlp3x) echo --heads 13 --width 832 $norms ;;
    d12_mlp3x_gqa) echo --heads 12 --kv-heads 4 --width 768 $norms ;;
    d12_mlp3x_swiglu) echo --heads 13 --width 832 --swiglu $norms ;;
    esac
}

has_pytorch() {
    LD_LIBRARY_PATH=$own_library_path "$python" -c 'import torch' 2>/dev/null
}

# What is measured on what, in the log and in a file of its own.
describe_machine() {
    date -u '+date     %Y-%m-%d %H:%M UTC'
    uname -srm | sed 's/^/system   /'
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm \
            --format=csv,noheader | sed 's/^/gpu      /'
    fi
    if has_pytorch; then
        LD_LIBRARY_PATH=$own_library_path "$python" -c \
            'import torch; print("pytorch ", torch.__version__, "CUDA", torch.version.cuda)'
    else
        echo "pytorch  none ($python has none; PYTHON=... names one that has)"
    fi
}

# ours NAME PRESET T B ROUND
ours() {
    local json=$out/$1-$5.json
    if ! "$bench" --model "$2" "${tiny[@]}" "${common[@]}" --set sequence_length="$3" \
        --set batch_size="$4" --json "$json" >"$out/ours.log" 2>&1; then
        echo "gptbench: $(tail -1 "$out/ours.log")"
        failures=$((failures + 1))
        return 1
    fi
    if [ "$5" -eq 1 ]; then
        cat "$out/ours.log"
    else
        tail -2 "$out/ours.log" | head -1
    fi
}

median() { # of lines "NUMBER REST": the line in the middle
    sort -n | awk '{ line[NR] = $0 } END { if (NR) print line[int((NR + 1) / 2)] }'
}

# bench_case NAME PRESET T B: the rounds; adds a line to the table.
bench_case() {
    local name=$1 preset=$2 length=$3 sequences=$4 round line peer="" best ms theirs=() picked
    [[ $name == ${GPU_BENCH_CASES:-*} ]] || return 0
    echo
    echo "== $name"
    ours "$name" "$preset" "$length" "$sequences" 1 || return
    sequences=$(value "$out/$name-1.json" batch_size) # --fit may have halved it
    if has_pytorch; then
        coproc PEER { LD_LIBRARY_PATH=$own_library_path exec "$python" tests/perf/peers/pytorch_gpu_step.py --layers 12 --vocab 50257 \
            --length "$length" --batch "$sequences" --steps "$timed" $(peer_arguments "$preset") \
            --json "$out/$name-pytorch.json" ${GPU_BENCH_PEER:-} 2>"$out/pytorch.log"; }
        peer=$PEER_PID
        if read -r line <&"${PEER[0]}" && [[ $line == ready* ]]; then
            echo "$line"
        else
            echo "PyTorch failed: $(tail -1 "$out/pytorch.log")"
            peer=""
        fi
    fi
    for round in $(seq "$rounds"); do
        [ "$round" -eq 1 ] || ours "$name" "$preset" "$length" "$sequences" "$round" || break
        if [ -n "$peer" ] && echo >&"${PEER[1]}" && read -r line <&"${PEER[0]}"; then
            echo "pytorch: $line"
            theirs+=("${line%% *} $line")
        fi
    done
    [ -z "$peer" ] || kill "$peer" 2>/dev/null
    wait 2>/dev/null
    best=$(for json in "$out/$name"-[0-9]*.json; do
        echo "$(value "$json" step_avg_ms) $json"
    done | median)
    ms=${best%% *}
    picked=${best#* }
    line=$([ ${#theirs[@]} -eq 0 ] || printf '%s\n' "${theirs[@]}" | median)
    awk -v name="$name" -v b="$sequences" -v t="$length" -v ms="$ms" \
        -v low="$(value "$picked" step_avg_low_ms)" -v high="$(value "$picked" step_avg_high_ms)" \
        -v rate="$(value "$picked" tokens_per_s)" -v mfu="$(value "$picked" mfu)" \
        -v peak="$(value "$picked" peak_memory_bytes)" -v peer="${line%% *}" 'BEGIN {
            printf "%-20s %3d %5d %9.3f [%.3f, %.3f] %10.0f %5.1f%% %9.0f", name, b, t, ms, low, high,
                rate, 100 * mfu, peak / 1048576
            if (peer) printf " %10.0f %6.3f\n", b * t / peer * 1000, peer / ms
            else printf " %10s %6s\n", "-", "-"
        }' >>"$out/rows"
}

if [ "$backend" = cuda ] && ! "$bench" --set n_layer=1 --set num_iterations=1 --set batch_size=1 \
    --set sequence_length=8 --set vocab_size=16 --copy-mib 1 >"$out/ours.log" 2>&1 &&
    ! grep -q 'no step was timed' "$out/ours.log"; then
    echo "gpu-bench: no GPU to measure: $(tail -1 "$out/ours.log")" >&2
    exit 3
fi
rm -f "$out"/*.json "$out/rows"
describe_machine | tee "$out/machine.txt"
long=1024 short=512
[ "${GPU_BENCH_TINY:-}" = 1 ] && long=32 short=16
for preset in d12 d12_mlp3x d12_mlp3x_gqa d12_mlp3x_swiglu; do
    bench_case "$preset" "$preset" $long "$batch"
done
bench_case d12-small d12 $short 4
echo
{
    printf '%-20s %3s %5s %9s %s %10s %6s %9s %10s %6s\n' case B T 'step ms' '[95 %]' tokens/s MFU \
        'peak MiB' 'PyTorch' ratio
    cat "$out/rows" 2>/dev/null
} | tee "$out/table.txt"
echo "ratio: PyTorch's step_avg over ours, medians of $rounds rounds; JSON in $out"
[ "$failures" -eq 0 ] && [ -s "$out/rows" ]
