#!/usr/bin/env bash
# One number, one computation: whatever shows a quantity of a config shows the same number. Of several
# databases the table of `run`, report.md, index.html, report.json, results.tsv, the figures' data,
# `compare`, `claims`, `why`, `show`, `list` and the SQL views are read and held against each other, each
# to the last digit that it shows.
#   tests/e2e/e2e_agree.sh build/gptbench
# The databases: a suite as it ran, its times interleaved (quiet); the same with times, losses and memory
# changed so that means, medians, extremes and logarithms contradict each other in sign (noisy); without
# interleaved timing (plain); with an arm that failed (arm); with runs that did not finish (broken).
# kinds: first sanitized (text; most of it is reading what was written)
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
unset COLUMNS
needs "whether numbers agree" sqlite3 jq awk gnuplot

suite() { # NAME BLOCKS
    cat <<INI
[suite]
name = $1
baseline = base
replicates = 2
profile_steps = 2

[timing]
blocks = $2
burst_steps = 5
process_blocks = 0

[data]
train = synth:vocab=64,seed=1
val = synth:vocab=64,seed=1

[train]
batch_size = 2
sequence_length = 32
num_iterations = 40
val_loss_every = 20
val_tokens = 256
precision = fp32

[model]
vocab_size = 64
n_layer = 1
n_head = 2
n_embd = 16

[config base]
mlp_expansion_factor = 4

[config e2]
mlp_expansion_factor = 2

[config e3]
mlp_expansion_factor = 3
INI
    local metric
    for metric in step_avg tokens_per_s val_loss best_val_loss peak_memory flops n_params; do
        printf '\n[claim %s]\nconfig = e2\nbaseline = base\nexpect = %s increase >= 1%%\n' "$metric" "$metric"
    done
    printf '\n[claim size]\nconfig = e2\nbaseline = base\nexpect = val_loss within 1%%\n'
}

# ---- readers: each prints OUTPUT<TAB>QUANTITY<TAB>CONFIG<TAB>WHAT IS SHOWN ----

