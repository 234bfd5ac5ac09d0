/* What is kept of a run's steps when it ends, so that a list of runs does not read them again. */
#include "bench/store/store_internal.h"

#define KEEP_SQL                                                                                   \
    "INSERT OR REPLACE INTO step_summary SELECT run_id, timed_steps, step_avg_ms, step_median_ms," \
    " profiled_avg_ms, disturbed_steps FROM run_steps_live"

/* Runs that have ended and of which nothing is kept. */
#define MISSING_SQL                                                                                \
    "SELECT run_id FROM run WHERE status NOT IN ('planned', 'running')"                            \
    " AND NOT EXISTS (SELECT 1 FROM step_summary k WHERE k.run_id = run.run_id)"

gb_status store_summary_keep(store *s, int64_t run_id, gb_error *err)
{
    return store_exec(s, err, KEEP_SQL " WHERE run_id = ?", "i", run_id);
}

gb_status store_summary_forget(store *s, int64_t run_id, gb_error *err)
{
    return store_exec(s, err, "DELETE FROM step_summary WHERE run_id = ?", "i", run_id);
}

gb_status store_summary_keep_missing(store *s, gb_error *err)
{
    int64_t any;
    GB_TRY(store_get_int(s, &any, 0, err, MISSING_SQL " LIMIT 1", ""));
    if (any == 0) {
        return GB_OK; /* nothing to write: no transaction either */
    }
    GB_TRY(store_exec(s, err, KEEP_SQL " WHERE run_id IN (" MISSING_SQL ")", ""));
    return store_commit(s, err);
}
