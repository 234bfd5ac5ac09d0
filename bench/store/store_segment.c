#include "bench/store/store_segment.h"

#include "bench/store/store_internal.h"

gb_status store_resume_find(store *s, int64_t run_id, int64_t *from_run, int64_t *steps,
                            gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    *from_run = *steps = 0;
    GB_TRY(store_query(
        s, &stmt, err,
        "SELECT o.run_id, max(x.checkpoint_step) FROM run r JOIN run o ON o.config_id = r.config_id"
        " AND o.replicate = r.replicate AND o.identity = r.identity AND o.run_id <> r.run_id"
        " AND o.learning_rate = r.learning_rate"
        " AND o.status IN ('interrupted', 'killed', 'failed', 'oom')"
        " JOIN session x ON x.run_id = o.run_id AND x.checkpoint_step IS NOT NULL"
        " WHERE r.run_id = ? GROUP BY o.run_id"
        " ORDER BY max(x.checkpoint_step) DESC, o.attempt DESC LIMIT 1",
        "i", run_id));
    GB_TRY(store_step(s, stmt, &row, err));
    if (row) {
        *from_run = sqlite3_column_int64(stmt, 0);
        *steps = sqlite3_column_int64(stmt, 1);
        sqlite3_reset(stmt);
    }
    return GB_OK;
}

gb_status store_segment_begin(store *s, int64_t run_id, int64_t segment, int64_t first_step,
                              gb_error *err)
{
    return store_exec(s, err,
                      "INSERT INTO session (run_id, session, started_at, first_step)"
                      " VALUES (?, ?, " SQL_NOW ", ?)",
                      "iii", run_id, segment, first_step);
}

/* When a step ended is told on the clock of its own attempt, beside whose samples it stands; here
 * it would stand beside those of others. */
static gb_status rows_take_over(store *s, int64_t run_id, int64_t from_run, int64_t steps,
                                gb_error *err)
{
    GB_TRY(store_exec(
        s, err,
        "INSERT INTO step (run_id, step, tag, train_loss, grad_norm, learning_rate, step_ms, flops,"
        " disturbance, session) SELECT ?1, step, tag, train_loss, grad_norm, learning_rate, "
        "step_ms,"
        " flops, disturbance, session FROM step WHERE run_id = ?2 AND step < ?3",
        "iii", run_id, from_run, steps));
    GB_TRY(
        store_exec(s, err,
                   "INSERT INTO eval (run_id, step, val_loss, val_tokens, eval_ms, train_time_ms)"
                   " SELECT ?1, step, val_loss, val_tokens, eval_ms, train_time_ms FROM eval"
                   " WHERE run_id = ?2 AND step <= ?3",
                   "iii", run_id, from_run, steps));
    return store_exec(
        s, err,
        "INSERT INTO session SELECT ?1, x.session, x.started_at, x.ended_at, x.first_step,"
        " count(*), sum(t.tag = 'warmup'), min(x.checkpoint_step, ?3)"
        " FROM session x JOIN step t ON t.run_id = ?1 AND t.session = x.session"
        " WHERE x.run_id = ?2 GROUP BY x.session",
        "iii", run_id, from_run, steps);
}

gb_status store_segment_resume(store *s, int64_t run_id, int64_t from_run,
                               const train_checkpoint *checkpoint, int64_t *warmup_steps,
                               gb_error *err)
{
    GB_TRY(rows_take_over(s, run_id, from_run, checkpoint->step, err));
    GB_TRY(store_segment_begin(s, run_id, checkpoint->session, checkpoint->step, err));
    GB_TRY(store_exec(s, err, "UPDATE run SET resumed_from = ?, resumed_step = ? WHERE run_id = ?",
                      "iii", from_run, checkpoint->step, run_id));
    GB_TRY(store_commit(s, err)); /* rows may wait in memory: they are read back */
    GB_TRY(store_get_int(s, warmup_steps, 0, err,
                         "SELECT sum(warmup_steps) FROM session WHERE run_id = ?", "i", run_id));
    /* From now on this attempt can be continued, even if it comes no further. */
    return store_segment_checkpoint(s, run_id, checkpoint->session, checkpoint->step, err);
}

/* What the steps of a segment tell about it. */
static gb_status segment_count(store *s, int64_t run_id, int64_t segment, gb_error *err)
{
    return store_exec(s, err,
                      "UPDATE session SET (steps, warmup_steps) = (SELECT count(*),"
                      " coalesce(sum(tag = 'warmup'), 0) FROM step WHERE run_id = ?1"
                      " AND session = ?2) WHERE run_id = ?1 AND session = ?2",
                      "ii", run_id, segment);
}

gb_status store_segment_checkpoint(store *s, int64_t run_id, int64_t segment, int64_t steps,
                                   gb_error *err)
{
    GB_TRY(store_durable_begin(s, err));
    gb_status status = store_exec(
        s, err, "UPDATE session SET checkpoint_step = ? WHERE run_id = ? AND session = ?", "iii",
        steps, run_id, segment);
    gb_status ended = store_durable_end(s, status == GB_OK ? err : NULL);
    return status == GB_OK ? ended : status;
}

gb_status store_segment_end(store *s, int64_t run_id, int64_t segment, gb_error *err)
{
    GB_TRY(segment_count(s, run_id, segment, err));
    return store_exec(s, err,
                      "UPDATE session SET ended_at = " SQL_NOW " WHERE run_id = ? AND session = ?",
                      "ii", run_id, segment);
}
