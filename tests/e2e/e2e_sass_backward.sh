#!/usr/bin/env bash
# The machine code of the attention kernels for compute capability 9.0, as nvcc 13.0 makes it: nothing
# lies in local memory where head_dim is 64 or 128, and wgmma products run one behind the other, with no
# more waits between them than the source has. It needs nvcc, and cuobjdump for what it counts:
# CUOBJDUMP says where that is, if it is neither in PATH nor beside nvcc nor in the Python package triton.
# kinds: plain (it looks at sources, whatever the program was built with)
. "$(dirname "$0")/lib.sh"
export PATH=$PATH:/usr/local/cuda/bin
needs "machine code" nvcc c++filt
release=$(nvcc --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
[ "$release" = 13.0 ] || skip_rest "this is nvcc $release, another compiler than that of the figures here"
triton=$(python3 -c 'import importlib.util as u; print(*u.find_spec("triton").submodule_search_locations)' 2>/dev/null)
cuobjdump=${CUOBJDUMP:-$(command -v cuobjdump || ls "$triton/backends/nvidia/bin/cuobjdump" 2>/dev/null)}

# compile FILE: makes FILE.cubin and FILE.said, in which ptxas speaks of each kernel.
compile() {
    nvcc -I"$root" -DGPTBENCH_CUDA -O3 -std=c++17 -gencode arch=compute_90a,code=sm_90a --resource-usage \
        -cubin -o "$1.cubin" "$root/kernels/cuda/$1.cu" >"$1.said" 2>&1
}
# spills FILE: "KERNEL BYTES" for each kernel of head_dim 64 or 128.
spills() {
    c++filt <"$1.said" | awk '/Function properties/ { sub(/.*for (void )?/, ""); sub(/\(.*/, ""); kernel = $0 }
        /bytes spill/ && kernel ~ /<(64|128)> *>/ { gsub(/ /, "", kernel); print kernel, $1 + $5 + $9 }'
}
for file in attention_{bf16,hopper}_forward attention_bf16_backward attention_hopper_backward_{queries,keys}; do
    passes "$file compiles" compile $file
    is "$file: kernels of head_dim 64 and 128 with something in local memory" \
        "$(spills $file | awk '$2 > 0')" ""
    is "$file: kernels that were looked at" "$(spills $file | wc -l)" "$([[ $file = *bf16_backward ]] && echo 4 || echo 2)"
    is "$file: what ptxas says of wgmma" "$(grep -o 'C75[0-9]*' "$file.said")" ""
done

[ -n "$cuobjdump" ] || skip_rest "there is no cuobjdump"
# counts FILE HEAD_DIM: products and waits for them in the kernel of that head_dim.
counts() {
    "$cuobjdump" -sass "$1.cubin" | awk -v of="ILi$2E" '/Function :/ { in_it = index($0, of) }
        in_it && /HGMMA/ { products++ } in_it && /WARPGROUP.DEPBAR/ { waits++ } END { print products, waits }'
}
# A product of 16 columns or rows is an instruction: scores of a tile are head_dim / 16, what a tile adds
# to sums is its rows / 16. Each stands twice, for the first tile or the last, and for the others.
#   forward     S: 2 * D/16, P V of 128 keys: 2 * 8; it waits at four places
#   queries     S, dP: 4 * D/16, dQ of 64 keys: 2 * 4; at three
#   keys        S, dP: 4 * D/16, dV and dK of 64 queries: 4 * 4; at three, and with D = 128 at one more
is "products and waits, forward, head_dim 64" "$(counts attention_hopper_forward 64)" "24 4"
is "products and waits, forward, head_dim 128" "$(counts attention_hopper_forward 128)" "32 4"
is "products and waits, queries, head_dim 64" "$(counts attention_hopper_backward_queries 64)" "24 3"
is "products and waits, queries, head_dim 128" "$(counts attention_hopper_backward_queries 128)" "40 3"
is "products and waits, keys, head_dim 64" "$(counts attention_hopper_backward_keys 64)" "32 3"
is "products and waits, keys, head_dim 128" "$(counts attention_hopper_backward_keys 128)" "48 4"
finish
