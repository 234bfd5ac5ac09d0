#!/usr/bin/env bash
# End to end: `gptbench why` on a suite that is really run, on made-up databases, and refused.
#   tests/e2e/e2e_why.sh build/gptbench
# The made-up ones need build/tests/test_report beside the program.
# kinds: sanitized (words and sums)
. "$(dirname "$0")/lib.sh"
make_db="$(dirname "$gptbench")/tests/test_report"
export OMP_WAIT_POLICY=passive

bench() { # ARGUMENTS...
    "$gptbench" "$@" >out 2>err
    rc=$?
}
says() { # WHAT TEXT: in what the last command printed
    grep -qF -- "$2" out err
    check "$1" $?
}
refused() { # WHAT TEXT ARGUMENTS...
    local what=$1 text=$2
    shift 2
    bench why "$@"
    [ $rc -eq 2 ] && [ ! -s out ] && grep -qF -- "$text" err
    check "$what: exit 2" $?
}
# Sums of the columns of the printed table, in units of its last digit, against its line of the sum.
adds_up() {
    awk '{ sub(/^= profiled step/, "=profiled"); gsub(/−/, "-") }
        NR > 6 && NF > 4 && $0 ~ /[0-9]\.[0-9]/ {
            for (i = 1; i <= NF; i++) if ($i ~ /^[-+]?[0-9]+\.[0-9]+$/) break
            line = $i " " $(i + 1) " " $(i + 2)
            gsub(/[.+]/, "", line); split(line, v, " ")
            if ($1 == "=profiled") { bad = v[1] != a || v[2] != b || v[3] != c; seen = 1; exit }
            a += v[1]; b += v[2]; c += v[3]; if (v[2] - v[1] != v[3]) { odd = 1; exit }
        }
        END { if (!seen || bad || odd) print "adds up to", a, b, c, "not", v[1], v[2], v[3]
              exit !seen || bad || odd }' out >sum.txt
    local status=$?
    cat sum.txt >>err
    return $status
}

needs "gptbench why" sqlite3 jq

# ---- a suite that is run ----
cat >tiny.ini <<'INI'
[suite]
name = tiny
baseline = a
replicates = 2

[timing]
blocks = 0

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 2
sequence_length = 16
num_iterations = 70
val_loss_every = 70
val_tokens = 64
precision = fp32

[model]
vocab_size = 64
n_layer = 2
n_head = 2
n_embd = 32

[config a]
mlp_expansion_factor = 4

