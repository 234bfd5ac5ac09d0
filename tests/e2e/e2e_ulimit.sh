#!/usr/bin/env bash
# What the shell's `ulimit` leaves to the program: address space, size of files, CPU time, open files,
# processes, stack. Whatever lacks, nothing hangs, nothing is spoiled, the exit code is 3 (1 where a
# suite went on), and the message names the limit. Also closed descriptors, and an environment that
# holds nothing. What is right follows from getrlimit(2); the sizes below are from trying.
# kinds: plain first (a sanitizer reserves terabytes of address space)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
unset OMP_NUM_THREADS OMP_THREAD_LIMIT
needs "ulimit" sqlite3 timeout
db=x.db

model=(--set vocab_size=64 --set n_layer=1 --set n_head=2 --set n_embd=32 --set batch_size=2
    --set sequence_length=32 --set val_tokens=64 --train synth:vocab=64,seed=1
    --val synth:vocab=64,seed=1)
train() { # ITERATIONS ARGUMENTS...
    echo train "${model[@]}" --set "num_iterations=$1" "${@:2}"
}
# The program under a limit; the files that take what it says are opened before.
under() { # OPTION VALUE ARGUMENTS...
    (
        exec >out 2>err
        ulimit "$1" "$2" || exit 125
        exec timeout 100 "$gptbench" "${@:3}"
    )
    rc=$?
}
# The limit is refused before work, or met: exit code 3, and its name in the message.
refused() { # WHAT NAME
    [ "$rc" = 3 ] && grep -q "(ulimit -$2)" err && ! grep -qE 'libgomp|error while loading' err
    check "$1: exit code 3, and the message names ulimit -$2 ($rc)" $?
}
tiny_pair small 1 30 10 0 >small.ini
"$gptbench" run small.ini --threads 1 --no-report --db small.db >out 2>err
is "without a limit the suite is done" $? 0

# ---- address space ----
# From where the dynamic loader finds room for the libraries (CUDA's are large) up to where all goes
# well, a command is done or says why not; below, the loader speaks, with an exit code of its own, 127, or
# is itself ended by the system.
loads=20000
under -v $loads --version
while { [ "$rc" = 127 ] || [ "$rc" -gt 128 ]; } && [ $loads -lt 400000 ]; do
    loads=$((loads + 2000))
    under -v $loads --version
done
[ "$rc" = 0 ] || [ "$rc" = 3 ]
check "with room for the libraries --version is done, or says why not ($rc)" $?
some=$((loads + 32000)) # for work, but not much
enough=0
for kib in 1000 $((loads - 4000)) $loads $((loads + 3000)) $((loads + 9000)) $some $((loads + 240000)); do
    for words in --version --help doctor "report --db small.db -o report" "plan small.ini --gflops 50" \
        "compare a b --db small.db" "$(train 3 --threads 2)" "run small.ini --threads 1 --no-report --db v.db"; do
        [ "$kib" -le "$some" ] && [ "$words" = doctor ] && continue # it measures for seconds
        # shellcheck disable=SC2086 # words to be split
        under -v $kib $words
        case $rc in
        0 | 1) ;; # 1: a doctor, a comparison that has its reasons
        2) grep -q 'compare' <<<"$words" ;;
        3) grep -qE 'ulimit -v|gnuplot is not installed' err || ! echo "# $kib $words" ;;
        *) [ "$kib" -lt "$loads" ] ;; # the loader, or the shell's own tools
        esac || { check "ulimit -v $kib, $words: done, or why not ($rc)" 1; enough=1; }
        rm -f v.db*
    done
done
check "ulimit -v from 1 MB to enough: no hang, no signal, a reason" $enough
# shellcheck disable=SC2046
under -v $some $(train 3 --threads 64)
refused "64 threads in little: refused before OpenMP ends the process" v
grep -qE '64 threads were asked for, and the system gives [0-9]+: ' err
check "64 threads in little: how many there could be" $?
under -v $((loads + 142000)) train --model d12 --set vocab_size=256 --threads 1 --train synth:vocab=256,seed=1 --val synth:vocab=256,seed=1
refused "a model that does not fit" v
under -v $some run small.ini --threads 64 --no-report --db v.db
refused "a suite with too many threads" v
sed 's/n_embd = 32/n_embd = 1024/; s/n_head = 2/n_head = 16/' small.ini >large.ini
under -v $some run large.ini --threads 1 --no-report --db v.db
[ $rc = 1 ] && [ "$(sqlite3 v.db "SELECT group_concat(DISTINCT status) FROM run_summary")" = oom ]
check "a suite whose models do not fit: oom, every one ($rc)" $?
grep -q 'oom: a cannot be run: needs .*(ulimit -v)' err
check "and it is said which limit" $?

