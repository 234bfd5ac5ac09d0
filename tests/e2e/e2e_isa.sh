#!/usr/bin/env bash
# The whole program on each instruction set that this CPU has, of which it takes the fastest by
# itself: a machine with AVX-512 stands in for those without.
# kinds: plain (the machine code that users get; test_cpu_kernels has the same kernels sanitized)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

# Sizes that no vector, tile or panel divides.
train() { # ISA PRECISION THREADS FILE
    GPTBENCH_ISA=$1 "$gptbench" train --set n_layer=2 --set n_embd=108 --set n_head=6 --set n_kv_head=3 \
        --set attention_type=gqa --set use_swiglu_mlp=true --set vocab_size=257 --set batch_size=3 \
        --set sequence_length=45 --set num_iterations=12 --set precision="$2" --backend cpu \
        --train synth:vocab=256,seed=1 --val synth:vocab=256,seed=1,stream=val \
        --threads "$3" --losses "$4" >out 2>err
}
# The largest difference between the losses of two files.
apart() { # FILE FILE
    paste -d, "$1" "$2" | awk -F, 'NR > 1 { d = $2 - $4; if (d < 0) d = -d; if (d > most) most = d; n++ }
        END { printf "%.9f\n", n == 12 ? most : 1e9 }'
}
below() { # WHAT NUMBER LIMIT
    awk "BEGIN { exit !($2 < $3) }"
    check "$1: $2 < $3" $?
}

train generic fp32 1 fp32
is "generic: trains" $? 0
for isa in generic avx2 avx512 avx512_bf16; do
    train $isa fp32 1 one
    if [ $? -eq 3 ] && grep -q 'this CPU does not have it' err; then
        skip "$isa" "this CPU does not have it"
        continue
    fi
    for precision in fp32 bf16; do
        train $isa $precision 1 one
        is "$isa $precision: trains" $? 0
        path=$isa
        [ $precision = bf16 ] || path=${isa%_bf16} # which differs in products of bf16 alone
        grep -q " isa:$path " out
        check "$isa $precision: and says on what" $?
        for threads in 2 5; do
            train $isa $precision $threads more
            cmp -s one more
            check "$isa $precision: the same losses to the last bit with $threads threads" $?
        done
        # Twelve steps amplify the order of sums in float to some 2e-6 in losses near 5, rounding
        # to 8 bits to some 2e-3; what is wrong in a kernel shows in the first digits.
        case $precision in
        fp32) below "$isa fp32: losses are those of generic" "$(apart one fp32)" 0.00002 ;;
        bf16) below "$isa bf16: losses are those of fp32, rounded" "$(apart one fp32)" 0.01 ;;
        esac
    done
done
finish
