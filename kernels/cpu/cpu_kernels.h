/* cpu_kernels.h: the table of hand-written kernels. The files in kernels/cpu/isa are compiled once
 * per instruction set (generic = SSE4.2, avx2, avx512) and each fills its part of one table; the
 * device picks a table when it is opened.
 *
 * act arrays are float, or bfloat16 (uint16_t) where `bf16` is set; arithmetic is float in both
 * cases and bfloat16 stores round to nearest even. All kernels run on the calling thread's OpenMP
 * team (omp_get_max_threads); results depend neither on its size nor on which thread does what,
 * unless a comment says so. Shapes are as in kernels/backend.h.
 *
 * `ends`, where it is not NULL, gets from every thread of the team the moment at which it had done
 * its share, in milliseconds of kernels/clock.h: thread i's at CPU_ENDS_STRIDE * i, a cache
 * line of its own.
 */
#ifndef GPTBENCH_KERNELS_CPU_KERNELS_H
#define GPTBENCH_KERNELS_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

/* Queries per tile of the attention kernels, and keys per panel: at most. */
#define CPU_ATTENTION_ROWS      48
#define CPU_ATTENTION_PANEL_MAX 32
/* Elements per partial sum of sum_squares are a multiple of this. */
#define CPU_SUM_BLOCK      65536
#define CPU_SUM_MAX_BLOCKS 4096

#define CPU_ENDS_STRIDE 8

typedef struct cpu_attention_args {
    const void *qkv;
    void *out;        /* forward: written; backward: read */
    const void *dout; /* backward */
    void *dqkv;       /* backward */
    float *lse;       /* forward: written; backward: read */
    int64_t B, T, H, K, D, window;
    bool bf16;
    float *scratch;         /* one slice per thread of the team, 64-byte aligned */
    int64_t scratch_floats; /* floats per slice, at least cpu_attention_scratch_floats of
                             * cpu_sizes.h */
    double *ends;           /* NULL: nobody asks */
} cpu_attention_args;

typedef struct cpu_norm_args {
    void *x_out, *h;
    float *inv_rms_h, *inv_rms_y;
    const void *x_in, *y;
    float scale;
    bool post_norm, bf16;
    int64_t N, C;
    double *ends; /* NULL: nobody asks */
} cpu_norm_args;

typedef struct cpu_norm_grad_args {
    void *dx, *dy;
    const void *dh, *h, *y;
    const float *inv_rms_h, *inv_rms_y;
    float scale;
    bool post_norm, first, bf16;
    int64_t N, C;
    double *ends; /* NULL: nobody asks */
} cpu_norm_grad_args;

typedef struct cpu_rope_args {
    void *x;              /* forward: qkv in place; backward: dqkv in place */
    const void *qkv;      /* backward: as forward left it */
    float *inv_rms;       /* NULL without qk_norm */
    const float *cos_sin; /* (T, D): D/2 cosines, then D/2 sines */
    bool bf16;
    int64_t B, T, H, K, D;
    double *ends; /* NULL: nobody asks */
} cpu_rope_args;

/* What is known of a row of logits: its loss is log(sum) + top - target. */
typedef struct cpu_softmax_row {
    double sum; /* of exp(logit - top) over the columns so far */
    float top;  /* the largest of them */
    float target;
} cpu_softmax_row;

/* Some columns of rows of logits. */
typedef struct cpu_softmax_args {
    float *logits;         /* (N, columns) */
    uint16_t *dlogits;     /* (N, columns) the gradient in bfloat16; NULL: in place */
    cpu_softmax_row *rows; /* (N) */
    const int32_t *targets;
    float grad_scale;
    int64_t N, columns, first_column;
} cpu_softmax_args;

/* A right-hand side (K, N) of a product of bfloat16 matrices, packed: blocks of CPU_PACK_K rows by
 * CPU_PACK_N columns, all blocks of the first columns first; in a block rows come in pairs, each
 * pair column by column. oneDNN calls it BA16a64b2a. Edges are filled up with zeros. */
#define CPU_PACK_K 32
#define CPU_PACK_N 64

typedef struct cpu_pack_args {
    uint16_t *out;      /* cpu_packed_elements(K, N), 64-byte aligned */
    const uint16_t *in; /* (K, N), or (N, K) with transposed; rows `stride` elements apart */
    int64_t K, N, stride;
    bool transposed;
} cpu_pack_args;

typedef struct cpu_transpose_args {
    uint16_t *out;      /* (columns, rows), dense */
    const uint16_t *in; /* (rows, columns), rows `stride` elements apart */
    int64_t rows, columns, stride;
} cpu_transpose_args;

/* A product's panels are so many columns of b and so many of its rows, at most: what a core's
 * second cache holds beside other things. */
