#!/usr/bin/env bash
# The drawing of the house is true: bench/ROOMS against the includes of all sources and the symbols of
# all objects. Nothing needs what is in a room further down that list, and no files need each other in a
# circle.
#   tests/e2e/e2e_rooms.sh build/gptbench      (reads build/obj)
# kinds: sanitized (the build that has the emulated program beside it)
. "$(dirname "$0")/lib.sh"
build=$(dirname "$gptbench")
needs "rooms" nm c++filt "${CC:-gcc}"

# Shared by the awk programs below: reads the list into rank[] and is_open[], and finds a file's room.
read_rooms='
function room_of(path,    at) {
    for (at = path; at != ""; sub(/\/?[^\/]*$/, "", at)) if (at in rank) return at
    return ""
}
BEGIN {
    while ((getline line < rooms) > 0) {
        n = split(line, word, " ")
        if (n == 0 || word[1] ~ /^#/) continue
        if (word[1] != "open") rank[word[1]] = ++ranks
        else for (i = 2; i <= n; i++) is_open[word[i]] = 1
    }
    close(rooms)
}'

# Circles among lines `A B REASON`: a line `circle: A B ...` for each, and lines that say what ties it.
find_circles='
{
    if (!(($1, $2) in why)) { next_of[$1] = next_of[$1] " " $2; why[$1, $2] = $3 }
    else why[$1, $2] = why[$1, $2] " " $3
    name[$1]; name[$2]
}
END {
    for (a in name) {
        todo[n = 1] = a
        while (n > 0) {
            count = split(next_of[todo[n--]], next_ones, " ")
            for (i = 1; i <= count; i++) if (!((a, next_ones[i]) in reached)) {
                reached[a, next_ones[i]]
                todo[++n] = next_ones[i]
            }
        }
    }
    for (a in name) if ((a, a) in reached) {
        first = a
        for (b in name) if (((a, b) in reached) && ((b, a) in reached) && b < first) first = b
        members[first] = members[first] " " a
    }
    for (first in members) {
        count = split(members[first], one, " ")
        for (i = 2; i <= count; i++) for (j = i; j > 1 && one[j] < one[j - 1]; j--) {
            swap = one[j]; one[j] = one[j - 1]; one[j - 1] = swap
        }
        line = "circle:"
        for (i = 1; i <= count; i++) line = line " " one[i]
        print line
        for (i = 1; i <= count; i++) for (j = 1; j <= count; j++) if ((one[i], one[j]) in why)
            print "    " one[i] " -> " one[j] " (" why[one[i], one[j]] ")"
    }
}'

sources() { # in the tree that is the current directory
    find bench model kernels -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' | sort
}
# Lines `FILE LINE INCLUDED`, of files of the tree only.
includes() {
    { sources; echo --; sources | xargs grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null; } |
        awk '/^--$/ { listed = 1; next }
             !listed { is_source[$0]; next }
             {
                 split($0, part, ":")
                 split($0, quoted, "\"")
                 beside = part[1]
                 sub(/[^\/]*$/, quoted[2], beside)
                 while (sub(/[^\/.]+\/\.\.\//, "", beside)) {}
                 if (quoted[2] in is_source) print part[1], part[2], quoted[2]
                 else if (beside in is_source) print part[1], part[2], beside
             }'
}
# The objects in FOLDER... of which the tree still has the source.
objects_in() { # FOLDER...
    local folder object source
    for folder in "$@"; do
        find "$folder"/{bench,model,kernels} -name '*.o' 2>/dev/null | while read -r object; do
            source=${object#"$folder/"}
            source=${source%.o}
            [ -e "$source.c" ] || [ -e "$source" ] || [ -e "${source%.*}.c" ] && echo "$object"
        done
    done
}
# Lines `USER DEFINER SYMBOL`, files without their endings, from the objects in FOLDER...
symbols() { # FOLDER...
    objects_in "$@" | xargs -r nm -A | awk '
        {
            split($0, part, ":")
            file = part[1]
            sub(/^.*obj\//, "", file)
            sub(/\.o$/, "", file); sub(/\.(generic|avx2|avx512|cu)$/, "", file)
            symbol = $NF; type = $(NF - 1)
            if (type ~ /^[TDBRSGV]$/) defined_in[symbol] = file
            else if (type == "U") use[file, symbol]
        }
        END {
            for (pair in use) {
                split(pair, part, SUBSEP)
                if ((part[2] in defined_in) && defined_in[part[2]] != part[1])
                    print part[1], defined_in[part[2]], part[2]
            }
        }' | sort
}

# What is wrong with the tree in the current directory, a line each, indented lines explaining.
folders() {
    { find bench -mindepth 1 -type d; find bench -maxdepth 1 -name '*.[ch]'; } | sort | awk -v rooms=bench/ROOMS "$read_rooms"'
        /\.[ch]$/ { if (room_of($0) == "") print $0 ": is in no room of bench/ROOMS"; next }
        !($0 in rank) { print $0 ": this folder is not in bench/ROOMS" }'
    awk '$1 !~ /^#/ && $1 != "open" { print $1 }
         $1 == "open" { for (i = 2; i <= NF; i++) print $i }' bench/ROOMS | while read -r name; do
        [ -z "$name" ] || [ -e "$name" ] || echo "$name: is in bench/ROOMS and not in the tree"
    done
}
include_order() {
    includes | awk -v rooms=bench/ROOMS "$read_rooms"'
        {
            from = room_of($1); to = room_of($3)
            if (rank[to] > rank[from])
                print $1 ":" $2 ": includes " $3 ", of a room further down bench/ROOMS"
            else if ($1 ~ /^bench\// && $3 ~ /^kernels\// && !($3 in is_open))
                print $1 ":" $2 ": includes " $3 ", which bench/ROOMS does not open to bench"
        }'
}
symbol_order() { # FOLDER...
    symbols "$@" | awk -v rooms=bench/ROOMS "$read_rooms"'
        function room_of_object(file) {
            return (file ".c") in rank ? file ".c" : room_of(file)
        }
        rank[room_of_object($2)] > rank[room_of_object($1)] {
            print $1 ": uses " $3 " of " $2 ", in a room further down bench/ROOMS"
        }'
}
# Includes that the others would not see: of our headers in angle brackets, by a macro, by an odd path.
odd_includes() {
    sources | xargs grep -nE '^[[:space:]]*#[[:space:]]*(include|import)' /dev/null |
        grep -E 'include_next|import|<(bench|kernels|model|tests)/|include[[:space:]]*[^[:space:]"<]|"[.]/|//|/[.]/' |
        sed 's/:[[:space:]]*#/: wants a plain #include "folder\/file.h": #/' || true
}
include_circles() {
    includes | awk '{ print $1, $3, "line_" $2 }' | awk "$find_circles"
}
symbol_circles() { # FOLDER...
    symbols "$@" | awk "$find_circles"
}

# ---- a made-up tree: does each kind of mistake show? ----
file() { # NAME LINE...
    mkdir -p "$(dirname "$1")" "obj/$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$1"
    [[ $1 != *.c ]] || "${CC:-gcc}" -I. -c -o "obj/${1%.c}.o" "$1"
}
tree() { # a sound one, as the current directory
    rm -rf "$work/tree" && mkdir "$work/tree" && cd "$work/tree" || exit 1
    file kernels/status.h 'int status(void);'
    file kernels/hidden.h ''
    file kernels/status.c '#include "status.h"' 'int status(void) { return 0; }'
    file model/model.c '#include "kernels/hidden.h"' '#include "kernels/status.h"' 'int model(void) { return status(); }'
    file bench/base/text.h 'int text(void);' 'int more_text(void);'
    file bench/base/text.c '#include "bench/base/text.h"' 'int text(void) { return more_text(); }'
    file bench/base/more.c '#include "bench/base/text.h"' 'int more_text(void) { return 1; }'
    file bench/report/page.h 'int page(void);'
    file bench/report/page.c '#include "bench/base/text.h"' '#include "bench/report/page.h"' \
        '#include "kernels/status.h"' 'int page(void) { return text() + status(); }'
    file bench/main.c '#include "bench/report/page.h"' 'int main(void) { return page(); }'
    printf '%s\n' '# rooms' 'kernels x' 'model x' 'bench/base x' 'bench/report x' 'bench/main.c x' \
        'open kernels/status.h' >bench/ROOMS
}
everything() {
    folders && include_order && odd_includes && symbol_order obj && include_circles && symbol_circles obj
}
finds() { # WHAT PATTERN: exactly one finding, and it says PATTERN
    everything >../out 2>../err
    cd "$work" || exit 1
    [ ! -s err ] && [ "$(grep -c '^[^ ]' out)" = 1 ] && grep -qE "$2" out
    check "a made-up tree: $1" $?
}
tree
everything >../out 2>&1
cd "$work" && [ ! -s out ]
check "a made-up tree: nothing is found in a sound one" $?
tree
file bench/base/late.c '' '#include "bench/report/page.h"'
finds "a header of a room further down" '^bench/base/late.c:2: includes bench/report/page.h, of a room further down'
tree
file bench/base/late.h '# include "../report/page.h"'
finds "the same in a header, by its path from there" '^bench/base/late.h:1: includes .*page.h'
tree
mkdir -p obj/bench/base
printf '#include <bench/report/page.h>\n' >bench/base/angle.h
finds "one in angle brackets" '^bench/base/angle.h:1: wants a plain'
tree
printf '#define PAGE "bench/report/page.h"\n#include PAGE\n' >bench/base/macro.h
finds "one by a macro" '^bench/base/macro.h:2: wants a plain'
tree
file kernels/eager.c '#include "bench/base/text.h"'
finds "kernels that know bench" '^kernels/eager.c:1: includes bench/base/text.h'
tree
file bench/base/nosy.c '#include "kernels/hidden.h"'
finds "a header of kernels that is not open to bench" '^bench/base/nosy.c:1: .* does not open'
tree
file bench/base/late.c 'int page(void);' 'int late(void) { return page(); }'
finds "a function of a room further down, declared by hand" '^bench/base/late: uses page of bench/report/page,'
tree
file bench/base/late.c 'extern int main(void);' 'int (*late)(void) = main;'
finds "the same of main.c, in a table" '^bench/base/late: uses main of bench/main,'
tree
file bench/attic/box.c ''
finds "a folder that is not listed" '^bench/attic: this folder is not in'
tree
file bench/stray.c ''
finds "a file in no room" '^bench/stray.c: is in no room'
tree
rm -r bench/report bench/main.c obj/bench/report obj/bench/main.o
sed -i '/main.c/d' bench/ROOMS
finds "a listed room that is not there" '^bench/report: .* not in the tree'
tree
file bench/base/a.h '#include "bench/base/b.h"'
file bench/base/b.h '#include "c.h"'
file bench/base/c.h '#include "bench/base/a.h"'
finds "a circle of three headers" '^circle: bench/base/a.h bench/base/b.h bench/base/c.h$'
tree
file bench/base/more.c 'int deep(void);' 'int more_text(void) { return deep(); }'
file bench/base/deep.c 'int text(void);' 'int deep(void) { return text(); }'
finds "a circle of three files by their functions" '^circle: bench/base/deep bench/base/more bench/base/text$'
grep -q '^    bench/base/text -> bench/base/more (more_text)$' out
check "and the function that ties it is named" $?

# ---- the tree itself ----
none() { # WHAT COMMAND...: it finds nothing
    local what=$1
    shift
    (cd "$root" && "$@") 2>err | c++filt >out
    [ ! -s err ] && [ ! -s out ]
    check "$what" $?
}
objects=("$build/obj")
[ -d "$build/simt/obj" ] && objects+=("$build/simt/obj")
none "every folder of bench/ is a room of bench/ROOMS, and every room is there" folders
none "no file includes a header of a room further down" include_order
none "no include hides from that" odd_includes
none "no object uses a symbol of a room further down" symbol_order "${objects[@]}"
none "no files include each other in a circle" include_circles
none "no objects need each other in a circle" symbol_circles "${objects[@]}"
n_includes=$(cd "$root" && includes | wc -l) n_uses=$(cd "$root" && symbols "${objects[@]}" | wc -l)
: >out
[ "$n_includes" -gt 500 ] && [ "$n_uses" -gt 500 ]
check "that was read from $n_includes includes and $n_uses uses of symbols, of which there are more than 500" $?
finish
