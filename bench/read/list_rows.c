#include "bench/read/list_rows.h"

#include <stdlib.h>

#include "bench/read/snapshot.h"
#include "bench/store/store.h"

#define SUITE(column, type, field)                                                                 \
    {                                                                                              \
        column, type, offsetof(list_suite, field)                                                  \
    }
static const row_field SUITE_FIELDS[] = {
    SUITE("name", ROW_VERBATIM, name),
    SUITE("baseline", ROW_VERBATIM, baseline),
    SUITE("(SELECT count(*) FROM config c WHERE c.suite_id = s.suite_id AND in_plan = 1)", ROW_INT,
          cells),
    SUITE("replicates", ROW_INT, replicates),
    SUITE("coalesce(sum(r.status = 'ok'), 0)", ROW_INT, ok),
    SUITE("coalesce(sum(r.status IN ('planned', 'running', 'interrupted')), 0)", ROW_INT, to_do),
    SUITE("coalesce(sum(r.status IN ('nan', 'oom', 'failed', 'killed')), 0)", ROW_INT, not_ok),
    /* The newest of all that happened to it: its text was taken over, a run began or ended. */
    SUITE("substr(max(updated_at, coalesce(max(r.started_at), ''), coalesce(max(r.ended_at), ''),"
          " coalesce((SELECT max(coalesce(t.ended_at, t.started_at)) FROM timing t"
          " WHERE t.suite_id = s.suite_id), '')), 1, 16)",
          ROW_VERBATIM, updated_at),
};

#define RUN(column, type, field)                                                                   \
    {                                                                                              \
        column, type, offsetof(list_run, field)                                                    \
    }
static const row_field RUN_FIELDS[] = {
    RUN("v.run_id", ROW_INT, run_id),
    RUN("v.suite", ROW_VERBATIM, suite),
    RUN("v.config", ROW_VERBATIM, config),
    RUN("v.replicate", ROW_INT, replicate),
    RUN("v.attempt", ROW_INT, attempt),
    RUN("state_now(v.status, r.runner_id)", ROW_VERBATIM, status),
    RUN("v.backend", ROW_VERBATIM, backend),
    RUN("v.precision", ROW_VERBATIM, precision),
    RUN("v.step_avg_ms", ROW_REAL, step_avg_ms),
    RUN("v.final_val_loss", ROW_REAL, final_val_loss),
    RUN("v.first_val_loss", ROW_REAL, first_val_loss),
    RUN("v.best_val_loss", ROW_REAL, best_val_loss),
    RUN("v.entropy_rate_nats", ROW_REAL, entropy_rate_nats),
    RUN("iif(json_valid(c.settings_json), json_extract(c.settings_json, '$.vocab_size'), NULL)",
        ROW_REAL, vocab_size),
    RUN("coalesce(substr(v.started_at, 1, 16), '-')", ROW_VERBATIM, started_at),
};

gb_status list_rows_read(list_rows *out, store *s, gb_error *err)
{
    static const row_table suites = ROW_TABLE(SUITE_FIELDS, list_suite);
    static const row_table runs = ROW_TABLE(RUN_FIELDS, list_run);
    *out = (list_rows){.n_suites = 0};
    row_reader r = {store_sqlite(s), store_path(s), &out->texts, err};
    bool begun = snapshot_begin(s);
    gb_status status =
        rows_read(&r, &suites,
                  "FROM suite s LEFT JOIN run_summary r ON r.suite = s.name AND r.is_latest = 1"
                  " GROUP BY s.suite_id ORDER BY 8 DESC",
                  0, (void **)&out->suites, &out->n_suites);
    if (status == GB_OK) {
        status = rows_read(&r, &runs,
                           "FROM run_summary v JOIN run r USING (run_id)"
                           " JOIN config c ON c.config_id = r.config_id"
                           " ORDER BY v.suite, v.replicate, v.position, v.attempt",
                           0, (void **)&out->runs, &out->n_runs);
    }
    snapshot_end(s, begun);
    return status;
}

void list_rows_free(list_rows *list)
{
    row_texts_free(&list->texts);
    free(list->suites);
    free(list->runs);
}
