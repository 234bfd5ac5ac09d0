#include "bench/words/results_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/load.h"
#include "bench/analysis/run_ends.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/run/rates.h"
#include "bench/words/control_text.h"
#include "bench/words/divergence_words.h"
#include "bench/words/machine_words.h"
#include "bench/words/means_text.h"
#include "bench/words/verdict_words.h"

static table *table_with_headings(void)
{
    static const struct {
        const char *heading;
        table_align align;
        int rank;
    } columns[] = {{"config", TABLE_LEFT, 0},
                   {"backend", TABLE_LEFT, 6},
                   {"params", TABLE_RIGHT, 7},
                   {"FLOPs/token", TABLE_RIGHT, 8},
                   {"FLOPs vs base", TABLE_RIGHT, 5},
                   {"step_avg", TABLE_RIGHT, 1},
                   {"time vs base", TABLE_RIGHT, 1},
                   {"tokens/s", TABLE_RIGHT, 4},
                   {"MFU", TABLE_RIGHT, 3},
                   {"val_loss", TABLE_RIGHT, 2},
                   {"runs", TABLE_LEFT, 4}};
    table *t = table_create();
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        table_add_column(t, columns[i].heading, columns[i].align);
        table_column_fit(t, TABLE_MOVE, columns[i].rank);
    }
    return t;
}

/* A config on a backend in a precision; `verdict` where it has one there. */
typedef struct result_row {
    run_place place;
    const config_verdict *verdict; /* NULL: no run of it has finished there */
} result_row;

/* ---- cells ---- */

static const char *per_token_mark(const config_verdict *row, double change)
{
    return row->per_token && isfinite(change) ? " per token" : "";
}

static void change_add(table *t, double change, bool is_baseline)
{
    if (is_baseline) {
        table_add_cell(t, "baseline");
    } else {
        table_add_cell(t, "%s", number_percent_signed(change).text);
    }
}

static void change_of_runs_add(table *t, const config_verdict *row)
{
    if (row->speed_refused) {
        table_add_cell(t, "not compared");
    } else {
        table_add_cell(t, "%s%s", number_percent_signed(row->time_change.value).text,
                       per_token_mark(row, row->time_change.value));
    }
}

/* "SLOWER +7.4 %", "SLOWER +7.4 % per token" */
static void verdict_add(table *t, const config_verdict *row)
{
    const speed_arm *arm = row ? row->arm : NULL;
    if (arm && (row->is_baseline || arm->facts->is_baseline)) {
        table_add_cell(t, "baseline");
    } else if (arm && !speed_arm_has_speed(arm)) {
        table_add_cell(t, "not timed: %s", arm->facts->status);
    } else if (arm && !row->speed_judged) {
        table_add_cell(t, "%s",
                       row->speed_refused ? "not compared" : verdict_speed_name(VERDICT_UNCLEAR));
    } else if (arm) {
        table_add_cell(t, "%s %s%s", verdict_speed_name(row->speed.kind),
                       number_percent_signed(row->speed.change.value).text,
                       per_token_mark(row, row->speed.change.value));
    } else if (row && row->is_baseline) {
        table_add_cell(t, "baseline");
    } else if (row && (row->speed_refused || isfinite(row->time_change.value))) {
        change_of_runs_add(t, row); /* as that of its baseline */
    } else {
        table_add_cell(t, "not timed");
    }
}

/* "ok 2, nan 1", "ok 3 (lr halved: 1)". */
static void ends_add(table *t, const findings *data, const result_row *row)
{
    run_end ends[RUN_ENDS_MAX];
    char text[256] = "";
    int n = run_ends_of(ends, data->facts, &row->place);
    for (int i = 0, used = 0; i < n && used < (int)sizeof text; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s %d", i ? ", " : "",
                         ends[i].status, ends[i].n);
        if (ends[i].halved && used < (int)sizeof text) {
            used += snprintf(text + used, sizeof text - (size_t)used, " (lr halved: %d)",
                             ends[i].halved);
        }
    }
    table_add_cell(t, "%s", text);
}

