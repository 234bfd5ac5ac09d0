#!/usr/bin/env bash
# End to end: `gptbench claims` on a database with planted times and on a suite that is really run.
#   tests/e2e/e2e_claims.sh build/gptbench
# The planted one needs build/tests/test_claims beside the program.
# kinds: sanitized (words, counts and exit codes)
. "$(dirname "$0")/lib.sh"
plant="$(dirname "$gptbench")/tests/test_claims"
export OMP_WAIT_POLICY=passive

exits() { # WHAT CODE TEXT ARGUMENTS...: what `claims ARGUMENTS` exits with and says
    local what=$1 code=$2 text=$3
    shift 3
    "$gptbench" claims "$@" >out 2>err
    [ $? -eq "$code" ] && grep -qF -- "$text" out err
    check "$what: exit $code" $?
}
outcomes() { jq -r '[.claims[] | "\(.name) \(.outcome)"] | join(", ")' out; }
needs "gptbench claims" sqlite3 jq

suite() { # NAME BASELINE: a suite without configs
    cat <<INI
[suite]
name = $1
baseline = $2
replicates = 2

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 2
sequence_length = 16
num_iterations = 14
val_loss_every = 7
val_tokens = 64
precision = fp32

[timing]
blocks = 8
burst_steps = 4

[model]
vocab_size = 64
n_layer = 1
n_head = 2
n_embd = 32
INI
}
claim() { # NAME CONFIG BASELINE EXPECT
    printf '\n[claim %s]\nconfig = %s\nbaseline = %s\nexpect = %s\nsource = a note\n' "$@"
}

# ---- planted: bursts of d12 take 100 ms, of d12_mlp3x 80 ms, with nine tenths of the FLOPs ----
if [ -x "$plant" ]; then
    {
        suite fake d12
        printf '\n[config d12]\nmlp_expansion_factor = 4\n[config d12_mlp3x]\nmlp_expansion_factor = 3\n[config d12_mlp3x_gqa]\nn_embd = 48\n[config late]\nn_embd = 64\n'
        claim fast d12_mlp3x d12 'step_avg speedup >= 20%'
        claim edge d12_mlp3x d12 'step_avg speedup >= 25%'
        claim small d12_mlp3x d12 'n_params reduction >= 25%'
    } >fake.ini
    mkdir results
    "$plant" --plant results/fake.db
    exits "planted: the default database" 0 "fast is supported: speedup +25.0" fake.ini
    grep -q 'step_avg speedup >= 20%  *+25.0 %  *+2[45]\.[0-9]* % to +25\.[0-9]* %  *< 0.001  *+11.1 %' out
    check "planted: value, interval, p and what FLOPs give in one row" $?
    grep -q 'It promises more than FLOPs allow: at equal FLOP/s it would be +11.1 %' out
    check "planted: says that more was promised than FLOPs allow" $?
    grep -q 'Warning: results/fake.db was filled from another text of the suite than fake.ini is now: other settings are meant by `d12_mlp3x`, `d12`' out
    check "planted: says that the database is of another text, and which configs differ" $?
    exits "planted: none is refuted" 0 "edge" fake.ini --fail-on refuted
    exits "planted: one is unsettled" 1 "claims: 0 refuted, 1 unsettled, of 3" fake.ini --fail-on unsettled
    claim slow d12_mlp3x d12 'step_avg speedup < 1%' >>fake.ini
    claim absent late d12 'val_loss within 1%' >>fake.ini
    exits "planted: one is refuted" 1 "claims: 1 refuted, 2 unsettled, of 5" fake.ini --fail-on refuted
    exits "planted: unsettled takes the refuted too" 1 "1 refuted" fake.ini --fail-on=unsettled
    exits "planted: nothing is asked" 0 'the database has no config `late`' fake.ini
    exits "planted: as JSON" 1 '"outcome"' fake.ini --json --fail-on refuted
    is "planted: outcomes" "$(outcomes)" "fast supported, edge unsettled, small supported, slow refuted, absent unsettled"
    is "planted: JSON has what the table has" \
        "$(jq -r '.claims[0] | "\(.percent | round) \(.basis) \(.predicted_percent * 10 | round) \(.source) \(.reason) \(.p < 0.001)"' out)" "25 blocks 111 a note null true"
    is "planted: and the warning" "$(jq -r '.warnings | length' out)" 1
    sqlite3 results/fake.db "UPDATE timing_arm SET status = 'oom', message = 'no ' || char(27) || '[2J room' WHERE arm = 1"
    exits "planted: an arm that failed" 0 'd12_mlp3x` did not get through the timing: oom' fake.ini
    ! grep -q "$(printf '\033')" out
    check "planted: no control character reaches the terminal" $?
    exits "planted: and is unsettled" 1 "0 refuted, 4 unsettled" fake.ini --fail-on unsettled
    exits "wrong --fail-on" 2 "--fail-on supported: it is refuted, or unsettled" fake.ini --fail-on supported
    sed -i 's/^name = fake/name = other/' fake.ini
    exits "the database lacks the suite" 2 "no suite \`other\`" fake.ini --db results/fake.db
    rm -r results
