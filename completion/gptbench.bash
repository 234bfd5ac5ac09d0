# bash completion for gptbench

_gptbench_files() { # SUFFIX...: files that end so, and directories
    local suffix
    compopt -o filenames
    COMPREPLY=($(compgen -d -- "$cur"))
    for suffix in "$@"; do
        COMPREPLY+=($(compgen -f -X "!*.$suffix" -- "$cur"))
    done
}

_gptbench_words() {
    COMPREPLY=($(compgen -W "$*" -- "$cur"))
}

_gptbench_keys="vocab_size= n_layer= n_head= n_embd= attention_type= n_kv_head= window_size=
    n_latent= mlp_expansion_factor= mlp_hidden_multiple_of= use_swiglu_mlp= post_norm= qk_norm=
    batch_size= sequence_length= grad_accumulation_steps= num_iterations= val_loss_every=
    val_tokens= learning_rate= warmup_iters= warmdown_iters= weight_decay= grad_clip= precision=
    recompute_activations= seed="
_gptbench_presets="d12 d24 d36 d48 d12_mlp3x d12_mlp3x_gqa d12_mlp3x_swiglu custom_mlp2x
    d12_post_norm d12_post_norm_qk_norm d12_gqa d12_mqa d12_swiglu d12_window d12_mla"

_gptbench_options() { # COMMAND
    case $1 in
    run) echo --db --backend --only --dry-run --retry-failed --max-retries --report --no-report --speed-only --loss-only --threads \
        --device --train --val --db-wait ;;
    plan) echo --db --backend --only --train --val --gflops --threads --no-data --explain ;;
    report) echo --db --suite -o --output ;;
    compare) echo --db --base-db --suite --metric --fail-on --json --force ;;
    claims) echo --db --fail-on --json ;;
    why) echo --db --suite --by --json --force ;;
    list | show) echo --db ;;
    train) echo --model --set --train --val --backend --threads --device \
        --losses --save ;;
    profile) echo --model --set --train --by --steps --timed-steps --trace --backend --threads \
        --device ;;
    parity) echo --weights --tokens -o --out --model --set --backend --threads --device ;;
    data) ;;
    "data pack") echo -o --output --bytes --bpe --document-separator --shard-tokens ;;
    "data info") echo --vocab ;;
    "data synth") echo -o --output --tokens --spec ;;
    doctor) echo --json --quick --device --results ;;
    esac
}

_gptbench() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        _gptbench_words run plan report compare claims why list show train profile parity data \
            doctor help --help --version
        return
    fi
    case $prev in
    --db | --base-db) _gptbench_files db sqlite; return ;;
    --fail-on) [ "$command" = claims ] && _gptbench_words refuted unsettled; return ;;
    --backend) _gptbench_words auto cpu cuda; return ;;
    --model) _gptbench_words $_gptbench_presets; return ;;
    --set) compopt -o nospace; _gptbench_words $_gptbench_keys; return ;;
    --losses) _gptbench_files csv; return ;;
    --weights | --save | --out) _gptbench_files safetensors; return ;;
    --train | --val | --output) _gptbench_files bin; return ;;
    --tokens) [ "$command" = parity ] && _gptbench_files bin; return ;;
    --bpe) _gptbench_files bpe txt; return ;;
    --trace) _gptbench_files json; return ;;
    --report | --results) _gptbench_files; return ;;
    --metric) _gptbench_words step_avg step_median tokens_per_s val_loss best_val_loss \
        peak_memory flops n_params
        return ;;
    --by) [ "$command" = why ] && _gptbench_words op,phase; _gptbench_words op layer; return ;;
    -o) _gptbench_files safetensors bin; return ;;
    esac
    if [[ $cur == -* ]]; then
        [ "$command" = data ] && [ "$COMP_CWORD" -gt 2 ] && command="data ${COMP_WORDS[2]}"
        _gptbench_words $(_gptbench_options "$command") --help
        return
    fi
    case $command in
    run | plan | claims) _gptbench_files ini ;;
    data)
        if [ "$COMP_CWORD" -eq 2 ]; then
            _gptbench_words pack info synth
        else
            _gptbench_files txt bin bpe
        fi
        ;;
    help) _gptbench_words run plan report compare claims why list show train profile parity data \
        doctor ;;
    esac
}
complete -F _gptbench gptbench
