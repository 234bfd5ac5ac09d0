/* op_floor.h: the least work that each op of a training step must do, and so the least time that it
 * can take on a device whose rates are known: its FLOPs at the rate of large products, or its bytes
 * at the rate of a large copy, whichever is longer. Each input of a call is read once and each
 * output written once; what a kernel reads again, or keeps on the chip between two calls, is not
 * counted, so a share of the floor above 1 means that a cache helped. */
#ifndef GPTBENCH_MODEL_OP_FLOOR_H
#define GPTBENCH_MODEL_OP_FLOOR_H

#include "model/config.h"

typedef struct op_floor_shape {
    int64_t batch_size, sequence_length; /* one micro-batch, whose gradients overwrite */
    int act_bytes;                       /* 2 in bf16, 4 in fp32; wide is 4 */
} op_floor_shape;

typedef struct op_floor {
    double flops, bytes;
} op_floor;

/* One step of one micro-batch, summed over the layers and both calls of a linear map's backward.
 * The classifier with its gradient is in the forward phase, as in the ledger. Zero for ops and
 * phases that a step does not have, and for those whose bytes nothing limits (data, copies). */
op_floor op_floor_of_step(const gpt_config *config, const op_floor_shape *shape, gb_phase phase,
                          gb_op op);

/* The same of a whole step: `micro_batches` passes, one update. */
op_floor op_floor_of_batches(const gpt_config *config, const op_floor_shape *shape,
                             int64_t micro_batches, gb_phase phase, gb_op op);

/* Rates of a large product and of a large copy; <= 0 or NAN: not known. */
typedef struct op_rates {
    double flops_per_s, bytes_per_s;
} op_rates;

/* Milliseconds; NAN where a rate that is needed is not known. */
double op_floor_ms(const op_floor *floor, op_rates rates);

/* What keeps an op from being faster. */
typedef enum op_bound {
    OP_BOUND_UNKNOWN, /* no floor, a rate that is missing, or no time */
    OP_BOUND_COMPUTE, /* its FLOPs at the rate of a large product take longer than its bytes */
    OP_BOUND_MEMORY,  /* its bytes at the rate of a large copy take at least as long */
    OP_BOUND_LATENCY  /* it takes OP_LATENCY_TIMES its floor or more, and the floor of one call is
                       * shorter than what starting one costs: too little work at a time */
} op_bound;

#define OP_LATENCY_TIMES 4.0
#define OP_START_MS_CPU  0.020 /* waking a team of threads and waiting for the last one */
#define OP_START_MS_GPU  0.005 /* launching a kernel */
const char *op_bound_name(op_bound bound); /* "", "compute", "memory", "latency" */

/* `calls` calls of an op took `time_ms` together, and have this floor together. */
op_bound op_floor_bound(const op_floor *floor, op_rates rates, double calls, double time_ms,
                        double start_ms);

#endif
