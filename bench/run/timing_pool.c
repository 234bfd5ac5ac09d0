#include "bench/run/timing_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/clock.h"

#define WAIT_MS 100
/* Of the free memory, what a new worker may take. */
#define MEMORY_SHARE 0.9
/* While a burst goes on its steps wait in the pipe, so that the process that measures does not wake
 * at each of them: for this much of the time that the burst should take, and so many steps. */
#define QUIET_SHARE     0.9
#define QUIET_MAX_STEPS 40

typedef struct pool_arm {
    timing_pool_arm given;
    worker_link link;
    bool runs;
    int processes;
    int64_t last_turn; /* turn in which it was used last */
    double step_ms;
    const char *status;
    char message[512];
} pool_arm;

struct timing_pool {
    timing_pool_options options;
    pool_arm *arms;
    int n_arms;
    int64_t turn;
    train_step *steps; /* of the current call */
    int64_t n_steps, capacity;
};

gb_status timing_pool_create(timing_pool **out, const timing_pool_arm *arms, int n_arms,
                             const timing_pool_options *options, gb_error *err)
{
    timing_pool *pool = calloc(1, sizeof *pool);
    *out = NULL;
    if (!pool || !(pool->arms = calloc((size_t)n_arms, sizeof *pool->arms))) {
        free(pool);
        return gb_fail(err, GB_ERR_OOM, "no memory for %d workers", n_arms);
    }
    pool->options = *options;
    pool->n_arms = n_arms;
    for (int i = 0; i < n_arms; i++) {
        pool->arms[i].given = arms[i];
        pool->arms[i].status = "ok";
    }
    *out = pool;
    return GB_OK;
}

void timing_pool_free(timing_pool *pool)
{
    if (!pool) {
        return;
    }
    for (int i = 0; i < pool->n_arms; i++) {
        worker_link_close(&pool->arms[i].link);
    }
    free(pool->arms);
    free(pool->steps);
    free(pool);
}

int timing_pool_processes(const timing_pool *pool, int arm)
{
    return pool->arms[arm].processes;
}

const char *timing_pool_status(const timing_pool *pool, int arm, const char **message)
{
    *message = pool->arms[arm].message;
    return pool->arms[arm].status;
}

/* ---- hearing a worker ---- */

static gb_status step_keep(timing_pool *pool, const train_step *step, gb_error *err)
{
    if (pool->n_steps == pool->capacity) {
        int64_t capacity = pool->capacity ? 2 * pool->capacity : 64;
        train_step *bigger = realloc(pool->steps, (size_t)capacity * sizeof *bigger);
        if (!bigger) {
            return gb_fail(err, GB_ERR_OOM, "no memory for the steps of a burst");
        }
        pool->steps = bigger;
        pool->capacity = capacity;
    }
    pool->steps[pool->n_steps++] = *step;
    return GB_OK;
}

static gb_status idle(timing_pool *pool, int *wait_ms, gb_error *err)
{
    *wait_ms = WAIT_MS;
    return pool->options.on_idle ? pool->options.on_idle(pool->options.user, wait_ms, err) : GB_OK;
}

/* Lets the worker alone for `ms`, or until the user asks to stop. */
static gb_status leave_alone(timing_pool *pool, double ms, gb_error *err)
{
    double until_s = gb_monotonic_s() + ms / 1e3;
    while (worker_stops_wanted(pool->options.worker) == 0) {
        int wait_ms;
        GB_TRY(idle(pool, &wait_ms, err));
        double left_ms = (until_s - gb_monotonic_s()) * 1e3;
        if (left_ms <= 0) {
            break;
        }
        double nap_ms = left_ms < wait_ms ? left_ms : wait_ms;
        struct timespec nap = {(time_t)(nap_ms / 1e3), 0};
        nap.tv_nsec = (long)((nap_ms - (double)nap.tv_sec * 1e3) * 1e6);
        nanosleep(&nap, NULL); /* a signal ends it early, which the loop notices */
    }
    return GB_OK;
}

/* The worker has ended, unasked: what that means for its arm. */
static gb_status arm_ended(timing_pool *pool, pool_arm *arm, gb_error *err)
{
    worker_outcome outcome = {0};
    worker_link_collect(&arm->link, pool->options.worker);
    worker_link_outcome(&arm->link, &outcome);
    worker_link_close(&arm->link);
    arm->runs = false;
    const char *status = outcome.status;
    if (strcmp(status, "interrupted") == 0) {
        return gb_fail(err, GB_ERR_INTERRUPTED, "%s", outcome.message);
    }
    bool unasked = strcmp(status, "ok") == 0;
    arm->status = unasked ? "failed" : status;
    snprintf(arm->message, sizeof arm->message, "%.511s",
             unasked ? "the worker ended before it was told to" : outcome.message);
    return gb_fail(err,
                   strcmp(status, "nan") == 0   ? GB_ERR_NAN
                   : strcmp(status, "oom") == 0 ? GB_ERR_OOM
                                                : GB_ERR_FAILED,
                   "%s", arm->message);
}

