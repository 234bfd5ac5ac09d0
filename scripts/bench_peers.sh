#!/usr/bin/env bash
# The same training steps in gptbench and in its peers, in turn: scripts/bench_peers.sh BUILD_DIR PYTHON
#
# Every program is started once per model and precision, warms up, and is then asked for a block of
# steps in every round, in an order that moves on by one from round to round, while the others wait.
# So a drift of the machine meets all of them. Ends with a table, in results/cpu/ as Markdown and as
# JSON with every step; docs/MEASURING.md says how to read it. Exit status 0 also when a peer
# is not there: a line says so.
#
# Environment, all optional; make bench-peers takes them as variables:
#   ROUNDS      8, at least 2 for an interval
#   MODELS      small,d12 (none: llm.c alone)        PRECISIONS  fp32,bf16
#   PEERS       eager,compile    PyTorch without and with torch.compile
#   THREADS     every CPU that the process may use; for all programs
#   BF16        probe: PyTorch's faster way to bfloat16, found out before; autocast; or master,
#               bf16 weights beside fp32 masters
#   SPIN        probe: the better of what libgomp does by itself and GOMP_SPINCOUNT=3000, which
#               gptbench sets for itself, for PyTorch and llm.c; default; or a number
#   ALLOCATOR   auto: for PyTorch jemalloc where it is installed, else glibc's told to keep its memory;
#               system: neither; or the path of a library to preload
#   LIMIT       seconds that a program may take to get ready, torch.compile included (300)
#   LLMC        a directory with a built train_gpt2 of llm.c, its checkpoint and tokens: a peer of d12
#               in fp32, at the B and T in its train_gpt2.c. It takes LLMC_ROUNDS (3) rounds.
#   OUT         results/cpu/peers: what OUT.md and OUT.json are written to
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
build=${1:?usage: bench_peers.sh BUILD_DIR PYTHON}
python=${2:?usage: bench_peers.sh BUILD_DIR PYTHON}
rounds=${ROUNDS:-8} limit=${LIMIT:-300} threads=${THREADS:-$(nproc)}
out=${OUT:-results/cpu/peers}
IFS=, read -ra models <<<"${MODELS:-small,d12}"
IFS=, read -ra precisions <<<"${PRECISIONS:-fp32,bf16}"
IFS=, read -ra peers <<<"${PEERS:-eager,compile}"
bf16=${BF16:-probe} spin=${SPIN:-probe} allocator=${ALLOCATOR:-auto}
llmc=${LLMC:-} llmc_rounds=${LLMC_ROUNDS:-3}

fail() {
    echo "bench-peers: $*" >&2
    exit 2
}
for number in "$rounds" "$limit" "$threads" "$llmc_rounds"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || fail "ROUNDS, LIMIT, THREADS, LLMC_ROUNDS are whole numbers from 1, not '$number'"
done
for name in "${models[@]}"; do
    [[ $name =~ ^(small|d12|none)$ ]] || fail "MODELS is a list of small, d12, or none, not '$name'"
done
for name in "${precisions[@]}"; do
    [[ $name =~ ^(fp32|bf16)$ ]] || fail "PRECISIONS is a list of fp32, bf16, not '$name'"
done
for name in "${peers[@]}"; do
    [[ $name =~ ^(eager|compile)$ ]] || fail "PEERS is a list of eager, compile, not '$name'"
done
[[ $bf16 =~ ^(probe|autocast|master)$ ]] || fail "BF16 is probe, autocast or master, not '$bf16'"
[[ $spin =~ ^(probe|default|[0-9]+)$ ]] || fail "SPIN is probe, default or a number, not '$spin'"

# Nothing of the environment may slow one of them down and not the others: a PyTorch that multiplies
# with OpenBLAS may be half as fast where the first names an old core, and others make idle programs spin.
unset OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS OMP_WAIT_POLICY GOMP_SPINCOUNT OMP_NUM_THREADS
unset OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY MKL_NUM_THREADS

