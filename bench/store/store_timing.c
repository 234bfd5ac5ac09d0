#include "bench/store/store_timing.h"

#include <math.h>
#include <unistd.h>

#include "bench/stats/disturbance.h"
#include "bench/store/store_internal.h"

gb_status store_timing_find(store *s, int64_t suite_id, const char *identity, bool whole,
                            int64_t *timing_id, gb_error *err)
{
    return store_get_int(s, timing_id, 0, err,
                         "SELECT max(timing_id) FROM timing t WHERE suite_id = ? AND identity = ?"
                         " AND status = 'ok' AND (? = 0 OR NOT EXISTS (SELECT 1 FROM timing_arm a"
                         " WHERE a.timing_id = t.timing_id AND a.status <> 'ok'))",
                         "iti", suite_id, identity, (int64_t)whole);
}

gb_status store_timing_begin(store *s, const store_timing *t, const store_timing_arm *arms,
                             int n_arms, int64_t *timing_id, gb_error *err)
{
    const timing_options *o = t->options;
    GB_TRY(store_exec(s, err,
                      "UPDATE timing SET status = 'interrupted', ended_at = " SQL_ENDED ","
                      " message = 'gptbench itself ended while this session was going on'"
                      " WHERE status = 'running'",
                      ""));
    GB_TRY(store_exec(
        s, err,
        "INSERT INTO timing (suite_id, identity, status, machine_id, program_version,"
        " program_commit, compiler, seed, min_blocks, max_blocks, stop_precision, process_blocks,"
        " pid, started_at) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?,"
        " ?, " SQL_NOW ")",
        "itittti"
        "iidii",
        t->suite_id, t->identity, t->machine_id, t->program_version, t->program_commit, t->compiler,
        o->seed, o->blocks, o->stop_precision > 0 ? o->max_blocks : o->blocks, o->stop_precision,
        o->process_blocks, (int64_t)getpid()));
    *timing_id = sqlite3_last_insert_rowid(store_sqlite(s));
    for (int i = 0; i < n_arms; i++) {
        const store_timing_arm *a = &arms[i];
        GB_TRY(store_exec(
            s, err, "INSERT INTO timing_arm VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ok', '', 0)",
            "iiiiittiti", *timing_id, (int64_t)i, a->config_id, (int64_t)a->is_control,
            (int64_t)a->is_baseline, a->backend, a->precision, a->threads, a->isa,
            a->tokens_per_step));
    }
    return store_commit(s, err);
}

gb_status store_timing_step(store *s, int64_t timing_id, const store_timed_step *timed,
                            gb_error *err)
{
    const train_step *step = timed->step;
    return store_exec(s, err,
                      "INSERT INTO burst_step VALUES (?, ?, ?, nullif(?, -1), ?, ?, ?, NULL)",
                      "iiiitdd", timing_id, timed->position, (int64_t)timed->arm, timed->block,
                      train_step_tag_name((train_step_tag)step->tag), step->step_ms, step->ended_s);
}

gb_status store_timing_burst(store *s, int64_t timing_id, const store_burst *b, gb_error *err)
{
    return store_exec(s, err, "INSERT INTO burst VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiiidddd",
                      timing_id, b->block, (int64_t)b->position, (int64_t)b->arm,
                      (int64_t)b->process, b->median_ms, b->mean_ms, b->began_s, b->ended_s);
}

gb_status store_timing_sample(store *s, int64_t timing_id, const gb_sample *x, gb_error *err)
{
    return store_sample_into(
        s, "INSERT INTO timing_sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", timing_id,
        x, err);
}

gb_status store_timing_marks(store *s, int64_t timing_id, const unsigned char *marks, size_t n,
                             gb_error *err)
{
    static const store_marks_sql sql = {
        "UPDATE burst_step SET disturbance = '' WHERE timing_id = ? AND position < ?",
        "UPDATE burst_step SET disturbance = ? WHERE timing_id = ? AND position = ?"};
    return store_marks_into(s, &sql, timing_id, marks, n, err);
}

gb_status store_timing_arm_end(store *s, int64_t timing_id, const store_arm_end *end, gb_error *err)
{
    return store_exec(s, err,
                      "UPDATE timing_arm SET status = ?, message = ?, processes = ?"
                      " WHERE timing_id = ? AND arm = ?",
                      "ttiii", end->status, end->message, (int64_t)end->processes, timing_id,
                      (int64_t)end->arm);
}

gb_status store_timing_end(store *s, int64_t timing_id, const store_timing_result *result,
                           gb_error *err)
{
    const timing_outcome *outcome = result->outcome;
    GB_TRY(store_exec(
        s, err,
        "UPDATE timing SET status = ?, message = ?, blocks_done = ?, lead_steps = nullif(?, 0),"
        " timed_steps = nullif(?, 0),"
        " precision_reached = CASE WHEN stop_precision IS NULL THEN NULL ELSE ? END,"
        " sensors_missing = ?, ended_at = " SQL_ENDED " WHERE timing_id = ?",
        "ttiiiiti", result->status, result->message, outcome->blocks_done,
        outcome->burst.lead_steps, outcome->burst.timed_steps, (int64_t)outcome->precision_reached,
        result->sensors_missing, timing_id));
    return store_commit(s, err);
}
