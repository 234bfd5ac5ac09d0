# Of evidence.sh: ops and model against their references, loss curves, repeats, graphs, small suites.

# Bounds on the largest relative difference of a step's training loss over a whole curve, from what
# the CPU backend differs from itself on these two models (the plain one; the variant with grouped
# heads, SwiGLU and both norms):
#
# fp32, CUDA against CPU: 1e-5, what conformance allows a single op. The CPU's AVX-512 and generic
# code, which sum in different orders, differ by 3.9e-8 and 2.7e-7 (1 and 2 threads: 0). A GPU has
# another order again, and other exp and erf; a mistake in an op shows as 1e-3 and more.
#
# bf16 against the fp32 curve of the same GPU: 5e-3. On the CPU the two curves differ by 2.2e-4 and
# 1.1e-3; five times that leaves room for other places of rounding.
fp32_bound=${GPU_EVIDENCE_FP32_BOUND:-1e-5}
bf16_bound=${GPU_EVIDENCE_BF16_BOUND:-5e-3}

attention_size=64x1024x12x64
steps=200 blocks=8 runs_length=32 runs_layers=2 runs_width=64
model=(--set vocab_size=256 --set n_layer=4 --set n_head=4 --set n_embd=128 --set batch_size=8
    --set sequence_length=128 --set learning_rate=0.002 --set warmup_iters=20
    --set val_tokens=1024 --train synth:vocab=256,seed=1 --val synth:vocab=256,seed=1,stream=val)
variant=(--set attention_type=gqa --set n_kv_head=2 --set qk_norm=true --set post_norm=true
    --set use_swiglu_mlp=true)
if [ "${GPU_EVIDENCE_TINY:-}" = 1 ]; then
    attention_size=1x150x3x64
    steps=8 blocks=2 runs_length=8 runs_layers=1 runs_width=32
    model=(--set vocab_size=32 --set n_layer=2 --set n_head=2 --set n_embd=32 --set batch_size=2
        --set sequence_length=16 --set learning_rate=0.002 --set warmup_iters=2
        --set val_tokens=32 --train synth:vocab=32,seed=1 --val synth:vocab=32,seed=1,stream=val)
    variant=(--set attention_type=gqa --set n_kv_head=1 --set use_swiglu_mlp=true)
fi

# ---- ops, and the model against PyTorch's numbers ----

# cmocka_check ROW PROGRAM MAYBE ENVIRONMENT...: a subject MAYBE that this GPU cannot run is SKIP.
cmocka_check() {
    local name=$1 program=$build/tests/$2 maybe=$3 log=$work/logs/$1.log begun good
    shift 3
    begun=$(now_ms)
    if [ ! -x "$program" ]; then
        row SKIP "$name" 0.0 "$program is not built"
    elif ! limited "$name" "$log" env "$@" "$program"; then
        good=$(grep -c '^\[       OK \]' "$log")
        [[ $why != exit* ]] || why="${why%%:*}, $good groups pass: $(grep -m1 '^cuda' "$log" || last_words "$log")"
        row "$outcome" "$name" "$(since "$begun")" "$why"
    else
        good=$(grep -c '^\[       OK \]' "$log")
        if [ "$good" -gt 0 ]; then
            row PASS "$name" "$(since "$begun")" "$good groups"
        elif [ -n "$maybe" ] && grep -q "^# skip $maybe: " "$log"; then
            row SKIP "$name" "$(since "$begun")" "$(sed -n "s/^# skip $maybe: //p" "$log")"
        else
            row FAIL "$name" "$(since "$begun")" "no test ran"
        fi
    fi
}

check_ops() {
    cmocka_check "ops-$1" test_conformance "" GPTBENCH_CONFORMANCE=cuda \
        "GPTBENCH_CONFORMANCE_TESTS=cuda $1 - ${GPU_EVIDENCE_OPS:-*}"
}

# The attention kernels for compute capability 9.0.
check_hopper() {
    if [[ attention != ${GPU_EVIDENCE_OPS:-*} ]]; then
        row SKIP ops-bf16-hopper 0.0 "GPU_EVIDENCE_OPS leaves attention out"
        return
    fi
    cmocka_check ops-bf16-hopper test_conformance "cuda bf16 hopper" GPTBENCH_CONFORMANCE=cuda \
        "GPTBENCH_CONFORMANCE_TESTS=cuda bf16 hopper attention"
}