work=$(mktemp -d)
declare -A pid=() to=() from=()
finish() {
    local name
    for name in "${!pid[@]}"; do
        stop "$name"
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
trap '' PIPE # that a program has ended shows in its missing answer

samples=$work/samples.jsonl
json_text() { # TEXT: as a JSON string
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}
about() { # KEY TEXT
    printf '{"about": {"%s": %s}}\n' "$1" "$(json_text "$2")" >>"$samples"
    echo "$1: $2"
}
note() { # TEXT
    printf '{"note": %s}\n' "$(json_text "$1")" >>"$samples"
    echo "bench-peers: $1"
}
sample() { # MODEL PRECISION PROGRAM ROUND BLOCK
    printf '{"model": "%s", "precision": "%s", "program": "%s", "round": %d, "block": %s}\n' "$@" >>"$samples"
}

# ---- programs that wait for work ----

start() { # NAME COMMAND...: runs it between two pipes
    local name=$1 fd
    shift
    mkfifo "$work/$name.in" "$work/$name.out"
    "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err" &
    pid[$name]=$!
    exec {fd}>"$work/$name.in"
    to[$name]=$fd
    exec {fd}<"$work/$name.out"
    from[$name]=$fd
}
stop() { # NAME
    local fd=${to[$1]}
    exec {fd}>&-
    fd=${from[$1]}
    exec {fd}<&-
    kill -KILL "${pid[$1]}" 2>/dev/null
    wait "${pid[$1]}" 2>/dev/null
    unset "pid[$1]" "to[$1]" "from[$1]"
    rm -f "$work/$1.in" "$work/$1.out"
}
answer() { # NAME: its next line, into $line
    line=
    read -r -t "$limit" line <&"${from[$1]}"
}
why_not() { # NAME STATUS: after a failed answer
    if [ "$2" -gt 128 ]; then
        echo "no answer within $limit s (LIMIT)"
    else
        echo "it ended: $(grep -v '^ *$' "$work/$1.err" | tail -1)"
    fi
}
ready() { # MODEL PRECISION NAME: waits until it has warmed up; drops it when it cannot
    local status
    answer "$3"
    status=$?
    if [ $status -eq 0 ] && [[ $line == '{"ready"'* ]]; then
        sample "$1" "$2" "$3" 0 "$line"
        return 0
    fi
    [ -n "$line" ] || line=$(why_not "$3" $status)
    note "$1 $2: $3 left out: $line"
    stop "$3"
    return 1
}

# ---- PyTorch's surroundings ----

in_peer_env() { # COMMAND...
    env "${peer_env[@]}" "$@"
}
find_jemalloc() {
    { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | sed -n 's/.*libjemalloc\.so\.2.* => //p' | head -1
}
choose_allocator() {
    local library=
    case $allocator in
    auto) library=$(find_jemalloc) ;;
    system)
        peer_env=(BENCH_PEERS_ALLOCATOR="the system's, as it is")
        return
        ;;
    *)
        library=$(realpath -e "$allocator" 2>/dev/null) ||
            fail "ALLOCATOR is auto, system or the path of a library, not '$allocator'"
        ;;
    esac
    if [ -n "$library" ]; then
        peer_env=(LD_PRELOAD="$library" BENCH_PEERS_ALLOCATOR="${library##*/}"
            MALLOC_CONF="oversize_threshold:1,background_thread:true,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1")
    else
        peer_env=(MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864
            BENCH_PEERS_ALLOCATOR="glibc's, told to keep its memory (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, MALLOC_TOP_PAD_)")
    fi
}
peer_once() { # the median of a few of PyTorch's small fp32 steps
    echo | in_peer_env "$@" "$python" tests/perf/peers/pytorch_step.py --threads "$threads" --steps 9 2>/dev/null |
        sed -n 's/.*"step_ms": \[\([^]]*\)\].*/\1/p' | tr ',' '\n' | sort -n | awk 'NR == 5 { printf "%.1f", $1 }'
}
choose_spin() {
    local by_itself bounded
    case $spin in
    default) ;;
    probe)
        by_itself=$(peer_once) bounded=$(peer_once GOMP_SPINCOUNT=3000)
        about "PyTorch's threads at barriers" "small fp32 eager $by_itself ms/step with libgomp as it is, $bounded with GOMP_SPINCOUNT=3000: the faster one is used"
        if awk -v a="$by_itself" -v b="$bounded" 'BEGIN { exit !(b < a) }'; then
            peer_env+=(GOMP_SPINCOUNT=3000)
        fi
        ;;
    *) peer_env+=(GOMP_SPINCOUNT="$spin") ;;
    esac
}
choose_bf16() { # MODEL PEER: the faster way, into $way
    local said
    local -a flags=()
    [ "$2" = eager ] || flags=(--compile)
    way=$bf16
    [ "$way" = probe ] || return
    # shellcheck disable=SC2046 # words, on purpose
    said=$(in_peer_env timeout "$limit" "$python" tests/perf/peers/pytorch_step.py --probe "${flags[@]}" --threads "$threads" $(shape_of "$1") 2>/dev/null | tail -1)
    way=${said%% *}
    if [[ ! $way =~ ^(autocast|master)$ ]]; then
        way=autocast
        note "$1 bf16, $2: the two ways to bf16 could not be tried out; autocast is used"
        return
    fi
    about "PyTorch's way to bf16, $1, $2" "$way, the faster one of: ${said#* }"
}

# ---- one model in one precision ----