# ---- size of files ----
for kib in 1 40 250 600; do
    rm -f x.db*
    tiny_pair long 1 6000 10 0 >long.ini
    under -f $kib run long.ini --threads 1 --no-report --db x.db
    refused "a database of $kib KiB at most" f
done
is "the database is whole" "$(query 'PRAGMA integrity_check')" ok
under -f unlimited run long.ini --threads 1 --no-report --db x.db
is "and the same command goes on" "$rc $(query "SELECT count(*) FROM run WHERE status = 'ok'")" "0 2"
echo old >w.safetensors
# shellcheck disable=SC2046
under -f 20 $(train 3 --threads 1 --save w.safetensors)
refused "weights of 20 KiB at most" f
is "the old weights are there" "$(cat w.safetensors)" old
echo old >s.bin
under -f 20 data synth -o s.bin --tokens 20000
refused "a shard of 20 KiB at most" f
is "the old shard is there, and no other" "$(cat s.bin) $(echo s.bin*)" "old s.bin"
under -f 4 report --db small.db -o report2
refused "a report of 4 KiB files at most" f
[ -z "$(find report2 -type f 2>/dev/null)" ]
check "and none of it is there" $?

# ---- CPU time ----
# shellcheck disable=SC2046
under -t 2 $(train 1000000 --threads 1)
refused "train, 2 s of CPU time" t
{ tiny_suite slow 1 1000000 1000000 0 && tiny_cell a 'batch_size = 16' && tiny_cell b 'batch_size = 16' 'mlp_expansion_factor = 2'; } |
    sed '/^batch_size = 2$/d; s/sequence_length = 16/sequence_length = 64/' >slow.ini
cp small.db slow.db # with the peak in it
under -t 3 run slow.ini --threads 1 --no-report --db slow.db
db=slow.db
is "a suite, 3 s of CPU time for each process: both runs failed" \
    "$rc $(query "SELECT group_concat(config || status, ' ') FROM run_summary WHERE suite = 'slow'")" "1 afailed bfailed"
is "and say why" "$(query "SELECT count(*) FROM run_summary WHERE suite = 'slow' AND message LIKE '%3 s%(ulimit -t)%'")" 2
db=x.db
rm -f x.db*
under -t 1 run small.ini --threads 1 --no-report --db x.db
[ $rc = 0 ] || refused "a suite that cannot even measure the machine" t

# ---- open files ----
for n in 4 31; do
    under -n $n --version
    refused "$n open files" n
    rm -f x.db*
    under -n $n run small.ini --threads 1 --no-report --db x.db
    refused "a suite, $n open files" n
    [ ! -e x.db ]
    check "and nothing is begun" $?
done
under -n 32 run small.ini --threads 1 --no-report --db x.db
is "32 are enough for a suite" $rc 0
(ulimit -S -n 8 && "$gptbench" --version >out 2>err)
is "a soft limit is raised" $? 0

# ---- stack ----
for kib in 16 511; do
    under -s $kib --version
    refused "a stack of $kib KiB" s
done
# shellcheck disable=SC2046
under -s 512 $(train 3 --threads 2)
is "512 KiB are enough" $rc 0
(ulimit -S -s 64 && "$gptbench" --version >out 2>err)
is "a soft limit of the stack is raised" $? 0

# ---- processes ----
# root may have any number, so somebody else tries.
as=(env)
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid 54321 --regid 54321 --clear-groups)
fi
chmod 755 . && mkdir other && chmod 777 other && cp "$gptbench" small.ini other
if ! "${as[@]}" test -w other || ! "${as[@]}" other/gptbench --version >/dev/null 2>&1; then
    skip "processes" "nobody else can run the program here"
else
    for n in 1 3; do
        # shellcheck disable=SC2046
        (exec >out 2>err; cd other && exec "${as[@]}" bash -c 'ulimit -u '$n'; exec ./gptbench "$@"' - $(train 3 --threads 4))
        rc=$?
        refused "$n processes: train with 4 threads" u
        (exec >out 2>err; cd other && exec "${as[@]}" bash -c 'rm -f p.db*; ulimit -u '$n'; exec ./gptbench "$@"' - run small.ini --threads 4 --no-report --db p.db)
        rc=$?
        refused "$n processes: a suite" u
    done
fi

