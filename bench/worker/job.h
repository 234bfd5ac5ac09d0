/* job.h: what a worker is told to do, as JSON on its standard input. */
#ifndef GPTBENCH_BENCH_JOB_H
#define GPTBENCH_BENCH_JOB_H

#include <jansson.h>

#include "model/config.h"
#include "model/train_spec.h"

typedef enum worker_mode {
    WORKER_TRAIN,  /* one run; answers with train_events */
    WORKER_TIMING, /* bursts on orders (bench/run/timing_pool.h); answers with train_events */
    WORKER_PROBE   /* opens the backend and describes it; answers with one event_probe */
} worker_mode;

typedef struct worker_job {
    worker_mode mode;
    bool measure_peak; /* WORKER_PROBE: the rates of a large product and copy too */
    char label[128];   /* the cell's name */
    char backend[32];
    int64_t threads, device_index;
    int64_t replicate, profile_steps;
    char checkpoint_dir[4096]; /* of this run alone; "": no checkpoints */
    int64_t checkpoint_steps;  /* as train_checkpoints of model/trainer.h */
    double checkpoint_s;
    char identity[40]; /* of the run, for its checkpoints */
    gpt_config config;
    train_spec spec; /* resolved; a probe reads its precision alone */
} worker_job;

worker_job worker_job_default(worker_mode mode);

/* NUL-terminated JSON, owned by the caller (free). NULL when there is no memory. */
char *worker_job_to_json(const worker_job *job);
/* The job of this text with its learning rate multiplied by `factor`, as worker_job_to_json gives
 * it; NULL where the text is no job, too. */
char *worker_job_scale_rate(const char *text, double factor);
/* GB_ERR_FORMAT when the text is not what worker_job_to_json writes. */
gb_status worker_job_from_json(worker_job *job, const char *text, gb_error *err);

#endif
