#!/usr/bin/env bash
# Where the CUDA compiler and the disassembler are: prints the path of nvcc and a folder that holds cuobjdump and
# nvdisasm, a line each; exits 3 and says why where one is missing. No GPU is needed.
#   scripts/sass_tools.sh [--install FOLDER]
# Both are looked for on the PATH, in the toolkit beside nvcc, and in FOLDER. --install puts the disassembler (the
# packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm of PyPI, 5 MB) into FOLDER where it is nowhere else.
#   NVCC, CUDA_TOOLS        say where they are: the compiler, the folder of the disassembler
set -uo pipefail
install="" folder=""
[ "${1:-}" = --install ] && install=yes && shift
folder=${1:-}

nvcc=$(command -v "${NVCC:-nvcc}") || {
    echo "there is no nvcc (NVCC=/path/to/nvcc says where it is)" >&2
    exit 3
}
find_tools() {
    local tools
    for tools in "${CUDA_TOOLS:-}" "$(dirname "$(command -v cuobjdump)")" "$(dirname "$(realpath "$nvcc")")" \
        "$folder/nvidia/cu13/bin" "$folder"/nvidia/*/bin; do
        [ -x "$tools/cuobjdump" ] && [ -x "$tools/nvdisasm" ] && printf '%s\n' "$nvcc" "$tools" && exit 0
    done
}
find_tools
if [ -n "$install" ]; then
    "${PYTHON:-python3}" -m pip install --quiet --no-deps --target "$folder" nvidia-cuda-cuobjdump \
        nvidia-cuda-nvdisasm >/dev/null 2>&1
    find_tools
fi
echo "there is no cuobjdump with its nvdisasm (CUDA_TOOLS=FOLDER says where; scripts/sass_tools.sh --install FOLDER gets them)" >&2
exit 3
