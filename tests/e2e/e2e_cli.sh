#!/usr/bin/env bash
# The command line as a user meets it: help, version, wrong input, exit codes.
# kinds: sanitized (words and exit codes)
. "$(dirname "$0")/lib.sh"

# expect_error EXIT-CODE PATTERN-IN-STDERR ARGUMENTS...
expect_error() {
    local code=$1 pattern=$2
    shift 2
    "$gptbench" "$@" >out 2>err
    local rc=$?
    [ "$rc" -eq "$code" ] && grep -qE -- "$pattern" err
    check "gptbench $* exits $code and says /$pattern/" $?
}
# expect_output PATTERN-IN-STDOUT ARGUMENTS...: success, and nothing on stderr.
expect_output() {
    local pattern=$1
    shift
    "$gptbench" "$@" >out 2>err
    local rc=$?
    [ "$rc" -eq 0 ] && grep -qE -- "$pattern" out && [ ! -s err ]
    check "gptbench $* exits 0 and prints /$pattern/" $?
}

expect_output '^usage: gptbench COMMAND' --help
expect_output '^gptbench [0-9]+\.[0-9]+\.[0-9]+' --version
expect_output '^backends .*cpu' --version
"$gptbench" --help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' >commands
for command in $(cat commands); do
    expect_output "^usage: gptbench $command" "$command" --help
    expect_error 2 "^gptbench: .*--no-such-thing" "$command" --no-such-thing
done
expect_output '^usage: gptbench plan' help plan

# What the program's own help names must stand in the manual page, and bash must offer it.
sed 's/\\-/-/g' "$root/man/gptbench.1" >manual
. "$root/completion/gptbench.bash"
complete_words() { # WORD...: what bash offers for the last, in COMPREPLY
    COMP_WORDS=("$gptbench" "$@")
    COMP_CWORD=$#
    _gptbench
}
complete_words ''
[ "$(printf '%s\n' "${COMPREPLY[@]}" | grep -v '^help$\|^--' | sort)" = "$(sort commands)" ]
check "bash offers every command of gptbench --help" $?
while read -r command; do
    : >out
    : >err
    complete_words $command --
    for option in $("$gptbench" $command --help | grep -oE '^  (-[a-z], )?--[a-z_-]+' |
        grep -oE -- '--[a-z_-]+'); do
        [ "$option" = --help ] && continue
        grep -qE -- "${option//./\\.}([^a-z_-]|$)" manual || echo "$option: not in the manual page" >>err
        [[ " ${COMPREPLY[*]} " == *" $option "* ]] || echo "$option: not offered by bash" >>err
    done
    grep -q "^\.B gptbench $command" manual || echo "$command: not in the manual page" >>err
    [ ! -s err ]
    check "the manual page and the completion know gptbench $command and its options" $?
done < <(cat commands; printf 'data %s\n' pack info synth)
[ "$(wc -l <commands)" -ge 10 ]
check "gptbench --help lists the commands" $?

expect_error 2 'no command given'
expect_error 2 'unknown command repotr; did you mean report\?' repotr
expect_error 2 'unknown command xyzzy; .gptbench --help. lists' xyzzy
expect_error 2 'unknown option --dyr-run; did you mean --dry-run\?' run --dyr-run suite.ini
expect_error 2 'run: ' run
expect_error 2 'nowhere\.ini' run nowhere.ini
expect_error 2 'nowhere\.ini' plan nowhere.ini

mkdir suites
cp "$root/suites/quick.ini" suites
expect_error 2 '^gptbench: quick: .*; did you mean suites/quick\.ini\?$' run quick
expect_error 2 'quik\.ini: .*; did you mean suites/quick\.ini\?$' plan quik.ini
: >x.db
expect_error 2 '^gptbench: list: x\.db is a database: give it as --db x\.db$' list x.db
expect_error 2 'compare: x\.db is a database: give it as --db' compare x.db a b
expect_error 2 'show: x\.db is a database: give it as --db' show x.db
expect_error 2 '--set mlp_expansion: no such key, did you mean mlp_expansion_factor' train --set mlp_expansion=3
expect_error 2 'unknown option --d-model; did you mean --n_embd\?' train --d-model 64
expect_error 2 '^gptbench: --val: none\.bin: no such file; .*gptbench data pack. makes shards' train --train synth:vocab=64 \
    --val none.bin
printf '[suite]\nname = x\n\n[trian]\n' >broken.ini
expect_error 2 '^broken\.ini:4: ' plan broken.ini

expect_error 2 "^gptbench: --device 0: chooses a GPU, and backend cpu has none; " train \
    --backend cpu --device 0 --train synth:vocab=8,seed=1 --val synth:vocab=8,seed=1
expect_error 2 'train: --device -1: must be between 0 and 1023' train --device -1
if ! "$gptbench" --version | grep -q '^backends .*cuda'; then
    expect_error 2 '^gptbench: --device: .*built without CUDA; leave it out' doctor --device 0
fi

expect_output '^ready: ' doctor --quick
expect_output '^ok +sqlite +SQLite [0-9.]+$' doctor --quick
expect_output '"ready": true' doctor --quick --json
program=$gptbench
gptbench_without_gnuplot() { PATH=/nonexistent "$program" "$@"; }
gptbench=gptbench_without_gnuplot
expect_error 3 'cannot be run here without: gnuplot' doctor --quick
gptbench=$program

if [ -w /dev/full ]; then
    "$gptbench" --help >/dev/full 2>err
    rc=$?
    : >out
    [ "$rc" -eq 3 ] && grep -q '^gptbench: standard output: ' err
    check "a full disk under standard output is an error" $?
else
    skip "a full disk under standard output" "/dev/full is not there"
fi

# OpenMP binds the first thread as soon as it is loaded: that must not look like a machine of one CPU.
threads_of() { "$gptbench" doctor 2>/dev/null | sed -n 's/.*cpu_fp32 .* \([0-9]*\) threads.*/\1/p'; }
is "OMP_PROC_BIND leaves all threads" "$(OMP_PROC_BIND=true threads_of)" "$(OMP_PROC_BIND=false threads_of)"

finish
