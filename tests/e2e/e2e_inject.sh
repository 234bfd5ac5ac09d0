#!/usr/bin/env bash
# The system refuses, one call at a time (tests/fakes/fault_inject.c): whatever command meets that ends with
# an exit code that the manual page lists and says what is wrong, or does its work all the same; never does it
# crash or hang, leave a temporary or a half-written file, or a database that is not sound; and the
# same command afterwards finishes, with the losses of a suite that nothing disturbed.
#
# Calls are tried one per place in the program that makes them (the stack tells places apart), of
# these an even spread, PLACES of them. FULL=1 tries all places; `make faults` does that.
# INJECT='run:write:runner report:malloc' picks rows of the table at the end.
# kinds: plain sanitized first (paths after an error: leaks, double frees; the plain program calls mmap itself,
# where a sanitizer's allocator does not, and does these rows alone)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
# As the sanitizers would have it, nothing is loaded before them. Ours hands on to theirs.
export ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
ulimit -c 0
inject=$(dirname "$gptbench")/tests/fault_inject.so
places=${PLACES:-2}
[ -n "${FULL:-}" ] && places=1000000
limit_s=60
needs "injected faults" sqlite3
if [ ! -e "$inject" ]; then
    skip_rest "injected faults: $inject is not built; make tests does that"
fi

[ "${GPTBENCH_TEST_KIND:-all}" != plain ] || INJECT="run:mmap:runner run:mmap:worker"

# ---- what is run ----

text=${GPTBENCH_TEST_DATA:-/nowhere}/text/tinyshakespeare.txt
if [ -r "$text" ]; then
    head -c 100000 "$text" >text.txt
else # any text does
    head -c 100000 "$root/CONTRIBUTING.md" >text.txt
fi
cat >tiny.ini <<'INI'
[suite]
name = tiny
baseline = a
replicates = 1

[timing]
blocks = 2

[data]
train = train.bin
val = train.bin

[train]
batch_size = 2
sequence_length = 16
num_iterations = 20
val_loss_every = 10
val_tokens = 64
precision = fp32

[config a]
vocab_size = 256
n_layer = 1
n_head = 2
n_embd = 32

[config b]
vocab_size = 256
n_layer = 1
n_head = 2
n_embd = 32
mlp_expansion_factor = 3
INI
sed 's/name = tiny/name = other/; s/num_iterations = 20/num_iterations = 21/' tiny.ini >other.ini
# gnuplot would take most of the time, and is not what is tested here.
mkdir bin
cat >bin/gnuplot <<'SH'
#!/bin/sh
name=$(basename "$2" .gp)
echo "<svg>$name</svg>" >"figures/$name.svg"
echo "png of $name IEND" >"figures/$name.png"
SH
chmod +x bin/gnuplot
PATH=$PWD/bin:$PATH

# The database with which injected runs start knows the machine's rates, so that none are measured.
must() {
    "$@" >out 2>err && return
    check "undisturbed: $*" 1
    exit 1
}
must "$gptbench" data pack --bytes -o train.bin text.txt
must "$gptbench" run other.ini --loss-only --no-report --only a --threads 1 --db seed.db
cp seed.db calm.db
must "$gptbench" run tiny.ini --report calm --threads 1 --db calm.db

losses="SELECT config, replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE suite = 'tiny' AND status = 'ok' UNION ALL SELECT config, replicate, -1 - step, printf('%!.17g', val_loss) FROM eval JOIN run_summary USING (run_id) WHERE suite = 'tiny' AND status = 'ok' ORDER BY 1, 2, 3"
once="SELECT config, replicate, count(*) FROM run_summary WHERE suite = 'tiny' AND status = 'ok' GROUP BY 1, 2"
db=calm.db
calm=$(query "$losses" | sha256sum)
is "undisturbed: the losses of two runs" "$(query "$losses" | wc -l)" 46