# Of a table in text, whose columns are two blanks or more apart.
text_table() { # OUTPUT QUANTITY=HEADING...
    local output=$1
    shift
    awk -F '  +' -v OFS='\t' -v output="$output" -v wanted="$*" '
        BEGIN { n = split(wanted, w, " "); for (i = 1; i <= n; i++) { split(w[i], p, "="); of[p[2]] = p[1] } }
        $1 == "config" && !seen { seen = 1; for (i = 1; i <= NF; i++) { h = $i; gsub(" ", "_", h); column[i] = h } next }
        seen && NF == 0 { exit }
        seen && $1 !~ /^-/ { for (i = 1; i <= NF; i++) if (column[i] in of) print output, of[column[i]], $1, $i }'
}
# Of a table of report.md: the first whose heading begins with START.
page_table() { # OUTPUT FILE START QUANTITY=HEADING...
    local output=$1 file=$2 start=$3
    shift 3
    awk -F ' *\\| *' -v OFS='\t' -v output="$output" -v start="$start" -v wanted="$(printf '%s\n' "$@")" '
        BEGIN { n = split(wanted, w, "\n"); for (i = 1; i <= n; i++) { at = index(w[i], "="); of[substr(w[i], at + 1)] = substr(w[i], 1, at - 1) } }
        !seen && index($0, start) == 1 { seen = 1; for (i = 2; i < NF; i++) column[i] = $i; next }
        seen && !/^\|/ { exit }
        seen && $2 !~ /^-/ { for (i = 2; i < NF; i++) if (column[i] in of) print output, of[column[i]], $2, $i }' "$file"
}
of_run() { # the table at the end of `run`, in `out`
    text_table run <out step_avg=step_avg flops_change=FLOPs_vs_base time_change=time_vs_base tokens_per_s=tokens/s \
        mfu=MFU val_loss=val_loss n_params=params flops=FLOPs/token
}
of_report() { # DIR
    page_table report.md "$1/report.md" '| config | parameters' \
        step_avg='step_avg, timed in turn (ms)' step_avg='step_avg, of the runs (ms)' step_median='step median (ms)' \
        timed_steps='timed steps' flops_change='FLOPs vs base' time_change='step time vs base' \
        time_change='step_avg vs base' tokens_per_s=tokens/s mfu=MFU val_loss='final val loss (nats/token)' \
        peak_memory='peak memory' replicates=replicates n_params=parameters flops=FLOPs/token |
        awk -F '\t' -v OFS='\t' '$2 ~ /^step_/ { sub(/ ±.*/, "", $4); $4 = $4 " ms" } { print }'
    page_table verdicts "$1/report.md" '| config | speed' flops_change='FLOPs vs base' step_avg=step_avg \
        val_loss='val loss' time_words=speed loss_words=loss
}
# The rows of every table of index.html, as report.md has them.
html_rows() { # FILE
    tr '\n' ' ' <"$1" | sed 's/<tr[^>]*>/\n| /g; s/<\/tr>/\n/g; s/<\/t[dh]>/ | /g; s/<[^>]*>//g' |
        sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/&amp;/\&/g; s/  */ /g; s/ *$//' | grep '^| .* |'
}
of_tsv() { # DIR
    awk -F '\t' -v OFS='\t' '
        BEGIN { n = split("flops_vs_baseline=flops_change step_avg_ms=step_avg step_median_ms=step_median timed_steps=timed_steps tokens_per_s=tokens_per_s mfu=mfu final_val_loss=val_loss best_val_loss=best_val_loss peak_memory_bytes=peak_memory n_params=n_params flops_per_token=flops replicates=replicates loss_change=loss_change speed_change=speed_change interleaved_step_avg_ms=interleaved run_step_avg_ms=run_step_avg run_step_median_ms=run_step_median run_timed_steps=run_timed_steps run_tokens_per_s=run_tokens_per_s run_mfu=run_mfu", w, " ")
                for (i = 1; i <= n; i++) { split(w[i], p, "="); of[p[1]] = p[2] } }
        NR == 1 { for (i = 1; i <= NF; i++) column[i] = $i; next }
        { for (i = 1; i <= NF; i++) if (column[i] in of) print "results.tsv", of[column[i]], $1, $i }' "$1/results.tsv"
}
of_view() { # the database $db
    local pair
    for pair in step_avg=step_avg_ms step_median=step_median_ms timed_steps=timed_steps tokens_per_s=tokens_per_s mfu=mfu \
        val_loss=final_val_loss best_val_loss=best_val_loss peak_memory=peak_memory_bytes n_params=n_params \
        flops=flops_per_token replicates=replicates_ok run_step_avg=run_step_avg_ms run_step_median=run_step_median_ms \
        run_timed_steps=run_timed_steps run_tokens_per_s=run_tokens_per_s run_mfu=run_mfu; do
        query "SELECT 'config_summary', '${pair%=*}', config, printf('%.13g', ${pair#*=}) FROM config_summary WHERE ${pair#*=} IS NOT NULL" | tr '|' '\t'
    done
    query "SELECT 'config_summary', 'flops_change', c.config, printf('%.13g', c.flops_per_token / b.flops_per_token - 1)
        FROM config_summary c, config_summary b WHERE b.is_baseline AND NOT c.is_baseline" | tr '|' '\t'
}
of_figures() { # DIR
    awk -F '\t' -v OFS='\t' '
        FNR == 1 { file = FILENAME; sub(/.*\//, "", file) }
        /^#/ { next }
        file == "step_avg.tsv" { print file, "step_avg", $2, $3; if (split($6, t, ", ") > 1) print file, "time_change", $2, t[2]
                                 if (sub(/^FLOPs say /, "", $8)) print file, "flops_change", $2, $8 }
        file == "speed_loss.tsv" { c = $2; sub(/,.*/, "", c); print file, "tokens_per_s", c, $3; print file, "val_loss", c, $6 }
        file == "step_box.tsv" { print file, "step_avg", $2, $8; print file, "timed_steps", $2, $9 }
        file == "speed_ratio.tsv" && $2 !~ /A.A/ && $3 != "nan" { print file, "speed_change", $2, $3 "%"; print file, "flops_change", $2, $7 "%" }
        file == "loss_ratio.tsv" { print file, "loss_change", $2, $3 "%"; print file, "flops_change", $2, $7 "%" }
        file == "model_size.tsv" { print file, "n_params", $2, $3; print file, "flops", $2, $5; if (split($6, t, ", ") > 1) print file, "flops_change", $2, t[2] }
    ' "$1"/data/{step_avg,speed_loss,step_box,loss_ratio,model_size}.tsv $([ -f "$1/data/speed_ratio.tsv" ] && echo "$1/data/speed_ratio.tsv")
    # Seconds of training at the last validation, after 40 steps, as in "At equal budgets".
    awk -v OFS='\t' -v names="$(awk -F '\t' '!/^#/ { printf "%s ", $2 }' "$1/data/entries.tsv")" '
        BEGIN { split(names, name, " "); k = 1 }
        /^$/ { blank++; next }
        blank >= 2 { k++; blank = 0 }
        !/^#/ { blank = 0; last[k] = $3 }
        END { for (i = 1; i <= k; i++) if (name[i] != "") print "loss.tsv", "seconds", name[i], last[i] }' "$1/data/loss.tsv"
}
of_compare() { # CONFIG: its JSON and its table
    "$gptbench" compare base "$1" --db "$db" --suite "$name" --json >compare.json 2>err || return 1
    jq -r --arg c "$1" '.metrics[] | (["compare --json", .metric, "base", (.base // "-")], ["compare --json", .metric, $c, (.new // "-")],
        ["compare --json", .metric + "_of", $c, (.change // "-")]) | @tsv' compare.json
    "$gptbench" compare base "$1" --db "$db" --suite "$name" 2>err | awk -F '  +' -v OFS='\t' -v c="$1" '
        $1 == "metric" { seen = 1; next }
        seen && NF == 0 { exit }
        seen && $1 !~ /^-/ { print "compare", $1, "base", $2; print "compare", $1, c, $3; print "compare", $1 "_of", c, $4 }'
}
of_claims() { # DIR: of the command, and of the report
    "$gptbench" claims "$name.ini" --db "$db" 2>err | awk -F '  +' -v OFS='\t' '
        seen && NF == 0 { exit }
        seen && $1 !~ /^-/ { print "claims", $1 "_of", "e2", $6 }
        $1 == "claim" { seen = 1 }'
    page_table "claims of report.md" "$1/report.md" '| claim ' measured=measured |
        awk -F '\t' -v OFS='\t' '{ print $1, $3 "_of", "e2", $4 }'
    jq -r '.claims[] | ["claims of report.json", .name + "_of", "e2", (if .percent then "\(.percent)%" else "-" end)] | @tsv' "$1/report.json"
}

# ---- what they are held against: report.json, in full ----

# QUANTITY<TAB>CONFIG<TAB>VALUE. What `compare` calls the change of a metric is METRIC_of.
reference() { # DIR
    jq -r '.configs as $configs | .results[] | . as $r | .label as $c | ($configs[] | select(.name == $r.config)) as $m |
        {step_avg: .step_avg_ms.value, step_median: .step_median_ms, timed_steps: .timed_steps, tokens_per_s: .tokens_per_s.value,
         mfu: .mfu, val_loss: .final_val_loss.value, best_val_loss: .best_val_loss, peak_memory: .peak_memory_bytes,
         replicates: .replicates, run_step_avg: .run_step_avg_ms.value, run_step_median: .run_step_median_ms,
         run_timed_steps: .run_timed_steps, run_tokens_per_s: .run_tokens_per_s.value, run_mfu: .run_mfu,
         seconds: (if .step_avg_ms.value then .step_avg_ms.value * 40 / 1000 else null end),
         interleaved: (if .interleaved then .step_avg_ms.value else null end),
         flops_change: (if .is_baseline then null else .flops_change end), time_change: .time_change.value,
         speed_change: .speed.change.value, loss_change: .loss.change.value,
         n_params: $m.n_params, flops: $m.flops_per_token,
         step_avg_of: .time_change.value, val_loss_of: .loss.change.value, flops_of: .flops_change,
         tokens_per_s_of: (if .time_change.value then 1 / (1 + .time_change.value) - 1 else null end)} |
        to_entries[] | select(.value != null) | [.key, $c, .value] | @tsv' "$1/report.json"
    # Of these the report has no change of its own: that of the values.
    jq -r '(.results[] | select(.is_baseline)) as $b | .configs as $configs | .results[] | . as $r | select(.is_baseline | not) |
        (["best_val_loss_of", .label, (if .best_val_loss and $b.best_val_loss then .best_val_loss / $b.best_val_loss - 1 else "-" end)],
         ["peak_memory_of", .label, (if .peak_memory_bytes and $b.peak_memory_bytes then .peak_memory_bytes / $b.peak_memory_bytes - 1 else "-" end)],
         ["step_median_of", .label, (if .interleaved and .time_change.value then .time_change.value
                elif .step_median_ms and $b.step_median_ms then .step_median_ms / $b.step_median_ms - 1 else "-" end)],
         ["n_params_of", .label, (($configs[] | select(.name == $r.config)).n_params / $configs[0].n_params - 1)]) | @tsv' "$1/report.json" |
        grep -v -e '-$'
    jq -r '.results[] | select(.config == "e2" and .loss.change.value) | ["size_of", .label, (.loss.change.value | fabs)] | @tsv' "$1/report.json"
}

# Lines of SHOWN that do not show the value of REFERENCE to the last digit that they have, or show none
# where there is one; $3, $4 and $5 are the config, what is shown and the value.
cat >agree.awk <<'AWK'
BEGIN { FS = OFS = "\t" }
# What one of the last digit is worth; 0: not a number.
function read_number(text,    digits, unit, exponent, at) {
    gsub("\342\210\222", "-", text); gsub(",", "", text)
    sub(/^(FASTER|SLOWER|SAME|UNCLEAR|no verdict:?|BETTER|WORSE) /, "", text)
    if (!match(text, /^[-+]?[0-9][0-9]*(\.[0-9]+)?(e[-+]?[0-9]+)?/)) return 0
    digits = substr(text, 1, RLENGTH); unit = substr(text, RLENGTH + 1); exponent = 0
    at = index(digits, "e")
    if (at) { exponent = substr(digits, at + 1) + 0; digits = substr(digits, 1, at - 1) }
    number = digits * 10 ^ exponent
    at = index(digits, ".")
    last = (at ? 10 ^ -(length(digits) - at) : 1) * 10 ^ exponent
    sub(/^ +/, "", unit); sub(/[ (\342].*/, "", unit)
    scale = unit == "%" ? 0.01 : unit == "us" ? 1e-3 : unit == "s" ? 1e3 : unit == "k" ? 1e3 : unit == "M" ? 1e6 : \
            unit == "KiB" ? 1024 : unit == "MiB" ? 1048576 : unit == "GiB" ? 1073741824 : 1
    number *= scale; last *= scale
    return 1
}
NR == FNR { value[$1, $2] = $3; next }
{
    key = $2 SUBSEP $3
    none = $4 == "-" || $4 == "" || $4 == "baseline" || $4 == "not timed" || $4 ~ /^not timed:/ || $4 == "1" || $4 == "0"
    if (!(key in value)) {
        if (!none) print $0, "nothing to show"
        next
    }
    if (!read_number($4)) {
        if ($4 != "baseline") print $0, value[key]
        next
    }
    distance = number - value[key]; if (distance < 0) distance = -distance
    size = value[key] < 0 ? -value[key] : value[key]
    if (distance > 0.501 * last + 2e-9 * size) print $0, value[key]
}
AWK

# ---- a database through all readers ----

agrees() { # WHAT NAME READERS...: of results/NAME.db
    local what=$1 dir config run status
    name=$2 db=results/$2.db dir=results/$2
    shift 2
    OMP_NUM_THREADS=1 "$gptbench" run "$name.ini" --threads 1 >out 2>err # nothing is to do: the table, the report
    reference "$dir" >reference
    { of_run; of_report "$dir" | grep -v _words; of_tsv "$dir"; of_view; of_figures "$dir"; of_claims "$dir"; } >shown
    for config in e2 e3; do
        query "SELECT 1 FROM config_summary c, config_summary b WHERE c.config = '$config' AND c.replicates_ok > 0
            AND b.is_baseline AND b.replicates_ok > 0" | grep -q 1 && of_compare "$config" >>shown
    done
    local output
    for output in "$@"; do
        awk -F '\t' -v output="$output" '$1 == output' shown >part
        awk -f agree.awk reference part >out
        [ -s part ] && [ ! -s out ]
        status=$?
        check "$what: $output shows the numbers of report.json ($(wc -l <part))" $status
    done
    # All cells of report.md are in the page, table for table.
    html_rows "$dir/index.html" | sort -u >html
    grep '^| ' "$dir/report.md" | grep -v '^| -' | sed 's/  */ /g; s/\\\([<>|*_]\)/\1/g' | sort -u | comm -23 - html >out
    [ -s "$dir/report.md" ] && [ ! -s out ]
    check "$what: index.html has every row of report.md" $?
    # Runs one by one.
    query "SELECT run_id, step_avg_ms, tokens_per_s, final_val_loss FROM run_summary WHERE status = 'ok' AND step_avg_ms > 0" | while IFS='|' read -r run avg rate loss; do
        printf 'step_avg\t%s\t%s\ntokens/s\t%s\t%s\nloss\t%s\t%s\n' "$run" "$avg" "$run" "$rate" "$run" "$loss" >>runs
        "$gptbench" show "$run" --db "$db" | awk -v OFS='\t' -v run="$run" '
            $1 == "step_avg" { sub(",", "", $3); print "show", $1, run, $2 " " $3 }
            $1 == "tokens/s" { print "show", $1, run, $2 }
            $1 == "step" && $2 == "val_loss" { evals = 1 }
            evals && NF == 0 { evals = 0 }
            evals && $1 ~ /^[0-9]/ { loss = $2 }
            END { print "show", "loss", run, loss }' >>each
    done
    "$gptbench" list --db "$db" | awk -F '  +' -v OFS='\t' '{ sub(/^ +/, "") } $1 ~ /^[0-9]+$/ && $6 == "ok" { print "list", "step_avg", $1, $8; print "list", "loss", $1, $9 }' >>each
    awk -f agree.awk runs each >out
    [ -s each ] && [ ! -s out ]
    status=$?
    check "$what: show and list have the runs of run_summary ($(wc -l <each))" $status
    rm -f runs each out
}
# The change of every metric has the sign, and where it is of runs or exact the size, of the values beside it.
changes_are_of_values() { # WHAT CONFIG METRICS: of report.json's database $db
    "$gptbench" compare base "$2" --db "$db" --json >out 2>err
    [ -s out ] && jq -e --arg metrics "$3" '[.metrics[] | select(.metric | IN($metrics | split(" ")[]))] |
        length == ($metrics | split(" ") | length) and all(.new / .base - 1 - .change | fabs < 1e-9)' out >/dev/null
    check "$1: what compare calls a change is that of the two values beside it" $?
}

# ---- quiet ----

for pair in quiet=8 plain=0; do
    suite "${pair%=*}" "${pair#*=}" >"${pair%=*}.ini"
    "$gptbench" run "${pair%=*}.ini" --threads 1 >out 2>err
    check "${pair%=*}: a suite of three configs" $?
done
every="run report.md verdicts results.tsv config_summary step_avg.tsv speed_loss.tsv step_box.tsv loss_ratio.tsv model_size.tsv loss.tsv"
compared="compare@compare --json@claims@claims of report.md@claims of report.json"
all() { # a database in which all was measured
    local outputs
    IFS=@ read -ra outputs <<<"$compared${3:+@$3}"
    # shellcheck disable=SC2086
    agrees "$1" "$2" $every "${outputs[@]}"
}
all quiet quiet speed_ratio.tsv
changes_are_of_values quiet e2 "val_loss best_val_loss peak_memory flops n_params"

# ---- noisy: what could contradict itself does ----

# Losses: 1.2 and 3.6 against 1.32 and 3.36 fall on average and rise by their logarithms; those of e3 fall by the
# lowest and rise on average. Memory: the largest grows, the mean falls. A run of e2 is 100 times as slow as
# it was, and in two blocks e3 is 50 times.
# No model gets below the entropy of its source, so it is not known here.
noise="UPDATE run SET entropy_rate_nats = NULL; UPDATE eval SET val_loss = CASE (SELECT config || replicate FROM run_summary s WHERE s.run_id = eval.run_id)
         WHEN 'base0' THEN 1.2 WHEN 'base1' THEN 3.6 WHEN 'e20' THEN 1.32 WHEN 'e21' THEN 3.36 WHEN 'e30' THEN 1.08 ELSE 3.9 END
         WHERE step > 20;
       UPDATE run SET peak_memory_bytes = CASE (SELECT config || replicate FROM run_summary s WHERE s.run_id = run.run_id)
         WHEN 'e20' THEN 91000000 WHEN 'e21' THEN 105000000 ELSE 100000000 END;
       DELETE FROM step_summary;
       UPDATE step SET step_ms = 100 * step_ms WHERE run_id = (SELECT run_id FROM run_summary WHERE config = 'e2' AND replicate = 0);"
copy_of() { # NAME FROM SQL: results/NAME.db and its suite
    sqlite3 "results/$2.db" ".backup results/$1.db"
    sqlite3 "results/$1.db" "UPDATE suite SET name = '$1'; $3"
    sed "s/^name = .*/name = $1/" "$2.ini" >"$1.ini"
}
copy_of noisy quiet "$noise UPDATE burst_step SET step_ms = 50 * step_ms WHERE block IN (2, 5) AND tag = 'timed'
         AND arm = (SELECT arm FROM timing_summary WHERE config = 'e3');
       UPDATE burst SET mean_ms = 50 * mean_ms, median_ms = 50 * median_ms WHERE block IN (2, 5) AND arm = (SELECT arm FROM timing_summary WHERE config = 'e3')"
all noisy noisy speed_ratio.tsv
changes_are_of_values "noisy, e2" e2 "val_loss best_val_loss peak_memory flops n_params"
changes_are_of_values "noisy, e3" e3 "val_loss best_val_loss peak_memory flops n_params"
# By hand: (1.32 + 3.36) / (1.2 + 3.6) - 1 = -2.5 %; 1.32 / 1.2 - 1 = +10 %; 105 / 100 - 1 = +5 %.
"$gptbench" compare base e2 --db "$db" >out
grep -qE '^val_loss +2.4000 nats/token +2.3400 nats/token +−2.5 %' out && grep -qE '^best_val_loss +1.2000 nats/token +1.3200 nats/token +\+10.0 %' out &&
    grep -qE '^peak_memory .* \+5.0 %' out
check "noisy: compare has the mean, the lowest and the largest, and their changes" $?
"$gptbench" claims noisy.ini --db "$db" >out
grep -qE '^val_loss .* −2.5 % ' out && grep -qE '^size .* 2.5 % ' out && ! grep -qE '^size .*[+−]' out
check "noisy: a claim on a size has no sign, one on an increase has" $?
grep -q 'val_loss is .*: increase −2.5 %' out
check "noisy: so it is in the sentence" $?
# The profiled steps say that e2 is faster or slower by what the runs did; interleaved timing was not touched.
"$gptbench" why base e2 --db "$db" >out 2>err
grep -q '^= step_avg, of the runs' out
check "noisy: why names whose step_avg it ends with" $?
sqlite3 "$db" "UPDATE op_time SET time_ms = 1000 * time_ms WHERE run_id IN (SELECT run_id FROM run_summary WHERE config = 'e2');
    UPDATE step SET step_ms = 1000 * step_ms WHERE tag = 'profiled' AND run_id IN (SELECT run_id FROM run_summary WHERE config = 'e2');
    UPDATE burst SET median_ms = 0.5 * (SELECT b.median_ms FROM burst b WHERE b.timing_id = burst.timing_id AND b.block = burst.block AND b.arm = (SELECT arm FROM timing_summary WHERE config = 'base' AND NOT is_control))
        WHERE arm = (SELECT arm FROM timing_summary WHERE config = 'e2')"
"$gptbench" why base e2 --db "$db" >out 2>err
grep -q 'Interleaved timing, which verdicts go by, says the opposite, −50.0 %' out
check "noisy: why says where it contradicts the verdict" $?
"$gptbench" report --db "$db" -o why >/dev/null 2>err
grep -q 'Interleaved timing, which verdicts go by, says the opposite, −50.0 %' why/report.md
check "noisy: so does the report" $?

# ---- without interleaved timing ----

all plain plain
changes_are_of_values plain e2 "step_avg tokens_per_s val_loss best_val_loss peak_memory flops n_params"
# 1 and 9 ms against 1.1 and 8 ms: faster on average (4.55 / 5 - 1 = -9 %), slower by the logarithms; 64 tokens a
# step: 12,800 and 14,066 tokens/s.
copy_of slow plain "$noise UPDATE step SET step_ms = (SELECT CASE config || replicate WHEN 'base0' THEN 1 WHEN 'base1' THEN 9 WHEN 'e20' THEN 1.1
    WHEN 'e21' THEN 8 ELSE 5 END FROM run_summary s WHERE s.run_id = step.run_id)"
all slow slow
changes_are_of_values slow e2 "step_avg tokens_per_s val_loss best_val_loss peak_memory flops n_params"
"$gptbench" run slow.ini --threads 1 >out 2>err
grep -qE '^base .* 5.00 ms  +baseline  +12,800 ' out && grep -qE '^e2 .* 4.55 ms  +−9.0 %  +14,066 ' out
check "slow: tokens/s are the tokens of a step by step_avg" $?

# ---- an arm that failed; runs that did not finish ----

copy_of arm quiet "UPDATE timing_arm SET status = 'oom', message = 'planted' WHERE config_id = (SELECT config_id FROM config WHERE name = 'e3' AND in_plan = 1)"
# shellcheck disable=SC2086
agrees arm arm $every
"$gptbench" run arm.ini --threads 1 >out 2>err
grep -qE '^e3 .* †  +not timed: oom' out && grep -q '† of its runs: it was not timed in turn' out && grep -qE '^\| e3 .* † ' results/arm/report.md
check "arm: run's table and the report mark the step_avg of runs" $?

attempt="CREATE TEMP TABLE t AS SELECT * FROM run WHERE status = 'killed'; UPDATE t SET run_id = NULL, attempt = 2, status = 'failed';
    INSERT INTO run SELECT * FROM t;"
copy_of broken slow "UPDATE run SET status = 'killed', message = 'planted' WHERE replicate = 1 AND config_id IN (SELECT config_id FROM config WHERE name = 'e2'); $attempt"
# shellcheck disable=SC2086
agrees broken broken $every
grep -q '5 of 6 runs finished' results/broken/report.md
check "broken: attempts are no runs" $?
# Times: 5 ms against 1.1 ms, of all runs there are. Losses: 1.2 against 1.32, of the one replicate that both have.
changes_are_of_values broken e2 "step_avg tokens_per_s best_val_loss peak_memory flops n_params"
"$gptbench" compare base e2 --db "$db" >out
grep -qE '^step_avg +5.000 ms +1.100 ms +−78.0 %' out
check "broken: a change of times is that of all runs" $?
grep -qE '^val_loss +2.4000 nats/token +1.3200 nats/token +\+10.0 % .*over these alone 1.2000 nats/token and 1.3200 nats/token' out &&
    grep -q 'Over the replicates that both finished: 1.3200 against 1.2000.' results/broken/report.md
check "broken: a change of losses says of which values it is" $?
"$gptbench" run broken.ini --threads 1 >out 2>err
grep -qE '^e2 .* −78.0 % ' out && grep -qE '^\| e2 .* \| +−78.0 % ' results/broken/report.md
check "broken: run's table and the report have the same change" $?
copy_of untrained slow "UPDATE run SET status = 'killed', message = 'planted' WHERE config_id IN (SELECT config_id FROM config WHERE name = 'base'); $attempt"
# shellcheck disable=SC2086
agrees untrained untrained run report.md verdicts results.tsv config_summary step_avg.tsv speed_loss.tsv step_box.tsv model_size.tsv loss.tsv
"$gptbench" run untrained.ini --threads 1 >out 2>err
[ "$(awk -F '\t' '$2 == "flops_change" && ($1 == "run" || $1 == "report.md" || $1 == "verdicts") && $4 ~ /%/' shown | grep -c .)" = 6 ]
check "untrained: FLOPs against a baseline that has not finished are there" $?
grep -q '4 of 6 runs finished' results/untrained/report.md
check "untrained: runs wanted and finished" $?

# ---- runs of two machines; a gradient norm that overflowed ----

copy_of machines plain "INSERT INTO machine SELECT 99, 'other', 'elsewhere', os, cpu, cpu_count, memory_bytes, device, driver FROM machine LIMIT 1;
    UPDATE run SET machine_id = 99 WHERE replicate = 1;
    UPDATE run SET status = 'killed', message = 'planted' WHERE replicate = 1 AND config_id IN (SELECT config_id FROM config WHERE name = 'e3')"
"$gptbench" run machines.ini --no-report --threads 1 --db results/machines.db >out 2>err
# base and e2 have a row on either machine; the one of e3 that was killed has none of its own.
is "machines: run's table counts the runs of each" "$(awk '/ok [0-9]/ { sub(/.*  ok/, "ok"); print }' out | paste -sd ';')" "ok 1;ok 1;ok 1;ok 1;ok 1, killed 1"
norm() { # GRAD_CLIP GRAD_NORM: what show says of the last good step of a run that diverged
    rm -f results/norm.db
    copy_of norm plain "UPDATE run SET status = 'nan' WHERE run_id = 1; UPDATE step SET train_loss = NULL WHERE run_id = 1 AND step >= 30;
        UPDATE step SET grad_norm = $2 WHERE run_id = 1; UPDATE config SET settings_json = json_set(settings_json, '\$.grad_clip', $1)"
    "$gptbench" show 1 --db results/norm.db | tr '\n' ' ' | grep -o 'gradient norm .*timing' | sed 's/ *timing//; s/  */ /g'
}
is "a gradient norm that was not computed" "$(norm 0.0 NULL)" "gradient norm not computed (grad_clip = 0)"
is "and one that was not finite" "$(norm 1.0 NULL) $(norm 1.0 9e999)" "gradient norm not finite gradient norm not finite"
is "and one that was" "$(norm 1.0 12.5)" "gradient norm 12.5"

# ---- list: when a suite last changed ----

db=results/quiet.db
query "UPDATE suite SET updated_at = '2020-01-01T00:00:00Z'"
is "list: no older than what has ended" "$("$gptbench" list --db "$db" | awk '$1 == "quiet" && $2 == "base" { print $NF; exit }')" \
    "$(query "SELECT substr(max(ended_at), 1, 16) FROM run")"
finish
