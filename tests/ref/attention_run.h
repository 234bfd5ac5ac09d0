/* attention_run.h: attention, forward and backward, on a device at any size: inputs whose values
 * are those of bf16, and results as float, whatever the subject computes in. Heads have keys of
 * their own. */
#ifndef GPTBENCH_TESTS_REF_ATTENTION_RUN_H
#define GPTBENCH_TESTS_REF_ATTENTION_RUN_H

#include "kernels/backend.h"
#include "tests/ref/attention_rounding.h"

typedef struct at_shape {
    int64_t B, T, H, D;
} at_shape;

/* Elements of out; dqkv and qkv have three times as many. */
int64_t at_count(const at_shape *s);
/* Value d of row t of a part of head bh, which is b * H + h: an index into out, or into dqkv. q, k,
 * v of qkv lie as dq, dk, dv do. */
int64_t at_index(const at_shape *s, ar_part part, int64_t bh, int64_t t, int64_t d);

/* To the nearest value of bf16, ties to even. */
float at_bf16(float x);
/* Standard normal (rows, width), rounded; owned by the caller. */
float *at_random(int64_t rows, int64_t width, uint64_t seed);
/* Writes n values as bf16 to FOLDER/NAME.bf16. */
gb_status at_write(const char *folder, const char *name, const float *values, int64_t n,
                   gb_error *err);

typedef struct at_results {
    float *out, *dqkv, *lse; /* (B*T, H*D), (B*T, 3*H*D), (B, H, T) */
} at_results;

float *at_part(const at_results *r, ar_part part); /* out or dqkv */
void at_results_free(at_results *r);

/* Runs both directions twice on a device of its own, with GPTBENCH_CUDA_ATTENTION=attention. *same:
 * the two calls agree to the last bit. GB_ERR_ENV: not possible on this device. The results are the
 * caller's. */
gb_status at_run(const gb_backend *be, gb_precision precision, const char *attention,
                 const at_shape *s, const float *qkv, const float *dout, at_results *out,
                 bool *same, gb_error *err);

#endif
