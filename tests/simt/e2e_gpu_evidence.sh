#!/usr/bin/env bash
# scripts/evidence.sh itself, out of the archive that it travels in, on the emulated GPU: is its table
# complete and true when all is well, and when something is missing, hangs, fails, or time is short? No
# number here is a speed. What our programs say is the emulator's, met once and repeated (the wrapper
# below); NVIDIA's programs, PyTorch and llm.c are stand-ins.
# kinds: emulated first
. "$(dirname "$0")/../e2e/lib.sh"
needs "the evidence run" jq objdump ps
build=$(dirname "$gptbench")
export REPEATS=$work/repeats FAULT=""
mkdir -p bin "$REPEATS"

# ---- the archive ----
bash "$root/scripts/evidence/pack.sh" "$build" >out 2>err
check "the archive is made ($(cat out))" $?
tar xzf "$build/gpu-evidence.tar.gz" && rm -rf "$build/gpu-evidence" "$build/gpu-evidence.tar.gz"
here=$work/gpu-evidence

# ---- stand-ins ----
# Of our own programs: what the emulator says, but for one fault (FAULT) that a case asks for. The second
# time the same is asked, output, status and files are those of the first.
mkdir "$here/real" && mv "$here"/build/* "$here/real/" && mkdir "$here/build/tests"
cat >wrapper <<'SH'
#!/bin/bash
name=$(basename "$0")
real=$(realpath "$(dirname "$0")/..")/real/$name
[ -e "$real" ] || real=$(realpath "$(dirname "$0")/../..")/real/tests/$name
settings="$GPTBENCH_CUDA_ATTENTION $GPTBENCH_CUDA_GRAPHS $GPTBENCH_CONFORMANCE_TESTS $GPTBENCH_PARITY_TESTS"
fault() { [[ " $FAULT " == *" $1 "* ]]; }
hang() { trap '' TERM; sleep 300 & echo $! >>"$REPEATS/hung"; wait; sleep 300; }
case "$name $* $settings" in
*'gptbench train '*' cuda '*) fault no-cublaslt && echo "gptbench: open: cublasLtCreate: cuBLASLt status 1, the library is not initialised, or not installed (kernels/cuda/gemm.cu:1)" >&2 && exit 1 ;;&
*'cuda bf16:'*) fault hang-parity && hang ;;
gptbench*profile*) fault hang-profile && hang ;;
test_attention_full*) fault attention && echo "# figure hopper: out 9.00 sd (row 9.00), tile 2.00 TOO FAR" && exit 1 ;;
test_conformance*'cuda fp32'*) fault ops && echo "cuda fp32 - embed: 3 of 7 cases differ" && exit 1
    fault no-test && exit 0 ;;
bench_gpu*hopper-2.json*) fault slow-round && hang ;;&
bench_gpu*hopper*) fault hopper && echo "bench_gpu: an illegal address" >&2 && exit 1 ;;
*'run '*suite.ini*) fault suite && echo "2 of 4 runs did not end ok" && exit 1 ;;
esac
files=()
arguments=()
for word in "$@"; do
    case ${last:-} in --losses | --json | --trace) files+=("$word") ;; esac
    last=$word
    arguments+=("${word##*/}")
done
kept=$REPEATS/$(printf '%s\n' "$name" "$settings" "${arguments[@]}" | cksum | tr ' ' -)
if [ ! -e "$kept/status" ]; then
    mkdir -p "$kept.$$"
    "$real" "$@" >"$kept.$$/output" 2>&1
    echo $? >"$kept.$$/status"
    for file in "${files[@]}"; do cp "$file" "$kept.$$/${file##*/}"; done
    mv -T "$kept.$$" "$kept" 2>/dev/null
fi
for file in "${files[@]}"; do cp "$kept/${file##*/}" "$file"; done
# The last digit of the last loss of a second process.
fault repeat && [[ ${files[0]:-} == *repeat-fp32.csv ]] && sed -i '$ { s/5$/6/; t; s/.$/5/ }' "${files[0]}"
cat "$kept/output"
exit "$(cat "$kept/status")"
SH
chmod +x wrapper
for name in gptbench tests/test_conformance tests/test_attention_bounds tests/test_attention_full tests/test_parity tests/bench_gpu; do
    cp wrapper "$here/build/$name"
done

