#include "bench/report/report_resumed.h"

#include <math.h>
#include <string.h>

#include "bench/base/json_value.h"
#include "bench/base/numbers.h"

static void add_row(table *t, const findings *data, const run_facts *run, const segment_facts *s)
{
    table_begin_row(t);
    table_add_cell(t, "%s", run->config >= 0 ? data->facts->configs[run->config].name : "?");
    table_add_cell(t, "%lld", (long long)run->replicate);
    table_add_cell(t, "%lld", (long long)s->segment);
    table_add_cell(t, "%.19s", s->started_at);
    table_add_cell(t, "%lld", (long long)s->first_step);
    table_add_cell(t, "%lld", (long long)s->steps);
    table_add_cell(t, "%lld", (long long)s->warmup_steps);
    table_add_cell(t, "%lld", (long long)s->timed_steps);
    if (isfinite(s->step_avg_ms)) {
        table_add_cell(t, "%s", number_duration_ms(s->step_avg_ms).text);
    } else {
        table_add_cell(t, "-");
    }
    table_add_cell(t, "%lld", (long long)run->run_id);
}

gb_status report_write_resumed(document *doc, const findings *data, gb_error *err)
{
    static const char *const headings[] = {"first step",  "steps",    "warm-up steps",
                                           "timed steps", "step_avg", "run"};
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "replicate", TABLE_RIGHT);
    table_add_column(t, "session", TABLE_RIGHT);
    table_add_column(t, "started (UTC)", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int i = 0; i < data->facts->n_runs; i++) {
        const run_facts *run = &data->facts->runs[i];
        /* Attempts that came to nothing are a part of the one that took up their checkpoint. */
        for (int64_t k = 0; k < run->n_segments && strcmp(run->status, "ok") == 0; k++) {
            add_row(t, data, run, &run->segments[k]);
        }
    }
    gb_status status = GB_OK;
    if (table_row_count(t) > 0) {
        document_heading(doc, "Runs that went on from a checkpoint");
        document_paragraph(doc, "Their losses are those of runs that were never interrupted. Each "
                                "session is a process of its own and begins with a warm-up; "
                                "step_avg of the run is over the timed steps of all.");
        status = document_table(doc, t, err);
    }
    table_free(t);
    return status;
}

json_t *report_resumed_json(const run_facts *run)
{
    json_t *out = json_array();
    for (int64_t k = 0; k < run->n_segments; k++) {
        const segment_facts *s = &run->segments[k];
        json_array_append_new(
            out, json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:o}", "session", (json_int_t)s->segment,
                           "started_at", json_value_text(s->started_at), "first_step",
                           (json_int_t)s->first_step, "steps", (json_int_t)s->steps, "warmup_steps",
                           (json_int_t)s->warmup_steps, "timed_steps", (json_int_t)s->timed_steps,
                           "step_avg_ms", json_value_number(s->step_avg_ms)));
    }
    return out;
}
