/* gemm_shape.h: the matrix products behind an op of the ledger, from the shape that the backend was
 * opened with. tests/unit/model/test_gemm_shape.c holds them against the FLOPs that a step really
 * issues. */
#ifndef GPTBENCH_MODEL_GEMM_SHAPE_H
#define GPTBENCH_MODEL_GEMM_SHAPE_H

#include "kernels/backend.h"

/* An (m, n) result of inner dimension k: 2*m*n*k FLOPs. */
typedef struct gpt_gemm {
    const char *product; /* "y", "dx", "dw": what it makes */
    int64_t m, n, k;
} gpt_gemm;

enum { GPT_GEMMS_MAX = 3 };

/* The products of one call of `op` in forward, backward or both, over the B*T tokens of one
 * micro-batch; returns how many, 0 for ops that are not products of activations with weights. The
 * classifier does all three in the forward phase, in chunks of tokens: m of its y and dx and k of
 * its dw are sums over the chunks. */
int gpt_op_gemms(const gb_shape *shape, gb_op op, bool forward, bool backward,
                 gpt_gemm out[GPT_GEMMS_MAX]);

/* GB_OP_COUNT where there is no op of this name. */
gb_op gpt_op_find(const char *name);

#endif
