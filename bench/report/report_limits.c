#include "bench/report/report_limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/analysis/learning_rates.h"
#include "bench/run/lr_mark.h"
#include "bench/words/data_words.h"
#include "bench/words/grad_norm_text.h"

void report_write_data_warnings(document *doc, const findings *data)
{
    data_warnings w = data_warnings_make(&data->data);
    for (int i = 0; i < w.n; i++) {
        document_paragraph(doc, "Warning: %s", w.texts[i]);
    }
}

void report_write_halved(document *doc, const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        entry_rates rates = entry_rates_of(&data->entries[i]);
        if (rates.halved > 0) {
            document_paragraph(doc,
                               "Warning: the learning rate of `%s` was %s after a NaN "
                               "(`on_nan = halve_lr`). Its losses are not those of the learning "
                               "rate that the suite asks for.",
                               data->entries[i].label, rates.text);
        }
    }
}

static void add_number(table *t, const char *format, double x, const char *missing)
{
    if (isfinite(x)) {
        table_add_cell(t, format, x);
    } else {
        table_add_cell(t, "%s", missing);
    }
}

static void add_row(table *t, const findings *data, const run_facts *run)
{
    table_begin_row(t);
    table_add_cell(t, "%s", run->config >= 0 ? data->facts->configs[run->config].name : "?");
    table_add_cell(t, "%lld", (long long)run->replicate);
    table_add_cell(t, "%lld%s", (long long)run->attempt, lr_mark(run->lr_scale).text);
    table_add_cell(t, "%s", run->nan_in);
    add_number(t, "%.0f", run->nan_step, "-");
    add_number(t, "%.4g", run->nan_learning_rate, "-");
    add_number(t, "%.0f", run->last_good_step, "none");
    add_number(t, "%.4f", run->last_good_loss, "-");
    table_add_cell(t, "%s", grad_norm_text(run).text);
    table_add_cell(t, "%lld", (long long)run->run_id);
}

gb_status report_write_diverged(document *doc, const findings *data, gb_error *err)
{
    static const char *const headings[] = {"step",
                                           "learning rate there",
                                           "last good step",
                                           "its loss (nats/token)",
                                           "its gradient norm",
                                           "run"};
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "replicate", TABLE_RIGHT);
    table_add_column(t, "attempt", TABLE_RIGHT);
    table_add_column(t, "not finite", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int i = 0; i < data->facts->n_runs; i++) {
        if (strcmp(data->facts->runs[i].status, "nan") == 0) {
            add_row(t, data, &data->facts->runs[i]);
        }
    }
    gb_status status = GB_OK;
    if (table_row_count(t) > 0) {
        document_paragraph(doc, "Where training diverged. That is a result, not a fault: the same "
                                "run diverges again. The gradient norm is computed where "
                                "`grad_clip` is set.");
        status = document_table(doc, t, err);
    }
    table_free(t);
    return status;
}
