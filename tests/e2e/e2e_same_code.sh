#!/usr/bin/env bash
# By which hash of the sources runs go, as model/same_code.txt says.
# kinds: sanitized (hashes and text)
. "$(dirname "$0")/lib.sh"
needs 'the hash of the sources' make awk sha256sum
list=$root/model/same_code.txt

# What `make code` says of WHICH hash, with the variables that follow.
code() { # WHICH [VARIABLE=VALUE...]
    local which=$1
    shift
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory -s -C "$root" NVCC= code "$@" 2>err |
        awk -v which="$which" '$1 == which { print $2 }'
}
# The lines of FILE that no rule of model/same_code.txt allows.
faults() { # FILE
    awk '/^#/ || /^$/ { next }
        NF < 3 || $1 !~ /^[0-9a-f]+$/ || length($1) != 16 || $2 !~ /^[0-9a-f]+$/ || length($2) != 16 {
            print "no NEW OLD WHY: " $0; next }
        $1 == $2 { print "names itself: " $0 }
        $1 in old { print "twice: " $0 }
        { old[$1] = $2 }
        END { for (n in old) if (old[n] in old) print "OLD is the NEW of another line: " n " " old[n] }' "$1"
}

present=$(code sources)
echo "$present" | grep -qE '^[0-9a-f]{16}$'
check "the sources have a hash: $present" $?
is 'the list is well formed' "$(faults "$list")" ''
runs=$(code runs)
is 'runs go by what the list says of it, else by itself' "$runs" \
    "$(awk -v new="$present" '$1 "" == new "" { hash = $2 } END { print hash ? hash : new }' "$list")"
grep -qaF "$runs" "$gptbench"
check 'and the program was built with that' $?

# Lists of our own.
printf '# a line\n%s 0123456789abcdef renamed\n' "$present" >same
is 'a line for these sources counts' "$(code runs SAME_CODE="$work/same")" 0123456789abcdef
printf '0%s 0123456789abcdef renamed\n' "${present:1}" >other
[ "${present:0:1}" = 0 ] && sed -i s/^0/1/ other
is 'one for others does not' "$(code runs SAME_CODE="$work/other")" "$present"
printf '%s\n' "$present 0123456789abcdef" '0123456789abcde 0123456789abcdef short' \
    '1111111111111111 1111111111111111 itself' '2222222222222222 3333333333333333 chain' \
    '3333333333333333 4444444444444444 chain' '2222222222222222 5555555555555555 twice' >bad
is 'faults of a list are found' "$(faults bad | wc -l)" 5
finish
