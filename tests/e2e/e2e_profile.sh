#!/usr/bin/env bash
# gptbench profile, from outside: the table adds up, the trace is what it should be, wrong input.
#   tests/e2e/e2e_profile.sh PROGRAM     runs from anywhere
# kinds: sanitized (sums, counts and words; no time is judged)
. "$(dirname "$0")/lib.sh"
program=$gptbench dir=$work


profile() { # profile ARGS...: a small model; output in $dir/out and $dir/err, exit status in $rc
    "$program" profile --backend cpu --threads "${threads:-2}" --set vocab_size=64 --set n_layer=3 --set n_embd=32 \
        --set n_head="${heads:-2}" --set batch_size=2 --set sequence_length=16 --steps 2 --timed-steps 1 "$@" \
        >"$dir/out" 2>"$dir/err" </dev/null
    rc=$?
}

has() { grep -qE -- "$1" "$dir/out"; }
refused() { [ "$rc" -eq 2 ] && grep -qE -- "$1" "$dir/err"; }

# "rows add up to X ms; the profiled step took Y ms": the same number, to the last digit.
adds_up() {
    [ "$(sed -nE 's/^rows add up to ([0-9.]+) ms; the profiled step took ([0-9.]+) ms.*/\1 \2/p' \
        "$dir/out" | awk '{ print ($1 == $2) }')" = 1 ]
}

profile --trace "$dir/trace.json"
passes "profile ends well" [ "$rc" -eq 0 ]
passes "the rows add up to the step" adds_up
passes "of two profiled steps" has 'took [0-9.]+ ms \(mean of 2\)'
# However long the warm-up took, at most 50 steps: the steps asked for were timed.
passes "as many steps as asked for are timed without profiling" \
    has '^without profiling a step took [0-9.]+ ms \(mean of 1\): profiling costs '
has_all_ops() {
    local op
    for op in embed norm linear_qkv qk_rope attention linear_attn_out linear_mlp_up mlp_act \
        linear_mlp_down classifier adamw; do
        has "^$op " || return 1
    done
}
passes "every op of the model has its row" has_all_ops
# 3 layers: one product forward, two backward; 2 * N * I * O FLOPs each, N = 32, I = 32, O = 96.
passes "products are counted" has '^linear_qkv +forward +[0-9.]+ +[0-9.]+ % +3 +590k '
passes "and those of the backward pass twice" has '^linear_qkv +backward +[0-9.]+ +[0-9.]+ % +6 +1\.18M '

# Ops of one step with three layers (see test_trainer): 4 + 3 * 9 + 2 + 1 + 3 * 13 + 2 = 75; three
# layers forward and backward; phases data, forward, backward, data (the optimiser's numbers), update.
# As the program writes it: one object, no spaces.
track() { grep -oE "\"ph\":\"X\",[^}]*\"tid\":$1," "$dir/trace.json" | wc -l; }
passes "the trace holds every op" [ "$(track 3)" -eq 75 ]
passes "the layers" [ "$(track 2)" -eq 6 ]
passes "and the phases" [ "$(track 1)" -eq 5 ]

# The clock of samples is CLOCK_MONOTONIC: not later than /proc/uptime, which counts sleep too.
zero=$(grep -oE '"zero_monotonic_s":[0-9.]+' "$dir/trace.json" | cut -d: -f2)
passes "its zero is a time of the clock of samples" \
    awk -v zero="$zero" '{ exit !(zero > 0 && zero <= $1) }' /proc/uptime
# The roof: the measured rates below the table; an op with a floor has a share and a bound, one
# without has neither. N I O above once more, read x (32, 32) and w (96, 32), written y (32, 96), in
# three layers of 4 bytes: 3 * 4 * (1024 + 3072 + 3072) = 86016.
passes "the rates that the roof is made of" \
    has '^roofline: a large product at [0-9.]+[GMT] FLOP/s, a large copy at [0-9.]+ GB/s'
passes "least bytes, share and bound of a product" \
    has '^linear_qkv +forward .* 86\.0k +[0-9.]+ +[0-9.]+ % +(compute|memory|latency)'
passes "of an op without FLOPs" has '^adamw +update .* [0-9.]+ % +(memory|latency)'
passes "of what has no floor none" has '^unattributed +idle +-?[0-9.]+ +-?[0-9.]+ % +1 *$'
columns() { head -1 "$dir/out" | tr -s ' '; }
passes "threads of our own kernels are watched" \
    [ "$(columns)" = "op phase ms/step share calls/step FLOPs/step FLOP/s bytes/step GB/s of roofline bound imbalance" ]
threads=1 profile
passes "one thread has no imbalance" \
    [ "$(columns)" = "op phase ms/step share calls/step FLOPs/step FLOP/s bytes/step GB/s of roofline bound" ]

profile --by layer
passes "by layer there is a row per layer and phase" \
    [ "$(grep -cE '^layer [012] +(forward|backward) ' "$dir/out")" -eq 6 ]
passes "which add up too" adds_up

profile --by colour
passes "an unknown --by is refused" refused '\-\-by colour: expected op or layer'
heads=5 profile
passes "a model that cannot be is refused" refused 'not a multiple of 5 heads'
profile --trace "$dir/no/such/trace.json"
passes "a trace that cannot be written is an error" [ "$rc" -ne 0 ]
passes "that names the file" grep -q 'no/such/trace.json: cannot be written' "$dir/err"
finish
