#!/usr/bin/env bash
# What a person sees in a terminal of 40, 80 and 120 columns: no row of a table, and no sentence
# beneath it, is wider; nothing of that where the output is a file.
# Needs build/tests/fake_terminal beside the program, a terminal that tells what it was sent.
# kinds: sanitized (text and exit codes)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive TERM=xterm
unset COLUMNS NO_COLOR
terminal="$(dirname "$gptbench")/tests/fake_terminal"
[ -x "$terminal" ] || skip_rest "there is no $terminal"
needs "what a terminal shows" sqlite3

shows() { # SIZE ARGUMENTS...: the lines in `out` as "wrapped|width<TAB>columns<TAB>text"
    local size=$1
    shift
    "$terminal" "$size" "$gptbench" "$@" >out 2>err
    rc=$?
}
# A path is not broken: it is to be copied.
fits() { # WHAT
    [ "$rc" -eq 0 ] && ! grep -v '^wrapped.*\(database: \|report:   \|/\(index.html\|report.md\)\)' out | grep -q '^wrapped'
    check "$1: no line is wider" $?
}

# ---- names of 40 letters ----
a=base_of_everything_that_is_compared_here
b=mlp_of_three_times_the_width_of_the_mode
{
    tiny_suite wide 2 70 35 8 | sed "s/^baseline = a/baseline = $a/"
    tiny_cell $a
    tiny_cell $b 'mlp_expansion_factor = 3'
    printf '\n[claim the-smaller-mlp-is-faster]\nconfig = %s\nexpect = step_avg speedup >= 15%%\nsource = a note\n' $b
} >wide.ini
"$gptbench" run wide.ini --threads 1 --no-report >table 2>err
is "the suite is done" $? 0
db=results/wide.db

commands=(
    "list"
    "show 1"
    "compare $a $b"
    "why $a $b"
    "claims wide.ini"
    "run wide.ini --threads 1 --no-report"
    "run wide.ini --threads 1 --dry-run"
    "plan wide.ini --gflops 100"
    "plan --help"
    "run --help"
    "--help"
    "report -o rep"
    "doctor --quick"
    "profile --set vocab_size=64 --set n_layer=1 --set n_embd=32 --set n_head=2 --set batch_size=2 --set sequence_length=16"
)
for width in 40 80 120; do
    for arguments in "${commands[@]}"; do
        # shellcheck disable=SC2086
        shows ${width}x24 $arguments
        case $arguments in doctor* | report*) rc=0 ;; esac # what is missing here is not the question
        fits "$width columns, ${arguments:0:24}"
    done
done

shows 80x24 compare $a $b
is "how a metric was compared is said below the table, each way once" \
    "$(grep -c 'exact: a property of the model' out)" 1
shows 80x24 run wide.ini --threads 1 --no-report
is "what all rows have in common is said once" "$(grep -c 'in all rows: backend cpu fp32' out)" 1

# ---- elsewhere ----
is "in a file: a row per config, all columns on it" \
    "$(awk -v a=$a '$1 == a && /cpu fp32/ && /ok 2$/' table | wc -l)" 1
COLUMNS=40 "$gptbench" run wide.ini --threads 1 --no-report >again 2>err
is "in a file: COLUMNS changes nothing" "$(awk '{ print length }' again | sort -n | tail -n 1)" \
    "$(awk '{ print length }' table | sort -n | tail -n 1)"
COLUMNS=60 "$terminal" 80x24 "$gptbench" list >out 2>err
is "on a terminal COLUMNS counts where it is less" \
    "$(awk -F '\t' '$2 > most { most = $2 } END { print most <= 60 }' out)" 1
COLUMNS=200 "$terminal" 80x24 "$gptbench" list >out 2>err
is "and not where it is more" "$(grep -c '^wrapped' out)" 0