/* What stands beneath a table with interleaved times. */
static void sessions_print(const speed_report *speeds, FILE *out)
{
    for (int i = 0; i < speeds->n_sessions; i++) {
        const speed_session *s = &speeds->sessions[i];
        const char *gap = i == 0 ? "\n" : "";
        if (s->facts->control < 0) {
            terminal_say(out, 0,
                         "%sstep_avg, tokens/s and MFU: interleaved, %lld blocks. Noise floor: not "
                         "known, the baseline was timed once\n",
                         gap, (long long)s->facts->blocks);
            continue;
        }
        verdict_text words = verdict_control_words(&s->aa);
        char *alarms = strstr(words.text, "; "); /* a line of its own: some read this in a file */
        if (alarms) {
            *alarms = '\0';
            alarms += 2;
        }
        terminal_say(out, 0,
                     "%sstep_avg, tokens/s and MFU: interleaved, %lld blocks. Noise floor: %s; the "
                     "baseline is\n%s%s%s\n",
                     gap, (long long)s->facts->blocks, number_percent(s->aa.floor).text, words.text,
                     alarms ? ";\n" : "", alarms ? alarms : "");
        verdict_text means = control_means_text(s);
        if (means.text[0]) {
            terminal_say(out, 0, "%s\n", means.text);
        }
    }
    if (speeds->n_sessions > 0) {
        terminal_say(
            out, 0,
            "time vs base: typical bursts, block by block, so not just the quotient of two "
            "step_avg\n");
    }
}

static void machine_print(const findings *data, FILE *out)
{
    verdict_text words = machine_words(data);
    if (words.text[0]) {
        terminal_say(out, 0, "%s%s\n", data->speeds->n_sessions > 0 ? "" : "\n", words.text);
    }
}

/* A line ends before these, for those who read this in a file. */
static void lines_break(char *text)
{
    static const char *const before[] = {" but by their means", " Some of its steps"};
    for (int i = 0; i < 2; i++) {
        char *at = strstr(text, before[i]);
        if (at) {
            *at = '\n';
        }
    }
}

static void means_print(const config_verdicts *verdicts, FILE *out)
{
    for (int i = 0; i < verdicts->n; i++) {
        const config_verdict *row = &verdicts->rows[i];
        means_check means = means_check_of(row->speed.change, row->mean_change);
        if (row->means_disagree) {
            verdict_text words = means_text(row->label, &means);
            lines_break(words.text);
            terminal_say(out, 0, "\n%s\n", words.text);
        }
    }
}

/* Why some are not compared, each reason once. */
static void refusals_print(const config_verdicts *verdicts, FILE *out)
{
    for (int i = 0; i < verdicts->n; i++) {
        const config_verdict *row = &verdicts->rows[i];
        const char *const why[2] = {row->speed_refused, row->loss_refused};
        for (int k = 0; k < 2; k++) {
            if (why[k]) {
                fprintf(out, "\n%s of ", k == 0 ? "Speed" : "Loss");
                table_write_escaped(out, row->label, TABLE_TEXT);
                fprintf(out, " is not compared with the baseline's: %s\n", why[k]);
            }
        }
    }
}

static void diverged_print(const findings *data, FILE *out)
{
    for (int i = 0; i < data->n_entries; i++) {
        divergence_text words = divergence_words(&data->entries[i]);
        if (words.text[0]) {
            fprintf(out, "\n");
            table_write_escaped(out, data->entries[i].label, TABLE_TEXT);
            fprintf(out, ": ");
            terminal_say(out, 0, "%s\n", words.text);
        }
    }
}

/* ---- rows ---- */

static bool same_but_machine(const run_place *a, const run_place *b)
{
    return a->config == b->config && strcmp(a->backend, b->backend) == 0 &&
           strcmp(a->precision, b->precision) == 0;
}

