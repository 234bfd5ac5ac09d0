# Of evidence.sh: how fast a step is, ours and PyTorch's in turn; where its time goes; a suite; llm.c.

preset=${GPU_EVIDENCE_MODEL:-d12} batch=${GPU_EVIDENCE_BATCH:-64} length=${GPU_EVIDENCE_LENGTH:-1024}
speed_steps=${GPU_EVIDENCE_STEPS:-75} rounds=${GPU_EVIDENCE_ROUNDS:-2} suite_blocks=${GPU_EVIDENCE_BLOCKS:-6}
peer_steps=40
presets="d12 d12_mlp3x d12_mlp3x_gqa d12_mlp3x_swiglu"
speed_model=(--set precision=bf16)
suite_model=""
suite_train=$'batch_size = 16\nsequence_length = 1024\nnum_iterations = 20\nprecision = bf16'
suite_vocabulary=50257
if [ "${GPU_EVIDENCE_TINY:-}" = 1 ]; then
    batch=1 length=16
    speed_model+=(--set n_layer=1 --set n_embd=32 --set n_head=4 --set vocab_size=32)
    suite_model=$'[model]\nvocab_size = 32\nn_layer = 1\nn_head = 4\nn_embd = 32'
    suite_train=$'batch_size = 1\nsequence_length = 8\nnum_iterations = 12\nprecision = bf16'
    suite_vocabulary=32
fi

# value FILE KEY: of a JSON file with one key to a line.
value() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$1" | head -n 1
}

median() { # of lines "NUMBER REST": the line in the middle
    sort -n | awk '{ line[NR] = $0 } END { if (NR) print line[int((NR + 1) / 2)] }'
}

# ours ATTENTION ROUND: one run of ours; a failed one has its row, unless only the time was too short for
# another round.
ours() {
    local attention=$1 name=$1-$2 log=$work/logs/ours-$1-$2.log copy=()
    [ -n "${wanted[$attention]:-}" ] && [ ! -e "$work/rows/$attention" ] || return 0
    [ "${GPU_EVIDENCE_TINY:-}" != 1 ] || copy=(--copy-mib 1)
    if limited "$attention" "$log" env GPTBENCH_CUDA_ATTENTION="$attention" "$build/tests/bench_gpu" --model "$preset" \
        "${speed_model[@]}" "${copy[@]}" --fit --set num_iterations="$speed_steps" --set sequence_length="$length" \
        --set batch_size="$batch" --json "$work/measurements/gptbench-$name.json"; then
        echo "gptbench, attention $attention: $(tail -n 2 "$log" | head -n 1)"
    elif [ "$attention" = hopper ] && grep -q 'needs a GPU of compute capability 9.0' "$log"; then
        row SKIP hopper 0.0 "$(last_words "$log")"
    elif [[ $why == exit* ]] || ! ls "$work/measurements/gptbench-$attention"-*.json >/dev/null 2>&1; then
        row "$outcome" "$attention" 0.0 "$why"
    fi
}

# best_peer: "MS RESIDUAL" of the faster peer, by the median of its blocks; nothing where there is none.
best_peer() {
    local residual
    for residual in fp32 bf16; do
        [ ! -s "$work/peer-$residual.blocks" ] || echo "$(median <"$work/peer-$residual.blocks" | sed 's/ .*//') $residual"
    done | sort -n | head -n 1
}

