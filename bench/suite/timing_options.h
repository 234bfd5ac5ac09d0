/* timing_options.h: what a suite asks of interleaved timing (its section [timing]), and what a
 * measurement came to. bench/run/timing.h says what blocks, arms and bursts are. */
#ifndef GPTBENCH_BENCH_TIMING_OPTIONS_H
#define GPTBENCH_BENCH_TIMING_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/trainer.h"

enum { TIMING_MAX_BLOCKS = 4000, TIMING_MAX_BURST_STEPS = 50 };

typedef struct timing_options {
    int64_t blocks;         /* measured in any case; 0: no interleaved timing at all */
    int64_t max_blocks;     /* with a precision to reach: at most so many */
    double stop_precision;  /* half width of the widest 95 % interval, a fraction; 0: none asked */
    int64_t burst_steps;    /* timed steps of a burst; 0: by TIMING_BURST_MS */
    int64_t process_blocks; /* blocks after which each arm gets a fresh process; 0: never */
    int64_t seed;           /* of the orders */
} timing_options;

timing_options timing_options_default(void);

typedef struct timing_outcome {
    int64_t blocks_done; /* whole ones */
    train_burst burst;
    bool precision_reached;
} timing_outcome;

#endif
