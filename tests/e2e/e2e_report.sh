#!/usr/bin/env bash
# End to end: a made-up database -> gptbench report and compare.
#   tests/e2e/e2e_report.sh build/gptbench
# Needs build/tests/test_report beside the program, which makes the databases.
# kinds: sanitized (files and words; gnuplot, the same in both, takes most of the time)
. "$(dirname "$0")/lib.sh"
program=$gptbench
make_db="$(dirname "$program")/tests/test_report"

# exits CODE TEXT COMMAND...: the command's exit code is CODE and it says TEXT
exits() {
    code=$1 text=$2
    shift 2
    "$@" >said.log 2>&1
    got=$?
    cat said.log
    [ "$got" = "$code" ] && grep -qF -- "$text" said.log
}
has() { grep -qF -- "$2" "$1"; }
lacks() { ! grep -qiE -- "$2" "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

if [ ! -x "$make_db" ]; then
    skip_rest "$make_db is not built (make tests)"
fi
if ! have gnuplot; then
    skip_rest "gnuplot is not installed"
fi

timed_figures="speed_ratio drift" # of interleaved timing alone
# All others: every script is a figure (tests/unit/report/test_figures.c).
figures=$(cd "$root/plots" && for f in *.gp; do echo "${f%.gp}"; done | grep -vxE "style|$(echo "$timed_figures" | tr ' ' '|')")
files_are_there() { # DIRECTORY [FIGURES THAT ARE NOT THERE]
    for f in report.md index.html results.tsv report.json data/settings.gp plots/style.gp; do
        [ -s "$1/$f" ] || { echo "$1/$f is missing"; return 1; }
    done
    for f in $figures; do
        case " ${2:-} " in *" $f "*) continue ;; esac
        for file in "figures/$f.svg" "figures/$f.png" "plots/$f.gp"; do
            [ -s "$1/$file" ] || { echo "$1/$file is missing"; return 1; }
        done
        head -c 4 "$1/figures/$f.png" | grep -q PNG || { echo "$f.png is no PNG"; return 1; }
    done
}
svgs_are_xml() {
    for f in $figures; do
        xmllint --noout "$1/figures/$f.svg" || return 1
    done
}

# ---- an ordinary suite ----
"$make_db" --make-db plain.db 5 3 100 0 0
passes "report runs" exits 0 "out/index.html" "$program" report --db plain.db -o out
passes "all files are there" files_are_there out
if have xmllint; then
    passes "SVGs are well-formed XML" svgs_are_xml out
else
    skip "SVGs are well-formed XML" "no xmllint"
fi
passes "the page refers to nothing outside" lacks out/index.html \
    '(src|href|action|poster|srcset)="?(https?:|//|[a-z./]+\.(svg|png|css|js))|url\(|<(script|link|iframe|object)|@import'
passes "every figure but those stands in the page" test "$(grep -c 'data:image/svg' out/index.html)" = "$(echo "$figures" | wc -l)"
passes "without interleaved timing there is no figure of it" test ! -e out/figures/speed_ratio.svg -a ! -e out/figures/drift.svg
passes "and no verdict on speed, which is said" has out/report.md 'There is no verdict on speed'
passes "the verdicts come first" test "$(grep -m1 '^## ' out/report.md)" = '## Verdicts'
passes "marked steps are counted, config by config" has out/report.md 'timed steps are marked'
passes "and energy per token stands beside them" has out/report.md '| mJ/token |'
passes "why: every config against the baseline" test "$(grep -c ' against `d12`:$' out/report.md)" = 4
passes "why: the step in words" has out/report.md 'A profiled step takes'
passes "why: the baseline's ops against the roof" has out/report.md '| of roofline | bound'
passes "why: and what was copied" lacks out/report.md 'rate of a copy was not measured'
passes "how it was measured: both rates" has out/report.md 'A large copy there: 20.0 GB/s'
passes "why: no kernels, no table of them" lacks out/report.md 'kernels of'

passes "light and dark" has out/index.html 'prefers-color-scheme: dark'
passes "Markdown links the figures" has out/report.md '](figures/speed_loss.svg)'
passes "the answer names what FLOPs say" has out/report.md 'exact FLOPs say'
passes "the baseline is in the table" has out/report.md ' baseline |'

