/* retry.h: whether a run that ended badly is tried again at once, and after how long. Pure. */
#ifndef GPTBENCH_BENCH_RETRY_H
#define GPTBENCH_BENCH_RETRY_H

#include <stdbool.h>

#include "bench/suite/limits.h"

#define RETRY_FIRST_WAIT_MS 1000
#define RETRY_MOST_WAIT_MS  60000

typedef enum retry_action {
    RETRY_LEAVE, /* the attempt stands */
    RETRY_AGAIN, /* another one, just the same */
    RETRY_HALVE  /* another one at half the learning rate */
} retry_action;

typedef struct retry {
    run_limits limits;
    int64_t retries;  /* made so far */
    int64_t halvings; /* of the current attempt, those of earlier calls of the program included */
    int64_t next_wait_ms;
} retry;

/* `lr_scale` is that of the first attempt: 1, or a power of a half; first_wait_ms: before the first
 * retry, doubled for each further one up to RETRY_MOST_WAIT_MS. */
void retry_begin(retry *r, const run_limits *limits, double lr_scale, int64_t first_wait_ms);

/* After an attempt that ended as `status`; `transient`: by a fault that may be gone next time.
 * *wait_ms is how long to wait before the next one. Counts what it answers. */
retry_action retry_next(retry *r, const char *status, bool transient, int64_t *wait_ms);

/* How often a scale is half of 1: 0.25 gives 2. */
int64_t retry_halvings_of(double lr_scale);

#endif
