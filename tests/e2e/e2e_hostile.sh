#!/usr/bin/env bash
# Files of strangers: suites, databases and report folders that try to run something, to write
# elsewhere, to paint the terminal, or to be believed.
# kinds: sanitized (readers of strange bytes: errors of memory above all)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
needs "hostile input" sqlite3
make_db="$(dirname "$gptbench")/tests/test_report"
[ -x "$make_db" ] || { skip_rest "$make_db is not built (make tests)"; }

bench() { # ARGUMENTS...: runs the program; its exit code is in $rc
    timeout 60 "$gptbench" "$@" >out 2>err </dev/null
    rc=$?
}
# Nothing was run, and nothing on the terminal but text: C0 but tab and newline, DEL, C1 in UTF-8,
# marks of direction.
quiet() { # WHAT FILE...
    local what=$1
    shift
    [ ! -e pwned ] && ! find . -name 'pwned*' | grep -q . &&
        ! LC_ALL=C grep -lP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]' "$@"
    check "$what" $?
}
refused() { # WHAT TEXT: exit code 2, and the message has TEXT
    [ "$rc" -eq 2 ] && grep -qF -- "$2" err
    check "$1" $?
}

# ---- no shell, by the sources ----
grep -rnE '\b(system|popen|wordexp|execl|execlp|execvp|posix_spawn[a-z]*)[[:space:]]*\(|sh -c|/bin/sh' \
    --include='*.c' --include='*.h' --include='*.cu' --include='*.cuh' "$root/bench" "$root/model" "$root/kernels" >out 2>&1
[ $? -eq 1 ]
check "no source calls a shell, or looks a program up in PATH by exec" $?
# gnuplot evaluates backquotes, system() and `!` lines: plots have none, and texts are data there.
grep -nE '`|\bsystem\b|^!|\bshell\b|^[[:space:]]*load [^'\'']|popen|"<' "$root"/plots/*.gp >out | grep -v '^[^:]*:[0-9]*: *#' 
[ -z "$(grep -vE '^[^:]*:[0-9]+:[[:space:]]*#' out)" ]
check "no plot asks gnuplot to run anything" $?