/* The config's name, with the machine where it was run on several. */
static const char *row_name(const findings *data, const result_row *rows, int n, int i)
{
    for (int k = 0; k < n; k++) {
        if (k != i && same_but_machine(&rows[k].place, &rows[i].place)) {
            return rows[i].verdict->label;
        }
    }
    return data->facts->configs[rows[i].place.config].name;
}

/* What is quoted of the row; NULL: nothing. Without a finished run it is that of an arm, which may
 * have been timed elsewhere. */
static const entry_pace *row_pace(const result_row *row)
{
    const config_verdict *v = row->verdict;
    bool here =
        v && (v->entry >= 0 || (v->arm && strcmp(v->arm->facts->backend, row->place.backend) == 0 &&
                                strcmp(v->arm->facts->precision, row->place.precision) == 0));
    return here ? &v->pace : NULL;
}

/* What the table must say beneath itself. */
typedef struct result_notes {
    bool beaten;   /* an MFU above 100 % */
    bool of_runs;  /* some step_avg are of runs, others interleaved */
    bool unjudged; /* some times are held against the baseline's without a verdict */
} result_notes;

/* Marks a step_avg of runs among those of interleaved timing. */
#define OF_RUNS "\xe2\x80\xa0"

static void pace_add(table *t, const findings *data, const result_row *row, result_notes *notes)
{
    const entry_pace none = {
        .step_avg_ms = {NAN, NAN, NAN}, .tokens_per_s = {NAN, NAN, NAN}, .mfu = NAN};
    const entry_pace *pace = row_pace(row) ? row_pace(row) : &none;
    bool of_runs =
        data->speeds->n_sessions > 0 && !pace->interleaved && isfinite(pace->step_avg_ms.value);
    table_add_cell(t, "%s%s", number_duration_ms(pace->step_avg_ms.value).text,
                   of_runs ? " " OF_RUNS : "");
    if (data->speeds->n_sessions > 0) {
        verdict_add(t, row->verdict);
    } else if (row->verdict && !row->verdict->is_baseline) {
        change_of_runs_add(t, row->verdict);
    } else {
        change_add(t, row->verdict ? row->verdict->time_change.value : NAN,
                   data->facts->configs[row->place.config].is_baseline);
    }
    table_add_cell(t, "%s", number_rounded(pace->tokens_per_s.value).text);
    table_add_cell(t, "%s", number_percent(pace->mfu).text);
    notes->beaten |= pace->mfu > 1;
    notes->of_runs |= of_runs;
    notes->unjudged |= data->speeds->n_sessions == 0 && row->verdict &&
                       isfinite(row->verdict->time_change.value) && !row->verdict->is_baseline;
}

static void row_add(table *t, const findings *data, const result_row *row, const char *name,
                    result_notes *notes)
{
    const config_facts *config = &data->facts->configs[row->place.config];
    const config_verdict *v = row->verdict;
    const result_entry *e = v && v->entry >= 0 ? &data->entries[v->entry] : NULL;
    table_begin_row(t);
    table_add_cell(t, "%s", name);
    table_add_cell(t, "%s %s", row->place.backend, row->place.precision);
    table_add_cell(t, "%s", number_short((double)config->n_params).text);
    table_add_cell(t, "%s", number_short(config->flops_per_token).text);
    change_add(t, config_flops_change(data->facts, row->place.config), config->is_baseline);
    pace_add(t, data, row, notes);
    if (e && isfinite(e->val_loss.value)) {
        table_add_cell(t, "%.4f", e->val_loss.value);
    } else {
        table_add_cell(t, "-");
    }
    ends_add(t, data, row);
}

static bool row_is_new(const result_row *rows, int n, const run_facts *run)
{
    const run_place place = {run->config, RUN_PLACE_ANY, run->backend, run->precision, false};
    for (int i = 0; i < n; i++) {
        if (same_but_machine(&rows[i].place, &place)) {
            return false;
        }
    }
    return run->config >= 0;
}

