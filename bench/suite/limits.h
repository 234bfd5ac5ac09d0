/* limits.h: what a run may take, and what is done when one ends badly: the keys of a suite's
 * [limits]. They are no part of a run's identity: they decide whether it ends, not what it finds.
 */
#ifndef GPTBENCH_BENCH_LIMITS_H
#define GPTBENCH_BENCH_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

enum {
    LIMITS_MAX_RETRIES = 20,
    LIMITS_MAX_HALVINGS = 4 /* of the learning rate: 1/16 is the last that is tried */
};

typedef enum limits_on_nan { LIMITS_NAN_STOP, LIMITS_NAN_HALVE_LR } limits_on_nan;

typedef struct run_limits {
    int64_t max_memory_bytes;   /* 0: what the machine or the GPU has */
    double max_time_s;          /* of a run; 0: none */
    double heartbeat_timeout_s; /* 0: made from what was seen (bench/worker/watchdog.h); below 0:
                                   off */
    double profile_timeout_s;   /* the same while steps are profiled */
    int64_t max_retries;        /* after transient faults (bench/run/retry.h) */
    int64_t on_nan;             /* limits_on_nan */
} run_limits;

run_limits run_limits_default(void);

typedef enum limits_type {
    LIMITS_BYTES,   /* int64_t: "8 GiB" */
    LIMITS_SECONDS, /* double: "90 min" */
    LIMITS_COUNT,   /* int64_t: "3" */
    LIMITS_WORD     /* int64_t, index into the words: "halve_lr" */
} limits_type;

/* One key of [limits]; the list ends with name == NULL. A new one is a field of run_limits and a
 * row of the table in limits.c. */
typedef struct limits_key {
    const char *name;
    limits_type type;
    size_t offset; /* of the field in run_limits */
    double most;   /* but of LIMITS_WORD */
    const char *const
        *words;        /* NULL-terminated; of LIMITS_SECONDS one that stands for -1, or NULL */
    const char *unset; /* LIMITS_BYTES, LIMITS_SECONDS: what 0 means */
    const char *help;
} limits_key;
const limits_key *limits_keys(void);

/* Sets a key from text: "8 GiB", "2 h", "90 min", "300 s", "3", "halve_lr". GB_ERR_USAGE: "max_time
 * = 2: ...", with what would be right. */
gb_status run_limits_set(run_limits *limits, const char *name, const char *text, gb_error *err);
/* The value as run_limits_set takes it, or as words ("none", "automatic"). */
void run_limits_format(const run_limits *limits, const limits_key *key, char *out, size_t size);

#endif