# A Python with PyTorch, whose block takes 8 ms a step with a residual of fp32 and 5 ms with bf16.
cat >bin/python3 <<'SH'
#!/bin/bash
case $1 in
-c) echo "2.11.0 under Python 3.12" && exit ;;
-) [ -z "${2:-}" ] || : >"$2"; exit ;;
*pytorch_attention.py)
    [ "$2 $4 $5" = "--dump --size 1x150x3x64" ] || exit 9
    [[ " $FAULT " != *" attention-far "* ]] || { echo "beyond: hopper dv"; exit 1; }
    printf 'pytorch: out 0.50 u\nportable: out 0.60 u\n' && exit
    ;;
esac
echo "$*" >>"$REPEATS/peers"
residual=fp32
[[ "$*" != *'--residual bf16'* ]] || residual=bf16
fault() { [[ " $FAULT " == *" $1 "* ]]; }
fault no-compile && [ $residual = bf16 ] && exec sleep 300
fault no-pytorch && echo "ModuleNotFoundError: No module named 'torch'" >&2 && exit 1
echo "ready: pytorch 2.11.0 compile bf16, residual $residual, on a stand-in, after 1 s"
while read -r _; do
    fault peer-dies && [ $residual = fp32 ] && echo "torch.OutOfMemoryError: CUDA out of memory" >&2 && exit 1
    [ $residual = fp32 ] && echo "8.000 ms/step, 2000 tokens/s" || echo "5.000 ms/step, 3200 tokens/s"
done
SH
cat >bin/nvidia-smi <<'SH'
#!/bin/sh
case $* in
*=driver_version*) echo 580.65.06 ;;
*--query-gpu=name*) echo "NVIDIA H200, 580.65.06, 143771 MiB, 9.0, 700.00 W, 1980 MHz" ;;
*) exit 9 ;; # anything else might change the card
esac
SH
cat >bin/compute-sanitizer <<'SH'
#!/bin/bash
[ "$1 $3 $4" = "--tool --error-exitcode 99" ] || exit 98
tool=$2
shift 4
[[ " $FAULT " == *" race "* ]] && [ "$tool" = racecheck ] &&
    echo "========= Error: Race reported between Write access and Read access" && exit 99
"$@" && case $tool in
racecheck) echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" ;;
*) [[ " $FAULT " == *" no-summary "* ]] || echo "========= ERROR SUMMARY: 0 errors" ;;
esac
SH
cat >bin/ncu <<'SH'
#!/bin/bash
[[ " $FAULT " != *" no-counters "* ]] || { echo "==ERROR== ERR_NVGPUCTRPERM"; exit 1; }
[ "$1 $2" = "--clock-control none" ] && [[ "$*" == *" --kernel-id ::regex:"*":1 "* ]] || exit 98
while [[ $1 != *gptbench ]]; do shift; done
"$@" && printf '==PROF== Profiling "%s" - 0: 0%%....100%% - 9 passes\n' flash_forward norm_kernel
SH
cat >train_gpt2cu <<'SH'
#!/bin/sh
[ "$1 $2" = "-e d12" ] || exit 1
for i in 1 2 3; do echo "step $i/40 | loss 10.9 (+0.0z)| norm 1.0 (+0.0z)| lr 1e-4 | 9$i.50 ms | 55.0% bf16 MFU | 70000$i tok/s"; done
SH
chmod +x bin/* train_gpt2cu
export PATH=$work/bin:$PATH GPU_EVIDENCE_TINY=1 GPU_EVIDENCE_OPS=embed GPU_EVIDENCE_FIXTURES=smallest \
    GPU_EVIDENCE_STEPS=64 GPU_EVIDENCE_ROUNDS=2 GPU_EVIDENCE_BLOCKS=2 LLMC=train_gpt2cu
# Times are the machine's, and the emulator is slow: no limit counts but those that a case names.
roomy="machine=900:0 correctness=900 speed=900:0 profile=900:0 suite=900:0 llmc=900:0 sanitizer=900:0 counters=900:0"
export GPU_EVIDENCE_LIMITS=$roomy GPU_EVIDENCE_S=3600

# evidence STATUS [NAME=VALUE...] -- [ARGUMENT...]: whether it ends so, with a table that is complete and
# the same in all of its places; results in $work/result.
evidence() {
    local want=$1 settings=() status planned
    shift
    while [ "$1" != -- ]; do settings+=("$1") && shift; done
    shift
    rm -rf result
    env "${settings[@]}" bash "$here/evidence.sh" --out result "$@" >out 2>err
    status=$?
    planned=$(bash "$here/evidence.sh" --list | awk -v what=" ${*:-first} machine " '
        index(what, " " $1 " ") || index(what, " " $2 " ") || index(what, " " $3 " ") { print $1 }')
    complete "$planned" && [ $status -eq "$want" ] && return
    echo "# exit status $status"
    return 1
}
# complete ROWS: the rows once each, in the plan's order, in JSON, Markdown and what was printed last; and
# no more than 8 files.
complete() {
    jq -r '.rows[] | [.check, .outcome, .what] | join(" ")' result/evidence.json >json.rows &&
        [ "$(cut -d' ' -f1 json.rows)" = "$1" ] &&
        sed -n 's/^| [^|]* | \([^|]*\) | \(PASS\|FAIL\|SKIP\) | [0-9.]* | \(.*\) |$/\1 \2 \3/p' result/evidence.md | diff - json.rows &&
        tac out | sed -n '2,/^phase /p' | tac | sed '1d' | awk '{ $1 = $4 = ""; print }' | sed 's/^ //; s/  / /' | diff - <(sed 's/  */ /g' json.rows) &&
        tail -n 1 out | grep -q "^evidence: $(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped in " &&
        [ "$(jq '[.passed, .failed, .skipped] | join(" ")' -r result/evidence.json)" = "$(count PASS) $(count FAIL) $(count SKIP)" ] &&
        [ "$(find result -type f | wc -l)" -le 8 ] && [ -z "$(find result -size +15M)" ]
}
count() { # OUTCOME
    grep -c "^[^ ]* $1 " json.rows
}
says() { # ROW OUTCOME REGEX
    grep -qE "^$1 $2 .*$3" json.rows && return
    echo "# $(grep "^$1 " json.rows)"
    return 1
}

