# Of evidence.sh: the clock, what each phase and row may take, and how a command is held to it.

now_ms() {
    local t=${EPOCHREALTIME/[.,]/}
    echo $((t / 1000))
}

# tenths MS: as seconds with one decimal.
tenths() {
    printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100))
}

since() { # MS: seconds since then
    tenths $(($(now_ms) - $1))
}

elapsed_s() {
    since "$began_ms"
}

# start_clock SECONDS SINCE
start_clock() {
    [[ $1 =~ ^[1-9][0-9]*$ ]] || usage "GPU_EVIDENCE_S=$1: it is a number of seconds"
    [[ ${2:-0} =~ ^[0-9]+$ ]] || usage "GPU_EVIDENCE_SINCE=$2: it is a time as \`date +%s\` says it"
    began_ms=$(now_ms)
    [ -z "$2" ] || began_ms=$(($2 * 1000))
    total_s=$1
    end_ms=$((began_ms + total_s * 1000 - reserve_ms))
}

declare -A own_limit=()
# read_limits "NAME=LIMIT[:NEED] ...": of phases and of single rows.
read_limits() {
    local word name limit need
    for word in $1; do
        IFS='=:' read -r name limit need <<<"$word"
        [[ $limit =~ ^[0-9]+$ && ${need:-0} =~ ^[0-9]+$ ]] || usage "GPU_EVIDENCE_LIMITS: '$word' is not NAME=LIMIT[:NEED]"
        grep -qE "^$name |^[^ ]+ +$name " <<<"$plan" || usage "GPU_EVIDENCE_LIMITS: there is no phase or row '$name'"
        own_limit[$name]=$limit
        [ -z "${planned_limit[$name]:-}" ] || planned_limit[$name]=$limit
        [ -z "$need" ] || [ -z "${planned_need[$name]:-}" ] || planned_need[$name]=$need
    done
}

# left_ms PHASE: what is left of all for this phase. What the headline needs is not its to take, with
# 5 s for ending what does not end by itself.
left_ms() {
    local left=$((end_ms - $(now_ms)))
    if [[ $1 != "$headline" && " ${phases[*]} " == *" $headline "* ]] && ! phase_is_over "$headline"; then
        left=$((left - ${planned_need[$headline]} * 1000 - 5000))
    fi
    echo $((left > 0 ? left : 0))
}

over=" "
phase_is_over() {
    [[ $over == *" $1 "* ]]
}

# begin_phase NAME: its deadline; or, where that cannot be, its rows as SKIP and status 1.
no_device=""
begin_phase() {
    local why="" left
    left=$(left_ms "$1")
    if [ -n "$no_device" ]; then
        why="no device: see machine"
    elif [ "$left" -lt $((planned_need[$1] * 1000)) ] || [ "$left" -le 0 ]; then
        why="it needs ${planned_need[$1]} s, and of $total_s s $(tenths "$left") s were left for it"
    fi
    if [ -n "$why" ]; then
        rows_left_over "$1" SKIP "$why"
        over+="$1 "
        table_write
        return 1
    fi
    phase=$1
    phase_began_ms=$(now_ms)
    phase_end_ms=$((phase_began_ms + planned_limit[$1] * 1000))
    time_is_short=0
    if [ $((phase_began_ms + left)) -lt $phase_end_ms ]; then
        phase_end_ms=$((phase_began_ms + left))
        time_is_short=1
    fi
}

end_phase() {
    rows_left_over "$1" FAIL "it came to no end: a mistake of this script"
    over+="$1 "
    table_write
}

# rows_left_over PHASE OUTCOME TEXT: of each row of that phase that has none.
rows_left_over() {
    local name
    for name in "${rows[@]}"; do
        [ "${phase_of[$name]}" != "$1" ] || [ -e "$work/rows/$name" ] || row "$2" "$name" 0.0 "$3"
    done
}

# limited ROW LOG COMMAND...: runs it, output to LOG, within what its row may take and its phase has
# left. 0: it ended well. 1: it did not, and then `outcome` and `why` say what the row is.
limited() {
    local name=$1 log=$2 allowed_ms=$((phase_end_ms - $(now_ms))) own=${own_limit[$1]:-} short=$time_is_short
    local child status begun_ms
    shift 2
    if [ -n "$own" ] && [ $((own * 1000)) -lt "$allowed_ms" ]; then
        allowed_ms=$((own * 1000))
        short=0
    fi
    outcome=FAIL
    if [ "$allowed_ms" -lt 500 ]; then
        [ "$short" -eq 0 ] || outcome=SKIP
        why="not begun: the $(tenths $((phase_end_ms - phase_began_ms))) s of its phase were over"
        return 1
    fi
    begun_ms=$(now_ms)
    # In the background, so that a signal to this script is heard at once.
    timeout --kill-after=2 "$(tenths "$allowed_ms")" "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    : >"$work/processes/$child"
    wait "$child"
    status=$?
    rm -f "$work/processes/$child"
    [ $status -ne 0 ] || return 0
    if [ $status -ge 124 ] && [ $(($(now_ms) - begun_ms)) -ge "$allowed_ms" ]; then
        why="no end within $(tenths "$allowed_ms") s"
        if [ "$short" -eq 1 ]; then
            outcome=SKIP
            why="cut off after $(tenths "$allowed_ms") s: the time was up"
        fi
    else
        why="exit status $status: $(last_words "$log")"
    fi
    return 1
}

# last_words LOG: the last thing that a failed program said.
last_words() {
    tail -n 5 "$1" 2>/dev/null | grep -v '^ *$' | tail -n 1 | cut -c1-200
}

# beside COMMAND...: runs a shell function beside others, as many at once as there are processors.
at_once=$(nproc 2>/dev/null || echo 2)
[ "$at_once" -ge 2 ] || at_once=2
beside_pids=()
beside_running() {
    local pid running=()
    for pid in "${beside_pids[@]}"; do
        kill -0 "$pid" 2>/dev/null && running+=("$pid")
    done
    beside_pids=("${running[@]}")
    return $((${#running[@]} < $1))
}
beside() {
    while beside_running "$at_once"; do
        sleep 0.1
    done
    # Its traps are not ours: they would print the table.
    (trap - EXIT INT TERM HUP; "$@") &
    beside_pids+=($!)
}
# beside_end: waits for all of them; the table is written as they end.
beside_end() {
    local known=-1 now
    while beside_running 1; do
        now=$(find "$work/rows" -type f | wc -l)
        [ "$now" -eq "$known" ] || table_write
        known=$now
        sleep 0.2
    done
}

# end_processes: what still runs, of the checks and the peers. timeout hands the signal on, and kills
# what does not heed it.
end_processes() {
    local file
    for file in "${beside_pids[@]}"; do
        kill "$file" 2>/dev/null
    done
    for file in "$work"/processes/*; do
        [ ! -e "$file" ] || kill "$(basename "$file")" 2>/dev/null
    done
    wait 2>/dev/null
}