redraw() {
    cp -r out again && rm -rf again/figures && mkdir again/figures && cd again &&
        for f in $figures; do gnuplot -d "plots/$f.gp" || return 1; done &&
        cmp figures/speed_loss.svg ../out/figures/speed_loss.svg
}
passes "figures can be drawn again with gnuplot alone, to the same bytes" redraw
cd "$work" || exit 1
passes "a second report over the first" exits 0 "" "$program" report --db plain.db -o out

if have sqlite3; then
    numbers_equal() { # the report's table against SQL, as rounded text
        sqlite3 plain.db "SELECT printf('%s %.4f %.4f %.0f %.2f', config, step_avg_ms,
            final_val_loss, tokens_per_s, 100 * mfu) FROM config_summary ORDER BY position" >sql.txt
        awk -F'\t' 'NR > 1 { printf "%s %.4f %.4f %.0f %.2f\n", $1, $8, $15, $13, 100 * $14 }' \
            out/results.tsv >tsv.txt
        diff sql.txt tsv.txt || return 1
        sqlite3 plain.db "SELECT printf('%.2f', step_avg_ms) FROM config_summary" |
            while read -r ms; do
                grep -q "| *$ms ± " out/report.md || { echo "$ms is not in report.md"; return 1; }
                grep -q "<td class=\"number\">$ms ± " out/index.html || return 1
            done
    }
    passes "the tables say what SQL says" numbers_equal
    unchanged() {
        sqlite3 plain.db .dump | cksum >before.txt
        "$program" report --db plain.db -o out >/dev/null && sqlite3 plain.db .dump | cksum >after.txt
        cmp before.txt after.txt
    }
    passes "a report does not change the database" unchanged
else
    skip "the tables say what SQL says" "no sqlite3"
fi

# ---- names that are no names ----
"$make_db" --make-db hostile.db 9 2 60 1 1
passes "hostile names: report runs" exits 0 "" "$program" report --db hostile.db -o 'evil $(touch pwned) out'
passes "hostile names: nothing was run" test ! -e pwned -a ! -e 'evil $(touch pwned) out/pwned'
passes "hostile names: all files" files_are_there 'evil $(touch pwned) out'
passes "hostile names: no tag came through" lacks 'evil $(touch pwned) out/index.html' '<(script|b)>|<b>http'
if have xmllint; then
    passes "hostile names: SVGs are XML" svgs_are_xml 'evil $(touch pwned) out'
fi
passes "hostile names: unfinished runs are listed" has 'evil $(touch pwned) out/report.md' 'Runs that are not ok'

# ---- sizes ----
for n in 1 2 12 40; do
    "$make_db" --make-db "n$n.db" "$n" 1 40 0 0
    passes "$n configs" exits 0 "" "$program" report --db "n$n.db" -o "n$n"
    without=''
    [ "$n" = 1 ] && without='waterfall loss_ratio' # there is nothing to compare with
    passes "$n configs: all files" files_are_there "n$n" "$without"
done
passes "one config: no waterfall" test ! -e n1/figures/waterfall.svg
passes "40 configs: twelve in words" test "$(grep -c '` against `' n40/report.md)" = 12
passes "40 configs: the rest is counted" has n40/report.md '27 more configs are not spelled out here'
passes "40 configs: six panels" has n40/data/settings.gp 'waterfall_panels = 6'

# ---- interleaved timing ----
timed_are_there() { # DIRECTORY
    for f in $timed_figures; do
        for file in "figures/$f.svg" "figures/$f.png" "plots/$f.gp" "data/$f.tsv"; do
            [ -s "$1/$file" ] || { echo "$1/$file is missing"; return 1; }
        done
        ! have xmllint || xmllint --noout "$1/figures/$f.svg" || return 1
    done
}
"$make_db" --make-db timed.db 5 3 60 0 0 24 0
"$make_db" --make-db arms.db 9 1 60 1 1 12 1
for d in timed arms; do
    passes "$d: report runs" exits 0 "" "$program" report --db $d.db -o $d
    passes "$d: all files" files_are_there $d
    passes "$d: the figures of interleaved timing" timed_are_there $d
    if have jq; then
        passes "$d: report.json parses" jq -e '.schema_version == 1' $d/report.json
    fi
