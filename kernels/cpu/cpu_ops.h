/* cpu_ops.h: the ops of gb_backend_cpu, one per entry of the table in kernels/backend.h, where
 * they are described. */
#ifndef GPTBENCH_KERNELS_CPU_OPS_H
#define GPTBENCH_KERNELS_CPU_OPS_H

#include "kernels/backend.h"

gb_status cpu_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                            int64_t N, int64_t C);
gb_status cpu_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                             int64_t N, int64_t C, int64_t V);
gb_status cpu_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                               void *inv_rms_y, const void *x_in, const void *y, double scale,
                               bool post_norm, int64_t N, int64_t C);
gb_status cpu_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                double scale, bool post_norm, bool first, int64_t N, int64_t C);
gb_status cpu_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                             int64_t I, int64_t O);
gb_status cpu_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                    int64_t N, int64_t I, int64_t O);
gb_status cpu_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                     bool first, int64_t N, int64_t I, int64_t O);
gb_status cpu_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                              int64_t T, int64_t H, int64_t K, int64_t D);
gb_status cpu_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                               bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D);
gb_status cpu_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                int64_t T, int64_t H, int64_t K, int64_t D, int64_t window);
gb_status cpu_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                 const void *out, const void *lse, int64_t B, int64_t T, int64_t H,
                                 int64_t K, int64_t D, int64_t window);
gb_status cpu_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n);
gb_status cpu_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in, int64_t n);
gb_status cpu_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F);
gb_status cpu_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                              int64_t N, int64_t F);
gb_status cpu_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                         const void *wte, const int32_t *targets, double grad_scale, bool first,
                         int64_t N, int64_t C, int64_t V);
gb_status cpu_sum_squares(gb_device *dev, void *out, const void *x, int64_t n);
gb_status cpu_adamw(gb_device *dev, void *weights, void *master, void *m, void *v, const void *grad,
                    int64_t n, const void *params, const void *loss, const void *grad_squares);

#endif
