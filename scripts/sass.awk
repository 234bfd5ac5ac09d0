# Facts about kernels from what `cuobjdump -sass` prints, a line each, separated by tabs:
#   kernel  NAME instructions calls local hgmma arrive depbar          of all of it
#   whole   NAME instructions loads stores copies shared narrow_loads narrow_stores before read written
#   loop    NAME ...                                                   of each innermost loop
# loads, stores: of 128 bits, in global memory; copies: of 128 bits from there to shared memory; shared: loads of
# 128 bits from shared memory. narrow_...: of fewer bits, in global memory. before: bytes that are asked for
# before the first store. read, written: bytes of global memory. Loads and stores of local memory are `local`.
# A loop is what a jump back encloses; those around others are left out.
function hex(digits,    i, n) {
    for (i = 1; i <= length(digits); i++) n = 16 * n + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return n
}
function bits(op) {
    return op ~ /[.]128/ ? 128 : op ~ /[.]64/ ? 64 : op ~ /[.][US]16/ ? 16 : op ~ /[.][US]8/ ? 8 : 32
}
function part(kind, from, to,    i, n, op, loads, stores, copies, shared, nl, ns, before, read, written) {
    for (i = from; i <= to; i++) {
        op = ops[i]
        if (op == "NOP" || op == "") continue
        n++
        if (op ~ /^LDG[.]/ || op ~ /^LD[.]E/) {
            read += bits(op) / 8
            if (bits(op) == 128) loads++; else nl++
        } else if (op ~ /^STG[.]/ || op ~ /^ST[.]E/) {
            if (written == 0) before = read
            written += bits(op) / 8
            if (bits(op) == 128) stores++; else ns++
        } else if (op ~ /^LDGSTS/) {
            read += bits(op) / 8
            if (bits(op) == 128) copies++; else nl++
        } else if (op ~ /^LDS/ && bits(op) == 128) shared++
    }
    if (written == 0) before = read
    printf "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", kind, name, n, loads, stores, copies, shared, nl, ns, before, read, written
}
function finish(    i, j, k, inner, calls, local, hgmma, arrive, depbar, n) {
    if (name == "") return
    for (i = 1; i <= last; i++) {
        n += ops[i] != "NOP"
        calls += ops[i] ~ /^CALL/
        local += ops[i] ~ /^(LDL|STL)/
        hgmma += ops[i] ~ /^HGMMA/
        arrive += ops[i] ~ /^WARPGROUP[.]ARRIVE/
        depbar += ops[i] ~ /^WARPGROUP[.]DEPBAR/
    }
    printf "kernel\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", name, n, calls, local, hgmma, arrive, depbar
    part("whole", 1, last)
    for (j = 1; j <= jumps; j++) {
        inner = 1
        for (k = 1; k <= jumps; k++)
            if (k != j && at[target[k]] >= at[target[j]] && source[k] <= source[j] &&
                (at[target[k]] > at[target[j]] || source[k] < source[j])) inner = 0
        if (inner) part("loop", at[target[j]], source[j])
    }
}
/^[ \t]*Function : / {
    finish()
    name = $3
    last = jumps = 0
    delete at; delete ops
    next
}
/^[ \t]*\/\*[0-9a-f]+\*\/ / {
    address = hex(substr($1, 3, length($1) - 4))
    op = $2 ~ /^@/ ? $3 : $2
    sub(/;$/, "", op)
    last++
    at[address] = last
    ops[last] = op
    if (op ~ /^BRA/ && match($0, /0x[0-9a-f]+ *;/)) {
        to = hex(substr($0, RSTART + 2, RLENGTH - 2 - (substr($0, RSTART, RLENGTH) ~ / ;$/ ? 2 : 1)))
        if (to < address) { # a jump to itself ends a kernel
            jumps++
            target[jumps] = to
            source[jumps] = last
        }
    }
}
END { finish() }