shape_of() { # MODEL: in the words of tests/perf/peers/pytorch_model.py; tests/perf/bench_case.h has the same
    case $1 in
    small) echo --layers 4 --heads 4 --width 256 --length 256 --batch 8 --vocab 512 ;;
    d12) echo --layers 12 --heads 12 --width 768 --length 256 --batch 4 --vocab 50304 ;;
    esac
}
block_of() { # MODEL PRECISION: timed steps, untimed ones before them, and warm-up
    case $1-$2 in
    small-*) echo --steps 8 --lead 1 --warmup 3 ;;
    d12-*) echo --steps 2 --lead 0 --warmup 2 ;;
    esac
}
in_turn() { # MODEL PRECISION ROUNDS NAME...: the rounds
    local model=$1 precision=$2 n=$3 round k name count status fd
    shift 3
    local -a names=("$@")
    count=${#names[@]}
    for round in $(seq "$n"); do
        for k in $(seq 0 $((count - 1))); do
            name=${names[(k + round - 1) % count]}
            [ -n "${pid[$name]:-}" ] || continue
            if [ "$name" = llm.c ]; then
                llmc_block "$model" "$round"
                continue
            fi
            fd=${to[$name]}
            echo >&"$fd"
            answer "$name"
            status=$?
            if [ $status -ne 0 ] || [[ $line != '{"step_ms"'* ]]; then
                note "$model $precision: $name ended in round $round: $(why_not "$name" $status)"
                stop "$name"
                continue
            fi
            sample "$model" "$precision" "$name" "$round" "$line"
            printf '%s %s, round %d of %d: %-8s %s ms\n' "$model" "$precision" "$round" "$n" "$name" \
                "$(sed 's/.*"step_ms": *\[\([^]]*\)\].*/\1/; s/\([0-9]\.[0-9]\)[0-9]*/\1/g; s/, */ /g' <<<"$line")"
        done
    done
    for name in "${!pid[@]}"; do
        stop "$name"
    done
}
bench_case() { # MODEL PRECISION
    local model=$1 precision=$2 name way=autocast
    local -a names=(gptbench) flags
    local -A ways=()
    # Before any program waits: trying both ways out takes memory twice.
    if [ "$has_pytorch" = 1 ]; then
        for name in "${peers[@]}"; do
            [ "$precision" = fp32 ] || choose_bf16 "$model" "$name"
            ways[$name]=$way
        done
    fi
    # One after the other, so that none warms up, or compiles, while another does.
    # shellcheck disable=SC2046 # words, on purpose
    start gptbench "$build/tests/bench_peer" --model "$model" --precision "$precision" --threads "$threads" $(block_of "$model" "$precision")
    ready "$model" "$precision" gptbench || return
    if [ "$has_pytorch" = 1 ]; then
        for name in "${peers[@]}"; do
            flags=(--bf16 "${ways[$name]}")
            [ "$name" = eager ] || flags+=(--compile)
            # shellcheck disable=SC2046
            start "$name" env "${peer_env[@]}" "$python" tests/perf/peers/pytorch_step.py --dtype "$precision" \
                --threads "$threads" "${flags[@]}" $(shape_of "$model") $(block_of "$model" "$precision")
            if ready "$model" "$precision" "$name"; then
                names+=("$name")
            fi
        done
    fi
    in_turn "$model" "$precision" "$rounds" "${names[@]}"
}

# ---- llm.c ----

llmc_step() { # reads on to its next "step N: ... (took X ms)"; X into $took
    while answer llm.c; do
        if [[ $line =~ ^step\ [0-9]+:.*took\ ([0-9.]+)\ ms ]]; then
            took=${BASH_REMATCH[1]}
            return 0
        fi
    done
    return 1
}
# It does not wait for work: it is stopped between its blocks. The step that it was stopped in says
# nothing; the next one counts.
llmc_block() { # MODEL ROUND
    local rss took
    kill -CONT "${pid[llm.c]}"
    if ! llmc_step || ! llmc_step; then
        note "llm.c ended in round $2: $(why_not llm.c 1)"
        stop llm.c
        return
    fi
    kill -STOP "${pid[llm.c]}"
    rss=$(awk '$1 == "VmHWM:" { print $2 * 1024 }' "/proc/${pid[llm.c]}/status")
    sample "$1" fp32 llm.c "$2" "{\"step_ms\": [$took], \"peak_rss_bytes\": $rss, \"tokens_per_step\": $llmc_tokens}"
    echo "$1 fp32, round $2 of $llmc_rounds: llm.c    $took ms"
}
llmc_exec() {
    cd "$llmc" && exec env "${llmc_env[@]}" stdbuf -oL ./train_gpt2
}
bench_llmc() {
    local b t model took
    local -a llmc_env=(OMP_NUM_THREADS="$threads") spin_env
    mapfile -t spin_env < <(printf '%s\n' "${peer_env[@]}" | grep '^GOMP_SPINCOUNT=')
    [[ $spin =~ ^[0-9]+$ ]] && spin_env=(GOMP_SPINCOUNT="$spin")
    # Without PyTorch nothing was probed; on a machine that is busy elsewhere unbounded spinning is the worse one.
    [ "$has_pytorch" = 0 ] && [ "$spin" = probe ] && spin_env=(GOMP_SPINCOUNT=3000)
    llmc_env+=("${spin_env[@]}")
    b=$(sed -n 's/^ *int B = \([0-9]*\);.*/\1/p' "$llmc/train_gpt2.c" 2>/dev/null | head -1)
    t=$(sed -n 's/^ *int T = \([0-9]*\);.*/\1/p' "$llmc/train_gpt2.c" 2>/dev/null | head -1)
    if [ ! -x "$llmc/train_gpt2" ] || [ -z "$b" ] || [ -z "$t" ]; then
        note "llm.c left out: $llmc has no built train_gpt2 beside its train_gpt2.c"
        return
    fi
    llmc_tokens=$((b * t)) model=d12-b$b-t$t
    # shellcheck disable=SC2046
    start gptbench "$build/tests/bench_peer" --model d12 --batch "$b" --length "$t" --threads "$threads" $(block_of d12 fp32)
    ready "$model" fp32 gptbench || return
    start llm.c llmc_exec
    # Validation and a first step, which warms up.
    if ! llmc_step; then
        note "llm.c left out: $(why_not llm.c 1)"
        stop llm.c
        stop gptbench
        return
    fi
    kill -STOP "${pid[llm.c]}"
    sample "$model" fp32 llm.c 0 "{\"ready\": \"llm.c train_gpt2, fp32, $threads threads ${spin_env[*]}, B $b, T $t: layer norms with weights, biases, learned positions\"}"
    in_turn "$model" fp32 "$llmc_rounds" gptbench llm.c
}

# ---- all of it ----

# Jiffies stolen, those of all programs together, and all that passed.
cpu_times() {
    awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print $9, all - $5 - $6 - $9, all }' /proc/stat
}
# Seconds of CPU time that the programs started here have taken, those that have ended.
own_seconds() {
    times >"$work/times" # in this shell: one in a pipe has no such children
    awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += 60 * t[1] + t[2] } print s }' "$work/times"
}
has_pytorch=1
peer_env=()
if ! "$python" -c 'import torch' 2>/dev/null; then
    has_pytorch=0
    if [ -z "$llmc" ]; then
        echo "bench-peers: skipped: $python has no PyTorch; make bench-peers PYTHON=... names one that has"
        exit 0
    fi
    note "PyTorch left out: $python has none; PYTHON=... names one that has"
