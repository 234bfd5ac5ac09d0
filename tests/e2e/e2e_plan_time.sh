#!/bin/bash
# kinds: sanitized (words and exact counts)
# What `plan` bases its times on: what runs have reached, a stored peak, a measurement, in this order.
# Times in the database are planted, so that estimates are known to the last digit.
. "$(dirname "$0")/lib.sh"
needs "planted times" sqlite3

db=results/s.db
plan() { # [OPTION...]
    "$gptbench" plan s.ini --threads 1 "$@" >out 2>err
}
says() { # WHAT WORDS
    grep -qF -- "$2" out
    check "$1" $?
}
time_of() { # CELL
    sed -n "s/^$1 .*  \([0-9].*\)$/\1/p" out | head -n 1
}
{
    tiny_suite s 2 20 20 0
    tiny_cell a
    tiny_cell b "mlp_expansion_factor = 2"
} >s.ini

plan
if grep -qF 'no rate' out; then
    skip "the rate is measured" "the measurement failed"
else
    says "nothing is known: measured" 'at 40 % of the large-GEMM rate ('
    says "and it says so" 'measured now on cpu in fp32'
fi

"$gptbench" run s.ini --threads 1 --no-report >out 2>err
query "UPDATE step SET step_ms = CASE WHEN run_id IN (SELECT run_id FROM run_summary WHERE config = 'a')
    THEN CASE WHEN (SELECT replicate FROM run r WHERE r.run_id = step.run_id) = 0 THEN 1 ELSE 3 END ELSE 8 END, tag = 'timed';
    DELETE FROM step_summary; UPDATE gemm_peak SET flops_per_s = 1e9"
# Two runs of a at 1 and 3 ms a step of 32 tokens: 2 ms on average. 640 tokens, and two validations of
# 64 at a third of the work: 682.67 / 32 * 2 ms. b: 8 ms.
plan
is "the mean time of the runs" "$(time_of a)" "42.7 ms"
is "of each config its own" "$(time_of b)" "171 ms"
says "the sentence names them" 'at the rate that training has reached on this machine with the nearest FLOPs per step (`a` of results/s.db'
# a does 32 * flops_per_token in 2 ms; the peak is 1 GFLOP/s
percent=$(query "SELECT printf('%.1f', 100.0 * flops_per_token * 32 / 0.002 / 1e9) FROM config WHERE name = 'a'")
says "and the share of the peak" "$percent % of the GEMM peak"
cp out first
plan
cmp -s first out
check "twice the same plan: nothing is measured" $?

# ---- another suite: the nearest config ----
cp s.ini kept.ini
sed -i 's/^name = s/name = other/; s/mlp_expansion_factor = 2/mlp_expansion_factor = 3/' s.ini
plan
says "nearest by FLOPs per step" '`a` of results/s.db'
# Of ratios of FLOPs, 3 / 4 is nearer to 1 than 3 / 2.
flops_of() { # CELL
    awk -v cell="$1" '$1 == cell {gsub(",", "", $3); print $3}' out
}
is "scaled by exact FLOPs" "$(time_of b)" "$(awk -v b="$(flops_of b)" -v a="$(flops_of a)" 'BEGIN {printf "%.1f ms", 2 * 682.667 / 32 * b / a}')"
sed -i 's/n_embd = 32/n_embd = 256/' s.ini # some 50 times the FLOPs: like nothing that has run
plan
says "nothing is like it: the stored peak" 'at 40 % of the large-GEMM rate (1 GFLOP/s on cpu in fp32, from results/s.db)'
cp kept.ini s.ini

# ---- only the peak is stored ----
query "DELETE FROM run"
plan
says "no runs: the stored peak" 'exact FLOPs at 40 % of the large-GEMM rate (1 GFLOP/s on cpu in fp32, from results/s.db)'
is "time at 0.4 GFLOP/s" "$(time_of a)" "$(awk -v a="$(flops_of a)" 'BEGIN {printf "%.0f ms", a * 682.667 / 0.4e9 * 1e3}')"
plan --gflops 100
says "a rate that is given goes first" '(100 GFLOP/s, as given)'
plan --db elsewhere.db
is "a database that is not there is refused" "$?" 2
query "UPDATE gemm_peak SET threads = 99"
plan
! grep -qF 'from results/s.db' out
check "another number of threads is another machine" $?
finish
