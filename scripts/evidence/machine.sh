# Of evidence.sh: what is here. Libraries, versions, and whether a step of training comes to its end.

python=${PYTHON:-python3}
# What the caller had, for Python; with CUDA's libraries, for other programs that are not ours.
callers_library_path=${LD_LIBRARY_PATH:-}
own_library_path=$callers_library_path

# package_libraries: the folders of CUDA's libraries in Python's packages (PyTorch brings cuBLASLt and
# CUPTI so), one to a line.
package_libraries() {
    "$python" - 2>/dev/null <<'PYTHON'
import glob, os, site, sys

roots = [p for p in sys.path if p.endswith("-packages")] + site.getsitepackages() + [site.getusersitepackages()]
names = ("libcublasLt.so", "libcupti.so", "libcudnn.so", "libnvrtc.so")
found = []
for root in dict.fromkeys(roots):
    for file in sorted(glob.glob(root + "/nvidia/**/lib*.so*", recursive=True)):
        if os.path.basename(file).startswith(names) and os.path.dirname(file) not in found:
            found.append(os.path.dirname(file))
print("\n".join(found))
PYTHON
}

# toolkit_libraries: those of the CUDA toolkit.
toolkit_libraries() {
    local home
    for home in "${CUDA_HOME:-}" /usr/local/cuda /opt/cuda; do
        [ -z "$home" ] || ls -d "$home"/lib64 "$home"/targets/*/lib "$home"/extras/CUPTI/lib64 2>/dev/null
    done
}

# find_libraries: sets LD_LIBRARY_PATH. In an archive, which has lib/, the libraries there come before
# the system's, and those of the C++ compiler (lib/gcc) only where the system has none that serve.
find_libraries() {
    local found
    found=$( (toolkit_libraries; package_libraries) | awk 'NF && !seen[$0]++' | paste -sd:)
    own_library_path+=${found:+${own_library_path:+:}$found}
    export LD_LIBRARY_PATH=$own_library_path
    if [ -d lib ]; then
        LD_LIBRARY_PATH=$PWD/lib${own_library_path:+:$own_library_path}
        if ldd "$build/gptbench" 2>&1 | grep -q 'not found'; then
            LD_LIBRARY_PATH+=:$PWD/lib/gcc
        fi
    fi
    fact library_path "${found:-no CUDA libraries in the toolkit or in Python\'s packages}"
}

# find_library NAME: the first file of that name that the loader would take, or nothing.
find_library() {
    local folder file
    while read -r folder; do
        for file in "$folder/$1"*; do
            [ ! -e "$file" ] || { echo "$file"; return; }
        done
    done < <(tr : '\n' <<<"$own_library_path")
    ldconfig -p 2>/dev/null | awk -v name="$1" 'index($1, name) == 1 { print $NF; exit }'
}

# find_tool NAME: one of NVIDIA's programs.
find_tool() {
    local file
    for file in "$1" "${CUDA_HOME:-/usr/local/cuda}/bin/$1" /usr/local/cuda*/bin/"$1" \
        /opt/nvidia/nsight-compute/*/"$1" "$(dirname "$(realpath "$(command -v nvcc || echo .)")")/$1"; do
        command -v "$file" && return
    done
    return 1
}

collect_facts() {
    local version
    fact date "$(date -u '+%Y-%m-%d %H:%M UTC')"
    fact command "$command_line"
    fact system "$(uname -srm), $(nproc 2>/dev/null) processors, $( (. /etc/os-release && echo "$PRETTY_NAME") 2>/dev/null), glibc $(ldd --version 2>/dev/null | sed -n '1s/.* //p')"
    version=$("$build/gptbench" --version 2>/dev/null)
    fact commit "$(sed -n 's/^commit *//p' <<<"$version")"
    [ ! -e BUILT ] || fact built "$(paste -sd, BUILT | sed 's/,/, /g')"
    if command -v nvidia-smi >/dev/null; then
        fact card "$(timeout 10 nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap,power.limit,clocks.max.sm \
            --format=csv,noheader 2>&1 | paste -sd';')"
    else
        fact card "nvidia-smi was not found"
    fi
    version=$("$(find_tool nvcc)" --version 2>/dev/null | sed -n 's/.*release //p')
    fact toolkit "nvcc ${version:-none}; cuBLASLt $(find_library libcublasLt.so.), CUPTI $(find_library libcupti.so.)"
    version=$("$python" -c 'import importlib.metadata as m, platform; print(m.version("torch"), "under Python", platform.python_version())' 2>/dev/null)
    fact pytorch "${version:-none: $python has no torch}"
}

# One step of a small model on the GPU: with it cuBLASLt is loaded, and the device says its name.
small_model=(--set vocab_size=67 --set n_layer=1 --set n_head=2 --set n_embd=64 --set batch_size=2
    --set sequence_length=33 --set num_iterations=1 --set val_loss_every=1 --set val_tokens=66
    --train synth:vocab=67,seed=1 --val synth:vocab=67,seed=1,stream=val)

phase_machine() {
    local log=$work/logs/machine.log begun
    begun=$(now_ms)
    collect_facts
    if [ ! -x "$build/gptbench" ]; then
        no_device="no program $build/gptbench"
        row FAIL machine 0.0 "$no_device; make gpu-check, gpu-bench and gpu-evidence build it"
        return
    fi
    if limited machine "$log" "$build/gptbench" train "${small_model[@]}" --backend cuda --set precision=bf16; then
        fact device "$(sed -n 's/^device:\(.*\) threads:.*/\1/p' "$log")"
        fact programs "$(sed -n 's/^device:.* isa:\(.*\) libraries:\(.*\)/\1; \2/p' "$log")"
        fact driver "$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)"
        row PASS machine "$(tenths $(($(now_ms) - begun)))" "$(cat "$work/facts/device"): $(cat "$work/facts/programs")"
        return
    fi
    no_device=$why
    if ! grep -q 'SIMT' "$log" && [ -z "$(find_library libcublasLt.so.)" ]; then
        why+="; no libcublasLt in the toolkit, Python's packages or the system"
    fi
    row FAIL machine "$(tenths $(($(now_ms) - begun)))" "$why"
}
