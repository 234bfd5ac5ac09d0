/* ref_internal.h: shared by the files of the reference backend only. */
#ifndef GPTBENCH_TESTS_REF_REF_INTERNAL_H
#define GPTBENCH_TESTS_REF_REF_INTERNAL_H

#include "kernels/ledger.h"
#include "kernels/results_queue.h"
#include "tests/ref/ref_backend.h"

typedef struct ref_block ref_block; /* one allocation */

struct gb_device {
    ref_block *blocks;
    gb_error error;
    gb_ledger *ledger;
    bool timers_on;
    double op_start_ms, timers_start_ms;
    gb_results_queue results;
    int64_t used[GB_MEM_GROUPS];
};

/* Every op starts with ref_begin and ends with ref_end, which adds one call, `flops` and the time
 * between the two to the ledger row of `op` in the present scope. */
void ref_begin(gb_device *dev);
gb_status ref_end(gb_device *dev, gb_op op, double flops);

/* GB_ERR_INTERNAL, with the message in last_error. */
gb_status ref_fail(gb_device *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 1 / sqrt(mean(x^2) + 1e-6) over x (n). */
double ref_inv_rms(const double *x, int64_t n);
/* Gradient through u = x * inv_rms, inv_rms = ref_inv_rms(x): dx (n) from du (n) and u (n);
 * dx = inv_rms * (du - u * mean(du * u)). dx may be du. */
void ref_norm_backward(double *dx, const double *du, const double *u, double inv_rms, int64_t n);

/* The entries of the table, documented in kernels/backend.h. */

gb_status ref_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                            int64_t N, int64_t C);
gb_status ref_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                             int64_t N, int64_t C, int64_t V);
gb_status ref_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                               void *inv_rms_y, const void *x_in, const void *y, double scale,
                               bool post_norm, int64_t N, int64_t C);
gb_status ref_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                double scale, bool post_norm, bool first, int64_t N, int64_t C);
gb_status ref_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                             int64_t I, int64_t O);
gb_status ref_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                    int64_t N, int64_t I, int64_t O);
gb_status ref_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                     bool first, int64_t N, int64_t I, int64_t O);
gb_status ref_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n);
gb_status ref_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in, int64_t n);
gb_status ref_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F);
gb_status ref_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                              int64_t N, int64_t F);
gb_status ref_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                         const void *wte, const int32_t *targets, double grad_scale, bool first,
                         int64_t N, int64_t C, int64_t V);
gb_status ref_sum_squares(gb_device *dev, void *out, const void *x, int64_t n);
gb_status ref_adamw(gb_device *dev, void *weights, void *master, void *m, void *v, const void *grad,
                    int64_t n, const void *params, const void *loss, const void *grad_squares);

gb_status ref_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                              int64_t T, int64_t H, int64_t K, int64_t D);
gb_status ref_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                               bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D);
gb_status ref_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                int64_t T, int64_t H, int64_t K, int64_t D, int64_t window);
gb_status ref_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                 const void *out, const void *lse, int64_t B, int64_t T, int64_t H,
                                 int64_t K, int64_t D, int64_t window);

#endif
