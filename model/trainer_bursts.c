/* Training in bursts: warm up once, then so many steps whenever somebody asks for them. Between two
 * bursts nothing runs and everything stays in place. */
#include "model/trainer_internal.h"

typedef struct bursts {
    train_next_burst next;
    void *user;
} bursts;

static void emit_pause(trainer *t)
{
    train_event event = {.type = TRAIN_EVENT_PAUSE};
    trainer_emit(t, &event);
}

static gb_status steps_do(trainer *t, int64_t count, trainer_purpose purpose, gb_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        if (trainer_stop_wanted(t)) {
            return trainer_interrupt(t, err);
        }
        GB_TRY(trainer_issue_step(t, purpose, err));
        GB_TRY(trainer_take_steps(t, t->steps_ahead, err));
    }
    return GB_OK;
}

static gb_status bursts_train(trainer *t, void *user, gb_error *err)
{
    const bursts *b = user;
    train_burst burst;
    while (!t->may_time) {
        GB_TRY(steps_do(t, 1, TRAINER_PLAIN, err));
    }
    GB_TRY(trainer_take_steps(t, 0, err));
    emit_pause(t);
    while (b->next(b->user, &burst)) {
        GB_TRY(steps_do(t, burst.lead_steps, TRAINER_LEAD, err));
        GB_TRY(steps_do(t, burst.timed_steps, TRAINER_PLAIN, err));
        GB_TRY(trainer_take_steps(t, 0, err));
        emit_pause(t);
    }
    return trainer_stop_wanted(t) ? trainer_interrupt(t, err) : GB_OK;
}

gb_status trainer_run_bursts(const train_job *job, train_next_burst next, void *user,
                             const train_observer *observer, gb_error *err)
{
    bursts b = {next, user};
    return trainer_with(job, observer, bursts_train, &b, err);
}
