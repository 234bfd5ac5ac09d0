# For the end-to-end scripts, which read this file first: `. "$(dirname "$0")/lib.sh"` (from
# tests/simt: `../e2e/lib.sh`), with the program as the script's first argument.
# Gives $gptbench, the program's whole path, $root, that of the sources, and a directory of the script's own, which is the
# current one from here on and goes away at the end. What it prints is TAP: a line for each check, the
# number of checks at the end. A script ends with `finish`.
set -uo pipefail
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
gptbench=$(realpath "${1:?usage: $(basename "$0") PROGRAM}")
work=$(mktemp -d)
# A program that a script left running in the background, by its process number, ends with the script.
runner=
trap '[ -n "$runner" ] && kill -9 "$runner" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

# One check: ok when STATUS is 0. The files out and err, where there are any, show what was printed.
check() { # WHAT STATUS
    checks=$((checks + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        [ -f out ] && sed 's/^/#   out: /' out
        [ -f err ] && sed 's/^/#   err: /' err
        failures=$((failures + 1))
    fi
}
is() { # WHAT ACTUAL EXPECTED
    [ "$2" = "$3" ]
    check "$1 (${2//$'\n'/ })" $?
}
# A check that a command succeeds; what it prints shows when it does not.
passes() { # WHAT COMMAND...
    local what=$1 status
    shift
    "$@" >"$work/said" 2>&1
    status=$?
    [ "$status" -eq 0 ] || sed 's/^/#   /' "$work/said"
    check "$what" "$status"
}
# A check, or several, that cannot be made here.
skip() { # WHAT REASON
    checks=$((checks + 1))
    echo "ok - $1 # SKIP $2"
}
# Ends a script of which nothing, or nothing more, can be checked here.
skip_rest() { # REASON
    if [ "$checks" -eq 0 ]; then
        echo "1..0 # SKIP $1"
        exit 0
    fi
    skip "the rest" "$1"
    finish
}
# What the database $db answers.
query() { # SQL
    sqlite3 -cmd '.timeout 5000' "$db" "$1"
}
# Skips the rest of the script where a program is missing.
needs() { # WHAT PROGRAM...
    local what=$1 program
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null || skip_rest "$what: there is no $program to check it with"
    done
}
# The plan comes last: a script that ends before this has none, and that is a failure.
finish() {
    echo "1..$checks"
    [ "$failures" -eq 0 ]
    exit
}

# A suite of models so small that a step takes some 50 microseconds: this, then its cells.
tiny_suite() { # NAME REPLICATES ITERATIONS VAL_LOSS_EVERY BLOCKS
    cat <<INI
[suite]
name = $1
baseline = a
replicates = $2

[timing]
blocks = $5

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 2
sequence_length = 16
num_iterations = $3
val_loss_every = $4
val_tokens = 64
precision = fp32
INI
}
tiny_cell() { # NAME LINE...
    printf '\n[config %s]\nvocab_size = 64\nn_layer = 1\nn_head = 2\nn_embd = 32\n' "$1"
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@"
}
# The usual suite of two such models, of which b is smaller.
tiny_pair() { # NAME REPLICATES ITERATIONS VAL_LOSS_EVERY BLOCKS [EXPANSION-OF-B]
    tiny_suite "$1" "$2" "$3" "$4" "$5"
    tiny_cell a
    tiny_cell b "mlp_expansion_factor = ${6:-2}"
}
