#!/usr/bin/env bash
# The machine code of the attention kernels' backward for compute capability 9.0: nothing lies in local memory, and
# wgmma products run one behind the other, with no more waits between them than the source has. Needs nvcc and a
# disassembler, no GPU; nothing is timed.
# kinds: plain (it looks at sources, whatever the program was built with)
. "$(dirname "$0")/lib.sh"
{ read -r nvcc && read -r tools; } < <("$root/scripts/sass_tools.sh" "$root/build/sass-tools" 2>"$work/why")
[ -n "${tools:-}" ] || skip_rest "the machine code is not read: $(cat "$work/why")"

# What every kernel of FILE has: NAME, accesses of local memory, HGMMA, ARRIVE, DEPBAR.
kernels() {
    "$tools/cuobjdump" -sass "$1.cubin" | awk -f "$root/scripts/sass.awk" |
        awk -F '\t' '$1 == "kernel" { match($2, /ILi[0-9]+E/); print substr($2, RSTART + 3, RLENGTH - 4), $5, $6, $7, $8 }' | sort -n
}
compile() { # FILE
    (cd "$root" && "$nvcc" -I. -DGPTBENCH_CUDA -O3 -lineinfo -std=c++17 -Werror all-warnings -arch=sm_90a -Xptxas -v \
        -cubin -o "$work/$1.cubin" "kernels/cuda/$1.cu") >"$work/$1.said" 2>&1
}
# A product of 16 columns or rows is an instruction. S and dP are D/16 each, twice, before the loop and in it; what a
# tile of 64 rows adds to a sum is 64/16, twice, in the loop and behind it. One sum is dQ, two are dK and dV. The source
# says ptx_wgmma_wait at three places, and where dK and dV are not overlapped, which is with D = 128, at one more; so
# for ptx_wgmma_fence.
declare -A expected=(
    [attention_hopper_backward_queries]="64 0 24 3 3, 128 0 40 3 3,"
    [attention_hopper_backward_keys]="64 0 32 3 3, 128 0 48 4 4,")
for file in attention_hopper_backward_queries attention_hopper_backward_keys; do
    passes "$file compiles" compile $file
    is "$file: head_dim, local memory, products, fences, waits" "$(kernels $file | sed 's/$/,/' | paste -sd' ')" "${expected[$file]}"
    # The compiler says C7508 to C7514 where it makes one product wait for another.
    is "$file: products that the compiler serializes" "$(grep -o '(C75[0-9]*)' "$file.said")" ""
done

# That this bites: fewer registers, and a product awaited at once.
mkdir tree && cp -r "$root/kernels" tree/
sed -i 's/consumer_registers = dim == 64 ? 232 : 240/consumer_registers = 160/' tree/kernels/cuda/attention_hopper_backward_keys.cu
sed -i 's|^        ptx_wgmma_fence();$|&\n        ptx_wgmma_wait<0>();\n        ptx_wgmma_fence();|' tree/kernels/cuda/attention_hopper_backward_queries.cu
root=$work/tree compile attention_hopper_backward_keys
root=$work/tree compile attention_hopper_backward_queries
[ -n "$(grep -o '(C75[0-9]*)' attention_hopper_backward_keys.said)" ] && [ "$(kernels attention_hopper_backward_keys | awk '$2 > 0' | wc -l)" -gt 0 ]
check "found: too few registers" $?
[ "$(kernels attention_hopper_backward_queries | awk '$4 > 3' | wc -l)" -eq 2 ]
check "found: a wait between products" $?
finish