# ---- everything well ----
evidence 0 -- && [ "$(count FAIL) $(count SKIP)" = "0 1" ]
check "all is well: everything passes, in a table that is complete" $?
says ops-bf16-hopper SKIP 'GPU_EVIDENCE_OPS leaves attention out' && says ops-bf16 PASS '1 groups' &&
    says attention-bounds PASS '2 groups' && says attention PASS '1x150x3x64: fp32: [0-9.e-]+ of float64.*; portable: 0[.][0-9]+ sd of roundings .*; hopper: 0[.][0-9]+ sd' &&
    says attention-pytorch PASS 'pytorch: out 0.50 u; portable: out 0.60 u' && says parity-fp32 PASS '1 groups' && says repeat-bf16 PASS '8 losses, bit-equal in two processes' &&
    says curve-fp32 PASS 'largest relative difference [0-9.e-]+ \(step [0-9]+ of 8\), bound 1e-05' &&
    says runs-fp32 PASS '2 runs to do, every one ended ok' && says profile PASS 'rows add up to .*idle' &&
    says suite PASS 'd12 [0-9.]+ [mu]?s; d12_mlp3x [0-9.]+ [mu]?s [A-Z]+ .*; d12_mlp3x_gqa .*; d12_mlp3x_swiglu .*; Noise floor' &&
    says llmc PASS '92.50 ms a step, tokens/s: 700002 tok/s'
check "each row has its figure" $?
says pytorch-fp32-residual PASS '8.000 ms/step.*residual fp32' && says pytorch-bf16-residual PASS '5.000 ms/step' &&
    says hopper PASS 'times the speed of PyTorch with a bf16 residual' &&
    grep '^portable PASS' json.rows | sed 's/.*: \([0-9.]*\) ms \[.*; \([0-9.]*\) times.*/\1 \2/' | awk '{ exit !(($1 * $2 / 5 - 1) ^ 2 < 1e-4) }'
check "speed is held against the faster PyTorch ($(grep -o '[0-9.]* times.*' json.rows | head -n 1))" $?
[ "$(ls result | paste -sd' ')" = "correctness.txt evidence.json evidence.md llmc.txt profile.txt speed.txt suite.txt trace.json.gz" ] &&
    zcat result/trace.json.gz | grep -q traceEvents && grep -qE '^  backward  attention +[0-9.]+ +[0-9.]+ +[0-9.]+%$' result/speed.txt
