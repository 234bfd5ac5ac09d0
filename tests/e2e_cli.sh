#!/usr/bin/env bash
# The command line as a user meets it: help, version, wrong input, exit codes.
set -uo pipefail
gptbench=$(realpath "${1:?usage: e2e_cli.sh PROGRAM}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# check WHAT CONDITION-EXIT-STATUS
check() {
    if [ "$2" -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        sed 's/^/#   out: /' out
        sed 's/^/#   err: /' err
        failures=$((failures + 1))
    fi
}

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
for command in run plan report compare list show train parity data doctor; do
    expect_output "^usage: gptbench $command" "$command" --help
    expect_error 2 "^gptbench: .*--no-such-thing" "$command" --no-such-thing
done
expect_output '^usage: gptbench plan' help plan

expect_error 2 'no command given'
expect_error 2 'unknown command repotr; did you mean report\?' repotr
expect_error 2 'unknown command xyzzy; .gptbench --help. lists' xyzzy
expect_error 2 'unknown option --dyr-run; did you mean --dry-run\?' run --dyr-run suite.ini
expect_error 2 'run: ' run
expect_error 2 'nowhere\.ini' run nowhere.ini
expect_error 2 'nowhere\.ini' plan nowhere.ini

printf '[suite]\nname = x\n\n[trian]\n' >broken.ini
expect_error 2 '^broken\.ini:4: ' plan broken.ini

if [ -w /dev/full ]; then
    "$gptbench" --help >/dev/full 2>err
    rc=$?
    : >out
    [ "$rc" -eq 3 ] && grep -q '^gptbench: standard output: ' err
    check "a full disk under standard output is an error" $?
else
    echo "skip - /dev/full is not there"
fi

[ "$failures" -eq 0 ]
