#include <stdio.h>
#include <string.h>

#include "bench/stats/disturbance.h"
#include "bench/store/store_internal.h"
#include "kernels/checked.h"

gb_status store_run_start(store *s, int64_t run_id, int64_t pid, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET status = 'running', pid = ?, started_at ="
                      " coalesce(started_at, " SQL_NOW ") WHERE run_id = ?",
                      "ii", pid, run_id));
    GB_TRY(store_summary_forget(s, run_id, err));
    return store_commit(s, err);
}

static gb_status start_write(store *s, int64_t run_id, const train_start *e, gb_error *err)
{
    int64_t planned = gb_plus(e->process_memory_bytes, e->overhead_bytes);
    for (int g = 0; g < GB_MEM_GROUPS; g++) {
        planned = gb_plus(planned, e->memory_plan_bytes[g]);
    }
    return store_exec(s, err,
                      "UPDATE run SET isa = ?, precision_note = ?, libraries = ?,"
                      " planned_memory_bytes = ?, entropy_rate_nats = ?, train_data_hash = ?,"
                      " val_data_hash = ?, val_stretch_hash = ?, process_memory_bytes = ?"
                      " WHERE run_id = ?",
                      "tttidtttii", e->device.isa, e->device.precision_note, e->device.libraries,
                      planned, e->entropy_rate_nats, e->train_data_hash, e->val_data_hash,
                      e->val_stretch_hash, e->process_memory_bytes, run_id);
}

static gb_status optime_write(store *s, int64_t run_id, const train_event *event, gb_error *err)
{
    const gb_op_time *row = &event->u.optime.row;
    return store_exec(
        s, err,
        "INSERT INTO op_time VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, 0))"
        " ON CONFLICT DO UPDATE SET steps = steps + excluded.steps,"
        " calls = calls + excluded.calls, time_ms = time_ms + excluded.time_ms,"
        " flops = flops + excluded.flops,"
        " thread_mean_ms = thread_mean_ms + excluded.thread_mean_ms,"
        " thread_max_ms = thread_max_ms + excluded.thread_max_ms",
        "ititiidddd", run_id, gb_phase_name(row->phase), (int64_t)row->layer, gb_op_name(row->op),
        event->u.optime.steps, row->calls, row->time_ms, row->flops, row->thread_mean_ms,
        row->thread_max_ms);
}

static gb_status span_write(store *s, int64_t run_id, const gb_op_span *span, gb_error *err)
{
    return store_exec(s, err,
                      "INSERT INTO op_span SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, "
                      "?5, ?6 FROM op_span"
                      " WHERE run_id = ?1",
                      "ititdd", run_id, gb_phase_name(span->phase), (int64_t)span->layer,
                      gb_op_name(span->op), span->begin_ms, span->end_ms);
}

static gb_status kernel_write(store *s, int64_t run_id, const gb_kernel_time *k, gb_error *err)
{
    char grid[40], block[40];
    snprintf(grid, sizeof grid, "%dx%dx%d", (int)k->grid[0], (int)k->grid[1], (int)k->grid[2]);
    snprintf(block, sizeof block, "%dx%dx%d", (int)k->block[0], (int)k->block[1], (int)k->block[2]);
    return store_exec(s, err,
                      "INSERT INTO kernel VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                      " ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,"
                      " time_ms = time_ms + excluded.time_ms",
                      "ittitidttii", run_id, k->name, gb_phase_name(k->phase), (int64_t)k->layer,
                      gb_op_name(k->op), k->calls, k->time_ms, grid, block, (int64_t)k->registers,
                      (int64_t)k->shared_bytes);
}

gb_status store_run_event(store *s, int64_t run_id, const train_event *event, gb_error *err)
{
    const train_step *step = &event->u.step;
    const train_eval *eval = &event->u.eval;
    switch ((train_event_type)event->type) {
    case TRAIN_EVENT_START:
        return start_write(s, run_id, &event->u.start, err);
    case TRAIN_EVENT_STEP:
        return store_exec(
            s, err, "INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, nullif(?, 0))",
            "iitddddddi", run_id, step->step, train_step_tag_name((train_step_tag)step->tag),
            step->train_loss, step->grad_norm, step->learning_rate, step->step_ms,
            step->flops_issued, step->ended_s, step->session);
    case TRAIN_EVENT_EVAL:
        return store_exec(s, err, "INSERT INTO eval VALUES (?, ?, ?, ?, ?, ?)", "iididd", run_id,
                          eval->step, eval->val_loss, eval->val_tokens, eval->eval_ms,
                          eval->train_time_ms);
    case TRAIN_EVENT_OPTIME:
        return optime_write(s, run_id, event, err);
    case TRAIN_EVENT_SPAN:
        return span_write(s, run_id, &event->u.span, err);
    case TRAIN_EVENT_KERNEL:
        return kernel_write(s, run_id, &event->u.kernel, err);
    case TRAIN_EVENT_PROFILE_NOTE:
        return store_exec(s, err, "UPDATE run SET profile_note = ? WHERE run_id = ?", "ti",
                          event->u.profile_note, run_id);
    case TRAIN_EVENT_SPANS_ZERO:
        return store_exec(s, err, "UPDATE run SET spans_zero_s = ? WHERE run_id = ?", "di",
                          event->u.spans_zero_s, run_id);
    case TRAIN_EVENT_PROFILE:
    case TRAIN_EVENT_PAUSE:
    case TRAIN_EVENT_RESUME:
    case TRAIN_EVENT_CHECKPOINT:
    case TRAIN_EVENT_NOTE:
    case TRAIN_EVENT_ALIVE:
    case TRAIN_EVENT_END:
        break;
    }
    return GB_OK;
}