check "a file for each phase" $?
jq -e '.device == "SIMT emulator" and .driver == "580.65.06" and (.commit | length) > 6 and (.command | test("evidence.sh")) and
    (.pytorch | test("^2.11.0")) and (.card | test("H200")) and (.built | test("commit")) and
    ([.measurements[].name] | index("gptbench-hopper-2") != null) and
    (.measurements[] | select(.name == "gptbench-portable-1").values | .batch_size == 1 and .tokens_per_s > 0 and .mfu > 0 and
        .peak_memory_bytes > 0 and .copy_bytes_per_s > 0 and .model == "d12")' result/evidence.json >/dev/null
check "device, driver, commit, command, versions and every measurement are in the JSON" $?
grep -q -- '--vocab 50257 --length 16 --batch 1 --steps 40 --heads 12 --width 768 --expansion 4 --residual bf16' "$REPEATS/peers"
check "the peers are asked for the same model, length and batch" $?
evidence 2 -- >/dev/null; bash "$here/evidence.sh" --out result >out 2>err
[ $? -eq 2 ] && grep -q 'holds the results of an earlier run' err
check "results of an earlier run are not written over" $?

# ---- second ----
evidence 0 -- second && [ "$(count FAIL) $(count SKIP)" = "0 0" ] && says racecheck-hopper PASS '4 steps with replays.*RACECHECK SUMMARY: 0 hazards' &&
    says memcheck-variant PASS 'ERROR SUMMARY: 0 errors' && says counters PASS 'counters of 2 launches' &&
    grep -q 'hopper attention' result/sanitizer.txt
check "second: checkers and counters" $?
evidence 1 FAULT="race no-summary no-counters" -- second && says racecheck FAIL 'Error: Race reported' &&
    says memcheck FAIL 'memcheck gave no summary' && says counters SKIP 'ERR_NVGPUCTRPERM'
check "second: a race, a checker without a verdict, counters that are not allowed" $?

# ---- something is missing ----
evidence 3 FAULT=no-cublaslt -- && says machine FAIL 'cuBLASLt status 1, the library is not initialised, or not installed' &&
    [ "$(count SKIP)" -eq 25 ] && says portable SKIP 'no device: see machine'
check "cuBLASLt missing: it says so, and that nothing else could be run" $?
evidence 0 FAULT=no-pytorch -- speed && says pytorch-bf16-residual SKIP "No module named 'torch'" && ! grep -q 'times the speed' json.rows
check "no PyTorch: its rows are skipped, ours are not" $?
evidence 1 FAULT=no-compile GPU_EVIDENCE_LIMITS="$roomy pytorch-bf16-residual=2" -- &&
    says pytorch-bf16-residual FAIL 'it had not compiled after [0-9.]+ s' && says portable PASS 'of PyTorch with a fp32 residual' &&
    [ "$(count FAIL)" -eq 1 ]
check "a peer that never compiles: the other one counts" $?
evidence 1 FAULT=peer-dies -- speed && says pytorch-fp32-residual FAIL 'PyTorch ended: torch.OutOfMemoryError' &&
    says portable PASS 'with a bf16 residual'
check "a peer that dies in a block" $?

# ---- a phase that hangs, one that fails ----
: >"$REPEATS/hung"
evidence 1 FAULT="hang-parity hang-profile" GPU_EVIDENCE_LIMITS="$roomy parity-bf16=2 profile=2:0" -- &&
    says parity-bf16 FAIL 'no end within 2.0 s' && says profile FAIL 'no end within [12].[0-9] s' && [ "$(count FAIL)" -eq 2 ] &&
    says suite PASS ''
