# Of evidence.sh: PyTorch's side of the speed phase. Two peers, whose residual stream is float32 (as most
# code has it) or bfloat16 (as ours is), compile in the background and wait; the faster one counts.

# peer_arguments PRESET: the same model, in the words of tests/perf/peers/pytorch_model.py.
peer_arguments() {
    local norms="--post-norm --qk-norm --expansion 3"
    case $1 in
    d12_mlp3x) echo --heads 13 --width 832 $norms ;;
    d12_mlp3x_gqa) echo --heads 12 --kv-heads 4 --width 768 $norms ;;
    d12_mlp3x_swiglu) echo --heads 13 --width 832 --swiglu $norms ;;
    *) echo --heads 12 --width 768 --expansion 4 ;;
    esac
}

declare -A peer_pid=() peer_in=() peer_began=()
# peer_start RESIDUAL: with its output in $work/peer-RESIDUAL, its errors in the log of its row.
peer_start() {
    local residual=$1 fd
    mkfifo "$work/peer-$residual.in"
    exec {fd}<>"$work/peer-$residual.in"
    peer_began[$residual]=$(now_ms)
    peer_in[$residual]=$fd
    : >"$work/peer-$residual"
    LD_LIBRARY_PATH=$callers_library_path timeout --kill-after=2 "$(tenths $((end_ms - $(now_ms))))" \
        "$python" tests/perf/peers/pytorch_gpu_step.py --layers 12 --vocab 50257 --length "$length" \
        --batch "$batch" --steps "$peer_steps" $(peer_arguments "$preset") --residual "$residual" \
        --lock "$work/peer.lock" --json "$work/measurements/pytorch-$residual-residual.json" \
        ${GPU_EVIDENCE_PEER:-} <&"$fd" >"$work/peer-$residual" 2>"$work/logs/pytorch-$residual-residual.log" &
    peer_pid[$residual]=$!
    : >"$work/processes/${peer_pid[$residual]}"
}

# peer_state RESIDUAL: absent, ready, gone or compiling.
peer_state() {
    if [ -z "${peer_pid[$1]:-}" ]; then
        echo absent
    elif ! kill -0 "${peer_pid[$1]}" 2>/dev/null; then
        echo gone
    elif grep -q '^ready' "$work/peer-$1"; then
        echo ready
    else
        echo compiling
    fi
}

peer_end() { # RESIDUAL
    [ -n "${peer_pid[$1]:-}" ] || return 0
    kill "${peer_pid[$1]}" 2>/dev/null
    wait "${peer_pid[$1]}" 2>/dev/null
    rm -f "$work/processes/${peer_pid[$1]}"
    unset "peer_pid[$1]"
}

# peer_gone RESIDUAL: the row of a peer that has ended by itself.
peer_gone() {
    local name=pytorch-$1-residual log=$work/logs/pytorch-$1-residual.log
    if grep -q "No module named 'torch'\|No such file or directory\|not found" "$log"; then
        row SKIP "$name" "$(since "${peer_began[$1]}")" "$(last_words "$log")"
    else
        row FAIL "$name" "$(since "${peer_began[$1]}")" "PyTorch ended: $(last_words "$log")"
    fi
    peer_end "$1"
}

# peers_wait DEADLINE_MS: until each is ready or has its row. One that still compiles then is ended, so
# that nobody else is on the GPU when ours is timed.
peers_wait() {
    local residual own last waiting=1
    while [ $waiting -eq 1 ]; do
        waiting=0
        for residual in fp32 bf16; do
            case $(peer_state $residual) in
            gone) peer_gone $residual ;;
            compiling)
                last=$1
                own=${own_limit[pytorch-$residual-residual]:-}
                [ -z "$own" ] || [ $((peer_began[$residual] + own * 1000)) -gt "$last" ] || last=$((peer_began[$residual] + own * 1000))
                if [ "$(now_ms)" -lt "$last" ]; then
                    waiting=1
                elif [ "$last" -eq "$1" ] && [ "$time_is_short" -eq 1 ]; then
                    row SKIP pytorch-$residual-residual "$(since "${peer_began[$residual]}")" "it had not compiled after $(since "${peer_began[$residual]}") s: the time was up"
                    peer_end $residual
                else
                    row FAIL pytorch-$residual-residual "$(since "${peer_began[$residual]}")" "it had not compiled after $(since "${peer_began[$residual]}") s"
                    peer_end $residual
                fi
                ;;
            esac
        done
        [ $waiting -eq 0 ] || sleep 0.3
    done
}

# peer_block RESIDUAL: a block of steps; its line goes to $work/peer-RESIDUAL.blocks.
peer_block() {
    local residual=$1 lines
    [ "$(peer_state "$residual")" = ready ] || return 0
    lines=$(wc -l <"$work/peer-$residual")
    echo >&"${peer_in[$residual]}"
    while [ "$(wc -l <"$work/peer-$residual")" -le "$lines" ]; do
        if [ "$(peer_state "$residual")" = gone ]; then
            peer_gone "$residual"
            return
        elif [ "$(now_ms)" -ge "$phase_end_ms" ]; then
            [ -s "$work/peer-$residual.blocks" ] || row FAIL "pytorch-$residual-residual" "$(since "${peer_began[$residual]}")" "a block came to no end in the time of its phase"
            peer_end "$residual"
            return
        fi
        sleep 0.1
    done
    tail -n 1 "$work/peer-$residual" | tee -a "$work/peer-$residual.blocks" | sed "s/^/pytorch, residual $residual: /"
}
