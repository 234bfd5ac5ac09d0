#!/usr/bin/env bash
# The child, the program, or both are killed (SIGKILL) at random moments of one suite, and the same
# command is given again each time, until nothing is left to do: then every run is there once as ok,
# its losses are to the last bit those of a suite that nobody disturbed, the database is sound and
# no process is left. Nothing is known here of how the program works but its command line.
#
# KILLS=200 kills that often (25 otherwise), SEED=N draws other moments. `make faults` does 200.
# kinds: plain first (of a process that is killed no sanitizer sees anything)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
kills=${KILLS:-25}
RANDOM=${SEED:-20240}
needs "killing at random moments" sqlite3 pgrep

text=${GPTBENCH_TEST_DATA:-/nowhere}/text/tinyshakespeare.txt
[ -r "$text" ] || text=$root/CONTRIBUTING.md
head -c 200000 "$text" >text.txt
"$gptbench" data pack --bytes -o train.bin text.txt >out 2>err
check "the text is packed" $?

suite() { # NAME REPLICATES STEPS
    cat <<INI
[suite]
name = $1
baseline = a
replicates = $2

[timing]
blocks = 2
burst_steps = 10

[data]
train = train.bin
val = train.bin

[train]
batch_size = 2
sequence_length = 32
num_iterations = $3
val_loss_every = 20
val_tokens = 256
precision = fp32

[config a]
vocab_size = 256
n_layer = 1
n_head = 2
n_embd = 32

[config b]
vocab_size = 256
n_layer = 2
n_head = 2
n_embd = 32
mlp_expansion_factor = 3
INI
}

# The suite grows where it would be done before the kills are.
replicates=2 steps=400
suite kill $replicates $steps >kill.ini
words=(run kill.ini --no-report --threads 1 --retry-failed)
now_ms() {
    date +%s%3N
}
db=calm.db
began=$(now_ms)
timeout 300 "$gptbench" "${words[@]}" --speed-only --db calm.db >out 2>err
check "the speeds alone exit 0" $?
setup_ms=$(($(now_ms) - began)) began=$(now_ms)
timeout 300 "$gptbench" "${words[@]}" --db calm.db >out 2>err
check "the suite alone exits 0" $?
run_ms=$((($(now_ms) - began) / (2 * replicates)))

# Every process of the suite has this in its environment.
export GPTBENCH_KILL_TEST=$work
ours() { # the processes of the suite, the program's excepted
    local pid
    for pid in $(pgrep -f '^/proc/self/exe worker|gptbench worker'); do
        grep -qzx "GPTBENCH_KILL_TEST=$work" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
    done
}

# A moment is drawn anew after each start and after each kill of a child: the first and one in
# four out of the time that planning, probing and measuring the speeds take, the others after the start of a run,
# out of the time of two runs, so that they fall into steps, validations, commits and ends.
db=killed.db
starts=0 child_kills=0 parent_kills=0 both_kills=0 missed=0 unsound=0 odd="" survivors=""
: >phases
kills_done() {
    echo $((child_kills + parent_kills + both_kills))
}
pause_ms() {
    sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"
}
alive() { # a zombie is not
    local state
    state=$(sed 's/.*) //; s/ .*//' "/proc/$runner/stat")
    [ -n "$state" ] && [ "$state" != Z ]
}
moment_await() { # until the moment, or until the program has ended
    local until_ms share
    if [ "$(kills_done)" -lt $((kills / 8)) ] || [ $((RANDOM % 4)) -eq 0 ]; then
        share=$((RANDOM / 32)) # of 1024; early ones more often, since measuring is done once
        until_ms=$(($(now_ms) + setup_ms * share / 1024 * share / 1024))
        while alive && [ "$(now_ms)" -lt $until_ms ] && ! grep -q '^\[[0-9]* of [0-9]*\] run ' err; do
            pause_ms 5
        done
    else
        while alive && ! grep -q '^\[[0-9]* of [0-9]*\] run ' err; do
            pause_ms 5
        done
        pause_ms $((RANDOM * 2 * run_ms / 32768))
    fi
}
kill_one() { # a moment, then a kill, where something is left to kill
    local children what=$((RANDOM % 3))
    moment_await
    alive || return
    children=$(ours)
    if [ $what -eq 0 ] && [ -z "$children" ]; then
        missed=$((missed + 1)) # between two children
        return
    fi
    tail -n 1 err | sed 's/[0-9].*//; s/:.*//' >>phases
    # shellcheck disable=SC2086 # lists of numbers
    case $what in
    0) kill -9 $children 2>/dev/null && child_kills=$((child_kills + 1)) ;;
    1) kill -9 "$runner" && parent_kills=$((parent_kills + 1)) ;;
    2) kill -9 "$runner" $children 2>/dev/null && both_kills=$((both_kills + 1)) ;;
    esac
}
exec 3>&2 2>/dev/null # bash tells of every job that is killed
while [ "$(kills_done)" -lt "$kills" ] && [ $starts -lt $((3 * kills)) ]; do
    "$gptbench" "${words[@]}" --db killed.db >out 2>err &
    runner=$!
    starts=$((starts + 1))
    while [ "$(kills_done)" -lt "$kills" ] && alive; do
        kill_one
    done
    [ "$(kills_done)" -lt "$kills" ] || kill -9 "$runner" 2>/dev/null
    wait "$runner" 2>/dev/null
    rc=$?
    runner=
    if [ $rc -eq 0 ] && [ "$(kills_done)" -lt "$kills" ]; then
        replicates=$((replicates + 1 + kills / 10))
        suite kill $replicates $steps >kill.ini
    fi
    [[ " 0 1 137 " == *" $rc "* ]] || odd="$odd $rc"
    for _ in $(seq 100); do # the kernel ends a killed program's children, but not at once
        left=$(ours)
        [ -z "$left" ] && break
        sleep 0.05
    done
    survivors=$survivors$left
    [ ! -s killed.db ] || [ "$(query 'PRAGMA quick_check' 2>&1)" = ok ] || unsound=$((unsound + 1))