# ---- descriptors, environment ----
"$gptbench" --version >&- 2>err
is "standard output is closed: exit code" $? 3
rm -f x.db*
"$gptbench" run small.ini --threads 1 --no-report --db x.db <&- >&- 2>&-
is "all three are closed: exit code" $? 3
is "and the suite is done, the database whole" \
    "$(query "SELECT count(*) FROM run WHERE status = 'ok'; PRAGMA integrity_check")" $'2\nok'
"$gptbench" data synth -o s.bin --tokens 1000 <&- >&- 2>&-
"$gptbench" data info s.bin >out 2>err
is "a shard written meanwhile is whole" $? 0
"$gptbench" train "${model[@]}" --set num_iterations=1000 2>err | head -n 1 >out
is "head -n 1 gets its line" "$(wc -l <out)" 1
rm -f x.db*
"$gptbench" run small.ini --threads 1 --no-report --db x.db 2>err | head -n 0
is "a suite whose reader has gone is done" "$(query "SELECT count(*) FROM run WHERE status = 'ok'")" 2
rm -f x.db*
env -i "$gptbench" run small.ini --threads 1 --no-report --db x.db >out 2>err
is "an empty environment" $? 0
env HOME=/nonexistent TMPDIR=/nonexistent TERM= "$gptbench" list --db x.db >out 2>err
is "no home, no folder for temporary files, no terminal" $? 0
if [ "$(id -u)" != 0 ] || "${as[@]}" test -x other/gptbench; then
    mkdir locked && cp small.db locked && chmod 555 locked && chmod 444 locked/small.db
    (exec >out 2>err; cd other && exec "${as[@]}" ./gptbench run small.ini --threads 1 --no-report --db ../locked/new.db)
    is "a folder that may not be written: exit code" $? 3
    grep -q 'locked/new.db: .*Permission denied' err
    check "and it is said" $?
    (exec >out 2>err; cd other && exec "${as[@]}" ./gptbench report --db ../locked/small.db -o ../locked/r)
    is "a report into it: exit code" $? 3
fi

# ---- threads ----
threads() { # VALUE ARGUMENTS...
    OMP_NUM_THREADS=$1 "$gptbench" train "${model[@]}" --set num_iterations=1 "${@:2}" >out 2>err
    rc=$?
}
for value in 1 3 2,1; do
    threads "$value"
    is "OMP_NUM_THREADS=$value" "$rc $(grep -o 'threads:[0-9]*' out)" "0 threads:${value%,*}"
done
for value in 0 -1 two 4x 2,,1 100000; do
    threads "$value"
    grep -q "OMP_NUM_THREADS = $value: expected" err
    is "OMP_NUM_THREADS=$value: refused" "$rc $?" "2 0"
    # OpenMP, which is loaded before, says nothing beside it.
    is "OMP_NUM_THREADS=$value: one message" "$(grep -c libgomp err) $(grep -c OMP_NUM_THREADS err)" "0 1"
done
is "a command without threads: no message" "$(OMP_NUM_THREADS=two "$gptbench" --version 2>&1 >/dev/null)" ""
threads two --threads 2
is "--threads comes first" "$rc $(grep -o 'threads:[0-9]*' out)" "0 threads:2"
threads 200
grep -q '^note:200 threads on [0-9]* CPU' out
check "more threads than CPUs: it is said" $?
rm -f x.db*
OMP_NUM_THREADS=3 "$gptbench" run small.ini --no-report --db x.db >out 2>err
is "a suite: as many, and they are stored" "$? $(query 'SELECT DISTINCT threads FROM run')" "0 3"
# A gnuplot that fails, as it does where it gets too little memory: the runs are kept.
mkdir bin
printf '#!/bin/sh\necho no memory for a font >&2\nexit 1\n' >bin/gnuplot
chmod +x bin/gnuplot
rm -f x.db*
PATH=$PWD/bin:$PATH under -v $((some + 100000)) run small.ini --threads 1 --report drawn --db x.db
is "no figures for want of memory: exit code, and the runs" "$rc $(query "SELECT count(*) FROM run WHERE status = 'ok'")" "3 2"
grep -q 'gnuplot drawn/plots/.* failed; the address space is limited to .*(ulimit -v), raise that for figures: no memory for a font; the text of the report is in drawn' err
check "and it is said why" $?
PATH=$PWD/bin:$PATH "$gptbench" report --db x.db -o drawn >out 2>err
is "a gnuplot that fails without a limit: exit code" $? 1
printf '#!/bin/sh\nkill -9 $$\n' >bin/gnuplot
PATH=$PWD/bin:$PATH "$gptbench" report --db x.db -o drawn >out 2>err
is "a gnuplot that the system ends: exit code" $? 3
grep -q 'was ended by signal 9' err
check "and it is said how" $?
finish
