/* store_timing.h: rows of interleaved timing sessions (bench/store/schema.sql, from table timing
 * on). */
#ifndef GPTBENCH_BENCH_STORE_TIMING_H
#define GPTBENCH_BENCH_STORE_TIMING_H

#include "bench/store/store.h"
#include "bench/suite/timing_options.h"

typedef struct store_timing {
    int64_t suite_id, machine_id;
    const char *identity;
    const char *program_version, *program_commit, *compiler;
    const timing_options *options;
} store_timing;

typedef struct store_timing_arm {
    int64_t config_id;
    bool is_control, is_baseline;
    const char *backend, *precision, *isa;
    int64_t threads, tokens_per_step;
} store_timing_arm;

/* The newest finished session of this identity, 0 when there is none; with `whole`, one in which no
 * arm failed. */
gb_status store_timing_find(store *s, int64_t suite_id, const char *identity, bool whole,
                            int64_t *timing_id, gb_error *err);
/* A new session, running; commits. Rows that say `running` belong to a process that is dead: they
 * become `interrupted`. */
gb_status store_timing_begin(store *s, const store_timing *timing, const store_timing_arm *arms,
                             int n_arms, int64_t *timing_id, gb_error *err);

typedef struct store_timed_step {
    int64_t position; /* in the session */
    int64_t block;    /* -1: warm-up of a process */
    int arm;
    const train_step *step; /* its ended_s is since the session's start */
} store_timed_step;
gb_status store_timing_step(store *s, int64_t timing_id, const store_timed_step *step,
                            gb_error *err);

typedef struct store_burst {
    int64_t block;
    int position, arm, process;
    double median_ms, mean_ms; /* of the timed steps */
    double began_s, ended_s;   /* since the session's start */
} store_burst;
gb_status store_timing_burst(store *s, int64_t timing_id, const store_burst *burst, gb_error *err);
gb_status store_timing_sample(store *s, int64_t timing_id, const gb_sample *sample, gb_error *err);
/* DISTURBANCE_* of the steps at positions 0 to n - 1. */
gb_status store_timing_marks(store *s, int64_t timing_id, const unsigned char *marks, size_t n,
                             gb_error *err);

typedef struct store_arm_end {
    int arm;
    const char *status, *message;
    int processes; /* that were started for it */
} store_arm_end;
gb_status store_timing_arm_end(store *s, int64_t timing_id, const store_arm_end *end,
                               gb_error *err);

typedef struct store_timing_result {
    const char *status, *message;
    const timing_outcome *outcome;
    const char *sensors_missing; /* NULL: nothing was sampled */
} store_timing_result;
/* Ends the session and commits. */
gb_status store_timing_end(store *s, int64_t timing_id, const store_timing_result *result,
                           gb_error *err);

#endif
