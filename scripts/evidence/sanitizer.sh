# Of evidence.sh, the second command: NVIDIA's checkers side by side, then hardware counters of single
# kernels on a quiet GPU.

# A model for the checkers, which slow a program a hundred times: a head_dim of 64, so that the 64-wide
# tiles and the Hopper kernel run; 130 tokens, a full tile and a ragged one; 4 steps, the last of which
# are replays of a CUDA graph; and no timing of algorithms, which runs each product many times.
checked_model=(--set vocab_size=67 --set n_layer=1 --set n_head=2 --set n_embd=128 --set batch_size=2
    --set sequence_length=130 --set num_iterations=4 --set val_loss_every=4 --set val_tokens=260
    --train synth:vocab=67,seed=1 --val synth:vocab=67,seed=1,stream=val)
# The kernels that this leaves out: grouped heads, all norms, SwiGLU.
checked_variant=(--set attention_type=gqa --set n_kv_head=1 --set qk_norm=true --set post_norm=true
    --set use_swiglu_mlp=true)

# checked ROW TOOL PRECISION ATTENTION [SETTING...]
checked() {
    local name=$1 tool=$2 precision=$3 attention=$4 log=$work/logs/$1.log begun summary
    shift 4
    begun=$(now_ms)
    if ! limited "$name" "$log" env GPTBENCH_CUDA_TUNE=0 GPTBENCH_CUPTI=0 GPTBENCH_CUDA_ATTENTION="$attention" \
        "$sanitizer" --tool "$tool" --error-exitcode 99 "$build/gptbench" train "${checked_model[@]}" "$@" \
        --backend cuda --set precision="$precision"; then
        if [ "$attention" = hopper ] && grep -q 'needs a GPU of compute capability 9.0' "$log"; then
            outcome=SKIP why=$(grep -m1 'needs a GPU of compute capability 9.0' "$log")
        elif grep -q '=========.*\(Invalid\|Race\|Uninit\|Barrier\|hazard\|error\)' "$log"; then
            why=$(grep -m1 '=========.*\(Invalid\|Race\|Uninit\|Barrier\|hazard\|error\)' "$log")
        fi
        row "$outcome" "$name" "$(since "$begun")" "$why"
        return
    fi
    summary=$(grep -m1 -o 'ERROR SUMMARY.*\|RACECHECK SUMMARY.*' "$log")
    if [ -z "$summary" ]; then
        row FAIL "$name" "$(since "$begun")" "$tool gave no summary: $(last_words "$log")"
    elif [ "$attention" = hopper ] && ! grep -q '^device:.*hopper attention' "$log"; then
        row FAIL "$name" "$(since "$begun")" "the Hopper kernel did not run"
    elif grep -q '^device:.*without graphs' "$log" || ! grep -q '^step:4/4 train_loss' "$log"; then
        row FAIL "$name" "$(since "$begun")" "no CUDA graph was replayed"
    else
        row PASS "$name" "$(since "$begun")" "4 steps with replays, 2 validations: $summary"
    fi
}

phase_sanitizer() {
    local name
    sanitizer=$(find_tool compute-sanitizer)
    if [ -z "$sanitizer" ]; then
        rows_left_over sanitizer SKIP "compute-sanitizer was not found"
        return
    fi
    for name in memcheck racecheck initcheck synccheck; do
        any_wanted $name && beside checked $name $name bf16 portable
        any_wanted $name-hopper && beside checked $name-hopper $name bf16 hopper
    done
    any_wanted memcheck-variant && beside checked memcheck-variant memcheck bf16 portable "${checked_variant[@]}"
    any_wanted memcheck-fp32 && beside checked memcheck-fp32 memcheck fp32 portable "${checked_variant[@]}"
    beside_end
    for name in "${rows[@]}"; do
        [ "${phase_of[$name]}" != sanitizer ] || keep sanitizer.txt "$name" "$work/logs/$name.log"
    done
}

# ---- counters ----

counted_model=(--set precision=bf16 --set n_layer=1 --set batch_size="$batch" --set sequence_length="$length"
    --set num_iterations=1 --set val_loss_every=1 --set val_tokens=$((batch * length))
    --train "synth:vocab=$suite_vocabulary,seed=1" --val "synth:vocab=$suite_vocabulary,seed=1,stream=val")
[ "${GPU_EVIDENCE_TINY:-}" != 1 ] || counted_model+=(--set n_embd=32 --set n_head=4 --set vocab_size=32)

# counted ROW ATTENTION KERNELS: the first launch of each kernel whose name matches.
counted() {
    local name=$1 log=$work/logs/$1.log begun n
    begun=$(now_ms)
    if [ -z "$ncu" ]; then
        row SKIP "$name" 0.0 "ncu was not found"
        return
    fi
    if limited "$name" "$log" env GPTBENCH_CUDA_GRAPHS=0 GPTBENCH_CUPTI=0 GPTBENCH_CUDA_TUNE=0 GPTBENCH_CUDA_ATTENTION="$2" \
        "$ncu" --clock-control none --section SpeedOfLight --section Occupancy --section MemoryWorkloadAnalysis \
        --kernel-id "::regex:$3:1" \
        "$build/gptbench" train --backend cuda "${counted_model[@]}"; then
        n=$(grep -c '==PROF== Profiling' "$log")
        if [ "$n" -gt 0 ]; then
            row PASS "$name" "$(since "$begun")" "counters of $n launches"
        else
            row FAIL "$name" "$(since "$begun")" "no kernel was counted: $(last_words "$log")"
        fi
    elif grep -q 'ERR_NVGPUCTRPERM' "$log"; then
        row SKIP "$name" "$(since "$begun")" "this user may not read the counters (ERR_NVGPUCTRPERM)"
    elif [ "$2" = hopper ] && grep -q 'needs a GPU of compute capability 9.0' "$log"; then
        row SKIP "$name" "$(since "$begun")" "$(grep -m1 'needs a GPU of compute capability 9.0' "$log")"
    else
        row "$outcome" "$name" "$(since "$begun")" "$why"
    fi
    keep counters.txt "$name" "$log"
}

phase_counters() {
    ncu=$(find_tool ncu)
    any_wanted counters-hopper && counted counters-hopper hopper 'hopper'
    any_wanted counters && counted counters portable 'flash|norm|loss|rope|gelu|embed|adamw|delta'
}