# Each command: what it needs to be there, its words, and what is right when it says that it is done.
command_of() {
    case $1 in
    run) words=(run tiny.ini --loss-only --no-report --threads 1 --db t.db) ;;
    time) words=(run tiny.ini --speed-only --no-report --threads 1 --db t.db) ;;
    new) words=(run tiny.ini --dry-run --threads 1 --db t.db) ;;
    make) words=(run tiny.ini --loss-only --no-report --only a --threads 1 --db new/er/t.db) ;;
    report) words=(report --db calm.db --suite tiny -o r) ;;
    compare) words=(compare --db calm.db --suite tiny a b) ;;
    why) words=(why --db calm.db --suite tiny a b) ;;
    list) words=(list --db calm.db) ;;
    show) words=(show --db calm.db 2) ;;
    plan) words=(plan tiny.ini) ;;
    pack) words=(data pack --bytes -o p.bin text.txt) ;;
    bpe) words=(data pack --bpe "$root/tests/fixtures/bpe/tiny.bpe" -o p.bin text.txt) ;;
    parity)
        local given=$root/tests/fixtures/parity/mqa
        words=(parity --weights "$given/weights.safetensors" --tokens "$given/tokens.bin" --threads 1 -o p.bin)
        while read -r set; do
            words+=(--set "$set")
        done < <(grep -E '^(vocab_size|n_|attention|mlp_|batch_size|sequence)' "$given/config.txt" | tr -d ' ')
        ;;
    esac
}
prepare() {
    rm -rf r p.bin t.db* new
    case $1 in run | time) cp seed.db t.db ;; esac
}

# What an undisturbed command prints and writes, to compare with.
expect() { # COMMAND
    command_of "$1"
    prepare "$1"
    must "$gptbench" "${words[@]}"
    rm -rf "want.$1"
    mkdir "want.$1"
    cp out "want.$1/out"
    case $1 in
    report) cp -r r "want.$1/r" ;;
    pack | bpe | parity) cp p.bin "want.$1/" ;;
    esac
}

# ---- one fault ----

bad() { # WHAT
    wrong="$wrong${wrong:+; }$1"
}

whole_database() { # FILE: sound where it is there at all
    db=$1
    [ -s "$db" ] || return 0
    [ "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check' 2>&1)" = ok ] || bad "the database is not sound"
}

# The command once more, undisturbed; a suite is then whole.
finishes() { # WORDS...
    timeout "$limit_s" "$gptbench" run "$@" --retry-failed --loss-only --no-report --threads 1 --db "$db" >again.out 2>again.err
    local rc=$?
    [ $rc -eq 0 ] || bad "afterwards the suite exits $rc: $(tail -n 1 again.err)"
}

whole_suite() {
    [ "$(query "$once")" = $'a|0|1\nb|0|1' ] || bad "not every run is there once"
    [ "$(query "$losses" | sha256sum)" = "$calm" ] || bad "other losses than undisturbed"
}

# Files of a report are whole or not there; without figures, where gnuplot could not be run.
whole_report() {
    local file
    [ -d r ] || return 0
    while read -r file; do
        cmp -s "r/$file" "want.report/r/$file" && continue
        if [ "$rc" -eq 1 ] && [[ $file == index.html ]]; then
            grep -q 'No figures: ' r/index.html && tail -n 1 r/index.html | grep -q '^</html>$' && continue
        elif [ "$rc" -eq 1 ] && [[ $file == report.md ]]; then
            grep -q 'No figures: ' r/report.md && tail -n 1 r/report.md | grep -q '^```$' && continue
        fi
        bad "r/$file is not as undisturbed"
    # What is made aside stays where no memory is left to remove it: the next report does.
    done < <(cd r && find . -type f ! -path './.gptbench-*' | sed 's,^\./,,')
}

