#!/usr/bin/env bash
# The tools of `make bench-peers` and `make bench-switches`, with stand-ins for the programs that are
# timed: a PyTorch and an llm.c that speak as they do, and take no time.
#   tests/e2e/e2e_peers.sh PROGRAM
# kinds: sanitized (words of the tools, with stand-ins for what is timed)
. "$(dirname "$0")/lib.sh"
program=$gptbench dir=$work
tools=$(dirname "$program")/tests
cd "$root" || exit 1

# shellcheck disable=SC2317 # called by check
has() { grep -qE -- "$1" "$dir/out"; }
# shellcheck disable=SC2317
says() { grep -qE -- "$1" "$dir/err"; }

# ---- the real side of gptbench, as short as can be ----
printf '\n\n' | "$tools/bench_peer" --batch 1 --length 8 --steps 2 --lead 0 --warmup 0 >"$dir/out" 2>"$dir/err"
passes 'bench_peer answers each line with a block of steps' \
    [ "$(grep -c '^{"step_ms":\[[0-9.]*,[0-9.]*\],"peak_rss_bytes":[1-9]' "$dir/out")" -eq 2 ]
# 6 * (4 * 12 * 256^2 + 512 * 256) + 12 * 4 * 256 * (8 + 1) / 2 = 19,716,096 a token (docs/MODEL.md), 8 of them
passes 'bench_peer counts the FLOPs of a step by the formula' has '"flops_per_step":157728768(\.0)?,'

# ---- stand-ins ----
mkdir -p "$dir/build/tests" "$dir/llmc"
ln -s "$tools/peer_table" "$dir/build/tests/peer_table"
cat >"$dir/build/tests/bench_peer" <<'SH'
#!/bin/sh
echo '{"ready":"gptbench stand-in"}'
while read -r _; do
    echo '{"step_ms":[100,90,110],"peak_rss_bytes":104857600,"base_rss_bytes":10485760,"gemm_peak_flops_per_s":1e9,"flops_per_step":5e7,"tokens_per_step":2000}'
done
SH
# Eager takes 200, 220 and 242 ms; the compiler is not there.
cat >"$dir/python" <<'SH'
#!/bin/sh
case "$*" in
*"import torch"*) exit 0 ;;
*--compile*) echo '{"failed": "InvalidCxxCompiler: no g++"}'; exit 1 ;;
esac
echo '{"ready": "PyTorch stand-in"}'
for ms in 200 220 242; do
    read -r _ || exit 0
    echo '{"step_ms": ['$ms', '$ms'], "peak_rss_bytes": 314572800, "base_rss_bytes": 1, "tokens_per_step": 2000}'
done
SH
printf '    int B = 4; // batch\n    int T = 64; // length\n' >"$dir/llmc/train_gpt2.c"
cat >"$dir/llmc/train_gpt2" <<'SH'
#!/bin/sh
echo 'val loss 10.9'
for i in 0 1 2 3 4 5 6 7 8 9; do
    echo "step $i: train loss 5.3 (took 700.000000 ms)"
    sleep 0.2
done
SH
chmod +x "$dir/build/tests/bench_peer" "$dir/python" "$dir/llmc/train_gpt2"
bench() { # NAME=VALUE...: the script with that environment
    env SPIN=default BF16=autocast ALLOCATOR=system OUT="$dir/table" LIMIT=20 "$@" \
        scripts/bench_peers.sh "$dir/build" "$dir/python" >"$dir/out" 2>"$dir/err"
    rc=$?
}

bench MODELS=small PRECISIONS=fp32 ROUNDS=3
passes 'a measurement against stand-ins ends well' [ "$rc" -eq 0 ]
# scipy.stats.t.interval(0.95, 2) of log(2.0), log(2.2), log(2.42), taken back by exp
passes 'the ratio is that of the rounds, with the t interval of their logs' has \
    '^small +fp32 +eager +3 +6 +220\.0 +9091 +2\.200 +1\.736 to 2\.788 '
passes 'the share of the GEMM peak and the peak memory stand there' has \
    '^small +fp32 +gptbench +3 +9 +100\.0 +20000 .* 50\.0 % +100 MiB +10 MiB'
passes 'the fastest peer is named' has 'small fp32: gptbench is 2\.20 times as fast as the fastest peer, eager'
passes 'a compiler that fails is a line, not the end' has 'compile left out: .*no g\+\+'
passes 'the Markdown holds the table' grep -q '^| small | fp32 .* 2\.200 ' "$dir/table.md"
passes 'the JSON holds every step' [ "$(tr -d ' \n' <"$dir/table.json" | grep -o '"step_ms":\[242[.0]*,242' | wc -l)" -eq 1 ]

bench MODELS=small PRECISIONS=fp32 ROUNDS=5 PEERS=eager
passes 'a peer that ends early keeps the rounds that it had' has '^small +fp32 +eager +3 +6 '
passes 'and the table says that it ended' has 'eager ended in round 4'

bench MODELS=none LLMC="$dir/llmc" LLMC_ROUNDS=2
passes 'llm.c is held against the shape in its source' has '^d12-b4-t64 +fp32 +llm\.c +2 +2 +700\.0 +366 +7\.000 '
bench MODELS=none LLMC="$dir/nothing"
passes 'a directory without llm.c is a line' has 'llm\.c left out: .*no built train_gpt2'

scripts/bench_peers.sh "$dir/build" /bin/false >"$dir/out" 2>"$dir/err"
passes 'without PyTorch it is skipped, and says so' has 'skipped: /bin/false has no PyTorch'
bench MODELS=large
passes 'an unknown model is refused' [ "$rc" -eq 2 ]
passes 'by name' says "not 'large'"

echo '{"model": "small"}' >"$dir/bad.jsonl"
"$tools/peer_table" "$dir/bad.jsonl" >"$dir/out" 2>"$dir/err"
rc=$?
passes 'samples that are none are refused with their place' [ "$rc" -eq 2 ]
passes 'and what is wrong' says 'entry 1: a line has no model, precision or program'

"$tools/switch_table" "$dir/none.db" >"$dir/out" 2>"$dir/err"
rc=$?
passes 'switch_table refuses a database that is not there' [ "$rc" -ne 0 ]
finish