gb_status store_sample_into(store *s, const char *sql, int64_t id, const gb_sample *x,
                            gb_error *err)
{
    char throttle[256] = "";
    if (x->gpu_throttle > 0) {
        gb_throttle_names(x->gpu_throttle, throttle, sizeof throttle);
    }
    return store_exec(s, err, sql, "idddddtddddddd", id, x->monotonic_s, x->gpu_clock_mhz,
                      x->gpu_memory_clock_mhz, x->gpu_power_w, x->gpu_temperature_c,
                      x->gpu_throttle < 0 ? NULL : throttle, x->gpu_memory_bytes, x->gpu_energy_j,
                      x->cpu_clock_mhz, x->cpu_load, x->cpu_busy, x->cpu_steal, x->cpu_energy_j);
}

gb_status store_sample(store *s, int64_t run_id, const gb_sample *x, gb_error *err)
{
    return store_sample_into(
        s, "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run_id, x, err);
}

gb_status store_marks_into(store *s, const store_marks_sql *sql, int64_t id,
                           const unsigned char *marks, size_t n, gb_error *err)
{
    /* Nearly all are undisturbed: one statement for those, one each for the others. */
    GB_TRY(store_exec(s, err, sql->clear, "ii", id, (int64_t)n));
    for (size_t i = 0; i < n; i++) {
        if (marks[i] != 0) {
            char names[DISTURBANCE_NAMES_SIZE];
            disturbance_names(marks[i], names);
            GB_TRY(store_exec(s, err, sql->set, "tii",
                              marks[i] & DISTURBANCE_UNKNOWN ? NULL : names, id, (int64_t)i));
        }
    }
    return GB_OK;
}

gb_status store_run_marks(store *s, int64_t run_id, const unsigned char *marks, size_t n,
                          gb_error *err)
{
/* Asked once, not for every step, so that steps are found by their key. */
#define FIRST_STEP(run) "(SELECT coalesce(resumed_step, 0) FROM run WHERE run_id = " run ")"
    static const store_marks_sql sql = {
        "UPDATE step SET disturbance = '' WHERE run_id = ?1 AND step"
        " >= " FIRST_STEP("?1") " AND step < ?2 + " FIRST_STEP("?1"),
        "UPDATE step SET disturbance = ?1 WHERE run_id = ?2 AND step"
        " = ?3 + " FIRST_STEP("?2")};
#undef FIRST_STEP
    return store_marks_into(s, &sql, run_id, marks, n, err);
}

/* What the ops' timers leave of the profiled steps, so that the op rows add up to the step. It is
 * negative where timers overlap; that is written as it is. Where the idle time is known nothing is
 * left. */
static gb_status unattributed_write(store *s, int64_t run_id, const store_run_result *r,
                                    gb_error *err)
{
    return store_exec(
        s, err,
        "INSERT OR REPLACE INTO op_time SELECT ?1, 'idle', -1, 'unattributed', ?2,"
        " 0, ?3 - coalesce(sum(time_ms), 0), 0, NULL, NULL FROM op_time"
        " WHERE run_id = ?1 AND phase NOT IN ('eval', 'idle')"
        " HAVING NOT EXISTS (SELECT 1 FROM op_time WHERE run_id = ?1 AND op = 'idle')",
        "iid", run_id, r->profiled_steps, r->profiled_ms);
}

static gb_status end_write(store *s, int64_t run_id, const store_run_result *r, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET status = ?, message = ?, steps_done = ?,"
                      " peak_memory_bytes = nullif(?, 0), warmup_steps = ?, energy_j = ?,"
                      " energy_source = ?, sensors_missing = ?, ended_at = " SQL_ENDED
                      " WHERE run_id = ?",
                      "ttiiidtti", r->status, r->message, r->steps_done, r->peak_memory_bytes,
                      r->warmup_steps, r->energy_j, r->energy_source, r->sensors_missing, run_id));
    if (r->profiled_steps > 0) {
        GB_TRY(unattributed_write(s, run_id, r, err));
    }
    return store_summary_keep(s, run_id, err);
}

/* Its checkpoints may go afterwards, so that a power cut must not take this back. */
gb_status store_run_end(store *s, int64_t run_id, const store_run_result *r, gb_error *err)
{
    GB_TRY(store_durable_begin(s, err));
    gb_status status = end_write(s, run_id, r, err);
    gb_status ended = store_durable_end(s, status == GB_OK ? err : NULL);
    return status == GB_OK ? ended : status;
}