/* Takes the worker's steps until it pauses. */
static gb_status until_pause(timing_pool *pool, pool_arm *arm, gb_error *err)
{
    event_frame frame;
    int wait_ms = 0;
    while (true) {
        while (worker_link_next(&arm->link, &frame)) {
            if (frame.kind != EVENT_KIND_TRAIN) {
                continue;
            }
            if (frame.u.train.type == TRAIN_EVENT_STEP) {
                GB_TRY(step_keep(pool, &frame.u.train.u.step, err));
            } else if (frame.u.train.type == TRAIN_EVENT_PAUSE) {
                return GB_OK;
            }
        }
        if (worker_link_ended(&arm->link)) {
            return arm_ended(pool, arm, err);
        }
        GB_TRY(idle(pool, &wait_ms, err));
        worker_link_wait(&arm->link, pool->options.worker, wait_ms);
    }
}

static void step_ms_note(timing_pool *pool, pool_arm *arm)
{
    if (pool->n_steps > 0) {
        arm->step_ms = pool->steps[pool->n_steps - 1].step_ms;
    }
}

/* ---- who may stay ---- */

void timing_pool_retire(timing_pool *pool, int index)
{
    pool_arm *arm = &pool->arms[index];
    if (arm->runs) {
        worker_link_dismiss(&arm->link);
        worker_link_collect(&arm->link, pool->options.worker);
        worker_link_close(&arm->link);
        arm->runs = false;
    }
}

/* Retires the worker that rested longest, other than `arm`. False: there is none. */
static bool make_room(timing_pool *pool, int arm)
{
    int oldest = -1;
    for (int i = 0; i < pool->n_arms; i++) {
        if (i != arm && pool->arms[i].runs &&
            (oldest < 0 || pool->arms[i].last_turn < pool->arms[oldest].last_turn)) {
            oldest = i;
        }
    }
    if (oldest >= 0) {
        timing_pool_retire(pool, oldest);
    }
    return oldest >= 0;
}

static bool has_room(const timing_pool *pool, int arm)
{
    int64_t free_bytes = pool->options.memory_free ? pool->options.memory_free() : -1;
    return free_bytes < 0 ||
           (double)pool->arms[arm].given.memory_bytes <= MEMORY_SHARE * (double)free_bytes;
}

/* ---- turns ---- */

/* A worker may be quicker than a signal to it: between two turns the user's wish counts at once. */
static gb_status stop_check(const timing_pool *pool, gb_error *err)
{
    return worker_stops_wanted(pool->options.worker) > 0
               ? gb_fail(err, GB_ERR_INTERRUPTED, "stopped by the user")
               : GB_OK;
}

static gb_status worker_start(timing_pool *pool, pool_arm *arm, gb_error *err)
{
    pool->n_steps = 0;
    gb_status status =
        worker_link_open(&arm->link, pool->options.worker, arm->given.json, true, err);
    if (status != GB_OK) {
        worker_link_close(&arm->link);
        return status;
    }
    arm->runs = true;
    arm->processes++;
    return until_pause(pool, arm, err);
}

gb_status timing_pool_start(timing_pool *pool, int index, const train_step **steps,
                            int64_t *n_steps, gb_error *err)
{
    pool_arm *arm = &pool->arms[index];
    gb_status status = stop_check(pool, err);
    pool->n_steps = 0;
    arm->last_turn = ++pool->turn;
    if (status == GB_OK && !arm->runs) {
        while (!has_room(pool, index) && make_room(pool, index)) {
        }
        status = worker_start(pool, arm, err);
        while (status == GB_ERR_OOM && make_room(pool, index)) {
            status = worker_start(pool, arm, err);
        }
        if (status == GB_OK) {
            arm->status = "ok";
            arm->message[0] = '\0';
        }
    }
    step_ms_note(pool, arm);
    *steps = pool->steps;
    *n_steps = pool->n_steps;
    return status;
}

gb_status timing_pool_burst(timing_pool *pool, int index, const train_burst *burst,
                            const train_step **steps, int64_t *n_steps, gb_error *err)
{
    pool_arm *arm = &pool->arms[index];
    int64_t count = burst->lead_steps + burst->timed_steps;
    int64_t quiet = count < QUIET_MAX_STEPS ? count : QUIET_MAX_STEPS;
    GB_TRY(stop_check(pool, err));
    pool->n_steps = 0;
    arm->last_turn = ++pool->turn;
    /* When nobody reads any more the worker has ended, and until_pause says how. */
    if (worker_link_order(&arm->link, burst, NULL) == GB_OK) {
        GB_TRY(leave_alone(pool, QUIET_SHARE * arm->step_ms * (double)quiet, err));
    }
    GB_TRY(until_pause(pool, arm, err));
    step_ms_note(pool, arm);
    *steps = pool->steps;
    *n_steps = pool->n_steps;
    return GB_OK;
}
