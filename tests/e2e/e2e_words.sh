#!/bin/bash
# kinds: sanitized (text, command lines and exit codes)
# Messages about a name or a file that is not there: what they suggest, and what they must not.
. "$(dirname "$0")/lib.sh"

# refused WHAT WORDS COMMAND...: exit code 2 and the words on stderr
refused() {
    local what=$1 words=$2 status
    shift 2
    "$gptbench" "$@" >out 2>err
    status=$?
    [ $status -eq 2 ] && grep -qF -- "$words" err
    check "$what" $?
}
silent_about() { # WHAT WORDS: of the command before
    ! grep -qF -- "$2" err
    check "$1" $?
}

# ---- commands, options ----
refused "a command far from all others" 'unknown command export; `gptbench --help`' export
silent_about "suggests nothing" "did you mean"
refused "nor does another one" 'unknown command import; `gptbench --help`' import
refused "a slip of a command" "did you mean report?" reprot
refused "and one in upper case" "did you mean report?" REPORT
refused "an option far from all others" 'unknown option --export;' report --export x
silent_about "suggests nothing either" "did you mean"

# ---- options given twice: one of the two values would be dropped ----
refused "--db twice" "report: --db is given twice, a.db and b.db; give it once" report --db a.db --db b.db -o r
[ ! -e r ]
check "and nothing is written" $?
refused "also as --db=" "show: --db is given twice, a.db and b.db" show 1 --db=a.db --db=b.db
refused "short and long" "report: --output is given twice, a and b" report -o a --output b
refused "a number" "run: --threads is given twice, 1 and 2" run x.ini --threads 1 --threads 2
refused "a flag" "compare: --json is given twice; give it once" compare a b --json --json
refused "one key set twice" "n_layer" train --set n_layer=1 --set n_layer=2 --train synth:vocab=64,seed=1 --val synth:vocab=64,seed=1

# ---- files ----
tiny_suite mine 1 2 2 0 >mine.ini
tiny_cell a >>mine.ini
tiny_cell b "mlp_expansion_factor = 2" >>mine.ini
refused "run: another ending" "mine.in: No such file or directory; did you mean mine.ini?" run mine.in
refused "plan: no ending" "did you mean mine.ini?" plan mine
refused "claims: a slip" "did you mean ./mine.ini?" claims ./mien.ini
refused "far from any" "other.ini: No such file or directory" run other.ini
silent_about "suggests nothing" "did you mean"
mkdir sub
cp mine.ini sub
refused "in a folder" "did you mean sub/mine.ini?" plan sub/mine.txt
printf 'some text' >text.txt
"$gptbench" data pack -o books.bin text.txt >/dev/null
refused "data: a shard" "book.bin: no such file; did you mean books.bin?" data info book.bin
refused "data: a text" "did you mean text.txt?" data pack -o x.bin text.tx
touch w.safetensors
refused "parity: weights" "did you mean w.safetensors?" parity --weights w.safetensor --tokens books.bin -o o \
    --set n_layer=1 --set batch_size=1 --set sequence_length=4

# ---- cells: the message lists them, whoever says it ----
with() { # SED: the suite, changed
    sed "$1" mine.ini >changed.ini
}
with 's/^baseline = .*/baseline = reference/'
refused "plan: no such baseline" "changed.ini:3: baseline = reference: no such cell; the cells are a, b" plan changed.ini
silent_about "does not name itself" "gptbench plan"
refused "run: no such --only" "the cells are a, b" run mine.ini --only 'x*'
refused "plan: no such --only" "the cells are a, b" plan mine.ini --only 'x*' --gflops 10
{
    tiny_suite many 1 2 2 0 | sed 's/^baseline = .*/baseline = reference/'
    printf '[model]\nvocab_size = 64\nn_layer = 1\nn_head = 2\n[matrix]\nn_embd = 32..504..8\n'
} >many.ini
refused "of many the first" ", c120 and 48 more" plan many.ini # 60 cells, of which 12 are named
printf '[config c]\nvocab_size = 64\nn_layer = 1\nn_head = 12\nn_embd = 100\n' | cat mine.ini - >changed.ini
# 12 heads of an even width: 12 * 8 = 96, 12 * 10 = 120; of width 16: 6 * 16 = 96, 7 * 16 = 112
refused "widths: as many heads, then heads of a usual size" \
    "are 96 or 120 with 12 heads; with other heads, 96 with 6 heads and 112 with 7 heads (head_dim 16)" plan changed.ini

# ---- databases ----
"$gptbench" run mine.ini --threads 1 --no-report >out 2>err
sed 's/^name = .*/name = other/; s/config b]/config b2]/' mine.ini >other.ini
"$gptbench" run other.ini --threads 1 --no-report >out 2>err
touch -d '1 hour ago' results/mine.db*
refused "compare: a config that another database has" "results/mine.db has \`a\` and \`b\`: --db results/mine.db" compare a b
refused "why: too" "results/mine.db has \`a\` and \`b\`: --db results/mine.db" why a b
refused "reading a database does not make it the newest" 'other` has no config `q8`' compare q8 a
refused "one of the two" "results/mine.db has \`b\`" compare b2 b
refused "none has it" 'has no config `q7`' compare a q7
silent_about "points nowhere" "--db"
refused "the base's database" "results/mine.db has \`b\`: --base-db results/mine.db" compare b b2 --base-db results/other.db --db results/mine.db
refused "report: a suite" "results/mine.db has suite \`mine\`: --db results/mine.db" report --suite mine -o r
sqlite3 results/mine.db "update run set run_id = run_id + 100"
touch -d '1 hour ago' results/mine.db*
refused "show: a run" "results/mine.db has run 101: --db results/mine.db" show 101
mv results/mine.db results/kept.db
refused "claims: the suite's database has another name" "results/kept.db has suite \`mine\`: --db results/kept.db" claims mine.ini
refused "a slip of the database's name" "did you mean results/kept.db?" list --db results/kep.db
finish
