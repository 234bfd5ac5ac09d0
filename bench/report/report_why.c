/* The section of a report that says where the time goes, and why one config is faster. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparability.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figures.h"
#include "bench/report/report.h"
#include "bench/words/ledger_text.h"
#include "bench/words/op_table.h"

enum { COMPARISONS = 12, ROWS_IN_WORDS = 3, KERNELS_SHOWN = 20, KERNEL_TABLES = 4, OP_TABLES = 4 };

/* ---- differences ---- */

/* Notes that several comparisons share are said once. */
static bool note_is_new(const ledger_sentences *said, const char *text)
{
    for (int i = 0; i < said->n; i++) {
        if (strcmp(said->texts[i], text) == 0) {
            return false;
        }
    }
    return true;
}

static gb_status notes_write(document *doc, const ledger_sentences *notes, ledger_sentences *said,
                             gb_error *err)
{
    for (int i = 0; i < notes->n; i++) {
        if (!note_is_new(said, notes->texts[i])) {
            continue;
        }
        char *copy = strdup(notes->texts[i]);
        char **texts = copy ? realloc(said->texts, ((size_t)said->n + 1) * sizeof *texts) : NULL;
        if (!texts) {
            free(copy);
            return gb_fail(err, GB_ERR_OOM, "no memory for notes");
        }
        said->texts = texts;
        said->texts[said->n++] = copy;
        document_paragraph(doc, "%s", copy);
    }
    return GB_OK;
}

static gb_status write_comparison(document *doc, const findings *data, const result_entry *e,
                                  ledger_sentences *said, gb_error *err)
{
    ledger *l = NULL;
    ledger_sentences reading = {NULL, 0}, notes = {NULL, 0};
    GB_TRY(ledger_make(&l, data, &data->entries[e->baseline], e, LEDGER_BY_OP_PHASE, err));
    gb_status status = ledger_read(&reading, l, ROWS_IN_WORDS, err);
    status = status == GB_OK ? ledger_notes(&notes, l, err) : status;
    if (status == GB_OK) {
        document_paragraph(doc, "`%s` against `%s`:", l->new_entry->label, l->base->label);
        document_list_begin(doc);
        for (int i = 0; i < reading.n; i++) {
            document_list_item(doc, "%s", reading.texts[i]);
        }
        document_list_end(doc);
        status = notes_write(doc, &notes, said, err);
    }
    ledger_sentences_free(&reading);
    ledger_sentences_free(&notes);
    ledger_free(l);
    return status;
}

static bool is_compared(const findings *data, int i)
{
    const result_entry *e = &data->entries[i];
    return e->baseline >= 0 && e->baseline != i && ledger_possible(&data->entries[e->baseline], e);
}

/* A step that cannot be held against the baseline's. */
static gb_status write_refusal(document *doc, const findings *data, const result_entry *e,
                               gb_error *err)
{
    comparability c;
    const result_entry *base = &data->entries[e->baseline];
    GB_TRY(comparability_of_entries(&c, data->facts, base, e, METRIC_STEP_AVG, err));
    document_paragraph(doc, "`%s` and `%s` do not compare step by step: %s.", e->label, base->label,
                       comparability_words(&c).text);
    return GB_OK;
}

static gb_status write_comparisons(document *doc, const findings *data, gb_error *err)
{
    ledger_sentences said = {NULL, 0};
    gb_status status = GB_OK;
    int written = 0, left = 0;
    for (int i = 0; i < data->n_entries && status == GB_OK; i++) {
        if (!is_compared(data, i)) {
            continue;
        }
        if (!data->entries[i].steps_compare) {
            status = write_refusal(doc, data, &data->entries[i], err);
            continue;
        }
        if (written == COMPARISONS) {
            left++;
            continue;
        }
        written++;
        status = write_comparison(doc, data, &data->entries[i], &said, err);
    }
    ledger_sentences_free(&said);
    if (left > 0) {
        document_paragraph(doc, "%d more configs are not spelled out here.", left);
    }
    if (written > 0) {
        document_paragraph(doc,
                           "`gptbench why BASE NEW` gives all rows of any two configs, in a table "
                           "that adds up to the difference of the step.");
    }
    return status;
}

/* ---- kernels ---- */

static const run_facts *run_with_kernels(const result_entry *e)
{
    for (int i = 0; i < e->n_runs; i++) {
        if (e->runs[i]->n_kernels > 0) {
            return e->runs[i];
        }
    }
    return NULL;
}

/* A name's beginning and end: templates make names of hundreds of characters. */
static void name_shorten(char *out, size_t size, const char *name)
{
    size_t n = strlen(name), half = (size - 8) / 2;
    if (n < size - 8) {
        snprintf(out, size, "%s", name);
    } else {
        snprintf(out, size, "%.*s ... %s", (int)half, name, name + n - half);
    }
}

