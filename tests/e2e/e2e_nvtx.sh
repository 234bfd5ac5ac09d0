#!/usr/bin/env bash
# NVTX ranges, as a listener hears them that NVTX itself loads (fake_nvtx.c): how they nest, that every
# call in the ledger has its range, that names are registered once.
#   tests/e2e/e2e_nvtx.sh PROGRAM [BACKEND]
# kinds: sanitized (names, nesting and counts)
. "$(dirname "$0")/lib.sh"
program=$gptbench
backend=${2:-cpu}
listener=$(dirname "$program")/tests/fake_nvtx.so

if "$program" doctor --quick 2>/dev/null | grep -qE '^ok +nvtx +not built in' || [ ! -e "$listener" ]; then
    skip_rest "ranges: NVTX is not built in"
fi


model=(--backend "$backend" --threads 2 --set vocab_size=64 --set n_layer=3 --set n_embd=32 --set n_head=2
    --set batch_size=2 --set sequence_length=16)
tokens=(--train synth:vocab=64,seed=1 --val 'synth:vocab=64,seed=1,stream=val')

heard() { # FILE COMMAND...: what the listener hears of it
    local file=$1
    shift
    rm -f "$file"
    FAKE_NVTX_OUT=$PWD/$file NVTX_INJECTION64_PATH=$listener "$program" "$@" >out 2>err
}

# Reads what was heard; complains of ranges that do not nest as step > phase > layer > op, prints
# "STEP PHASE LAYER OP" for each op within a step, and "steps N".
read_ranges='
/^wrong/ { print "complaint", $0 }
/^category/ { kind[$2] = $3 }
/^push/ {
    what = kind[$2]; above = depth ? is[depth] : "none"
    right = what == "step" ? above == "none" : \
            what == "phase" ? above == "step" || above == "none" : \
            what == "layer" ? above == "phase" : \
            what == "op" ? above == "phase" || above == "layer" || above == "none" : 0
    if (!right || (above == "none" && what == "op" && steps)) print "complaint line", NR, what, "in", above
    text = $0; sub(/^push [0-9]+ [^ ]+ /, "", text)
    is[++depth] = what; name[what] = text; payload[what] = $3
    if (what == "step" && $3 != steps++) print "complaint step", $3, "after", steps - 1
    if (what == "layer" && text != "layer " $3) print "complaint", text, "is", $3
    if (what == "op" && is[1] == "step")
        print payload["step"], name["phase"], (above == "layer" ? payload["layer"] : -1), text
}
/^pop/ { if (depth == 0) print "complaint pop of nothing"; else depth-- }
END { if (depth) print "complaint", depth, "ranges are open"; print "steps", steps }'

heard train.txt train "${model[@]}" "${tokens[@]}" --set num_iterations=12 --set val_loss_every=6 \
    --set val_tokens=64 --set grad_accumulation_steps=2
check "train runs under a listener" $?
[ "$(grep -c '^domain ' train.txt)" -eq 1 ] && grep -qx 'domain gptbench' train.txt
check "there is one domain, gptbench" $?
awk "$read_ranges" train.txt >ranges
grep '^complaint' ranges >found
[ ! -s found ]
check "ranges nest as step > phase > layer > op, and all that begin end" $?
[ "$(tail -1 ranges)" = "steps 12" ]
check "each step has its range, with its number" $?
[ "$(grep -c '^string ' train.txt)" -eq "$(grep '^string ' train.txt | sort -u | wc -l)" ]
check "names are registered once" $?
[ "$(grep -n '^string ' train.txt | tail -1 | cut -d: -f1)" -lt "$(grep -n '^push' train.txt | head -1 | cut -d: -f1)" ]
check "and before the first range" $?
# In the first step all is issued op by op.
awk '$1 == 0 && $2 == "forward" && $3 == 1 { print $4 }' ranges | sort | uniq -c | awk '{ print $2, $1 }' >found
printf '%s 2\n' attention linear_attn_out linear_mlp_down linear_mlp_up linear_qkv mlp_act >expected
printf 'norm 4\nqk_rope 2\n' >>expected
diff expected found >err
check "a layer's ops, of two micro-batches, are those of the model" $?
# Three validations (before, after 6, after 12 steps), each one range with the copies of its batches.
[ "$(grep -c '^push 2 - eval$' train.txt)" -eq 3 ] && [ "$(awk '$2 == "eval"' ranges | wc -l)" -eq 0 ]
check "validations are phases outside of the steps" $?

# The ledger of the profiled steps: the calls of the 12th and 13th, which all have, by op and by layer.
compare() { # BY
    local column=$([ "$1" = op ] && echo 4 || echo 3)
    heard profile.txt profile "${model[@]}" --steps 2 --timed-steps 1 --by "$1" || return 1
    awk "$read_ranges" profile.txt >ranges
    ! grep '^complaint' ranges >found || return 1
    awk -v c="$column" '$1 == 11 || $1 == 12 { n[$c " " $2]++ } END { for (k in n) print k, n[k] / 2 }' \
        ranges | sort >found
    # "OP PHASE ms share % calls/step", or "layer N PHASE ..." and "outside the layers PHASE ..."
    sed -nE 's/^layer ([0-9]+) /\1 /; s/^outside the layers/-1/
             s/^([a-z_0-9-]+) +(data|forward|backward|update) +[0-9.]+ +[0-9.]+ % +([0-9.]+).*/\1 \2 \3/p' \
        out | sort >expected
    [ -s expected ] && diff expected found >err
}
compare op
check "each call in the ledger has its range, by op" $?
compare layer
check "and by layer" $?
FAKE_NVTX_OUT=/nowhere/out NVTX_INJECTION64_PATH=$listener "$program" train "${model[@]}" "${tokens[@]}" \
    --set num_iterations=1 --set val_loss_every=1 --set val_tokens=32 >out 2>err
check "with a listener that gives up the program runs" $?
finish