#define CPU_PRODUCT_COLUMNS 768
#define CPU_PRODUCT_DEPTH   256
/* Those, and a tile's rows of a. */
#define CPU_PRODUCT_SCRATCH_FLOATS ((CPU_PRODUCT_COLUMNS + 24) * CPU_PRODUCT_DEPTH)
/* What threads tell each other: a cache line each, and a word per tile of the result. */
#define CPU_PRODUCT_SHARED_BYTES 64
#define CPU_PRODUCT_TILE_MIN     4

/* c (M, N) [+]= a (M, K) . b (K, N) in float. Operands of bfloat16 are widened, a result of it is
 * rounded once. Sums depend on the shape alone, not on the team. */
typedef struct cpu_product_args {
    const void *a; /* (M, K), or (K, M) with a_transposed; rows `lda` elements apart */
    const void *b; /* (K, N), or (N, K) with b_transposed; rows `ldb` elements apart */
    void *c;       /* dense */
    float *sums;   /* (M, N), where c is bfloat16 and K > CPU_PRODUCT_DEPTH; else unused */
    int64_t M, N, K, lda, ldb; /* M, N, K at least 1 */
    bool a_transposed, b_transposed;
    bool bf16;       /* a and b */
    bool c_bf16;     /* c; not with accumulate */
    bool accumulate; /* [+] */
    void *workspace; /* cpu_product_workspace_bytes for the team, 64-byte aligned */
} cpu_product_args;

typedef struct cpu_kernels {
    void (*embed_forward)(void *out, const int32_t *tokens, const void *wte, int64_t N, int64_t C,
                          bool bf16, double *ends);
    void (*embed_backward)(float *dwte, const void *dout, const int32_t *tokens, int64_t N,
                           int64_t C, bool bf16, double *ends);
    void (*add_norm_forward)(const cpu_norm_args *args);
    void (*add_norm_backward)(const cpu_norm_grad_args *args);
    void (*rope_forward)(const cpu_rope_args *args);
    void (*rope_backward)(const cpu_rope_args *args);
    void (*attention_forward)(const cpu_attention_args *args);
    void (*attention_backward)(const cpu_attention_args *args);
    /* The same of bfloat16 with bfloat16 dot products; NULL, or the CPU may still lack them. */
    void (*attention_dots_forward)(const cpu_attention_args *args);
    void (*attention_dots_backward)(const cpu_attention_args *args);
    void (*gelu_forward)(void *out, const void *in, int64_t n, bool bf16, double *ends);
    void (*gelu_backward)(void *din, const void *dout, const void *in, int64_t n, bool bf16,
                          double *ends);
    void (*swiglu_forward)(void *out, const void *gv, int64_t N, int64_t F, bool bf16,
                           double *ends);
    void (*swiglu_backward)(void *dgv, const void *dout, const void *gv, int64_t N, int64_t F,
                            bool bf16, double *ends);
    /* Adds the columns to what is known of the rows; column 0 begins them anew. */
    void (*softmax_gather)(const cpu_softmax_args *args);
    /* (softmax - one at the target) * grad_scale, once the rows are complete. */
    void (*softmax_gradient)(const cpu_softmax_args *args);
    /* partials has CPU_SUM_MAX_BLOCKS entries; blocks depend on n alone. */
    double (*sum_squares)(const float *x, int64_t n, double *partials, double *ends);
    /* weights is bfloat16 or NULL (nothing to copy). */
    void (*adamw)(uint16_t *weights, float *master, float *m, float *v, const float *grad,
                  int64_t n, const gb_adamw *params, double grad_scale, double *ends);
    void (*to_bf16)(uint16_t *out, const float *in, int64_t n);
    void (*to_float)(float *out, const uint16_t *in, int64_t n);
    void (*pack)(const cpu_pack_args *args);
    void (*transpose)(const cpu_transpose_args *args);
    void (*product)(const cpu_product_args *args);
} cpu_kernels;

/* isa/bf16_rate.c: multiply-adds a second in dot products of bfloat16 over those in float; takes
 * half a millisecond. 0 where the instruction set has no such products. */
#define CPU_DECLARE_ISA(isa)                                                                       \
    double cpu_bf16_dot_advantage_##isa(void);                                                     \
    void cpu_fill_elementwise_##isa(cpu_kernels *table);                                           \
    void cpu_fill_norm_##isa(cpu_kernels *table);                                                  \
    void cpu_fill_attention_##isa(cpu_kernels *table);                                             \
    void cpu_fill_attention_bf16_##isa(cpu_kernels *table);                                        \
    void cpu_fill_loss_##isa(cpu_kernels *table);                                                  \
    void cpu_fill_pack_##isa(cpu_kernels *table);                                                  \
    void cpu_fill_product_##isa(cpu_kernels *table);
CPU_DECLARE_ISA(generic)
CPU_DECLARE_ISA(avx2)
CPU_DECLARE_ISA(avx512)

#endif