# A plan's times are of a rate that it measures; where it cannot, it says so and has none. Its memory
# begins with what the process takes itself.
timeless() { # FILE
    sed -E '/^(Time is|total:|before that|No time|Validation)/d; s/ +/ /g; s/ [0-9.]+ MiB//; s/ ([0-9.,]+ (us|ms|s|min|h)|-)$//; s/--+( --+)*/-/g' "$1"
}

right() { # COMMAND: what is to be right whatever the exit code
    case $1 in
    run | time)
        whole_database t.db
        [ "$rc" -eq 0 ] && [ "$1" = run ] && whole_suite
        [ "$rc" -eq 1 ] && [ "$(query "SELECT count(*) FROM run WHERE status NOT IN ('ok', 'planned', 'running', 'interrupted') AND coalesce(message, '') = ''")" != 0 ] &&
            bad "a run failed without a message"
        query "SELECT message FROM run WHERE message LIKE '%SIGSEGV%' OR message LIKE '%SIGABRT%' OR message LIKE '%anitizer%' OR message LIKE '%runtime error%'" | grep -q . &&
            bad "a worker crashed"
        finishes tiny.ini
        whole_suite
        whole_database t.db
        ;;
    make)
        whole_database new/er/t.db
        db=new/er/t.db
        finishes tiny.ini --only a
        [ "$(query "$once")" = 'a|0|1' ] || bad "not every run is there once"
        whole_database new/er/t.db
        ;;
    report) whole_report ;;
    pack | bpe | parity)
        [ ! -e p.bin ] || cmp -s p.bin "want.$1/p.bin" || bad "p.bin is not whole"
        [ "$rc" -ne 0 ] || [ -e p.bin ] || bad "there is no p.bin"
        ;;
    esac
    if [ "$rc" -eq 0 ]; then
        case $1 in
        run | time | make) ;;
        report) diff -r r want.report/r >/dev/null || bad "the report is not as undisturbed, and nothing was said" ;;
        *) cmp -s <(timeless out) <(timeless "want.$1/out") || bad "other output than undisturbed, and nothing was said" ;;
        esac
    fi
}

# What a message says that tells of this error.
says() { # ERROR
    case $1 in
    ENOMEM) echo '[Mm]emory' ;;
    ENOSPC) echo 'No space left|disk is full|the disk full' ;;
    EMFILE) echo 'Too many open|unable to open|readonly database' ;; # SQLite tries again read-only
    *) echo . ;;
    esac
}

inject_one() { # COMMAND FUNCTION N ERROR OPTIONS
    wrong=
    command_of "$1"
    prepare "$1"
    rm -f counts
    truncate -s 200000 counts
    GPTBENCH_FAULT="$2:$3:$4$5" GPTBENCH_FAULT_COUNTS=$PWD/counts LD_PRELOAD=$inject \
        timeout --kill-after=5 "$limit_s" "$gptbench" "${words[@]}" >out 2>err
    rc=$?
    [ "$(od -An -N8 -t d8 counts | tr -d ' ')" -gt 0 ] && met=$((met + 1))
    case $rc in
    0 | 1 | 2 | 3) ;;
    124 | 137) bad "did not end within $limit_s s" ;;
    *) bad "exit code $rc" ;;
    esac
    if [ "$rc" -ne 0 ] && ! [ -s err ]; then
        bad "exit code $rc, and nothing said"
    elif [ "$rc" -ne 0 ] && ! grep -qE "$(says "$4")" err; then
        [[ $5 == *worker* ]] || bad "the message does not tell of $4"
    fi
    right "$1"
    find . -name '*.tmp*' | grep -q . && bad "a temporary file is left: $(find . -name '*.tmp*' | head -n 1)" && find . -name '*.tmp*' -delete
    if [ -n "$wrong" ]; then
        echo "# $1, $2:$3:$4$5, exit $rc: $wrong"
        tail -n 3 err | sed 's/^/#   err: /'
    fi
    [ -n "${SHOW:-}" ] && echo "# $1, $2:$3:$4$5, exit $rc: $(grep -v '^step:\|^ok: ' err | tail -n 1)"
    [ -z "$wrong" ]
}