fi
about date "$(date -u '+%Y-%m-%d %H:%M UTC')"
about processor "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), family $(sed -n 's/^cpu family[^:]*: //p' /proc/cpuinfo | head -1) model $(sed -n 's/^model[[:blank:]]*: //p' /proc/cpuinfo | head -1), $threads threads"
about memory "$(awk '$1 == "MemTotal:" { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
about system "$(uname -srm)"
about "load average before" "$(cut -d' ' -f1-3 /proc/loadavg)"
if [ "$has_pytorch" = 1 ]; then
    choose_allocator
    choose_spin
fi
read -r steal_before busy_before all_before < <(cpu_times)
own_seconds >"$work/own"
own_before=$(<"$work/own")
begun=$SECONDS
for model in "${models[@]}"; do
    [ "$model" != none ] || continue # llm.c alone
    for precision in "${precisions[@]}"; do
        bench_case "$model" "$precision"
    done
done
[ -z "$llmc" ] || bench_llmc
read -r steal_after busy_after all_after < <(cpu_times)
own_seconds >"$work/own"
about "the machine meanwhile" "$(awk -v s=$((steal_after - steal_before)) -v a=$((all_after - all_before)) \
    -v b=$((busy_after - busy_before)) -v own="$(<"$work/own")" -v before="$own_before" -v hz="$(getconf CLK_TCK)" 'BEGIN {
        other = 100 * (b - (own - before) * hz) / (a ? a : 1)
        printf "%.1f %% of the CPU time stolen, %.1f %% taken by other programs", 100 * s / (a ? a : 1), (other > 0 ? other : 0)
    }')"
about "seconds" "$((SECONDS - begun))"
mkdir -p "$(dirname "$out")"
echo
"$build/tests/peer_table" "$samples" --markdown "$out.md" --json "$out.json" || exit 1
echo "written: $out.md, $out.json"
