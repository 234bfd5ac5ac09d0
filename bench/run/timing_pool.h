/* timing_pool.h: the worker processes of a timing session, one for each arm, kept warm between
 * their bursts as long as there is memory for them. Knows nothing of databases. */
#ifndef GPTBENCH_BENCH_TIMING_POOL_H
#define GPTBENCH_BENCH_TIMING_POOL_H

#include "bench/worker/worker_link.h"

typedef struct timing_pool_arm {
    const char *json; /* the worker's job; borrowed */
    int64_t
        memory_bytes; /* of the host that its worker will need; 0: not known, or not the host's */
} timing_pool_arm;

typedef struct timing_pool_options {
    const worker_options *worker;
    /* Called several times a second while a worker is waited for; returns how many milliseconds may
     * pass until it wants to be called again. A failure ends the wait. May be NULL. */
    gb_status (*on_idle)(void *user, int *wait_ms, gb_error *err);
    void *user;
    /* Bytes of the host's memory that are free now; -1: not known. NULL: nobody looks. */
    int64_t (*memory_free)(void);
} timing_pool_options;

typedef struct timing_pool timing_pool;

/* Starts nothing yet. `arms` and `options` are copied, what they point to is borrowed.
 * GB_ERR_OOM. *out is the caller's. */
gb_status timing_pool_create(timing_pool **out, const timing_pool_arm *arms, int n_arms,
                             const timing_pool_options *options, gb_error *err);
void timing_pool_free(timing_pool *pool); /* kills what still runs; NULL is fine */

/* Makes sure that the arm's worker runs and is warm; *steps_out are its warm-up steps, none when it
 * ran before. Where the host has no room for it, or it runs out of memory, workers of other arms
 * are retired, the one that rested longest first.
 * GB_ERR_NAN, GB_ERR_OOM, GB_ERR_FAILED: the worker ended so; see timing_pool_status.
 * GB_ERR_INTERRUPTED: the user asked to stop. Other errors: as `on_idle` and the system give. */
gb_status timing_pool_start(timing_pool *pool, int arm, const train_step **steps, int64_t *n_steps,
                            gb_error *err);
/* One burst of an arm that runs. The steps, lead steps first, live until the next call. */
gb_status timing_pool_burst(timing_pool *pool, int arm, const train_burst *burst,
                            const train_step **steps, int64_t *n_steps, gb_error *err);
/* Ends the arm's worker in an orderly way. */
void timing_pool_retire(timing_pool *pool, int arm);

/* How many processes were started for an arm so far. */
int timing_pool_processes(const timing_pool *pool, int arm);
/* "ok", or how the arm's worker failed: nan, oom, failed, killed; and why. */
const char *timing_pool_status(const timing_pool *pool, int arm, const char **message);

#endif
