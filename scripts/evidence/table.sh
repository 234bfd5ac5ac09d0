# Of evidence.sh: rows and the table that they make.
# A row is a file $work/rows/NAME, "OUTCOME<tab>SECONDS<tab>TEXT", so that a check that runs beside others
# in a process of its own can write it. What has none yet is SKIP.

# one_line TEXT: without tabs, line ends and control characters, at most 240 characters.
one_line() {
    local text
    text=$(printf '%s' "$1" | tr '\t\n' '  ' | tr -d '\000-\037' | sed 's/  */ /g; s/^ //; s/ $//')
    printf '%s' "${text:0:240}"
}

# row OUTCOME NAME SECONDS TEXT; nothing where the row is not asked for.
row() {
    [ -n "${wanted[$2]:-}" ] || return 0
    printf '%s\t%s\t%s\n' "$1" "$3" "$(one_line "$4")" >"$work/rows/.$2" && mv "$work/rows/.$2" "$work/rows/$2"
    printf '%-4s  %-22s %7s s  %s\n' "$1" "$2" "$3" "$(one_line "$4")"
}

# row_read NAME: sets outcome, seconds, text.
row_read() {
    outcome=SKIP seconds=0.0 text=${stopped:-not reached}
    [ ! -e "$work/rows/$1" ] || IFS=$'\t' read -r outcome seconds text <"$work/rows/$1"
}

table_has() { # OUTCOME
    local name outcome seconds text
    for name in "${rows[@]}"; do
        row_read "$name"
        [ "$outcome" != "$1" ] || return 0
    done
    return 1
}

table_count() { # OUTCOME
    local name outcome seconds text n=0
    for name in "${rows[@]}"; do
        row_read "$name"
        [ "$outcome" != "$1" ] || n=$((n + 1))
    done
    echo $n
}

# fact NAME TEXT: something about the machine, for the head of the table.
fact() {
    [ -n "$2" ] || return 0
    printf '%s' "$(one_line "$2")" >"$work/facts/$1"
}

fact_names="date command commit device driver card system toolkit built programs pytorch library_path"

table_lines() {
    local name outcome seconds text
    for name in "${rows[@]}"; do
        row_read "$name"
        printf '%-11s  %-22s  %-4s  %7s  %s\n' "${phase_of[$name]}" "$name" "$outcome" "$seconds" "$text"
    done
}

table_print() {
    echo
    printf '%-11s  %-22s  %-4s  %7s  %s\n' phase check "" seconds what
    table_lines
    echo "evidence: $(table_count PASS) passed, $(table_count FAIL) failed, $(table_count SKIP) skipped in $(elapsed_s) s; $out"
}

# quoted TEXT: as a JSON string.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

table_json() {
    local name outcome seconds text comma="" file
    echo '{'
    for name in $fact_names; do
        [ ! -e "$work/facts/$name" ] || printf '  "%s": %s,\n' "$name" "$(quoted "$(cat "$work/facts/$name")")"
    done
    printf '  "seconds": %s,\n  "passed": %d,\n  "failed": %d,\n  "skipped": %d,\n' "$(elapsed_s)" \
        "$(table_count PASS)" "$(table_count FAIL)" "$(table_count SKIP)"
    echo '  "rows": ['
    for name in "${rows[@]}"; do
        row_read "$name"
        printf '%s    {"phase": "%s", "check": "%s", "outcome": "%s", "seconds": %s, "what": %s}' "$comma" \
            "${phase_of[$name]}" "$name" "$outcome" "$seconds" "$(quoted "$text")"
        comma=$',\n'
    done
    printf '\n  ],\n  "measurements": ['
    comma=""
    for file in "$work"/measurements/*.json; do
        [ -s "$file" ] || continue
        printf '%s\n{"name": "%s", "values":\n%s}' "$comma" "$(basename "$file" .json)" "$(cat "$file")"
        comma=,
    done
    printf '\n  ]\n}\n'
}

table_markdown() {
    local name outcome seconds text
    printf '# gptbench on %s\n\n' "$(cat "$work/facts/device" 2>/dev/null || echo 'a machine without a usable GPU')"
    for name in $fact_names; do
        [ ! -e "$work/facts/$name" ] || printf '* %s: %s\n' "${name//_/ }" "$(cat "$work/facts/$name")"
    done
    printf '\n%d passed, %d failed, %d skipped in %s s.\n\n' "$(table_count PASS)" "$(table_count FAIL)" \
        "$(table_count SKIP)" "$(elapsed_s)"
    printf '| phase | check | outcome | seconds | what |\n| --- | --- | --- | --- | --- |\n'
    for name in "${rows[@]}"; do
        row_read "$name"
        printf '| %s | %s | %s | %s | %s |\n' "${phase_of[$name]}" "$name" "$outcome" "$seconds" "${text//|/\\|}"
    done
}

# table_write: evidence.md and evidence.json as of now; whole, whenever somebody looks.
table_write() {
    table_json >"$work/evidence.json" && cp "$work/evidence.json" "$out/.evidence.json" && mv "$out/.evidence.json" "$out/evidence.json"
    table_markdown >"$work/evidence.md" && cp "$work/evidence.md" "$out/.evidence.md" && mv "$out/.evidence.md" "$out/evidence.md"
}

# keep FILE TITLE LOG...: adds logs under a heading to a file of the results; of a long one its ends.
keep() {
    local file=$out/$1 title=$2 log
    shift 2
    for log in "$@"; do
        [ -e "$log" ] || continue
        echo "==== $title"
        if [ "$(wc -c <"$log")" -gt 400000 ]; then
            head -c 100000 "$log"
            printf '\n... (%d bytes in all)\n' "$(wc -c <"$log")"
            tail -c 300000 "$log"
        else
            cat "$log"
        fi
        echo
    done >>"$file"
}
