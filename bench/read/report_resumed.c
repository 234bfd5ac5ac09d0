#include "bench/read/report_resumed.h"

#include <math.h>
#include <string.h>

#include "bench/base/json_value.h"
#include "bench/base/numbers.h"

gb_status report_resumed_read(report_reader *r, report_run *run)
{
    bool row;
    GB_TRY(report_reader_open(
        r, "SELECT session, started_at, first_step, steps, warmup_steps, timed_steps, step_avg_ms"
           " FROM session_summary WHERE run_id = ?1"
           " AND (SELECT count(*) FROM session WHERE run_id = ?1) > 1 ORDER BY session"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(run->sessions, run->n_sessions)) {
            r->out_of_memory = true;
            continue;
        }
        report_session *s = &run->sessions[run->n_sessions++];
        s->session = report_read_int(r);
        s->started_at = report_read_text(r);
        s->first_step = report_read_int(r);
        s->steps = report_read_int(r);
        s->warmup_steps = report_read_int(r);
        s->timed_steps = report_read_int(r);
        s->step_avg_ms = report_read_double(r);
    }
}

static void add_row(table *t, const report_data *data, const report_run *run,
                    const report_session *s)
{
    table_begin_row(t);
    table_add_cell(t, "%s", run->config >= 0 ? data->configs[run->config].name : "?");
    table_add_cell(t, "%lld", (long long)run->replicate);
    table_add_cell(t, "%lld", (long long)s->session);
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

gb_status report_write_resumed(document *doc, const report_data *data, gb_error *err)
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
    for (int i = 0; i < data->n_runs; i++) {
        const report_run *run = &data->runs[i];
        /* Attempts that came to nothing are a part of the one that took up their checkpoint. */
        for (int64_t k = 0; k < run->n_sessions && strcmp(run->status, "ok") == 0; k++) {
            add_row(t, data, run, &run->sessions[k]);
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

json_t *report_resumed_json(const report_run *run)
{
    json_t *out = json_array();
    for (int64_t k = 0; k < run->n_sessions; k++) {
        const report_session *s = &run->sessions[k];
        json_array_append_new(
            out, json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:o}", "session", (json_int_t)s->session,
                           "started_at", json_value_text(s->started_at), "first_step",
                           (json_int_t)s->first_step, "steps", (json_int_t)s->steps, "warmup_steps",
                           (json_int_t)s->warmup_steps, "timed_steps", (json_int_t)s->timed_steps,
                           "step_avg_ms", json_value_number(s->step_avg_ms)));
    }
    return out;
}