done
exec 2>&3 3>&-
suite kill $replicates $steps >kill.ini
echo "# seed ${SEED:-20240}, $((2 * replicates)) runs of $run_ms ms after $setup_ms ms: $(kills_done) kills in $starts starts: $child_kills of the child, $parent_kills of the program, $both_kills of both; $missed moments found no child"
echo "# what was last printed before: $(sort phases | uniq -c | sort -rn | awk '{ n = $1; $1 = ""; printf "%s%d x%s", s, n, $0 == "" ? " nothing" : $0; s = "; " }')"
is "as many kills as asked for" "$(kills_done)" "$kills"
is "each start ended by a kill, or with exit code 0 or 1" "$odd" ""
is "no worker outlives the program" "$survivors" ""
is "the database is sound after every kill" "$unsound" 0
is "attempts that were cut short are there too" \
    "$(query "SELECT count(*) > 0 FROM run WHERE status IN ('killed', 'interrupted', 'running')")" 1

db=calm.db
timeout 300 "$gptbench" "${words[@]}" --db calm.db >out 2>err
check "the undisturbed suite exits 0" $?
losses="SELECT config, replicate, 'train', step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' UNION ALL SELECT config, replicate, 'val', step, printf('%!.17g', val_loss) FROM eval JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1, 2, 3, 4"
calm=$(query "$losses" | sha256sum)
is "its losses: of every step and validation" "$(query "$losses" | wc -l)" \
    $((2 * replicates * (steps + steps / 20 + 1)))

db=killed.db
for round in 1 2 3; do
    timeout 300 "$gptbench" "${words[@]}" --db killed.db >out 2>err
    rc=$?
    [ $rc -eq 0 ] && break
done
is "after the last kill the same command finishes" $rc 0
is "the database is sound" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
is "every run is there once as ok, with all of its steps and validations" \
    "$(query "SELECT count(*), count(DISTINCT config || replicate), sum(steps = $steps AND evals = $((steps / 20 + 1))) FROM (SELECT config, replicate, (SELECT count(*) FROM step t WHERE t.run_id = s.run_id) AS steps, (SELECT count(*) FROM eval e WHERE e.run_id = s.run_id) AS evals FROM run_summary s WHERE status = 'ok')")" \
    "$((2 * replicates))|$((2 * replicates))|$((2 * replicates))"
is "no run still says that it is running" "$(query "SELECT count(*) FROM run WHERE status = 'running'")" 0
is "the losses are those of the undisturbed suite, to the last bit" "$(query "$losses" | sha256sum)" "$calm"
before=$(query 'SELECT count(*) FROM run')
timeout 300 "$gptbench" "${words[@]}" --db killed.db >out 2>err
is "then there is nothing left to do" "$? $(query 'SELECT count(*) FROM run')" "0 $before"
is "nobody is left behind" "$(ours)" ""
is "nor a temporary file" "$(find . -name '*.tmp*')" ""
finish
