#!/usr/bin/env bash
# The sensors of a GPU beside a run, on the emulator with a stand-in for NVIDIA's management library.
. "$(dirname "$0")/../e2e/lib.sh"
fake=$(dirname "$gptbench")/tests/fake_nvml.so
export SIMT_DEVICES="90 80" GPTBENCH_NVML_LIBRARY=$fake OMP_WAIT_POLICY=passive

needs "sensors of a GPU" sqlite3
cat >gpu.ini <<'INI'
[suite]
name = gpu
baseline = base
replicates = 1
[timing]
blocks = 0

[data]
train = synth:vocab=32,seed=1,order=2
val = synth:vocab=32,seed=1,order=2,stream=val
[train]
batch_size = 1
sequence_length = 8
num_iterations = 15
val_loss_every = 15
val_tokens = 8
precision = fp32
[model]
vocab_size = 32
n_layer = 1
n_head = 2
n_embd = 16
[matrix]
mlp_expansion_factor = 4
INI
run() { # DATABASE FAKE_NVML ARGUMENTS...
    local db=$1 fake_nvml=$2
    shift 2
    FAKE_NVML=$fake_nvml "$gptbench" run gpu.ini --backend cuda --no-report --db "$db" "$@" >out 2>err
    rc=$?
}

run hot.db "reasons=0x44 power=300000"
is "a suite on the emulated GPU exits 0" $rc 0
is "every sample has clock, power and reasons of the GPU at its bus" \
    "$(sqlite3 hot.db 'SELECT DISTINCT gpu_clock_mhz, gpu_power_w, gpu_throttle FROM sample')" \
    "1980.0|300.0|sw_power_cap,hw_thermal"
is "every step is marked" \
    "$(sqlite3 hot.db "SELECT DISTINCT substr(disturbance, 1, 9) FROM step")" throttled
is "and none is lost" "$(sqlite3 hot.db 'SELECT count(*) FROM step')" 15
run cap.db "reasons=0x4" --device 1
is "another device is another GPU, at its power limit" \
    "$(sqlite3 cap.db 'SELECT DISTINCT gpu_clock_mhz, gpu_throttle FROM sample')" \
    "1410.0|sw_power_cap"
is "which is no disturbance" \
    "$(sqlite3 cap.db "SELECT count(*) FROM step WHERE disturbance LIKE '%throttled%'")" 0
GPTBENCH_NVML_LIBRARY=/nowhere/libnvidia-ml.so run none.db ""
is "without the library the run goes on" $rc 0
is "and says what is missing" \
    "$(sqlite3 none.db "SELECT sensors_missing LIKE 'gpu_clock: NVML cannot be loaded%' FROM run")" 1
"$gptbench" doctor --quick >out 2>err
grep -qE '^ok +sensor_gpu_power +readable' out
check "doctor says that the power can be read" $?
FAKE_NVML="power_error=4" "$gptbench" doctor --quick >out 2>err
grep -qE '^warn +sensor_gpu_power +not read: Insufficient Permissions' out
check "and that it may not be" $?
finish