# Attention at the size of a step, and PyTorch's on the same inputs.
check_attention() {
    local log=$work/logs/attention.log dump=$work/attention begun
    begun=$(now_ms)
    mkdir -p "$dump"
    [ -n "${wanted[attention-pytorch]:-}" ] && [ -s "$work/facts/pytorch" ] && ! grep -q '^none' "$work/facts/pytorch" || dump=""
    if ! limited attention "$log" env GPTBENCH_ATTENTION_SIZE="$attention_size" GPTBENCH_ATTENTION_DUMP="$dump" \
        "$build/tests/test_attention_full"; then
        row "$outcome" attention "$(since "$begun")" "$(sed '/planted/q' "$log" | grep -m1 'TOO FAR' || echo "$why")"
        row SKIP attention-pytorch 0.0 "attention did not come to its end, and PyTorch has nothing to be held against"
        return
    elif ! grep -q '^# worst portable' "$log"; then
        row FAIL attention "$(since "$begun")" "no test ran: $(last_words "$log")"
    else
        row PASS attention "$(since "$begun")" "$attention_size: $(sed -n '/planted/q; s/^# worst //p' "$log" | paste -sd';' | sed 's/;/; /g')"
    fi
    begun=$(now_ms)
    if [ -z "$dump" ]; then
        row SKIP attention-pytorch 0.0 "$python has no torch"
    elif limited attention-pytorch "$work/logs/attention-pytorch.log" env LD_LIBRARY_PATH="$callers_library_path" "$python" \
        tests/perf/peers/pytorch_attention.py --dump "$dump" --size "$attention_size"; then
        row PASS attention-pytorch "$(since "$begun")" "$(paste -sd';' "$work/logs/attention-pytorch.log" | sed 's/;/; /g')"
    else
        row "$outcome" attention-pytorch "$(since "$begun")" "$why"
    fi
    rm -rf "$work/attention"
}

check_parity() {
    cmocka_check "parity-$1" test_parity "" \
        "GPTBENCH_PARITY_TESTS=parity, cuda $1: ${GPU_EVIDENCE_FIXTURES:-*}"
}

# ---- loss curves ----

# curve ROW NAME BACKEND PRECISION [NAME=VALUE]: trains into $work/NAME.csv; a name with `variant` trains
# the other model. 0 when it ended well, otherwise $work/NAME.broken says what a row of it is.
curve() {
    local name=$1 file=$2 backend=$3 precision=$4 settings=("${model[@]}")
    shift 4
    [[ $file != *variant* ]] || settings+=("${variant[@]}")
    limited "$name" "$work/logs/curve-$file.log" env "$@" "$build/gptbench" train "${settings[@]}" \
        --backend "$backend" --set precision="$precision" --set num_iterations="$steps" \
        --set val_loss_every="$steps" --losses "$work/$file.csv" && return 0
    rm -f "$work/$file.csv"
    printf '%s\t%s\n' "$outcome" "training of $file: $why" >"$work/$file.broken"
    return 1
}

# broken_row ROW SECONDS NAME...: the row of the first of these trainings that did not end well.
broken_row() {
    local name=$1 spent=$2 file outcome why
    shift 2
    for file in "$@"; do
        [ -e "$work/$file.broken" ] || continue
        IFS=$'\t' read -r outcome why <"$work/$file.broken"
        row "$outcome" "$name" "$spent" "$why"
        return
    done
}

# same_curves ROW PRECISION WHAT [NAME=VALUE]: in a second process, to the last bit.
same_curves() {
    local name=$1 precision=$2 what=$3 begun
    shift 3
    begun=$(now_ms)
    if ! curve "$name" "$name" cuda "$precision" "$@"; then
        broken_row "$name" "$(since "$begun")" "$name"
    elif cmp -s "$work/$precision.csv" "$work/$name.csv"; then
        row PASS "$name" "$(since "$begun")" "$steps losses, bit-equal $what"
    else
        row FAIL "$name" "$(since "$begun")" "losses differ $what: $(diff "$work/$precision.csv" "$work/$name.csv" |
            grep -c '^<') of $steps steps"
    fi
}

# train_plain PRECISION: the curve, and what has to be equal to it.
train_plain() {
    local precision=$1 begun
    begun=$(now_ms)
    if ! curve "curve-$precision" "$precision" cuda "$precision"; then
        broken_row "repeat-$precision" "$(since "$begun")" "$precision"
        broken_row "graphs-$precision" "$(since "$begun")" "$precision"
    else
        same_curves "repeat-$precision" "$precision" "in two processes"
        same_curves "graphs-$precision" "$precision" "with and without CUDA graphs" GPTBENCH_CUDA_GRAPHS=0
    fi
    since "$begun" >"$work/$precision.seconds"
}