[config b]
mlp_expansion_factor = 3
use_swiglu_mlp = true
INI
bench run tiny.ini --threads 1 --no-report
is "a suite of two cells exits 0" $rc 0
db=results/tiny.db
difference=$(sqlite3 $db "SELECT avg(ms) FILTER (WHERE config = 'b') - avg(ms) FILTER (WHERE config = 'a')
    FROM (SELECT config, replicate, avg(step_ms) AS ms FROM step JOIN run_summary USING (run_id)
          WHERE tag = 'profiled' GROUP BY run_id)")
near() { # X Y: equal but for rounding in the last places
    [ -n "$1" ] && [ -n "$2" ] &&
        awk -v x="$1" -v y="$2" 'BEGIN { d = x - y; exit !(d < 1e-9 && d > -1e-9) }'
}
for by in op,phase op layer; do
    bench why a b --by $by
    is "by $by exits 0" $rc 0
    adds_up
    check "by $by: the printed rows add up to the profiled step, to the last digit" $?
    bench why a b --by $by --json
    near "$(jq '[.rows[].difference_ms] | add' out)" "$difference"
    check "by $by: differences add up to that of the profiled steps in SQL ($difference ms)" $?
done
near "$(jq '.profiled_step.difference_ms' out)" "$difference"
check "the difference of the profiled steps is SQL's" $?
near "$(jq '.step_avg.new_ms' out)" "$(sqlite3 $db "SELECT step_avg_ms FROM config_summary WHERE config = 'b'")"
check "step_avg is that of config_summary" $?
bench why a b --json
# Gate and value are 2 x 3 x 32 = 192 columns where there were 4 x 32 = 128: 3/2 of the FLOPs.
is "FLOPs ratio of linear_mlp_up" \
    "$(jq -r '.rows[] | select(.op == "linear_mlp_up" and .phase == "forward") | "\(.flops_ratio) \(.new_gemms[0].n)"' out)" "1.5 192"
is "every row has an interval" "$(jq '[.rows[] | select(.low_ms == null)] | length' out)" 0
bench why a a
is "a config against itself exits 0" $rc 0
adds_up
check "a config against itself: the rows add up" $?
says "a config against itself: nothing stands out" "No single row stands out of the noise."

# ---- refusals ----
refused "unknown config" 'did you mean `b`?' a bb --db $db
refused "unknown order of rows" 'did you mean layer?' a b --by layers
refused "one name" BASE a
refused "no database" none.db a b --db none.db
sqlite3 $db "DELETE FROM op_time WHERE run_id IN (SELECT run_id FROM run_summary WHERE config = 'b')"
refused "no profiled steps" '`b` has no profiled steps' a b
refused "no profiled steps, the other way round" '`b` has no profiled steps' b a

# ---- made-up databases ----
if [ ! -x "$make_db" ]; then
    skip_rest "made-up databases: $make_db is not built (make tests)"
fi
"$make_db" --make-db one.db 2 1 40 0 0
bench why --db one.db d12 d12_mlp3x
is "one replicate exits 0" $rc 0
says "one replicate: says that there is no interval" "One replicate: no row has an interval"
! grep -q "within noise" out
check "one replicate: nothing is called noise" $?

sqlite3 one.db "UPDATE run SET precision = 'bf16' WHERE config_id = 2"
refused "another precision" "--force shows it all the same" --db one.db d12 d12_mlp3x
sqlite3 one.db "UPDATE run SET precision = 'fp32', backend = 'cuda' WHERE config_id = 2"
refused "another backend" "backend cpu and cuda" --db one.db d12 d12_mlp3x
sqlite3 one.db "UPDATE run SET backend = 'cpu' WHERE config_id = 2;
    INSERT INTO machine (machine_id, fingerprint, hostname, os, cpu, cpu_count, memory_bytes, device, driver) SELECT 2, 'g', 'other', os, cpu, 4, memory_bytes, 'another CPU', driver FROM machine;
    UPDATE run SET machine_id = 2 WHERE config_id = 2"
refused "another machine" "another CPU" --db one.db d12 d12_mlp3x
bench why --db one.db d12 d12_mlp3x --force
is "another machine with --force exits 0" $rc 0
says "another machine with --force: says what that means" "do not compare step by step: machine host and other"

"$make_db" --make-db hostile.db 9 2 60 1 0
sqlite3 hostile.db "UPDATE op_time SET op = '<b>\$(touch pwned)' || char(27) || '[2J|_*' || char(10) || '\`x\`' WHERE op = 'norm'"
base="e=2,n_embd=640"
for name in '<script>alert(1)</script>' 'a|b_c*d*`e`' '$(touch pwned)`touch pwned`' '@macro {/Symbol x}^2_3 %s %d'; do
    bench why --db hostile.db "$base" "$name" --json
    is "hostile name $name: JSON" "$rc $(jq -r .new out)" "0 $name"
    bench why --db hostile.db "$base" "$name"
    adds_up
    check "hostile name $name: adds up" $?
    ! grep -q "$(printf '[\033]')" out
    check "hostile name $name: no control character reaches the terminal" $?
done
bytes=$(sqlite3 hostile.db "SELECT name FROM config WHERE position = 6")
bench why --db hostile.db "$base" "$bytes" --json
is "a name that is no UTF-8: JSON all the same" "$rc $(jq -r '.rows | length > 10' out)" "0 true"
[ ! -e pwned ]
check "hostile names: nothing was run" $?

finish
