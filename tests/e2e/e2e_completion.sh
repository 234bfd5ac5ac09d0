#!/usr/bin/env bash
# Completion of command lines: bash's, as it runs at a prompt, by what a database and a suite hold, too;
# zsh's and fish's as far as they are installed. Expected words are the program's own lists.
# kinds: sanitized (words)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

. "$root/completion/gptbench.bash"
# offered WORD...: what bash offers for the last one, a line; '=' and ':' are words of their own at a
# prompt.
offered() {
    COMP_WORDS=("$gptbench" "$@")
    COMP_CWORD=$#
    _gptbench
    echo "${COMPREPLY[*]-}"
}
offers() { # WORDS EXPECTED
    # shellcheck disable=SC2086 # words
    is "gptbench $1" "$(offered $1)" "$2"
}
offers_next() { # WORDS EXPECTED: a new word after these
    # shellcheck disable=SC2086 # words
    is "gptbench $1 ..." "$(offered $1 "")" "$2"
}

offers pl plan
offers "tra" train
offers_next data "pack info synth"
offers "data pack --by" --bytes
offers "help doc" doctor
is "no such command" "$(offered nothing "" 2>&1)" ""
is "a hidden command has none" "$(offered worker "" 2>&1)" ""

# Options; those that are given once are not offered again.
offers "train --prec" --precision
offers "train --n_lay" --n_layer
offers "parity --mlp_e" --mlp_expansion_factor
offers "profile --timed" --timed-steps
offers "train --checkpoint-every 3 --checkpoint" --checkpoints
offers "train --set a=b --set" --set
offers "train --seed 1 --see" ""
offers_next "train --threads" ""

# Values: booleans, enumerations, presets, metrics, of options and of --set, in each way of writing.
offers_next "train --post_norm" "true false"
offers_next "train --precision" "fp32 bf16"
offers "train --precision=b" --precision=bf16
is "train --precision = b, as bash has it" "$(offered train --precision = b)" bf16
is "train --precision =" "$(offered train --precision =)" "fp32 bf16"
offers "train --set pre" precision=
is "train --set precision = f" "$(offered train --set precision = f)" fp32
offers "parity --set qk_norm=" "qk_norm=true qk_norm=false"
offers "profile --attention_type sl" sliding_window
offers "train --model d12_mlp3x_" "d12_mlp3x_gqa d12_mlp3x_swiglu"
offers "compare --metric best" best_val_loss
offers "compare --fail-on slow" 'slower\>'
offers_next "claims --fail-on" "refuted unsettled"
offers_next "why --by" "op,phase op layer"
offers_next "profile --by" "op layer"
offers "run --backend c" "$("$gptbench" --version | sed -n 's/^backends *//p' | tr ' ' '\n' | grep ^c | xargs)"
offers "train --train sy" synth:

# Files, by what an option reads.
mkdir suites && touch one.ini two.txt w.safetensors tokens.bin x.db
offers_next run "suites one.ini"
offers "train --load w" w.safetensors
is "train --load = w" "$(offered train --load = w)" w.safetensors
offers "parity --tokens t" tokens.bin
offers "list --db x" x.db
offers "report -o s" suites

# The cells of a suite.
{
    tiny_suite tiny 1 12 6 0
    tiny_cell a
    tiny_cell wide | sed 's/^n_embd = 32/n_embd = 64/'
} >tiny.ini
offers_next "run tiny.ini --only" "a wide"
offers "run tiny.ini --only=w" --only=wide

# What the newest database holds.
if command -v sqlite3 >/dev/null; then
    offers_next compare ""
    is "no database: nothing, and no word" "$(offered compare "" 2>&1)" ""
    "$gptbench" run tiny.ini --no-report --threads 1 >out 2>err
    is "a suite is run" $? 0
    offers_next compare "a wide"
    offers "compare a w" wide
    offers_next "why a" "a wide"
    offers_next "compare --suite" tiny
    offers_next "compare --suite other" ""
    offers_next show "2 1"
    offers_next "report --suite" tiny
    mv results/tiny.db elsewhere.db
    offers_next "compare --db elsewhere.db" "a wide"
    before=$(md5sum elsewhere.db)
    offers_next "show --db elsewhere.db" "2 1"
    is "asking changes nothing" "$(md5sum elsewhere.db)" "$before"
    head -c 100 elsewhere.db >broken.db
    is "a broken database: nothing, and no word" "$(offered show --db broken.db "" 2>&1)" ""
fi

# Each name once: none of them stands in the files.
is "no list is written twice" "$(grep -lE 'n_layer|best_val_loss|d12|--db' "$root"/completion/*)" ""
for shell in zsh fish; do
    file=$root/completion/_gptbench
    [ $shell = fish ] && file=$root/completion/gptbench.fish
    if command -v $shell >/dev/null; then
        passes "$shell reads its file" $shell -n "$file"
    else
        skip "$shell reads its file" "there is no $shell"
    fi
done
if command -v fish >/dev/null; then
    mkdir bin && ln -s "$gptbench" bin/gptbench
    is "fish offers a command" "$(PATH=$PWD/bin:$PATH fish --no-config -c \
        "source $root/completion/gptbench.fish; complete -C 'gptbench tra'" | cut -f 1)" train
    is "fish offers a value" "$(PATH=$PWD/bin:$PATH fish --no-config -c \
        "source $root/completion/gptbench.fish; complete -C 'gptbench train --precision=b'")" --precision=bf16
else
    skip "fish offers commands and values" "there is no fish"
fi
finish
