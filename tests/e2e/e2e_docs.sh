#!/usr/bin/env bash
# The files that the documentation names are there: paths in backquotes that begin with one of our
# folders, and the targets of links. NAME and ROOM in a path, like `*`, stand for anything of which there
# is one. results/ is where the program writes: of what is there only links count.
# kinds: plain (it does not run the program)
. "$(dirname "$0")/lib.sh"

# Lines `FILE:LINE PATH` of what a text names, paths from the root of the tree.
named() { # FILE...
    local file
    for file in "$@"; do
        if [[ $file == *.md ]]; then
            # Blocks of code show what a user types, with files of the user's.
            awk '/^ *```/ { fenced = !fenced; print ""; next } { print fenced ? "" : $0 }' "$file" |
                awk -v RS='`' -v file="$file" '
                    { line = n + 1 }
                    NR % 2 == 0 { k = split($0, word, /[[:space:]]+/)
                                  for (i = 1; i <= k; i++) print file ":" line, word[i] }
                    { n += gsub(/\n/, "") }'
            grep -noE '\]\([^)#]+' "$file" | grep -v '(https\?:' |
                sed -E "s|^([0-9]+):\]\(|$file:\1 ./$(dirname "$file")/|; s|/\./|/|"
        else
            grep -n '^#' "$file" | tr ' ,' '\n\n' | awk -v file="$file" '/^[0-9]+:#/ { line = $0 + 0 } { print file ":" line, $0 }'
        fi
    done | sed -E 's/[.,;:]+$//' | awk -v folders="$(printf '%s/\n' . .ci * | grep -v '^build\|^results')" '
        BEGIN { n = split(folders, folder, "\n") }
        { for (i = 1; i <= n; i++) if (index($2, folder[i]) == 1) { sub(/^\.\//, "", $2); print; next } }'
}
missing() { # FILE...
    named "$@" | while read -r place path; do
        # A command may stand in backquotes, with a path of the user's as an argument.
        [[ $path == *[\$\{\<\'\"]* ]] && continue
        pattern=${path//NAME/*}
        compgen -G "${pattern//ROOM/*}" >/dev/null || echo "$place: there is no $path"
    done
}

# ---- a made-up tree ----
mkdir -p tree/{bench,docs,tests} && cd tree || exit 1
touch bench/there.c docs/OTHER.md tests/test_one.c
cat >README.md <<'MD'
See `bench/there.c`, `tests/test_NAME.c`, [that](docs/OTHER.md#part) and [this](https://example.org/bench/no.c).
Run `make && bench/gone.c
now`, `tests/e2e_NAME.sh` or [none](docs/NONE.md).
```
bench/of_the_user.c
```
The `bench/late.c`.
MD
printf '[one](OTHER.md) and [two](GONE.md), `tests/`\n' >docs/OTHER.md
printf '# read by tests/no.sh, tests/test_one.c\nbench/room x\n' >bench/ROOMS
missing README.md docs/OTHER.md bench/ROOMS >../found
cd "$work" || exit 1
cat >expected <<'TXT'
README.md:2: there is no bench/gone.c
README.md:3: there is no tests/e2e_NAME.sh
README.md:7: there is no bench/late.c
README.md:3: there is no docs/NONE.md
docs/OTHER.md:1: there is no docs/GONE.md
bench/ROOMS:1: there is no tests/no.sh
TXT
diff expected found >out
check "made-up documents: what is not there is named with its line, and nothing else" $?

# ---- ours ----
cd "$root" || exit 1
documents=(README.md CONTRIBUTING.md docs/*.md bench/ROOMS)
count=$(named "${documents[@]}" | wc -l)
missing "${documents[@]}" >"$work/out"
cd "$work" || exit 1
[ ! -s out ] && [ "$count" -gt 100 ]
check "the $count files that our documents name are there" $?

# ---- the environment ----
# Every variable that a source asks for stands in the manual.
unknown=$(cd "$root" && grep -rhoE 'getenv\("[A-Z_0-9]+"' --include='*.c' --include='*.cu' --include='*.h' kernels model bench |
    cut -d'"' -f2 | sort -u | while read -r name; do
    sed -n '/^.SH ENVIRONMENT/,/^.SH LIMITS/p' man/gptbench.1 | grep -qw "$name" || echo "$name"
done)
is "variables that the program reads and the manual does not have" "$unknown" ""
finish
