/* Another attempt at a run, right after one that ended badly. */
#include "bench/store/store_columns.h"
#include "bench/store/store_internal.h"

gb_status store_run_plan_retry(store *s, int64_t run_id, double lr_factor, int64_t *again_id,
                               int64_t *attempt, gb_error *err)
{
    GB_TRY(
        store_exec(s, err,
                   "INSERT INTO run (created_at, status, attempt, learning_rate, lr_scale" RUN_NAMES
                   ") SELECT " SQL_NOW ", 'planned', (SELECT max(o.attempt) FROM run o"
                   " WHERE o.config_id = r.config_id AND o.replicate = r.replicate"
                   " AND o.identity = r.identity) + 1, learning_rate * ?2, lr_scale * ?2" RUN_NAMES
                   " FROM run r WHERE run_id = ?1",
                   "id", run_id, lr_factor));
    *again_id = sqlite3_last_insert_rowid(store_sqlite(s));
    GB_TRY(store_get_int(s, attempt, 0, err, "SELECT attempt FROM run WHERE run_id = ?", "i",
                         *again_id));
    return store_commit(s, err);
}

gb_status store_run_refuse(store *s, int64_t run_id, int64_t planned_bytes, const char *message,
                           gb_error *err)
{
    return store_exec(s, err,
                      "UPDATE run SET status = 'oom', message = ?, planned_memory_bytes = ?,"
                      " ended_at = " SQL_NOW " WHERE run_id = ?",
                      "tii", message, planned_bytes, run_id);
}