# ---- while it runs ----
{
    tiny_suite 'long' 2 10000000 10000000 4000 | sed '/^name/s/$/\nprofile_steps = 0/'
    tiny_cell a
    tiny_cell $b 'mlp_expansion_factor = 3'
} >'my suite.ini'
goes() { # FAKE-TERMINAL'S-ARGUMENTS... run's: until somebody types Ctrl-C
    "$terminal" "$@" >out 2>err
    rc=$?
}
typed=("$gptbench" run 'my suite.ini' --db 'it is.db' --threads 1 --only '[am]*' --loss-only)
goes 80x24 -s 'GEMM peak' peak -s 'step *left' wide -r 'all runs' 40 -g 'all runs' -s loss narrow \
    -i loss "${typed[@]}"
is "Ctrl-C: exit code" $rc 1
is "all was seen" "$(grep -c 'never saw' err)" 0
grep -q '^measuring GEMM peak and copy rate of cpu, fp32' peak
check "the peak: what is measured" $?
grep -q '^\[1/4\] run 1: a  replicate 0  all runs: about .* left$' wide &&
    grep -qE '^  step [0-9]+/10000000  \[[#.]+\]  loss [0-9.]+(  val [0-9.]+)?  about .* left$' wide
check "80 columns: run, bar, loss, time left" $?
grep -qE '^  step [0-9]+/10000000  loss [0-9.]+$' narrow
check "40 columns, after a change of width: step and loss" $?
is "nothing was said that was not known" "$(cat peak wide narrow | grep -cE 'nan|ETA| 0 us')" 0
is "the display leaves nothing behind" "$(grep -c '  step [0-9]*/' out)" 0
# Lines that the terminal broke are one again.
awk -F '\t' '$1 == "wrapped" { printf "%s", $3; next } { print $3 }' out >lines
is "Ctrl-C: the command stands there as it was typed" \
    "$(sed -n '/the same command/,$p' lines | sed -n 's/^  \(.* run .*\)/\1/p')" \
    "$gptbench run 'my suite.ini' --db 'it is.db' --threads 1 --only '[am]*' --loss-only"
is "and a shell reads it so" \
    "$(eval "printf '%s|' $(sed -n 's/^  \(.* run .*\)/\1/p' lines | tail -n 1)")" "$(printf '%s|' "${typed[@]}")"
is "colours" "$(grep -c coloured err)" 1

for width in 40 80 120; do
    # Before some blocks are done nobody knows how long the rest takes.
    shown='block '
    [ $width -eq 120 ] && shown='block *left'
    goes ${width}x40 -s "$shown" screen -i 'block ' "$gptbench" run 'my suite.ini' \
        --db timing.db --threads 1 --speed-only --no-report
    head=$(grep '^timing 2 configs in turn' screen)
    line=$(grep '^  block [0-9]* of 4000' screen)
    [ -n "$head" ] && [ ${#head} -lt $width ] && [ -n "$line" ] && [ ${#line} -lt $width ]
    check "$width columns, speeds in turn: $line" $?
done
[[ "$line" =~ \[[#.]+\].*left ]]
check "120 columns: bar and time left" $?
small=(--set vocab_size=64 --set n_layer=1 --set n_embd=32 --set n_head=2 --set batch_size=2 --set sequence_length=16)
goes 80x24 -s 'measuring GEMM' doing "$gptbench" profile "${small[@]}" --threads 1
grep -q '^measuring GEMM peak and copy rate of cpu' doing
check "profile: what it is doing, until it has done it" $((rc + $? + $(grep -c 'measuring GEMM' out)))
NO_COLOR=1 goes 120x40 -i 'loss' "${typed[@]}"
is "NO_COLOR: none" "$(grep -c coloured err)" 0
TERM=dumb goes 120x40 -i '1 of 4] run' "${typed[@]}"
is "a terminal that cannot redraw: plain lines" \
    "$(grep -c 'step [0-9]*/' out) $(grep -c '\[1 of 4\] run [0-9]*: a, replicate 0' out)" "0 1"
"${typed[@]}" >out 2>err &
runner=$!
for _ in $(seq 300); do
    grep -q '^\[1 of' err && break
    sleep 0.1
done
kill -INT "$runner"
wait "$runner"
is "in a file: no display, and Ctrl-C says the same" \
    "$(grep -c $'\033\|\r' err) $(tail -n 1 err)" \
    "0   $gptbench run 'my suite.ini' --db 'it is.db' --threads 1 --only '[am]*' --loss-only"
finish