train_one() { # ROW NAME BACKEND PRECISION
    local begun
    begun=$(now_ms)
    curve "$@"
    since "$begun" >"$work/$2.seconds"
}

# compare_curves ROW A B BOUND: relative to B, by the largest difference of a step.
compare_curves() {
    local text result=PASS spent
    spent=$(cat "$work/$2.seconds" 2>/dev/null || echo 0.0)
    if [ ! -e "$work/$2.csv" ] || [ ! -e "$work/$3.csv" ]; then
        broken_row "$1" "$spent" "$2" "$3"
        return
    fi
    text=$(awk -F, -v bound="$4" -v steps="$steps" '
        FNR == 1 { next }
        NR == FNR { want[$1] = $2; next }
        { n++; d = ($2 - want[$1]) / want[$1]; d = d < 0 ? -d : d
          if (!(d <= bound)) bad = 1
          if (d >= largest) { largest = d; at = $1 } }
        END {
            printf "largest relative difference %.2g (step %d of %d), bound %g\n", largest, at, n, bound
            exit bad || n != steps
        }' "$work/$3.csv" "$work/$2.csv") || result=FAIL
    row $result "$1" "$spent" "$text"
}

# ---- small suites, every run of which has to end ok ----

write_small_suite() { # PRECISION
    cat <<INI
[suite]
name = gpu_check
baseline = base
replicates = 1
[timing]
blocks = $blocks
process_blocks = $((blocks / 2))

[data]
train = synth:vocab=67,seed=1,order=2
val = synth:vocab=67,seed=1,order=2,stream=val
[train]
batch_size = 2
sequence_length = $runs_length
num_iterations = 12
val_loss_every = 6
val_tokens = 64
learning_rate = 0.004
precision = $1
[model]
vocab_size = 67
n_layer = $runs_layers
n_head = 4
n_embd = $runs_width
[matrix]
use_swiglu_mlp = false, true
INI
}

check_runs() { # PRECISION
    local name=runs-$1 log=$work/logs/runs-$1.log begun
    begun=$(now_ms)
    write_small_suite "$1" >"$work/$name.ini"
    if limited "$name" "$log" "$build/gptbench" run "$work/$name.ini" --backend cuda --no-report --db "$work/$name.db"; then
        row PASS "$name" "$(since "$begun")" "$(grep -o '[0-9]* runs to do' "$log"), every one ended ok"
    else
        row "$outcome" "$name" "$(since "$begun")" "$why"
    fi
}

any_wanted() { # GLOB...: whether a row of such a name is asked for
    local name glob
    for name in "${rows[@]}"; do
        for glob in "$@"; do
            [[ $name != $glob ]] || return 0
        done
    done
    return 1
}

# Side by side; the longest first.
phase_correctness() {
    local precision name
    for precision in bf16 fp32; do
        any_wanted "ops-$precision" && beside check_ops $precision
        any_wanted "parity-$precision" && beside check_parity $precision
    done
    any_wanted attention-bounds && beside cmocka_check attention-bounds test_attention_bounds ""
    any_wanted attention attention-pytorch && beside check_attention
    any_wanted ops-bf16-hopper && beside check_hopper
    for precision in fp32 bf16; do
        any_wanted "curve-$precision" "repeat-$precision" "graphs-$precision" $([ $precision = bf16 ] || echo curve-bf16) &&
            beside train_plain $precision
        any_wanted "curve-$precision-variant" $([ $precision = bf16 ] || echo curve-bf16-variant) &&
            beside train_one "curve-$precision-variant" $precision-variant cuda $precision
        any_wanted "runs-$precision" && beside check_runs $precision
    done
    any_wanted curve-fp32 && beside train_one curve-fp32 cpu cpu fp32
    any_wanted curve-fp32-variant && beside train_one curve-fp32-variant cpu-variant cpu fp32
    beside_end
    for name in "" -variant; do
        compare_curves "curve-fp32$name" "fp32$name" "cpu$name" "$fp32_bound"
        compare_curves "curve-bf16$name" "bf16$name" "fp32$name" "$bf16_bound"
    done
    for name in "${rows[@]}"; do
        keep correctness.txt "$name" "$work/logs/$name.log"
    done
    for name in cpu fp32 bf16 cpu-variant fp32-variant bf16-variant repeat-fp32 repeat-bf16 graphs-fp32 graphs-bf16; do
        keep correctness.txt "training of $name" "$work/logs/curve-$name.log"
    done
}
