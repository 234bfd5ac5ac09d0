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
    "doctor --quick"
    "profile --set vocab_size=64 --set n_layer=1 --set n_embd=32 --set n_head=2 --set batch_size=2 --set sequence_length=16"
)
for width in 40 80 120; do
    for arguments in "${commands[@]}"; do
        # shellcheck disable=SC2086
        shows ${width}x24 $arguments
        [ "${arguments%% *}" = doctor ] && rc=0 # what is missing here is not the question
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
finish
