/* warmup.h: when a run is warm. A rule on the step times alone, so that it can be tested. */
#ifndef GPTBENCH_MODEL_WARMUP_H
#define GPTBENCH_MODEL_WARMUP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WARMUP_MIN_STEPS = 10, /* docs/MEASURING.md */
    WARMUP_SPAN = 5,       /* steps per median */
    WARMUP_MAX_STEPS = 50  /* a machine that never settles must not eat the run */
};

/* Warm once WARMUP_MIN_STEPS have passed and the median of the last WARMUP_SPAN step times is
 * within 5 % of the median of the WARMUP_SPAN before them; at the latest after WARMUP_MAX_STEPS.
 * Start from a zeroed struct. */
typedef struct warmup_state {
    double recent_ms[2 * WARMUP_SPAN];
    int64_t steps;
    bool warm;
} warmup_state;

/* Tells of one more step; returns whether the *next* step may be timed. */
bool warmup_add_step(warmup_state *state, double step_ms);

#endif