# ---- names in suites ----
tiny_suite() { # SUITE_NAME CONFIG_NAME CLAIM_NAME
    printf '[suite]\nname = %s\nbaseline = a\n[timing]\nblocks = 0\n[data]\ntrain = synth:vocab=64,seed=1\n' "$1"
    printf 'val = synth:vocab=64,seed=1\n[train]\nbatch_size = 2\nsequence_length = 16\nnum_iterations = 70\n'
    printf 'val_loss_every = 35\nval_tokens = 64\n; </pre><script>alert(1)</script> \302\233[31m ``` $(touch pwned)\n'
    printf '[config a]\nvocab_size = 64\nn_layer = 1\nn_embd = 16\nn_head = 2\n'
    printf '[config %s]\nvocab_size = 64\nn_layer = 1\nn_embd = 16\nn_head = 2\nmlp_expansion_factor = 3\n' "$2"
    [ -z "${3:-}" ] || printf '[claim %s]\nconfig = b\nexpect = step_avg speedup >= 15%%\n' "$3"
}
names=('x; touch pwned' '`touch pwned`' '$(touch pwned)' '../../pwned' '/tmp/pwned' '<script>' 'a|b' '=cmd()'
       "x' OR '1" 'x"y' 'x\' '@x' 'x{/b y}' $'x\e[31m' $'x\xc2\x9b31m' '!touch pwned' $'x\ry' '%s%n' 'a,b' 'a=b')
for kind in 1 2 3; do
    bad=0
    for name in "${names[@]}"; do
        words=(tiny b c)
        words[kind - 1]=$name
        tiny_suite "${words[@]}" >s.ini
        bench run s.ini --dry-run
        if [ "$rc" -ne 2 ] || ! grep -qE '^s\.ini:[0-9]+: ' err ||
            LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' out err; then
            echo "# $name: exit $rc" && cat err && bad=1
        fi
    done
    [ $bad -eq 0 ]
    check "names that are no names in place $kind are refused with file and line" $?
done
quiet "and nothing came of them"
[ "$(ls)" = "$(printf 'err\nout\ns.ini')" ]
check "no file was made" $?
for name in .. . -rf ...; do
    tiny_suite "$name" b >s.ini
    bench plan s.ini
    [ "$rc" -le 2 ]
    check "a suite called $name is planned or refused" $?
done

# ---- a run: what of the environment is kept ----
tiny_suite tiny b >s.ini
export GPTBENCH_CANARY=hunter2-canary AWS_SECRET_ACCESS_KEY=hunter2-canary HTTP_PROXY=http://hunter2-canary@x
bench run s.ini --threads 1
unset GPTBENCH_CANARY AWS_SECRET_ACCESS_KEY HTTP_PROXY
is "a suite with markup in a comment runs" "$rc" 0
! grep -raq hunter2-canary results
check "no value of the environment is in database or report" $?
grep -rqa synth:vocab=64 results
check "(and what is kept can be found like that)" $?
if [ -f results/tiny/index.html ]; then
    ! grep -qi '<script' results/tiny/index.html && grep -q '&lt;script&gt;' results/tiny/index.html
    check "the suite's text is text in the page" $?
    quiet "and its control characters are gone" results/tiny/index.html results/tiny/report.md
fi

# ---- a database of hostile texts ----
"$make_db" --make-db hostile.db 3 2 40 1 1 6 1
p="char(27)||']0;x'||char(7)||'=cmd|'' /C calc''!A0<script>alert(1)</script>|['||char(10)||'](javascript:x)\`touch pwned\`\$(touch pwned)\"''{}^_@x'||char(155)||char(8238)||'; touch pwned'"
# Every text that no constraint holds: names stay apart by what they were.
sqlite3 hostile.db "
UPDATE suite SET name = $p, path = $p, text = $p || text, baseline = (SELECT $p || name FROM config WHERE position = 0);
UPDATE config SET name = $p || name, attention_type = $p, settings_json = $p;
UPDATE machine SET hostname = $p, os = $p, cpu = $p, device = $p, driver = $p, fingerprint = $p;
UPDATE run SET message = $p, isa = $p, precision_note = $p, libraries = $p, program_version = $p, program_commit = $p,
 compiler = $p, train_data = $p, val_data = $p, train_data_hash = $p, val_data_hash = $p, started_at = $p,
 profile_note = $p, energy_source = $p, sensors_missing = $p;
UPDATE step SET disturbance = $p;
UPDATE sample SET gpu_throttle = $p;
UPDATE op_time SET op = $p WHERE op = 'norm';
UPDATE op_span SET op = $p WHERE op = 'norm';
INSERT INTO claim SELECT suite_id, $p, (SELECT name FROM config WHERE position = 1), baseline,
 'step_avg speedup >= 15%', $p, 1 FROM suite;
INSERT INTO kernel SELECT run_id, $p, 'forward', 0, $p, 1, 1.0, $p, $p, 1, 1 FROM run;
UPDATE timing SET message = $p, sensors_missing = $p, compiler = $p;
UPDATE timing_arm SET message = $p, isa = $p;"
check "a database with such texts can be made" $?
run_id=$(sqlite3 hostile.db "SELECT min(run_id) FROM run WHERE status = 'ok'")
base=$(sqlite3 hostile.db "SELECT name FROM config WHERE position = 0")
other=$(sqlite3 hostile.db "SELECT name FROM config WHERE position = 2")
shown() { sed 's/\x1b/?/g; s/\x07/?/g; s/\xc2\x9b/?/g; s/\xe2\x80\xae/?/g' <<<"$1" | tr '\n' ' ' | sed 's/ $//'; }
said() { # WHAT ARGUMENTS...
    local what=$1
    shift
    bench "$@"
    [ "$rc" -le 3 ] && [ -s out -o -s err ]
    check "$what of it ends" $?
    quiet "and $what leaves the terminal alone" out err
}
said list list --db hostile.db
said show show "$run_id" --db hostile.db
said compare compare --db hostile.db "$(shown "$base")" "$(shown "$other")"
said compare compare --db hostile.db --base-db hostile.db "$(shown "$base")" "$(shown "$other")" --force
said why why --db hostile.db "$(shown "$base")" "$(shown "$other")"
said "a wrong name" compare --db hostile.db d12 nobody
said "a wrong suite" report --db hostile.db --suite $'\e[31mx' -o nowhere
said report report --db hostile.db -o 'r $(touch pwned) `touch pwned`'
if command -v gnuplot >/dev/null; then
    is "and the report is whole" "$rc" 0
fi
mv 'r $(touch pwned) `touch pwned`' r
quiet "the report holds no control character" r/report.md r/index.html r/results.tsv r/data/*
! grep -qiE '<script|<img[^>]*onerror|javascript:[^&]*"' r/index.html
check "the page holds no tag of theirs" $?
! sed '/^## The suite/,$d' r/report.md | grep -E '(^|[^\\])\]\(javascript'
check "Markdown makes no link of theirs" $?
! tail -n +2 r/results.tsv | tr '\t' '\n' | grep -E '^[=@]|^[+-]([^0-9.]|.*[|!(])'
check "no cell of the table is a formula" $?
# Numbers, tick labels made of numbers, and words of our own: the whole of what gnuplot evaluates.
! grep -vE "^(#.*|[a-z_0-9]+ = (-?[0-9.e+-]+|-?nan|-?inf|'[A-Za-z ]*'|'[0-9,.]*'|'\((\"[^\"\`\\\\]*\" -?[0-9.e+-]+(, )?)*\)'))$" r/data/settings.gp >out
check "what gnuplot evaluates holds no text of theirs" $?
! grep -qE 'touch|script|cmd' r/data/settings.gp r/plots/*.gp
check "and no script does" $?
if command -v jq >/dev/null; then
    jq -e . r/report.json >/dev/null 2>err
    check "report.json is JSON" $?
fi

# ---- schemas that are not ours ----
copy() { rm -f x.db*; sqlite3 results/tiny.db "VACUUM INTO 'x.db'"; }
copy
bench list --db x.db
is "the copy is good" "$rc" 0
schema_case() { # WHAT TEXT SQL
    copy
    sqlite3 x.db "$3" >out 2>&1 || cat out
    sum=$(cksum <x.db)
    bench list --db x.db
    refused "$1: refused" "$2"
    bench run s.ini --db x.db --threads 1
    [ "$rc" -eq 2 ] && [ "$sum" = "$(cksum <x.db)" ]
    check "$1: and not written" $?
}
schema_case "a view for a table" "is not a plain strict table" \
    "PRAGMA foreign_keys = OFF; DROP TABLE eval; CREATE VIEW eval AS SELECT 1 AS run_id, 1 AS step, 1.0 AS val_loss,
     1 AS val_tokens, 1.0 AS eval_ms, 1.0 AS train_time_ms"
schema_case "a table without types" "is not a plain strict table" \
    "ALTER TABLE eval RENAME TO e2; CREATE TABLE eval AS SELECT * FROM e2"
schema_case "a trigger" "has a trigger" \
    "CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM run; END"
schema_case "a column of another type" "is missing, computed, or of another type" \
    "DROP VIEW run_divergence; ALTER TABLE step DROP COLUMN train_loss; ALTER TABLE step ADD COLUMN train_loss TEXT"
schema_case "a computed column" "is missing, computed, or of another type" \
    "DROP VIEW run_divergence; ALTER TABLE step DROP COLUMN train_loss; ALTER TABLE step ADD COLUMN train_loss REAL AS (1.0)"
schema_case "a missing table" "is missing" "DROP TABLE op_span"
schema_case "a database of another program" "not a database of gptbench" "PRAGMA application_id = 7"
schema_case "a newer version" "newer gptbench" "INSERT INTO schema_version VALUES (999, '2099', '9')"
if sqlite3 :memory: 'CREATE VIRTUAL TABLE t USING fts5(a)' 2>/dev/null; then
    schema_case "a virtual table" "is not a plain strict table" \
        "DROP TABLE op_span; CREATE VIRTUAL TABLE op_span USING fts5(run_id, position, phase, layer, op, begin_ms, end_ms)"
fi
copy
sqlite3 x.db "DROP VIEW run_summary; CREATE VIEW run_summary AS WITH RECURSIVE r(n) AS
 (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS suite FROM r"
bench list --db x.db
is "a view that never ends is not read" "$rc $(grep -c 'ok' out)" "0 $("$gptbench" list --db results/tiny.db | grep -c ok)"

# ---- sizes ----
copy
sqlite3 x.db "UPDATE suite SET text = printf('%.*c', 20000000, 'x')"
bench report --db x.db -o big
refused "a text of 20 MB is refused" "too big"
copy
sqlite3 x.db "UPDATE config SET name = name || printf('%.*c', 1000000, 'y')"
bench report --db x.db -o long
[ "$rc" -eq 0 ] || [ "$rc" -eq 3 ]
check "a name of 1 MB is only long" $?
copy
sqlite3 x.db "UPDATE run SET steps_done = 9223372036854775807, tokens_per_step = 9223372036854775807, warmup_steps = -9223372036854775808,
 threads = 9223372036854775807, batch_size = -1, num_iterations = 0, replicate = replicate + 4611686018427387904;
 UPDATE config SET n_layer = 9223372036854775807, n_params = -9223372036854775808, n_embd = 0, n_head = 0, position = -position,
 flops_per_token = 1e308; UPDATE step SET step_ms = 1e308; UPDATE eval SET train_time_ms = -1e308, val_tokens = -1"
for command in "list" "show $(sqlite3 x.db 'SELECT min(run_id) FROM run')" "compare a b" "why a b" "report -o numbers"; do
    bench $command --db x.db
    [ "$rc" -le 3 ]
    check "numbers beyond all bounds: ${command%% *}" $?
done
extremes=('batch_size = 9223372036854775807' 'batch_size = 65536\nsequence_length = 1048576' 'num_iterations = 99999999999999999999'
          'num_iterations = -1' 'seed = 1e30' 'val_tokens = 9223372036854775808' 'n_embd = 4294967298' 'n_layer = 0'
          'vocab_size = 18446744073709551616' 'mlp_expansion_factor = 1e300' 'mlp_expansion_factor = 1/0' 'learning_rate = nan'
          'n_head = -9223372036854775808' 'grad_accumulation_steps = 0x7fffffffffffffff'
          'batch_size = 1024\nsequence_length = 1048576\nn_embd = 65536\nn_head = 1024\nn_layer = 1024\nmlp_expansion_factor = 64\nuse_swiglu_mlp = true')
bad=0
for lines in "${extremes[@]}"; do
    printf "[suite]\nname = x\n[data]\ntrain = synth:vocab=64,seed=1\nval = synth:vocab=64,seed=1\n[config a]\nmodel = d12\n$lines\n" >e.ini
    bench plan e.ini
    if [ "$rc" -ne 2 ] || ! grep -qE '^e\.ini:[0-9]+: ' err; then
        echo "# $lines: exit $rc: $(cat err)" && bad=1
    fi
done
is "sizes beyond all bounds in a suite are errors with file and line" "$bad" 0

# ---- damage ----
bad=0
for offset in 16 28 100 110 1000 4096 8200 12300 20000; do
    copy
    printf '\377\377\377\377\377\377\377\377' | dd of=x.db bs=1 seek=$offset conv=notrunc 2>/dev/null
    for command in list "report -o damaged" "compare a b"; do
        bench $command --db x.db
        [ "$rc" -le 3 ] || { echo "# offset $offset, $command: exit $rc"; bad=1; }
    done
done
is "damaged pages end in an answer or an error" "$bad" 0
head -c 5000 results/tiny.db >x.db
bench list --db x.db
[ "$rc" -eq 2 ]
check "a cut file is refused" $?
rm -f x.db* && mkfifo x.db
bench list --db x.db
refused "a FIFO is refused, not waited for" "not a regular file"
bench run s.ini --db x.db
refused "nor run into" "not a regular file"
rm x.db

# ---- what lies beside a database ----
copy
echo precious >victim
# A journal of a transaction over two files, by SQLite's file format: it names the other, which
# SQLite deletes when it has played the journal back.
name=$PWD/victim
sum=0
for ((i = 0; i < ${#name}; i++)); do sum=$((sum + $(printf '%d' "'${name:i:1}"))); done
be32() { printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"; }
journal() {
    head -c 512 /dev/zero | tr '\0' x
    be32 1
    printf '%s' "$name"
    be32 ${#name}
    be32 $sum
    printf '\xd9\xd5\x05\xf9\x20\xa1\x63\xd7'
}
cp victim kept
cp x.db y.db
sqlite3 y.db 'PRAGMA journal_mode = DELETE' >out
journal >y.db-journal
sqlite3 y.db 'SELECT count(*) FROM suite' >out 2>&1
if [ -e victim ]; then
    skip "a journal that names another file" "this SQLite does not delete it"
else
    check "(SQLite itself deletes what such a journal names)" 0
    cp kept victim
fi
sqlite3 x.db 'PRAGMA journal_mode = DELETE' >out
journal >x.db-journal
bench list --db x.db
refused "a journal that names another file is refused" "belongs to several files"
bench run s.ini --db x.db
[ "$rc" -eq 2 ] && cmp -s kept victim
check "and that file stays" $?
for kind in journal wal shm; do
    copy
    ln -s "$PWD/victim" "x.db-$kind"
    bench run s.ini --db x.db --threads 1
    [ "$rc" -eq 2 ] && cmp -s kept victim
    check "a link in place of x.db-$kind is refused" $?
    rm "x.db-$kind"
done

# ---- report folders ----
copy
for file in report.md index.html results.tsv report.json data/settings.gp plots/style.gp data/entries.tsv; do
    rm -rf f && mkdir -p "f/$(dirname "$file")"
    ln -s "$PWD/victim" "f/$file"
    bench report --db x.db -o f
    [ "$rc" -ne 0 ] && cmp -s kept victim && grep -q "symbolic link" err
    check "a link in place of $file is not followed" $?
done
for folder in data plots figures; do
    rm -rf f elsewhere && mkdir f elsewhere
    ln -s "$PWD/elsewhere" "f/$folder"
    bench report --db x.db -o f
    [ "$rc" -ne 0 ] && [ -z "$(ls elsewhere)" ]
    check "a link in place of $folder/ is not followed" $?
done
rm -rf f && mkdir -p f/figures
for figure in step_times model_size speed_loss; do ln -s "$PWD/victim" "f/figures/$figure.svg"; done
bench report --db x.db -o f
cmp -s kept victim
check "nor links in place of figures" $?
rm -rf f && mkdir f && mkfifo f/report.md
bench report --db x.db -o f
[ "$rc" -eq 3 ] && [ "$rc" -ne 124 ]
check "a FIFO in place of a file is not waited for" $?
rm -rf f && mkdir f
printf '#!/bin/sh\ntouch %s/pwned\n' "$PWD" >f/gnuplot && chmod +x f/gnuplot
PATH=".::f:$PATH" bench report --db x.db -o f
quiet "a program called gnuplot in the folder is not run"
printf 'system("touch %s/pwned")\n' "$PWD" >f/.gnuplot
HOME=$PWD/f bench report --db x.db -o f
quiet "nor a .gnuplot there read"

# ---- programs that are started ----
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    strace -f -qq -e trace=execve -e signal=none -o trace "$gptbench" report --db hostile.db -o traced >/dev/null 2>&1
    strace -f -qq -e trace=execve -e signal=none -o trace2 "$gptbench" doctor >/dev/null 2>&1
    grep -h 'execve(' trace trace2 | grep '= 0$' | sed 's/.*execve("\([^"]*\)".*/\1/' | sort -u >programs
    ! grep -qvE '/gptbench$|^/proc/self/exe$|/gnuplot[^/]*$' programs && [ -s programs ]
    check "report and doctor start gnuplot and nothing else ($(tr '\n' ' ' <programs))" $?
else
    skip "which programs are started" "there is no strace to see it with"
fi
quiet "at the end nothing was run"
finish