done
passes "timed: verdicts" has timed/report.md '| FASTER: 16.'
passes "timed: the result table says where its times are from" has timed/report.md 'step_avg, timed in turn (ms)'
passes "timed: differences from run to run are left out" lacks timed/report.md 'exact FLOPs say'
passes "timed: the noise floor" has timed/report.md 'Noise floor: timed a second time'
passes "timed: how it was measured" has timed/report.md 'Design: 24 blocks.'
passes "arms that failed are said to have" has arms/report.md 'its timing ended as oom: it was \<not\> to be'
passes "and their times are their runs'" has arms/report.md 'have no such time'
passes "arms: no tag came through" lacks arms/index.html '<(script|b|not)>'
if have sqlite3; then
    verdict_table_equal() { # step_avg of the verdict table against SQL
        sqlite3 timed.db "SELECT printf('%s %.6f', config, step_avg_ms) FROM timing_summary
            WHERE is_control = 0 ORDER BY arm" >sql.txt
        awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
            NR > 1 { printf "%s %.6f\n", $1, $at["interleaved_step_avg_ms"] }' \
            timed/results.tsv | diff sql.txt -
    }
    passes "timed: results.tsv says what SQL says" verdict_table_equal
fi

# ---- the ledger: kernels, ops with names that are no names, none at all ----
if have sqlite3; then
    "$make_db" --make-db kernels.db 2 2 40 0 0
    sqlite3 kernels.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
        INSERT INTO kernel (run_id, name, phase, layer, op, calls, time_ms, grid, block, registers, shared_bytes)
        SELECT 100, 'void <b>gemm_' || n.i || '|</b>(' || hex(zeroblob(80)) || ')', 'forward', layer.i - 1,
               'linear_qkv', 3, 3.0 * n.i, '(4,1,1)', '(128,1,1)', 64, 49152 FROM n, n AS layer WHERE layer.i <= 2;
        UPDATE op_time SET op = '<script>\|\`x\`' || char(9) || '\"@x{}' WHERE op = 'attention'"
    passes "kernels: report runs" exits 0 "" "$program" report --db kernels.db -o kernels
    passes "kernels: the first twenty of 25" has kernels/report.md 'The 20 kernels of `d12` that take most time, of 25 (replicate 0)'
    # The largest: 2 layers x 75 ms in 3 steps = 50 ms; all: 2 x 325 / 1 = 650 ms a step.
    tr -s ' ' <kernels/report.md >squeezed.txt
    passes "kernels: time per step and share" has squeezed.txt '| 50.0 ms | 7.7 % |'
    passes "kernels: twenty rows" test "$(grep -c 'linear_qkv forward |' kernels/report.md)" = 20
    passes "kernels: names stay text" lacks kernels/index.html '<b>gemm|<script'
    passes "hostile ops: all files" files_are_there kernels
    if have xmllint; then
        passes "hostile ops: SVGs are XML" svgs_are_xml kernels
    fi
    "$make_db" --make-db noops.db 2 2 40 0 0
    sqlite3 noops.db "DELETE FROM op_time WHERE run_id >= 200"
    passes "one config without a ledger: report runs" exits 0 "" "$program" report --db noops.db -o noops
    passes "one config without a ledger: no waterfall, no words" lacks noops/report.md 'waterfall|A profiled step'
    passes "one config without a ledger: the other's ops are drawn" test -s noops/figures/op_time.svg
    cp plain.db nocopy.db
    sqlite3 nocopy.db "UPDATE gemm_peak SET copy_bytes_per_s = NULL; DELETE FROM op_span"
    passes "no copy rate, no spans: report runs" exits 0 "" "$program" report --db nocopy.db -o nocopy
    passes "no copy rate: it is said" has nocopy/report.md 'rate of a copy was not measured'
    passes "no copy rate: no shares" lacks nocopy/report.md 'of roofline'
    passes "no copy rate: a flat roof" test "$(grep -c '^[0-9]' nocopy/data/roofline_roofs.tsv)" = 2
    passes "no spans: no timeline" test ! -e nocopy/figures/timeline.svg
    cp plain.db nosensors.db
    sqlite3 nosensors.db "DELETE FROM sample"
    passes "no sensors: report runs" exits 0 "" "$program" report --db nosensors.db -o nosensors
    passes "no sensors: no clocks, and that is said" test ! -e nosensors/figures/clocks.svg -a \
        "$(grep -c 'No figure of clocks and power' nosensors/report.md)" = 1
    passes "sensors: nothing of the kind" lacks out/report.md 'No figure of'
    passes "show: the ops of a run" exits 0 'ops of a profiled step' "$program" show 100 --db plain.db
    sqlite3 noops.db "UPDATE op_time SET flops = 0; DELETE FROM gemm_peak; UPDATE run SET machine_id = NULL"
    passes "no FLOPs and no peak: report runs" exits 0 "" "$program" report --db noops.db -o noops
    passes "no FLOPs and no peak: the bytes are drawn" test -s noops/figures/roofline.svg
    sqlite3 noops.db "DELETE FROM op_time"
    passes "no ledger: report runs" exits 0 "" "$program" report --db noops.db -o noops
    passes "no ledger: no such section" lacks noops/report.md '^## Why'