/* The verdict of a config of which no run has finished anywhere. */
static const config_verdict *verdict_without_entry(const findings *data, int config)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *v = &data->verdicts->rows[i];
        if (v->config == config && v->entry < 0) {
            return v;
        }
    }
    return NULL;
}

static int by_backend(const void *a, const void *b)
{
    const run_place *x = &((const result_row *)a)->place, *y = &((const result_row *)b)->place;
    int order = strcmp(x->backend, y->backend);
    order = order ? order : (x->config > y->config) - (x->config < y->config);
    order = order ? order : strcmp(x->precision, y->precision);
    return order ? order : (x->machine > y->machine) - (x->machine < y->machine);
}

/* Each run is counted in one row: where a config has rows on several machines, with the machine
 * that it ran on, and what has not begun anywhere with the first of them. */
static void rows_share_runs(result_row *rows, int n)
{
    for (int i = 0; i < n; i++) {
        bool first = i == 0 || !same_but_machine(&rows[i].place, &rows[i - 1].place);
        bool last = i + 1 == n || !same_but_machine(&rows[i].place, &rows[i + 1].place);
        rows[i].place.also_unplaced = first;
        if (first && last) {
            rows[i].place.machine = RUN_PLACE_ANY;
        }
    }
}

/* Room for all runs; returns how many there are. */
static int rows_collect(result_row *rows, const findings *data)
{
    int n = 0;
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *v = &data->verdicts->rows[i];
        if (v->entry >= 0) {
            const result_entry *e = &data->entries[v->entry];
            rows[n++] = (result_row){{v->config, e->machine, e->backend, e->precision, false}, v};
        }
    }
    for (int64_t i = 0; i < data->facts->n_runs; i++) {
        const run_facts *run = &data->facts->runs[i];
        if (row_is_new(rows, n, run)) {
            rows[n++] =
                (result_row){{run->config, RUN_PLACE_ANY, run->backend, run->precision, false},
                             verdict_without_entry(data, run->config)};
        }
    }
    qsort(rows, (size_t)n, sizeof *rows, by_backend);
    rows_share_runs(rows, n);
    return n;
}

static gb_status table_print(const findings *data, FILE *out, gb_error *err)
{
    result_notes notes = {false, false, false};
    result_row *rows = calloc((size_t)(data->facts->n_runs + data->n_entries) + 1, sizeof *rows);
    if (!rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the table");
    }
    table *t = table_with_headings();
    int n = rows_collect(rows, data);
    for (int i = 0; i < n; i++) {
        row_add(t, data, &rows[i], row_name(data, rows, n, i), &notes);
    }
    gb_status status = n > 0 ? table_show(t, out, err)
                             : gb_fail(err, GB_ERR_USAGE, "%s: no runs of a suite named %s",
                                       data->facts->db_path, data->facts->suite_name);
    table_free(t);
    free(rows);
    if (status == GB_OK) {
        sessions_print(data->speeds, out);
        machine_print(data, out);
        diverged_print(data, out);
        means_print(data->verdicts, out);
        refusals_print(data->verdicts, out);
    }
    if (status == GB_OK && notes.of_runs) {
        terminal_say(out, 0, "%s of its runs: it was not timed in turn with the others.\n",
                     OF_RUNS);
    }
    if (status == GB_OK && notes.unjudged) {
        terminal_say(out, 0,
                     "\ntime vs base: by the estimates alone, of runs one after the "
                     "other.\nThey were not timed in turn, so there is no verdict on speed.\n");
    }
    if (status == GB_OK && notes.beaten) {
        terminal_say(out, 0, "\n%s\n", rates_peak_beaten);
    }
    return status;
}

gb_status results_table_print(store *s, const char *suite_name, FILE *out, gb_error *err)
{
    findings *data = NULL;
    GB_TRY(findings_read_summary(&data, s, suite_name, err));
    gb_status status = table_print(data, out, err);
    findings_free(data);
    return status;
}
