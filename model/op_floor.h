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

/* Milliseconds; NAN where a rate that is needed is not known (<= 0). */
double op_floor_ms(const op_floor *floor, double flops_per_s, double bytes_per_s);

#endif
