/* trainer_internal.h: the state of a training run, for the files of the trainer (model/trainer*.c)
 * alone. trainer.c issues steps and takes their results; trainer_profile.c is the per-op window;
 * trainer_eval.c validates; trainer_bursts.c trains in bursts on demand; trainer_checkpoint.c
 * writes checkpoints and goes on from them; trainer_events.c tells the observer. */
#ifndef GPTBENCH_MODEL_TRAINER_INTERNAL_H
#define GPTBENCH_MODEL_TRAINER_INTERNAL_H

#include <sys/resource.h>

#include "model/gpt.h"
#include "model/loader.h"
#include "model/trainer.h"
#include "model/warmup.h"

/* What a step is issued for, which decides its tag. */
typedef enum trainer_purpose {
    TRAINER_PLAIN,   /* timed once the run is warm */
    TRAINER_LEAD,    /* the first ones of a burst, on cold caches: warm-up */
    TRAINER_PROFILED /* of the per-op window */
} trainer_purpose;

/* A step whose results are not taken yet. */
typedef struct step_under_way {
    train_step step; /* what is known when it is issued */
    trainer_purpose purpose;
    bool after_eval, after_checkpoint;
    double data_ms;
} step_under_way;

typedef struct trainer {
    const train_job *job;
    const train_spec *spec;
    const gb_backend *be;
    train_observer observer;
    gb_device *dev;
    gpt *model;
    gb_nvtx *nvtx; /* NULL: nothing listens */
    token_source *train_source, *val_source;
    token_loader train, val;   /* val: sequence by sequence */
    char val_hash[33];         /* of the tokens that a validation reads */
    int32_t *inputs, *targets; /* host, (B*T) each, one allocation */
    warmup_state warmup;
    bool stop_asked; /* by the observer */
    bool after_eval; /* the next step follows a validation */
    bool may_time;   /* warm */
    int64_t steps_issued, steps_done;
    int64_t n_steps; /* the run ends after so many */
    int64_t timed_steps;
    int steps_ahead; /* issued before the results of the first are taken */
    step_under_way under_way[GB_RESULTS_UNDER_WAY];
    int first_under_way, n_under_way;
    double train_time_ms;
    int64_t process_bytes; /* resident before anything was opened; 0 on a GPU */
    double told_ms;        /* when the last event was; times are of kernels/clock.h */
    double data_ms;        /* of the profiled steps */
    double profiled_ms;
    int64_t profiled_steps, data_calls;
    double flops_before;        /* of the ledger at the start of the step */
    struct rusage usage_before; /* at the end of the step before */
    bool idle_known;            /* what the ledger leaves of a step is idle time */
    int64_t profile_from;       /* the first profiled step */
    /* checkpoints */
    int64_t session;            /* from 1 */
    int64_t checkpointed_steps; /* done at the last one; 0: there is none */
    double checkpointed_ms;     /* when that was, or when the run began */
    int checkpoint_lock;        /* of the folder; 0: not taken yet, -1: somebody else has it */
    char *run_text;             /* what the run is, for checkpoint.h; NULL: not needed yet */
    bool after_checkpoint;      /* the next step follows one */
} trainer;

/* ---- trainer_events.c ---- */

/* Tells the observer; what it answers may ask the run to stop. */
void trainer_emit(trainer *t, const train_event *event);
/* Says ALIVE when nothing was said for a second. */
void trainer_alive(trainer *t);

/* ---- trainer.c ---- */

/* Opens data, device and model of the job, says START, calls `work`, says END and closes
 * everything. The status is that of the first that failed. */
typedef gb_status (*trainer_work)(trainer *t, void *user, gb_error *err);
gb_status trainer_with(const train_job *job, const train_observer *observer, trainer_work work,
                       void *user, gb_error *err);

static inline bool trainer_stop_wanted(const trainer *t)
{
    return t->stop_asked || (t->job->stop && *t->job->stop);
}
/* GB_ERR_INTERRUPTED, once all that is under way has ended. */
gb_status trainer_interrupt(trainer *t, gb_error *err);
/* Everything of one step but waiting for its results. */
gb_status trainer_issue_step(trainer *t, trainer_purpose purpose, gb_error *err);
/* Waits for results and tells of them until no more than `count` steps are under way. */
gb_status trainer_take_steps(trainer *t, int count, gb_error *err);

/* ---- trainer_eval.c ---- */

/* Validates and says EVAL; nothing is under way. GB_ERR_NAN, and GB_ERR_INTERRUPTED where it was
 * the one before the first step. */
gb_status trainer_validate(trainer *t, gb_error *err);

/* ---- trainer_profile.c ---- */

void trainer_profile_begin(trainer *t);
/* Says OPTIME, KERNEL, PROFILE_NOTE and SPAN of the steps since trainer_profile_begin. */
gb_status trainer_profile_end(trainer *t, gb_error *err);

/* ---- trainer_checkpoint.c ---- */

/* Goes on from the newest good checkpoint, where there is one: steps_done says from where. */
gb_status trainer_resume(trainer *t, gb_error *err);
/* Whether one is to be written once `steps` are done; then nothing may be under way. */
bool trainer_checkpoint_due(const trainer *t, int64_t steps);
/* Writes one, if that is possible here. Nothing is under way. */
void trainer_checkpoint_write(trainer *t);
void trainer_checkpoint_end(trainer *t);

#endif