else
    skip "planted database" "$plant is not built (make tests)"
fi

# ---- a suite that is run ----
{
    suite tiny base
    printf '\n[config base]\nmlp_expansion_factor = 4\n[config wide]\nn_embd = 128\n'
    # What no measured time can overturn, however busy the machine is.
    claim slow wide base 'step_avg speedup <= 1000000%'
    claim dear wide base 'step_avg speedup >= 1000000%'
    # From other weights and nothing to learn in 14 steps, losses are near log 64.
    claim near wide base 'best_val_loss within 60%'
    claim flops wide base 'flops increase > 100%'
} >tiny.ini
exits "nothing was run yet" 2 'results/tiny.db: there is no such database; `gptbench run tiny.ini` makes it, --db FILE names another' tiny.ini
exits "no such file named" 2 "none.db" tiny.ini --db none.db
"$gptbench" run tiny.ini --threads 1 --no-report >out 2>err
is "the suite runs" $? 0
exits "run: JSON" 0 '"claims"' tiny.ini --json
is "run: outcomes" "$(outcomes)" "slow supported, dear refuted, near supported, flops supported"
is "run: times from blocks, losses from replicates" "$(jq -r '[.claims[].basis] | join(" ")' out)" "blocks blocks replicates exact"
is "run: no warning" "$(jq -r '.warnings | length' out)" 0
# The value again by other means: of 8 blocks the trimmed mean drops a fifth, that is one, at each end.
speedup=$(sqlite3 results/tiny.db "SELECT printf('%.17g', b.median_ms / w.median_ms) FROM burst b JOIN burst w USING (timing_id, block) WHERE b.arm = 0 AND w.arm = 1" |
    sort -g | awk 'NR > 1 && NR < 8 { sum += log($1) } END { printf "%.9f", 100 * (exp(sum / 6) - 1) }')
jq -e --argjson s "$speedup" '.claims[0].percent - $s | fabs < 1e-6' out >/dev/null
check "run: the speed-up is that of the bursts in the database ($speedup %)" $?
exits "run: --fail-on" 1 "claims: 1 refuted, 0 unsettled, of 4" tiny.ini --fail-on unsettled
echo '; a comment' >>tiny.ini
exits "a comment more: another text, the same settings" 0 "but with the same settings of all configs that claims are about" tiny.ini
sed -i 's/^n_embd = 128/n_embd = 96/' tiny.ini
exits "another config" 0 'other settings are meant by `wide`.' tiny.ini
sed '/^\[claim/,$d' tiny.ini >none.ini
exits "a suite without claims" 0 "makes no claims" none.ini --fail-on unsettled
sed 's/speedup <= 1000000%/speedup <= fast/' tiny.ini >bad.ini
exits "a claim that is not understood" 2 "bad.ini:" bad.ini
exits "no suite" 2 "SUITE.ini"
exits "no such suite file" 2 "no.ini" no.ini
finish
