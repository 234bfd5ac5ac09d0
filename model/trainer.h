/* trainer.h: one training run: data, forward, backward, update, validation, timing tags. Knows
 * nothing of suites and databases; tells everything through the observer. */
#ifndef GPTBENCH_MODEL_TRAINER_H
#define GPTBENCH_MODEL_TRAINER_H

#include <signal.h>

#include "model/gpt.h"
#include "model/loader.h"
#include "model/observer.h"
#include "model/train_spec.h"

/* Where a run may be taken up again. It does not change what is computed. */
typedef struct train_checkpoints {
    const char *dir;      /* folder of this run alone, made when it is needed; NULL: none */
    const char *identity; /* what the run is, besides its settings; NULL: nothing */
    int64_t every_steps;  /* a checkpoint after each so many steps; 0: none */
    double every_s;       /* when so many seconds have passed since the last; 0: none */
    bool required;        /* there must be one to go on from: else GB_ERR_USAGE */
} train_checkpoints;

typedef struct train_job {
    gpt_config config;
    train_spec spec; /* resolved */
    const gb_backend *backend;
    int threads;           /* gb_options.threads */
    int device_index;      /* gb_options.device_index */
    int64_t replicate;     /* r: shifts the seed of the weights and the start in the data */
    int64_t profile_steps; /* steps of the per-op window (tag profiled); 0 = none */
    int64_t timed_steps;   /* > 0: the window opens as soon as so many steps were timed, at the
                            * latest where it would otherwise, and the run ends with it */
    bool spans;            /* SPAN events too */
    const volatile sig_atomic_t *stop; /* asks for a stop after the step in hand; may be NULL */
    double drag; /* for tests of the harness: each step is made longer by this fraction */
    const char *load_weights;    /* safetensors file to start from; NULL: the seed's weights */
    const char *save_weights;    /* safetensors file written at the end, or at a stop; NULL: none */
    const char *program_version; /* said in that file; may be NULL */
    train_checkpoints checkpoints; /* of trainer_run; none in bursts */
} train_job;

train_job train_job_default(void);

/* Runs the job to its end. START, STEP, EVAL, OPTIME and SPAN events arrive in order, END exactly
 * once (also when nothing could be allocated). Returns the status that END carries; err has the
 * text. GB_ERR_USAGE when config, spec or data do not fit together.
 *
 * With a folder for checkpoints the run goes on from the newest good one there (RESUME says from
 * where; NOTE which ones were passed over, and why), with steps and losses bit-equal to those of a
 * run that was never stopped, and a warm-up of its own. It writes them as asked for, and when it is
 * asked to stop, between steps and never within the profiled ones, which are done in one go.
 * Removing old ones is the observer's, once what it holds of the run is as safe as the file. A
 * checkpoint that cannot be written is a NOTE, and no failure of the run. */
gb_status trainer_run(const train_job *job, const train_observer *observer, gb_error *err);

/* Steps to be done on demand. */
typedef struct train_burst {
    int64_t lead_steps;  /* first, tagged warmup: they bring caches and clocks back */
    int64_t timed_steps; /* then, tagged timed */
} train_burst;

/* Waits for the next burst. False: there is none, the run ends. */
typedef bool (*train_next_burst)(void *user, train_burst *out);

/* Warms up as any run does (tag warmup, until model/warmup.h is content), says PAUSE, then does
 * burst after burst as `next` asks, with a PAUSE behind each. It trains as trainer_run does, on the
 * same data in the same order, without validation and profile, and beyond num_iterations at the
 * schedule's last learning rate. Events and errors are those of trainer_run. */
gb_status trainer_run_bursts(const train_job *job, train_next_burst next, void *user,
                             const train_observer *observer, gb_error *err);

/* The places in the data where a run reads on: of training in batches, shifted by the replicate,
 * and of validation, sequence by sequence. GB_ERR_FORMAT, GB_ERR_USAGE where the data do not hold
 * what the spec asks for. */
gb_status trainer_open_train(token_loader *loader, token_source *source, const train_spec *spec,
                             int64_t replicate, gb_error *err);
gb_status trainer_open_val(token_loader *loader, token_source *source, const train_spec *spec,
                           gb_error *err);

/* How the model of such a run is made. */
gpt_options trainer_model_options(const train_spec *spec);
/* Memory that the job will need, per group, from the same table that allocates it. */
void trainer_plan_memory(const train_job *job, int64_t bytes[GB_MEM_GROUPS]);
/* What training takes of the host beside the groups: 0 on a GPU. */
int64_t trainer_plan_overhead(const train_job *job);
/* All groups, and the overhead. A process that computes on the host has these on top of what it
 * takes before the run (train_start.process_memory_bytes). */
int64_t trainer_plan_memory_total(const train_job *job);

#endif
