/* The per-op window: timers around every op for a few steps, and what they say as events. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/trainer_internal.h"

static void emit_optime(trainer *t, const gb_op_time *row)
{
    train_event event = {.type = TRAIN_EVENT_OPTIME};
    event.u.optime.row = *row;
    event.u.optime.steps = t->profiled_steps;
    event.u.optime.step_ms = t->profiled_ms / (double)t->profiled_steps;
    trainer_emit(t, &event);
}

/* Rows of the backend but those of a validation between two of the steps, then `data` (measured
 * here) and `unattributed`, so that the sum is the profiled steps' whole time. */
static gb_status emit_ledger(trainer *t, gb_error *err)
{
    double seen_ms = t->data_ms;
    int count = t->be->timers_read(t->dev, NULL, 0);
    gb_op_time *rows = calloc((size_t)count + 1, sizeof *rows);
    if (!rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the per-op ledger");
    }
    count = t->be->timers_read(t->dev, rows, count);
    for (int i = 0; i < count; i++) {
        if (rows[i].phase != GB_PHASE_EVAL) {
            seen_ms += rows[i].time_ms;
            emit_optime(t, &rows[i]);
        }
    }
    free(rows);
    gb_op_time data = {.phase = GB_PHASE_DATA,
                       .layer = -1,
                       .op = GB_OP_DATA,
                       .calls = t->data_calls,
                       .time_ms = t->data_ms};
    gb_op_time rest = {.phase = GB_PHASE_IDLE,
                       .layer = -1,
                       .op = t->idle_known ? GB_OP_IDLE : GB_OP_UNATTRIBUTED,
                       .calls = t->profiled_steps,
                       .time_ms = t->profiled_ms - seen_ms};
    emit_optime(t, &data);
    emit_optime(t, &rest);
    return GB_OK;
}

static gb_status emit_kernels(trainer *t, gb_error *err)
{
    const char *note = t->be->profile_note ? t->be->profile_note(t->dev) : NULL;
    int count = t->be->kernels_read ? t->be->kernels_read(t->dev, NULL, 0) : 0;
    gb_kernel_time *rows = calloc((size_t)count + 1, sizeof *rows);
    if (!rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the table of kernels");
    }
    count = count > 0 ? t->be->kernels_read(t->dev, rows, count) : 0;
    for (int i = 0; i < count; i++) {
        train_event event = {.type = TRAIN_EVENT_KERNEL, .u.kernel = rows[i]};
        if (rows[i].phase != GB_PHASE_EVAL) {
            trainer_emit(t, &event);
        }
    }
    free(rows);
    if (note) {
        train_event event = {.type = TRAIN_EVENT_PROFILE_NOTE};
        snprintf(event.u.profile_note, sizeof event.u.profile_note, "%s", note);
        trainer_emit(t, &event);
    }
    return GB_OK;
}

/* Drops the spans of validations; returns how many are left. */
static int spans_of_steps(gb_op_span *spans, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (spans[i].phase != GB_PHASE_EVAL) {
            spans[kept++] = spans[i];
        }
    }
    return kept;
}

/* The spans of the last profiled step, moved to start at 0. Every step issues the same ops, so the
 * last one has its share of all spans. */
static gb_status emit_spans(trainer *t, gb_error *err)
{
    int count = t->be->timers_spans(t->dev, NULL, 0);
    gb_op_span *spans = calloc((size_t)count + 1, sizeof *spans);
    if (!spans) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the spans of a step");
    }
    count = spans_of_steps(spans, t->be->timers_spans(t->dev, spans, count));
    const bool even = count % t->profiled_steps == 0; /* else some were lost */
    const int first = even ? count - count / (int)t->profiled_steps : count;
    const double zero_s = t->be->timers_zero_s ? t->be->timers_zero_s(t->dev) : NAN;
    if (first < count && isfinite(zero_s)) {
        train_event event = {.type = TRAIN_EVENT_SPANS_ZERO,
                             .u.spans_zero_s = zero_s + spans[first].begin_ms / 1e3};
        trainer_emit(t, &event);
    }
    for (int i = first; i < count; i++) {
        train_event event = {.type = TRAIN_EVENT_SPAN, .u.span = spans[i]};
        event.u.span.begin_ms -= spans[first].begin_ms;
        event.u.span.end_ms -= spans[first].begin_ms;
        trainer_emit(t, &event);
    }
    free(spans);
    return GB_OK;
}

void trainer_profile_begin(trainer *t)
{
    gb_description about;
    trainer_emit(t, &(train_event){.type = TRAIN_EVENT_PROFILE});
    t->be->timers_reset(t->dev);
    t->be->timers_enable(t->dev, true);
    t->be->describe(t->dev, &about);
    t->idle_known = about.times_replays;
    if (!about.times_replays) {
        gpt_set_recording(t->model, false);
    }
    t->flops_before = 0;
}

gb_status trainer_profile_end(trainer *t, gb_error *err)
{
    t->be->timers_enable(t->dev, false);
    gpt_set_recording(t->model, true);
    GB_TRY(emit_ledger(t, err));
    GB_TRY(emit_kernels(t, err));
    return t->job->spans ? emit_spans(t, err) : GB_OK;
}
