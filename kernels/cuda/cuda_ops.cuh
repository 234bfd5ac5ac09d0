/* cuda_ops.cuh: the ops of the CUDA backend, as kernels/backend.h declares them. */
#ifndef GPTBENCH_KERNELS_CUDA_OPS_CUH
#define GPTBENCH_KERNELS_CUDA_OPS_CUH

#include <stdint.h>

#include "kernels/backend.h"

/* elementwise.cu */
gb_status cuda_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n);
gb_status cuda_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in,
                             int64_t n);
gb_status cuda_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F);
gb_status cuda_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                               int64_t N, int64_t F);
gb_status cuda_weights_refresh(gb_device *dev, void *weights, const void *master, int64_t n);

/* embed.cu */
gb_status cuda_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                             int64_t N, int64_t C);
gb_status cuda_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                              int64_t N, int64_t C, int64_t V);

/* norm.cu */
gb_status cuda_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                                void *inv_rms_y, const void *x_in, const void *y, double scale,
                                bool post_norm, int64_t N, int64_t C);
gb_status cuda_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                 const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                 double scale, bool post_norm, bool first, int64_t N, int64_t C);

/* rope.cu */
gb_status cuda_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                               int64_t T, int64_t H, int64_t K, int64_t D);
gb_status cuda_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                                bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K,
                                int64_t D);

/* gemm.cu */
gb_status cuda_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                              int64_t I, int64_t O);
gb_status cuda_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                     int64_t N, int64_t I, int64_t O);
gb_status cuda_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                      bool first, int64_t N, int64_t I, int64_t O);

/* classifier.cu */
gb_status cuda_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                          const void *wte, const int32_t *targets, double grad_scale, bool first,
                          int64_t N, int64_t C, int64_t V);

/* optimizer.cu */
/* out (1), on the device: the sum of x (n) in a fixed order, or that added with `accumulate`. */
gb_status cuda_sum_double(gb_device *dev, double *out, const double *x, int64_t n, bool accumulate);
gb_status cuda_sum_squares(gb_device *dev, void *out, const void *x, int64_t n);
gb_status cuda_adamw(gb_device *dev, void *weights, void *master, void *m, void *v,
                     const void *grad, int64_t n, const void *params, const void *loss,
                     const void *grad_squares);

#endif
