/* runplan_internal.h: what the files of the run plan (runplan*.c) share. Not for others. */
#ifndef GPTBENCH_BENCH_RUNPLAN_INTERNAL_H
#define GPTBENCH_BENCH_RUNPLAN_INTERNAL_H

#include "bench/plan/runplan.h"

enum { PRECISIONS = 3 };

/* The backend at one precision, as a probe found it. */
typedef struct environment {
    bool used;
    event_probe probe;
    store_machine machine;
    int64_t machine_id;
    bool peak_measured; /* by this process */
} environment;

struct runplan {
    suite *suite;
    runplan_options options;
    environment environments[PRECISIONS];
    data_check *data;
    runplan_run *runs;
    int n_runs;
    runner_job *jobs; /* as many as runs; json is owned */
    int n_jobs;
    char checkpoints_dir[4000];    /* with a folder for each run; after runplan_store; "": none */
    int64_t suite_id, *config_ids; /* of every cell; after runplan_store */
    timing_session_arm *arms;      /* json is owned */
    int n_arms;
    char timing_identity[33];
    char hash[33]; /* of all that decides which runs there are */
};

static inline gb_status runplan_no_memory(gb_error *err)
{
    return gb_fail(err, GB_ERR_OOM, "no memory to plan the runs");
}

/* ---- runplan.c ---- */

/* Asks a worker what computes at one precision, and how fast at most where measure_peak. */
gb_status runplan_probe(const runplan *plan, int64_t precision, bool measure_peak,
                        const runner_options *runner, event_probe *out, gb_error *err);
/* Frees what runplan_jobs has made. */
void runplan_jobs_drop(runplan *plan);

/* ---- runplan_jobs.c ---- */

/* What a worker is told about a cell; replicate and profile are still to be set. */
worker_job runplan_job(const runplan *plan, worker_mode mode, int cell);

/* ---- runplan_timing.c ---- */

/* Whether the session of interleaved timing is to be measured. */
gb_status runplan_timing_wanted(runplan *plan, store *s, bool *wanted, gb_error *err);

/* ---- runplan_checkpoint.c ---- */

/* Where the runs that go into the store keep checkpoints; nowhere if the suite wants none. */
void runplan_checkpoints_place(runplan *plan, const store *s);
/* The folder of one run, owned by the caller, and what its worker is told. NULL in *dir where none
 * are kept. */
gb_status runplan_checkpoints_tell(const runplan *plan, const runplan_run *run, worker_job *job,
                                   char **dir, gb_error *err);

#endif
