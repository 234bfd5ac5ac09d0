#!/usr/bin/env bash
# gptbench plan, from outside: the table, the options and the exit codes.
#   tests/e2e/e2e_plan.sh PROGRAM        runs from anywhere
# kinds: sanitized (words and exact counts)
. "$(dirname "$0")/lib.sh"
program=$gptbench dir=$work
cd "$root" || exit 1


plan() { # plan ARGS...: output in $dir/out and $dir/err, exit status in $rc
    "$program" plan "$@" >"$dir/out" 2>"$dir/err" </dev/null
    rc=$?
}

has() { grep -qE -- "$1" "$dir/out"; }
says() { grep -qE -- "$1" "$dir/err"; }
refused() { [ "$rc" -eq 2 ] && says "$1" && [ ! -s "$dir/out" ]; }

# Parameters and FLOPs: MODEL's formulas at T = 512. Time of d12: 769,559,040 FLOPs * (4,096,000
# tokens + 21 validations * 1,048,576 / 3) / (0.4 * 300e9) = 73,340 s = 20 h 22 min.
plan suites/mlp_claims.ini --backend cpu --gflops 300 --no-data
passes "the note's suite is planned" [ "$rc" -eq 0 ]
passes "cells times replicates" has '7 cells x 3 replicates = 21 runs, planned for backend cpu'
passes "d12's figures" has '^d12 +123,532,032 +769,559,040 +baseline .* 4,096,000 +20 h 22 min$'
passes "d12_mlp3x costs 1.4 % more FLOPs" has '^d12_mlp3x +124,880,704 +780,014,976 +\+1\.4 %'
passes "the rate is named" has '40 % of the large-GEMM rate \(300 GFLOP/s, as given\)'
passes "FLOPs alone refute the speed claim" \
    has '^mlp3x-speed .* step_avg speedup >= 15% +−1\.3 % +at equal FLOP/s +no$'
passes "a claim about parameters is decided exactly" \
    has '^mlp3x-params .* n_params within 2% +\+1\.1 % +exact +yes$'
passes "a claim about loss is left open" has '^mlp3x-loss .* val_loss within 2% +- +- +-$'
passes "a default is marked" has '^grad_accumulation_steps +1 +default '
passes "a given value is not" has '^batch_size +4 +sequences'

plan suites/mlp_claims.ini --backend cpu --gflops 300 --only '*gqa' --train 'x/*.bin'
passes "--only takes cells by name" has '^suite .*: 2 cells x 3 replicates = 6 runs'
passes "percentages keep the baseline" has '^d12_gqa .* −7\.4 %'
passes "--train replaces the data" has '^train +x/\*\.bin +'

plan suites/expansion_x_width.ini --backend cpu --gflops 300
passes "the sweep has 34 cells" has '34 cells x 1 replicate = 34 runs'

# 192 wide: 4 * 192 = 768, 3 * 192 = 576.
plan suites/quick.ini --explain
passes "--explain says what an axis changes" \
    has 'mlp\.c_fc 192x768 → 192x576, mlp\.c_proj 768x192 → 576x192'
passes "and plans nothing" [ "$(grep -c 'estimated time' "$dir/out")" -eq 0 ]

for suite in suites/*.ini tests/fixtures/suites/*.ini; do
    plan "$suite" --backend cpu --gflops 100 --no-data
    passes "$suite is planned without its data" [ "$rc" -eq 0 ]
done

cd "$dir" || exit 1 # where no database knows a rate
plan "$root/suites/quick.ini" --backend cpu
cd "$root" || exit 1
if [ "$rc" -eq 0 ] && has 'GFLOP/s, measured now on cpu in fp32'; then
    check "the rate is measured" 0
else
    passes "no rate, no time, but a plan" has 'total: .* estimated time -$'
fi

plan suites/quick.ini --only 'nothing*' --gflops 1
passes "--only that matches nothing is refused" \
    refused "--only nothing\*: no cell of suite quick has such a name; the cells are base, "
plan suites/nothing.ini
passes "a missing suite is refused" refused 'suites/nothing.ini: No such file or directory'
plan
passes "no suite is refused" [ "$rc" -eq 2 ]
plan suites/quick.ini --backend gpu --gflops 1
passes "an unknown backend is refused" refused '--backend gpu: no such backend'
plan suites/quick.ini --gflops 0
passes "a rate of nothing is refused" refused 'gflops'

printf '[suite]\nname = t\n[data]\ntrain = a\nval = b\n[config c]\nattention_type = grouped_query\n' \
    >"$dir/bad.ini"
plan "$dir/bad.ini"
passes "a misspelt attention type is refused with its line and the right name" \
    refused "bad.ini:7: attention_type = grouped_query: no such value, did you mean gqa;"
printf '[suite]\nname = t\n[data]\ntrain = a\nval = b\n[config c]\nmodel = custom_mlp2x\n' \
    >"$dir/bad.ini"
plan "$dir/bad.ini"
passes "custom_mlp2x is refused with the nearest valid widths" \
    refused "cell 'c': n_embd = 900 with n_head = 12: .* 896 with 14 heads and 960 with 15 heads"

finish