# ---- a row of the table ----

# The numbers of calls to try.
numbers() { # COMMAND FUNCTION OPTIONS
    rm -f counts places
    truncate -s 200000 counts
    prepare "$1"
    command_of "$1"
    GPTBENCH_FAULT="$2:0:EIO$3" GPTBENCH_FAULT_COUNTS=$PWD/counts GPTBENCH_FAULT_PLACES=$PWD/places LD_PRELOAD=$inject \
        timeout "$limit_s" "$gptbench" "${words[@]}" >/dev/null 2>&1
    [ -e places ] || return 0
    sort -n places | uniq | awk -v most="$places" '{ at[NR] = $1 }
        END { n = NR < most ? NR : most; for (i = 0; i < n; i++) print at[1 + int(i * NR / n)] }'
}

row() { # COMMAND FUNCTION runner|worker|any ERROR...
    local command=$1 function=$2 options="" error n tried=0 failed=0
    [ "$3" = any ] || options=":process=$3"
    [[ " ${INJECT:-$1:$2:$3} " == *" $1:$2:$3 "* || " ${INJECT:-} " == *" $1 "* ]] || return 0
    shift 3
    [ -d "want.$command" ] || case $command in run | time | make) ;; *) expect "$command" ;; esac
    met=0
    local list
    list=$(numbers "$command" "$function" "$options")
    for error in "$@"; do
        for n in $list; do
            # ERROR+: and so does every later call.
            if [[ $error == *+ ]]; then
                inject_one "$command" "$function" "$n+" "${error%+}" "$options"
            else
                inject_one "$command" "$function" "$n" "$error" "$options"
            fi || failed=$((failed + 1))
            tried=$((tried + 1))
        done
    done
    [ $tried -gt 0 ] || return 0
    is "$command: $function fails with $* in ${options:-any process}: $tried tried, $met met" "$failed" 0
}

row run write runner ENOSPC+ EIO short EINTR
row run write worker ENOSPC EINTR
row run fsync runner EIO
row run open runner EMFILE EACCES
row run open worker EMFILE
row run fork runner EAGAIN EAGAIN+
row run malloc runner ENOMEM ENOMEM+
row run malloc worker ENOMEM
row run mmap runner ENOMEM
row run mmap worker ENOMEM
row run pipe runner EMFILE
row run memfd runner ENOMEM
row run ftruncate runner EIO
row run close runner EIO
row run close worker EIO
row run read runner EIO EINTR
row run read worker EIO
row time write runner ENOSPC+ EIO
row time fork runner EAGAIN
row time pipe runner EMFILE
row time malloc runner ENOMEM
row time malloc worker ENOMEM
row make write runner ENOSPC+ EIO
row make open runner EACCES
row make mkdir runner ENOSPC
row make malloc runner ENOMEM
row report write any ENOSPC+ EIO short EINTR
row report open any EMFILE
row report rename any ENOSPC
row report fork any EAGAIN
row report pipe any EMFILE
row report mkdir any EROFS
row report malloc any ENOMEM ENOMEM+
row report close any EIO
row report read any EIO
row compare malloc any ENOMEM
row compare write any ENOSPC
row compare read any EIO
row why malloc any ENOMEM
row list malloc any ENOMEM
row show malloc any ENOMEM
row plan malloc any ENOMEM
row plan open any EMFILE
row pack write any ENOSPC EIO short EINTR
row pack fsync any EIO
row pack rename any ENOSPC EXDEV
row pack open any EACCES
row pack malloc any ENOMEM
row pack read any EIO EINTR short
row bpe malloc any ENOMEM
row parity write any ENOSPC+ EIO short
row parity fsync any EIO
row parity rename any ENOSPC
row parity close any EIO
row parity malloc any ENOMEM
finish
