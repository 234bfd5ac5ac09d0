#!/usr/bin/env bash
# What the kernels that memory bounds cost, read off their machine code for sm_90a: bytes and instructions per
# element, and what a thread asks for before it first stores. Prints Markdown. Needs nvcc and cuobjdump, no GPU, and
# times nothing.
#   scripts/sass_table.sh [--facts | REVISION]
# REVISION: a commit whose kernels stand beside those of the working tree. --facts: plain facts of the working tree
# instead, a line per kernel, separated by tabs (tests/e2e/e2e_sass.sh reads them).
#   SASS_SOURCES=FOLDER     the kernels of another tree
#   NVCC, CUDA_TOOLS        where the compiler and the disassembler are (scripts/sass_tools.sh)
set -uo pipefail
root=$(realpath "$(dirname "$0")/..")
{ read -r nvcc && read -r tools; } < <("$root/scripts/sass_tools.sh" "$root/build/sass-tools")
[ -n "${tools:-}" ] || exit 3
export PATH=$PATH:$tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Kernel in words; file; its mangled name; elements. Elements of a kernel without a main loop: of one thread. With
# one: per 128-bit load ("8/3" is three loads for eight elements), or per 128-bit store.
kernels() {
    cat <<'TABLE'
norm forward, C <= 1024;norm;add_norm_forward_kernelI13__nv_bfloat16Li8ELi4E;32
norm forward, C <= 2048;norm;add_norm_forward_kernelI13__nv_bfloat16Li8ELi8E;64
norm backward, C <= 1024;norm;add_norm_backward_kernelI13__nv_bfloat16Li8ELi4E(E|Lb0E);32
norm backward, C <= 2048;norm;add_norm_backward_kernelI13__nv_bfloat16Li8ELi8E(E|Lb0E);64
norm backward, post_norm, C <= 1024;norm;add_norm_backward_kernelI13__nv_bfloat16Li8ELi4E(E|Lb1E);32
norm backward, post_norm, C <= 2048;norm;add_norm_backward_kernelI13__nv_bfloat16Li8ELi8E(E|Lb1E);64
rotation forward;rope;qk_rope_forward_kernelI13__nv_bfloat16Li8E(E|Lb1E);16
rotation backward;rope;qk_rope_backward_kernelI13__nv_bfloat16Li8E(E|Lb1E);16
SwiGLU forward;elementwise;swiglu_forward_kernelI13__nv_bfloat16Li8E;loads 2
SwiGLU backward;elementwise;swiglu_backward_kernelI13__nv_bfloat16Li8E;loads 3
GELU forward;elementwise;gelu_forward_kernelI13__nv_bfloat16Li8E;loads 1
GELU backward;elementwise;gelu_backward_kernelI13__nv_bfloat16Li8E;loads 2
embedding forward;embed;embed_forward_kernelI13__nv_bfloat16Li8E;loads 1
loss;classifier;loss_kernelI13__nv_bfloat16(E|Lb1E);stores 1
TABLE
}

# facts SOURCES: kernel, instructions per element, bytes read and written per element, narrow accesses, bytes asked for
# before the first store, calls, registers, local memory, 128-bit stores, of each row of `kernels`.
facts() {
    local file
    for file in $(kernels | cut -d';' -f2 | sort -u); do
        (cd "$1" && "$nvcc" -I. -D_GNU_SOURCE -DGPTBENCH_CUDA -O3 -lineinfo -std=c++17 -arch=sm_90a -cubin \
            -o "$work/$file.cubin" "kernels/cuda/$file.cu") || return 1
        cuobjdump -sass "$work/$file.cubin" | awk -f "$root/scripts/sass.awk" >"$work/$file.facts" || return 1
        cuobjdump -res-usage "$work/$file.cubin" 2>&1 |
            sed -nE '/Function/ { s/.*Function ([^:]*):.*/\1/; h; n; s/.*REG:([0-9]+) STACK:([0-9]+).*LOCAL:([0-9]+).*/\1 \2 \3/; H; x; s/\n/ /; p }' >"$work/$file.registers"
    done
    kernels | awk -F ';' -v OFS='\t' -v work="$work" '
        { what = $1; elements_of = $4; registers = ""; found = 0
          while ((getline line < (work "/" $2 ".registers")) > 0) {
              split(line, r, " ")
              if (r[1] ~ $3) registers = r[2]
          }
          close(work "/" $2 ".registers")
          delete best; delete phase
          while ((getline line < (work "/" $2 ".facts")) > 0) {
              n = split(line, f, "\t")
              if (f[2] !~ $3) continue
              if (f[1] == "kernel") { found++; calls = f[4]; localmem = f[5] }
              else if (f[1] == "whole") whole = line
              else {
                  # A loop copies to shared memory, or reads alone, or writes; of several the widest is the main one.
                  of = f[6] > 0 ? 1 : f[5] > 0 || f[9] > 0 && f[4] > 0 ? 3 : f[4] > 0 || f[7] > 0 ? 2 : 0
                  if (of && f[4] + f[5] + f[6] + f[7] > best[of]) { best[of] = f[4] + f[5] + f[6] + f[7]; phase[of] = line }
              }
          }
          close(work "/" $2 ".facts")
          if (found != 1) { print "sass_table.sh: " found " kernels are " $3 > "/dev/stderr"; bad = 1; next }
          instructions = bytes_read = bytes_written = narrow = 0; before = ""; stores = 0
          if (elements_of ~ /^[0-9]+$/) {
              split(whole, f, "\t")
              instructions = f[3] / elements_of; bytes_read = f[11] / elements_of; bytes_written = f[12] / elements_of
              narrow = f[8] + f[9]; before = f[10]; stores = f[5]
          } else {
              split(elements_of, e, " ")
              for (i = 1; i <= 3; i++) if (i in phase) {
                  split(phase[i], f, "\t")
                  elements = 8 * (i == 1 ? f[6] : i == 2 ? f[4] + f[7] : e[1] == "loads" ? f[4] / e[2] : f[5] / e[2])
                  instructions += f[3] / elements; bytes_read += f[11] / elements; bytes_written += f[12] / elements
                  narrow += f[8] + f[9]; stores += f[5]
                  if (i == 1 || before == "") before = f[10]
              }
          }
          print what, sprintf("%.1f", instructions), sprintf("%.1f", bytes_read), sprintf("%.1f", bytes_written), narrow, before, calls, registers, localmem, stores
        }
        END { exit bad }'
}

if [ "${1:-}" = --facts ]; then
    facts "${SASS_SOURCES:-$root}"
    exit
fi
facts "$root" >"$work/after" || exit 1
if [ -n "${1:-}" ]; then
    mkdir "$work/before.tree"
    git -C "$root" archive "$1" kernels | tar x -C "$work/before.tree" || exit 1
    facts "$work/before.tree" >"$work/before" || exit 1
    echo "Before is commit $(git -C "$root" rev-parse --short=7 "$1"); a number that stands alone did not change."
    echo
else
    cp "$work/after" "$work/before"
fi
echo '| kernel, bf16 | instructions per element | bytes read per element | written | accesses below 16 bytes | bytes asked for before the first store | calls | registers |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
paste "$work/before" "$work/after" | awk -F '\t' '
    { printf "| %s |", $1
      for (i = 2; i <= 8; i++) printf " %s |", $i == $(i + 10) ? $i : $i " → " $(i + 10)
      print "" }'