check "two that hang and do not heed a signal are ended at their limit; the rest goes on" $?
[ "$(wc -l <"$REPEATS/hung")" -eq 2 ] && ! ps -o stat= -p "$(paste -sd, "$REPEATS/hung")" | grep -v '^Z'
check "and nothing of them is left" $?
evidence 0 FAULT=slow-round GPU_EVIDENCE_LIMITS="$roomy hopper=5" -- hopper && says hopper PASS '1 of 2 rounds'
check "a second round that comes to no end leaves the first" $?
evidence 1 FAULT="ops repeat hopper suite attention" GPU_EVIDENCE_FP32_BOUND=1e-12 -- && [ "$(count FAIL)" -eq 7 ] &&
    says attention FAIL 'hopper: out 9.00 sd .* TOO FAR' && says attention-pytorch SKIP 'nothing to be held against' &&
    says ops-fp32 FAIL 'exit status 1, 0 groups pass: cuda fp32 - embed: 3 of 7' &&
    says repeat-fp32 FAIL 'losses differ in two processes: 1 of 8 steps' && says curve-fp32 FAIL 'bound 1e-12' &&
    says curve-fp32-variant FAIL 'bound 1e-12' && says curve-bf16 PASS '' &&
    says hopper FAIL 'exit status 1: bench_gpu: an illegal address' && says suite FAIL '2 of 4 runs did not end ok'
check "what fails is named with the reason, the rest passes" $?
evidence 1 FAULT=attention-far -- attention-pytorch && says attention-pytorch FAIL 'exit status 1: beyond: hopper dv'
check "PyTorch finds one of ours too far from it" $?
evidence 1 FAULT=no-test -- ops-fp32 && says ops-fp32 FAIL 'no test ran'
check "a test that runs nothing fails" $?
evidence 3 SIMT_DEVICES= REPEATS="$work/none" -- ops-fp32 && says machine FAIL 'no NVIDIA GPU is visible'
check "without a GPU it exits 3 and says why" $?

# ---- time is short ----
# With all of 3600 s a suite that needs 2400 is begun, with half of them it is not; nor what needs 1796.
needy="$roomy suite=900:2400 llmc=900:1797"
evidence 0 GPU_EVIDENCE_LIMITS="$needy" -- && says suite PASS '' && says llmc PASS ''
check "with the whole time a phase that needs two thirds of it is begun" $?
evidence 0 GPU_EVIDENCE_LIMITS="$needy" GPU_EVIDENCE_SINCE="$(($(date +%s) - 1800))" -- && [ "$(count FAIL) $(count SKIP)" = "0 3" ] &&
    says suite SKIP 'it needs 2400 s, and of 3600 s 1[0-9]{3}.[0-9] s were left for it' && says llmc SKIP 'it needs 1797 s' &&
    says portable PASS '' && jq -e '.seconds > 1800' result/evidence.json >/dev/null
check "half of the time gone: what does not fit any more is skipped, with the seconds" $?
evidence 0 FAULT="hang-parity" GPU_EVIDENCE_S=62 GPU_EVIDENCE_LIMITS="$roomy correctness=900:0 speed=900:50" -- correctness portable &&
    says parity-bf16 SKIP '(cut off after [0-3][.]|not begun)' && [ "$(count FAIL)" -eq 0 ]
check "a check that the end of all time cuts off is no failure, and comes before speed loses what it needs" $?
evidence 0 GPU_EVIDENCE_SINCE=1 -- && [ "$(count SKIP)" -eq 26 ]
check "no time at all" $?

# ---- a signal ----
FAULT=hang-profile bash "$here/evidence.sh" --out stopped profile >out 2>err &
runner=$!
for _ in $(seq 300); do grep -q '^PASS  machine' out && break; sleep 0.1; done
sleep 0.5
kill $runner
wait $runner
[ $? -eq 1 ] && jq -e '[.rows[] | .outcome] == ["PASS", "SKIP"] and .rows[1].what == "stopped by a signal"' stopped/evidence.json >/dev/null &&
    tail -n 1 out | grep -q '^evidence: 1 passed, 0 failed, 1 skipped'
check "stopped by a signal it prints the table so far" $?
runner=""

# ---- CUDA's libraries in Python's packages ----
real_python=$(PATH=${PATH#*:} command -v python3)
if [ -n "$real_python" ]; then
    mkdir -p site-packages/nvidia/cu13/lib && : >site-packages/nvidia/cu13/lib/libcublasLt.so.13
    evidence 0 PYTHON="$real_python" PYTHONPATH="$work/site-packages" -- machine &&
        jq -e '.library_path | test("site-packages/nvidia/cu13/lib")' result/evidence.json >/dev/null
    check "cuBLASLt is found in PyTorch's packages" $?
else
    skip "cuBLASLt in PyTorch's packages" "there is no python3"
fi
finish
