# Sourced by gpu_check.sh and gpu_bench.sh from the folder above this one. In a bundle, which has
# lib/, the libraries there are found before the system's, those of the C++ compiler (lib/gcc) only
# where the system has none that serve; cuBLASLt is the CUDA toolkit's. own_library_path is what the
# caller had, for programs that are not ours.
own_library_path=${LD_LIBRARY_PATH:-}
if [ -d lib ]; then
    export LD_LIBRARY_PATH="$PWD/lib:${own_library_path:+$own_library_path:}${CUDA_HOME:-/usr/local/cuda}/lib64"
    if ldd "$build/gptbench" 2>&1 | grep -q 'not found'; then
        LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$PWD/lib/gcc
    fi
fi