fi

# ---- compare ----
passes "compare" exits 0 "paired t of the ratio of means over 3 replicates" "$program" compare --db plain.db d12 d12_mlp3x_swiglu
passes "compare: one metric" exits 0 "exactly" "$program" compare --db plain.db d12 d12_mlp3x --metric n_params
passes "compare: met (18 % slower)" exits 1 "met" "$program" compare --db plain.db d12 d12_mlp3x_swiglu --fail-on 'slower>5%'
passes "compare: not met" exits 0 "not met" "$program" compare --db plain.db d12 d12_mlp3x_swiglu --fail-on 'slower>40%'
passes "compare: the other way round" exits 0 "not met" "$program" compare --db plain.db d12_mlp3x_swiglu d12 --fail-on 'slower>5%'
passes "compare: faster" exits 1 "met" "$program" compare --db plain.db d12 d12_mlp3x_gqa --fail-on 'faster > 5 %'
passes "compare: an interval around the limit does not fail" exits 0 "reaches the limit" "$program" compare --db plain.db d12 d12_mlp3x_swiglu --fail-on 'slower>18.2%'
passes "compare: no interval, no failure" exits 0 "undecided" "$program" compare --db n2.db 'd12' 'd12_mlp3x' --fail-on 'worse>0%'
passes "compare: wrong config" exits 2 'did you mean `d12_mlp3x`' "$program" compare --db plain.db d12 d12_mlp3
passes "compare: wrong metric" exits 2 "step_avg" "$program" compare --db plain.db d12 d12_mlp3x --metric stepavg
for bad in 'slow>2%' 'slower>2' 'slower<2%' 'slower>-2%' 'slower>nan%' 'slower>0x2%' 'slower>2%%' '' 'slower>' 'slower>1.2.3%'; do
    passes "compare: --fail-on '$bad' is refused" exits 2 "--fail-on" "$program" compare --db plain.db d12 d12_mlp3x --fail-on "$bad"
done

# ---- what cannot be ----
passes "no database" exits 2 "nothing.db" "$program" report --db nothing.db -o x
passes "not a database" exits 2 "report.md" "$program" report --db out/report.md -o x
passes "no -o" exits 2 "-o DIR" "$program" report --db plain.db
passes "wrong suite" exits 2 "fake" "$program" report --db plain.db --suite fak -o x
: >file
passes "-o is a file" exits 3 "file" "$program" report --db plain.db -o file/x
mkdir bare
for tool in grep cat; do ln -s "$(command -v $tool)" bare/; done
nognuplot() ( PATH="$work/bare"; export PATH; exits 3 "apt install gnuplot" "$program" report --db plain.db -o bareout )
passes "without gnuplot: exit 3 and the package's name" nognuplot
passes "without gnuplot: the tables are there" has bareout/report.md '| d12 '
finish
