/* timing.h: the order in which the speed of several configs is measured, and when it is enough.
 *
 * Time passes on a machine that heats up, shares its cache and has neighbours. Configs measured one
 * after the other are therefore compared with each other's hour of the day. Here they take turns: a
 * *block* visits every arm once, in a random order of its own, with one *burst* of steps each, and
 * what is compared are ratios within blocks. An *arm* is a config, or the control: the baseline
 * again, in a process of its own, which shows what difference between equals looks like.
 *
 * This file knows nothing of processes and databases: an executor does the bursts, so that tests
 * can put anything in its place. */
#ifndef GPTBENCH_BENCH_TIMING_H
#define GPTBENCH_BENCH_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/suite/timing_options.h"
#include "kernels/status.h"
#include "model/trainer.h"

enum { TIMING_MAX_ARMS = 1024, TIMING_MIN_BURST_STEPS = 3 };

/* A burst of the baseline lasts about this long where its length is not given: long against the
 * timer and the switch of processes, short against the drift of a machine. */
#define TIMING_BURST_MS 250.0
/* Steps in front of a burst that are not timed: about this much of them, at least one. They bring
 * back caches, clocks and threads that slept. */
#define TIMING_LEAD_MS 30.0

/* The steps of a burst, from the settled step time of the baseline. */
train_burst timing_burst_size(const timing_options *options, double baseline_step_ms);

/* Writes the arms 0 .. n_arms - 1 in the order in which block `block` visits them: a random
 * permutation that depends on (seed, block, n_arms) alone. */
void timing_block_order(int *order, int n_arms, uint64_t seed, int64_t block);

/* ---- a session ---- */

/* What a step took in each burst, by the median of its timed steps: on a shared machine a mean is
 * also about whoever else ran at that time. NAN where there is none. */
typedef struct timing_table {
    int n_arms;
    int64_t n_blocks, capacity;
    double *step_ms; /* (n_arms, capacity) */
} timing_table;

double timing_table_get(const timing_table *table, int arm, int64_t block);

/* A burst of an arm: in which block, and as how-manieth there, from 0. */
typedef struct timing_turn {
    int arm;
    int64_t block;
    int position;
} timing_turn;

/* The arms, and whoever does their bursts. */
typedef struct timing_executor {
    int n_arms, baseline; /* index of the arm that decides how long a burst is */
    void *user;
    /* Starts the arm where it is not running, warms it up, and tells its settled step time. */
    gb_status (*settle)(void *user, int arm, double *step_ms, gb_error *err);
    /* One burst of an arm, which is started where it is not running. */
    gb_status (*burst)(void *user, const timing_turn *turn, const train_burst *burst,
                       double *step_ms, gb_error *err);
    /* The arm's process is not needed any more; the next burst starts another. */
    void (*retire)(void *user, int arm);
    /* After each whole block; the table holds it. */
    gb_status (*block_done)(void *user, const timing_table *table, gb_error *err);
    /* Whether the precision that was asked for is reached; called after whole blocks from the
     * options' `blocks` on. */
    gb_status (*precise)(void *user, const timing_table *table, double precision, bool *out,
                         gb_error *err);
} timing_executor;

/* An arm that fails (settle or burst give GB_ERR_NAN, GB_ERR_OOM or GB_ERR_FAILED) is left out from
 * there on, and the others go on; when it is the baseline nothing is left to compare with, and its
 * error is returned. Any other status of the executor (interrupted, a full disk) ends the session
 * and is returned. `*table` is the caller's: timing_table_free. */
gb_status timing_run(const timing_options *options, const timing_executor *executor,
                     timing_table *table, timing_outcome *outcome, gb_error *err);
void timing_table_free(timing_table *table);

#endif