# ours_row ATTENTION SECONDS: the row, from the run whose step is in the middle.
ours_row() {
    local picked peer done
    [ -n "${wanted[$1]:-}" ] && [ ! -e "$work/rows/$1" ] || return 0
    picked=$(for json in "$work"/measurements/gptbench-"$1"-*.json; do
        [ ! -e "$json" ] || echo "$(value "$json" step_avg_ms) $json"
    done | median)
    picked=${picked#* }
    peer=$(best_peer)
    done=$(ls "$work/measurements/gptbench-$1"-*.json | wc -l)
    row PASS "$1" "$2" "$(awk -v rounds="$done of $rounds" -v b="$(value "$picked" batch_size)" -v t="$length" -v ms="$(value "$picked" step_avg_ms)" \
        -v low="$(value "$picked" step_avg_low_ms)" -v high="$(value "$picked" step_avg_high_ms)" \
        -v rate="$(value "$picked" tokens_per_s)" -v mfu="$(value "$picked" mfu)" -v model="$preset" \
        -v peak="$(value "$picked" peak_memory_bytes)" -v peer="${peer%% *}" -v residual="${peer#* }" -v asked="$batch" 'BEGIN {
            printf "%s B %d T %d: %.3f ms [%.3f, %.3f], %.0f tokens/s, MFU %.1f %%, %.0f MiB, %s rounds", model,
                b, t, ms, low, high, rate, 100 * mfu, peak / 1048576, rounds
            if (peer) printf "; %.3f times the speed of PyTorch with a %s residual", rate / (asked * t / peer * 1000), residual
        }')"
}

peer_row() { # RESIDUAL
    local name=pytorch-$1-residual line
    if [ -s "$work/peer-$1.blocks" ] && [ ! -e "$work/rows/$name" ]; then
        line=$(median <"$work/peer-$1.blocks")
        row PASS "$name" "$(since "${peer_began[$1]}")" "$line; $(sed -n 's/^ready: //p' "$work/peer-$1")"
    fi
}

phase_speed() {
    local round begun log
    peers_wait $((phase_end_ms - planned_need[speed] * 1000))
    begun=$(now_ms)
    for round in $(seq "$rounds"); do
        ours portable "$round"
        peer_block fp32
        peer_block bf16
        ours hopper "$round"
    done
    peer_row fp32
    peer_row bf16
    ours_row portable "$(since "$begun")"
    ours_row hopper "$(since "$begun")"
    peer_end fp32
    peer_end bf16
    for log in "$work"/logs/ours-*.log; do
        keep speed.txt "gptbench: $(basename "$log" .log)" "$log"
    done
    for round in fp32 bf16; do
        keep speed.txt "PyTorch, residual $round" "$work/peer-$round" "$work/logs/pytorch-$round-residual.log"
    done
}

# ---- where the time of a step goes ----

phase_profile() {
    local log=$work/logs/profile.log begun
    begun=$(now_ms)
    if limited profile "$log" "$build/gptbench" profile --model "$preset" --backend cuda "${speed_model[@]}" \
        --set batch_size="$batch" --set sequence_length="$length" --trace "$work/trace.json"; then
        gzip -c "$work/trace.json" >"$out/trace.json.gz"
        if grep -q '^note: incomplete' "$log"; then
            row FAIL profile "$(since "$begun")" "$(grep -m1 '^note: incomplete' "$log")"
        else
            row PASS profile "$(since "$begun")" "$(grep -m1 '^rows add up' "$log"); $(grep -m1 '^without profiling' "$log"); $(awk '$1 ~ /idle/ || $2 == "idle" { printf "%s %s %s ms; ", $1, $2, $3 }' "$log")$(grep -m1 '^note:' "$log")"
        fi
    else
        row "$outcome" profile "$(since "$begun")" "$why"
    fi
    keep profile.txt "$(basename "$build")/gptbench profile --model $preset, B $batch, T $length" "$log"
}

# ---- the note's models in turn, with a control ----

write_suite() {
    local name
    cat <<INI
[suite]
name = gpu_claims
baseline = d12
replicates = 1
profile_steps = 0

[data]
train = synth:vocab=$suite_vocabulary,seed=1
val = synth:vocab=$suite_vocabulary,seed=1,stream=val

[train]
$suite_train

[timing]
blocks = $suite_blocks
process_blocks = 0

$suite_model
INI
    for name in $presets; do
        printf '\n[config %s]\nmodel = %s\n' "$name" "$name"
        # Four key/value heads are all that a small model has.
        [ -z "$suite_model" ] || [[ $name != *gqa ]] || echo 'n_kv_head = 2'
    done
}

# suite_text LOG: each config with its step and the verdict, and how far the baseline is from itself.
suite_text() {
    awk '$2 == "cuda" && $1 ~ /^d12/ {
        printf "%s%s", n++ ? "; " : "", $1
        for (i = 2; i < NF && $(i + 1) !~ /^(ns|us|ms|s)$/; i++);
        printf " %s %s", $i, $(i + 1)
        for (i = 2; i <= NF; i++) if ($i ~ /^[A-Z]+$/) { printf " %s %s %s", $i, $(i + 1), $(i + 2); break }
    }' "$1"
    tr '\n' ' ' <"$1" | grep -o 'Noise floor: [^;]*' | sed 's/^/; /'
}

phase_suite() {
    local log=$work/logs/suite.log begun
    begun=$(now_ms)
    write_suite >"$work/suite.ini"
    if limited suite "$log" "$build/gptbench" run "$work/suite.ini" --speed-only --backend cuda --no-report \
        --db "$work/suite.db"; then
        row PASS suite "$(since "$begun")" "$(suite_text "$log")"
    else
        row "$outcome" suite "$(since "$begun")" "$why"
    fi
    keep suite.txt "suite" "$work/suite.ini"
    keep suite.txt "gptbench run --speed-only" "$log"
}

# ---- llm.c, where its program was put beside ----

llmc_data() { # FILE: 2.8 million tokens under llm.c's header
    "$python" - "$1" <<'PYTHON'
import array, random, sys

header = array.array("i", [20240520, 1, 2800000] + [0] * 253)
tokens = array.array("H", random.Random(1).choices(range(50257), k=2800000))
with open(sys.argv[1], "wb") as file:
    header.tofile(file)
    tokens.tofile(file)
PYTHON
}

phase_llmc() {
    local program=${LLMC:-$root/train_gpt2cu} log=$work/logs/llmc.log begun
    begun=$(now_ms)
    [[ $program == /* ]] || program=$started_in/$program
    if [ ! -x "$program" ]; then
        row SKIP llmc 0.0 "there is no $program: LLMC= names llm.c's train_gpt2cu"
        return
    fi
    if ! llmc_data "$work/tokens.bin" 2>"$log"; then
        row SKIP llmc "$(since "$begun")" "no tokens for it: $(last_words "$log")"
    elif limited llmc "$log" env -C "$work" LD_LIBRARY_PATH="$own_library_path" "$program" -e d12 -i tokens.bin \
        -j tokens.bin -b "$batch" -t "$length" -d $((batch * length)) -r 0 -x 40 -v 1000 -m 1 -s 0; then
        # step 40/40 | loss 10.8 (..)| norm .. | lr .. | 95.12 ms | 55.3% bf16 MFU | 690000 tok/s
        row PASS llmc "$(since "$begun")" "$(awk -F'|' '/^ *step/ { for (i = 2; i <= NF; i++) if ($i ~ /[0-9] ms/) { split($i, w, " "); print w[1], "ms a step, tokens/s:", $NF } }' "$log" |
            tail -n 20 | median); the middle of the last 20 of 40 steps"
    else
        row "$outcome" llmc "$(since "$begun")" "$why"
    fi
    keep llmc.txt "llm.c: $program" "$log"
}