static void add_kernel(table *t, const kernel_facts *k, double total_ms)
{
    char name[96];
    name_shorten(name, sizeof name, k->name);
    table_begin_row(t);
    table_add_cell(t, "%s", name);
    table_add_cell(t, "%s %s", k->op, k->phase);
    table_add_cell(t, "%.4g", k->calls);
    table_add_cell(t, "%s", number_duration_ms(k->time_ms).text);
    table_add_cell(t, "%s", number_percent(k->time_ms / total_ms).text);
    table_add_cell(t, "%s", k->grid);
    table_add_cell(t, "%s", k->block);
    table_add_cell(t, "%" PRId64, k->registers);
    table_add_cell(t, "%s", number_bytes((double)k->shared_bytes).text);
}

static gb_status write_kernels_of(document *doc, const result_entry *e, const run_facts *run,
                                  gb_error *err)
{
    static const char *const headings[] = {"calls per step", "time per step", "of all kernels",
                                           "grid",           "block",         "registers",
                                           "shared memory"};
    table *t = table_create();
    double total_ms = 0;
    table_add_column(t, "kernel", TABLE_LEFT);
    table_add_column(t, "op", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int64_t i = 0; i < run->n_kernels; i++) {
        total_ms += run->kernels[i].time_ms;
    }
    for (int64_t i = 0; i < run->n_kernels && i < KERNELS_SHOWN; i++) {
        add_kernel(t, &run->kernels[i], total_ms);
    }
    if (run->n_kernels > KERNELS_SHOWN) {
        document_paragraph(doc,
                           "The %d kernels of `%s` that take most time, of %" PRId64
                           " (replicate %" PRId64 "):",
                           KERNELS_SHOWN, e->label, run->n_kernels, run->replicate);
    } else {
        document_paragraph(doc, "The kernels of `%s` (replicate %" PRId64 "):", e->label,
                           run->replicate);
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    return status;
}

static gb_status write_kernels(document *doc, const findings *data, gb_error *err)
{
    int written = 0, left = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const run_facts *run = run_with_kernels(&data->entries[i]);
        if (run && written == KERNEL_TABLES) {
            left++;
        } else if (run) {
            GB_TRY(write_kernels_of(doc, &data->entries[i], run, err));
            written++;
        }
    }
    if (left > 0) {
        document_paragraph(doc,
                           "The kernels of %d more configs are in the table `kernel` of the "
                           "database.",
                           left);
    }
    return GB_OK;
}

/* ---- ops ---- */

static gb_status write_ops_of(document *doc, const findings *data, const result_entry *e,
                              gb_error *err)
{
    op_row *rows = NULL;
    table *t = NULL;
    int n = 0;
    double step_ms = 0;
    const op_roof roof = op_roof_of_entry(e);
    GB_TRY(op_rows_of_entry(&rows, &n, data, e, err));
    for (int i = 0; i < n; i++) {
        step_ms += rows[i].time_ms;
    }
    gb_status status = n > 0 ? op_table_make(&t, rows, n, step_ms, &roof, err) : GB_OK;
    if (t && status == GB_OK) {
        document_paragraph(doc,
                           "The ops of `%s`, mean over its replicates. Bytes are the least that an "
                           "op must move; its share of the roofline is the least time for its "
                           "FLOPs and bytes, at the measured rates of a large product and a large "
                           "copy, over the time that it took. Bound by latency: it takes %g times "
                           "its floor or more, and a call's floor is shorter than the %g us that "
                           "starting one costs.%s",
                           e->label, OP_LATENCY_TIMES, 1e3 * roof.start_ms,
                           roof.rates.bytes_per_s > 0 ? ""
                                                      : " The rate of a copy was not measured for "
                                                        "these runs, so there are no shares.");
        status = document_table(doc, t, err);
    }
    table_free(t);
    free(rows);
    return status;
}

/* The baselines: the others are told apart from them above. */
static gb_status write_ops(document *doc, const findings *data, gb_error *err)
{
    int written = 0;
    for (int i = 0; i < data->n_entries && written < OP_TABLES; i++) {
        if (data->entries[i].is_baseline) {
            GB_TRY(write_ops_of(doc, data, &data->entries[i], err));
            written++;
        }
    }
    if (written > 0) {
        document_paragraph(doc, "`gptbench show RUN` gives the same of any run.");
    }
    return GB_OK;
}

/* ---- all ---- */

gb_status report_write_why(document *doc, const findings *data, const struct figure_choice *figures,
                           gb_error *err)
{
    bool any = false;
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            any |= data->entries[i].runs[r]->n_ops > 0;
        }
    }
    if (!any) {
        return GB_OK;
    }
    document_heading(doc, "Why");
    document_paragraph(doc, "Where the time of a step goes, from profiled steps, which never enter "
                            "step_avg. Rows within noise are not spoken of; that a rate changed is "
                            "measured, why it did is not.");
    GB_TRY(write_comparisons(doc, data, err));
    if (figures) {
        GB_TRY(figures_document(doc, figures, true, err));
    }
    GB_TRY(write_ops(doc, data, err));
    return write_kernels(doc, data, err);
}
