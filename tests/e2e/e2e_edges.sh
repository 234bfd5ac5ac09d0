#!/usr/bin/env bash
# End to end: verdicts where the numbers are at the edge: a coarse clock, runs that diverged.
#   tests/e2e/e2e_edges.sh build/gptbench
# kinds: plain sanitized (words and verdicts of tiny suites with planted times)
. "$(dirname "$0")/lib.sh"
needs "edges" sqlite3 jq python3
unset OPENBLAS_CORETYPE OMP_NUM_THREADS

suite() { # NAME REPLICATES BLOCKS ITERATIONS LAYERS: models of 4k parameters, without [matrix]
    cat <<INI
[suite]
name = $1
replicates = $2
profile_steps = 0
[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1
[train]
batch_size = 2
sequence_length = 32
num_iterations = $4
val_loss_every = $4
precision = fp32
[timing]
blocks = $3
burst_steps = 5
process_blocks = 0
[model]
vocab_size = 64
n_layer = $5
n_head = 2
n_embd = 16
INI
}

# ---- a clock of 0.5 us: steps of 50 and 45 us, whose medians are 50 or 50.5 and 45 or 45.5 us ----
{
    suite coarse 2 20 20 1
    printf '[matrix]\nmlp_expansion_factor = 4, 2\n[claim c]\nconfig = e2\nexpect = tokens_per_s speedup >= 5%%\n'
} >coarse.ini
"$gptbench" run coarse.ini --threads 1 >out 2>err
check "a suite runs" $?
python3 - results/coarse.db <<'P'
import random, sqlite3, sys
random.seed(4)
d = sqlite3.connect(sys.argv[1])
c = d.cursor()
arm = c.execute("select arm from timing_summary where config='e2'").fetchone()[0]
for t, b, a in c.execute("select timing_id, block, arm from burst").fetchall():
    m = (0.045 if a == arm else 0.050) + (0.0005 if random.random() < 0.2 else 0)
    c.execute("update burst_step set step_ms=? where timing_id=? and block=? and arm=? and tag='timed'", (m, t, b, a))
    c.execute("update burst set median_ms=?, mean_ms=? where timing_id=? and block=? and arm=?", (m, m, t, b, a))
d.commit()
P
"$gptbench" run coarse.ini --threads 1 >out 2>err
grep -qE '^e2 .* FASTER −9.9 %' out
check "all ratios lie between 0.891 and 0.91: FASTER" $?
# Rounding alone: sqrt((0.5/50)^2 + (0.5/45)^2) / sqrt(12) = 0.43 %, times 1.96: 0.85 % either way at least.
"$gptbench" compare base e2 --db results/coarse.db --metric step_avg --json >out 2>err
jq -e '.metrics[0] | .low != null and .high != null and .high - .low < 0.1 and .high - .low > 2 * 0.0084 * 0.9' out >/dev/null
check "the interval has ends, no nearer than the clock allows" $?
"$gptbench" claims coarse.ini >out 2>err
grep -qE '^c +supported' out
check "and the claim is supported" $?

db=results/diverged.db
query() { sqlite3 $db "$1"; }
# ---- runs that diverged: at 10 the loss ends above its start, at 52 the weights overflow, every logit is 0 and the
# loss is ln(64) = 4.158883 to the last bits ----
{
    suite diverged 2 0 40 2
    printf '[matrix]\nlearning_rate = 0.01, 10, 52\n[claim c]\nconfig = lr52\nexpect = val_loss reduction >= 1%%\n'
    printf '[claim d]\nconfig = lr52\nbaseline = lr10\nexpect = val_loss reduction >= 1%%\n'
} >diverged.ini
"$gptbench" run diverged.ini --threads 1 >out 2>err
check "diverged runs are done" $?
grep -q '^lr10: 2 of 2 runs diverged: in replicate 0 the final loss, .* lies above the first' out &&
    grep -q '^lr52: 2 of 2 runs diverged: in replicate 0 the final loss is ln(vocab_size), 4.1589' out &&
    ! grep -q '^lr0.01: ' out
check "the terminal names them and says why" $?
report=results/diverged/report.md
grep -q 'Warning: `lr10`: 2 of 2 runs diverged' $report && ! grep -qE 'BETTER|WORSE|Lowest|At equal budgets' $report
check "the report too, and gives no verdict for them or against them" $?
"$gptbench" report --db results/diverged.db -o rep >out 2>err
jq -e '[.results[] | [.diverged_runs, .divergence]] ==
    [[0, null], [2, "above its start"], [2, "at ln(vocab_size)"]]' rep/report.json >/dev/null
check "report.json marks them" $?
is "so does results.tsv" "$(awk -F'\t' '{ printf "%s ", $(NF - 1) }' rep/results.tsv)" "diverged_runs 0 2 2 "
"$gptbench" claims diverged.ini >out 2>err
is "claims about their losses are unsettled" "$? $(grep -cE '^[cd] +unsettled' out)" "0 2"
"$gptbench" compare lr0.01 lr52 --db results/diverged.db --metric val_loss >out 2>err
is "compare refuses them" "$? $(grep -c 'runs that diverged: none and 2 of 2' err)" "2 1"
# A gate: the side that diverged is worse, whatever the limit; beside a base that did nothing is known.
gate() { # BASE NEW CONDITION...: exit code of compare
    local pair=("$1" "$2") conditions=()
    shift 2
    for c in "$@"; do conditions+=(--fail-on "$c"); done
    "$gptbench" compare "${pair[@]}" --db $db --metric val_loss "${conditions[@]}" >out 2>err
    echo $?
}
is "one that diverged is worse beside one that did not, and not better; that is clear" \
    "$(gate lr0.01 lr10 'worse>900%') $(gate lr0.01 lr10 'better>0%') $(gate lr0.01 lr10 unclear) $(gate lr0.01 lr10 'better>0%' unclear)" \
    "1 0 0 0"
gate lr0.01 lr10 'worse>2%' >/dev/null
grep -q '^val_loss: not compared: runs that diverged' out &&
    grep -q '^--fail-on worse>2% (val_loss): met: the new side diverged, the base did not' out
check "and the answer says why" $?
is "beside a base that diverged it is unclear" \
    "$(gate lr10 lr0.01 unclear) $(gate lr10 lr0.01 'worse>2%' unclear) $(gate lr10 lr52 'better>2%' unclear)" "4 4 4"
is "and without that condition refused" "$(gate lr10 lr0.01 'worse>2%') $(gate lr10 lr52 'better>2%')" "2 2"
"$gptbench" list --db $db >out 2>err
is "list marks them" "$(awk -F '  +' '{ sub(/^ +/, "") } $6 ~ /^ok/ { print $3 ": " $6 }' out | sort -u | tr '\n' ';')" \
    "lr0.01: ok;lr10: ok, diverged;lr52: ok, diverged;"
id=$(query "SELECT run_id FROM run_summary WHERE config = 'lr10' AND replicate = 1")
"$gptbench" show "$id" --db $db >out 2>err
grep -A1 '^diverged' out | grep -q 'the final loss, .* lies above the first'
check "show says it of the run" $?
{ suite alone 1 0 40 2 && printf '[config x]\nlearning_rate = 10\n'; } >alone.ini
"$gptbench" run alone.ini --threads 1 >out 2>err
grep -q 'Warning: `x`: 1 of 1 runs diverged' results/alone/report.md && ! grep -q 'Lowest final' results/alone/report.md
check "a diverged config alone is not the lowest" $?
# An older database has no such column: the view is made anew, the judgement is of what the rows hold.
is "the view has the first loss" "$(query "SELECT count(*) FROM run_summary r JOIN eval e USING (run_id)
    WHERE e.step = 0 AND e.val_loss = r.first_val_loss")" 6

# ---- one slow step of five: e2 is a tenth faster by the medians of bursts, ten times slower by their means ----
{
    suite slow 2 20 20 1
    printf '[matrix]\nmlp_expansion_factor = 4, 2\n'
    printf '[claim c]\nconfig = e2\nexpect = tokens_per_s speedup >= 5%%\n[claim avg]\nconfig = e2\nexpect = step_avg speedup <= 1%%\n'
    printf '[claim median]\nconfig = e2\nexpect = step_median speedup >= 5%%\n'
} | sed 's/^profile_steps = 0/profile_steps = 2/' >slow.ini
"$gptbench" run slow.ini --threads 1 >out 2>err
check "a suite runs" $?
python3 - results/slow.db <<'P'
import random, sqlite3, sys
random.seed(4)
d = sqlite3.connect(sys.argv[1])
c = d.cursor()
arm = c.execute("select arm from timing_summary where config='e2'").fetchone()[0]
for t, b, a in c.execute("select timing_id, block, arm from burst").fetchall():
    at = [p for p, in c.execute("select position from burst_step where tag='timed' and block=? and arm=? order by position", (b, a))]
    m = 0.1 * (0.9 if a == arm else 1) * random.gauss(1, 0.004)
    x = [m * random.gauss(1, 0.001) for _ in at]
    if a == arm:
        x[0] = 5
    for p, v in zip(at, x):
        c.execute("update burst_step set step_ms=? where timing_id=? and position=?", (v, t, p))
    c.execute("update burst set median_ms=?, mean_ms=? where timing_id=? and block=? and arm=?", (sorted(x)[len(x) // 2], sum(x) / len(x), t, b, a))
d.commit()
P
# The means: (5 + 4 * 0.09) / 5 / 0.1 = 10.7 times the time.
warning='e2`? by the medians of its bursts is 9\.[0-9] to 10\.[0-9] % faster, which the verdict goes by, but by their means 9[67][0-9]\.[0-9] to 9[67][0-9]\.[0-9] % slower'
warns() { tr '\n' ' ' <"$1" | tr -s ' ' | grep -qE "$warning"; }
"$gptbench" run slow.ini --threads 1 >out 2>err
grep -qE '^e2 .* FASTER' out && warns out
check "the table of run warns beside the verdict" $?
warns results/slow/report.md
check "the report too" $?
for metric in tokens_per_s step_avg; do
    "$gptbench" compare base e2 --db results/slow.db --metric $metric --fail-on unclear >out 2>err
    rc=$?
    is "compare of $metric is inconclusive for a gate" $rc 4
    warns out
    check "and warns" $?
done
# Medians: 10 % faster; means: ten times slower. step_avg is both, so neither limit is known to be passed.
gate() { # METRIC CONDITION...
    local metric=$1 conditions=()
    shift
    for c in "$@"; do conditions+=(--fail-on "$c"); done
    "$gptbench" compare base e2 --db results/slow.db --metric "$metric" "${conditions[@]}" >out 2>err
    echo $?
}
is "a gate on step_avg holds neither as met" "$(gate step_avg 'faster>2%') $(gate step_avg 'slower>2%')" "0 0"
grep -q '^--fail-on slower>2% (step_avg): undecided, so not met: the means of bursts say otherwise' out
check "and says why" $?
is "beside it, unclear is met" "$(gate step_avg 'faster>2%' unclear) $(gate step_avg 'slower>2%' unclear)" "4 4"
# The medians lie within 9 and 11 % faster, the means beyond 900 % slower: neither is 50 % faster.
is "what both deny is denied" "$(gate step_avg 'faster>50%' unclear)" 0
is "of typical steps it is clear" "$(gate step_median 'faster>2%') $(gate step_median 'slower>2%' unclear)" "1 0"
"$gptbench" compare base e2 --db results/slow.db --metric step_median --json --fail-on unclear >out 2>err
is "of typical steps it is clear, and JSON marks it" "$? $(jq -c '.metrics[0].means_disagree' out)" "0 true"
"$gptbench" compare base base --db results/slow.db --metric step_avg >out 2>err
grep -q 'by their means' out
is "where the two agree nothing warns" $? 1
"$gptbench" claims slow.ini >out 2>err
grep -qE '^c +unsettled' out && grep -qE '^avg +unsettled' out && grep -qE '^median +supported' out
check "claims that the means would judge otherwise are unsettled" $?
tr '\n' ' ' <out | tr -s ' ' | grep -q 'Judged by the means the claim would come out otherwise, so it is unsettled. Warning: e2 by the medians' && warns out
check "with that reason" $?
"$gptbench" why base e2 --db results/slow.db >out 2>err
warns out
check "why warns" $?

# ---- losses near 0, near a known entropy, and equal ones: the same difference everywhere, in nats ----
{
    suite floor 3 0 20 1
    printf '[matrix]\nmlp_expansion_factor = 4, 3, 2\n'
    printf '[claim c]\nconfig = e3\nexpect = val_loss increase <= 1%%\n'
} >floor.ini
"$gptbench" run floor.ini --threads 1 --no-report >out 2>err
check "a suite runs" $?
plant() { # ENTROPY LEVEL: losses of LEVEL and a little, e3 11e-4 above base by -1, 0 and +1e-4; e2 as base
    python3 - results/floor.db "$1" "$2" <<'P'
import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
level = float(sys.argv[2 + 1])
d.execute("update run set entropy_rate_nats = " + sys.argv[2])
add = {"base": (2e-4, 1e-4, 3e-4), "e3": (12e-4, 12e-4, 15e-4), "e2": (2e-4, 1e-4, 3e-4)}
for run, config, replicate in d.execute("select run_id, config, replicate from run_summary").fetchall():
    d.execute("update eval set val_loss = ? where run_id = ? and step > 0", (level + add[config][replicate], run))
d.commit()
P
}
for case in 'NULL 0.001' '3.0 3.0' '3.0 0'; do
    # shellcheck disable=SC2086
    plant $case
    "$gptbench" report --db results/floor.db -o rep >out 2>err
    # Differences of 10, 11 and 12, in 1e-4: mean 11, standard error 1 / sqrt(3), times t(2) = 4.3027: 2.484.
    jq -e '.results[] | select(.config == "e3") | .loss | .verdict == "SAME" and .change_of == "perplexity" and
        (.difference_nats | (.value - 11e-4 | fabs) < 1e-9 and (.low - 8.5159e-4 | fabs) < 1e-8 and
        (.high - 13.4841e-4 | fabs) < 1e-8) and ((.change.value | log1p) - 11e-4 | fabs) < 1e-9' rep/report.json >/dev/null
    check "$case: 0.0011 nats, within 0.005: SAME" $?
    # Equal in all digits, of which there are four: 1e-4 / sqrt(6) * 4.3027 = 1.7566e-4.
    jq -e '.results[] | select(.config == "e2") | .loss | .verdict == "SAME" and
        (.difference_nats | .value == 0 and (.high - 1.7566e-4 | fabs) < 1e-8 and .low == -.high)' rep/report.json >/dev/null
    check "$case: equal losses are known to the last digit" $?
    grep -q '^|* *`*e3.*SAME. No difference found (+0.000852 nats to +0.0013 nats)' rep/report.md
    check "$case: report.md in nats" $?
    is "$case: results.tsv" "$(awk -F'\t' '{ printf "%s ", $NF }' rep/results.tsv)" "loss_change_of  perplexity perplexity "
    "$gptbench" compare base e3 --db results/floor.db --metric val_loss --fail-on 'worse>0.5%' >out 2>err
    is "$case: compare" "$? $(grep -c 'e3 is 0.0011 nats' out) $(grep -c '+0.0011 nats  +0.000852 nats to +0.0013 nats' out)" "0 1 1"
    "$gptbench" compare base e3 --db results/floor.db --metric val_loss --fail-on 'worse>0.05%' >out 2>err
    is "$case: a gate of 0.0005 nats" $? 1
    "$gptbench" claims floor.ini >out 2>err
    tr '\n' ' ' <out | tr -s ' ' | grep -qE 'c +supported.*increase \+0.11 % in perplexity, 95 % interval \+0.09 to \+0.13 %'
    check "$case: the claim" $?
done
# 1.2 nats above that entropy the ratio is back, and with it per cents of the loss.
plant 3.0 4.2
"$gptbench" compare base e3 --db results/floor.db --metric val_loss --json >out 2>err
jq -e '.metrics[0] | .change_of == "val_loss" and (.change - 11e-4 / 4.2002 | fabs) < 1e-9' out >/dev/null
check "farther away the ratio of the losses" $?
finish
