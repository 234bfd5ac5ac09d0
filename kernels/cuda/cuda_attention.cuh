/* cuda_attention.cuh: launchers of the attention kernels, attention_*.cu.
 * Arguments as in kernels/backend.h; the caller has opened the ledger's row. */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_CUH

#include <stdint.h>

#include "kernels/backend.h"

gb_status cuda_attention_forward(gb_device *dev, void *out, float *lse, const void *qkv, int64_t B,
                                 int64_t T, int64_t H, int64_t K, int64_t D, int64_t window);
gb_status cuda_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                  const void *out, const float *lse, int64_t B, int64_t T,
                                  int64_t H, int64_t K, int64_t D, int64_t window);
/* Decides which kernels dev uses, by GPTBENCH_CUDA_ATTENTION: `portable` (mma.sync, sm_80 and up);
 * `hopper` (wgmma, forward and backward, where head_dim is 64 or 128), an error where the GPU or
 * the binary lacks it; otherwise hopper's where they fit the head_dim given at open and have agreed
 * with the portable ones (kernel_trial.cuh). */
gb_status cuda_attention_open(gb_device *dev);
/* What computes attention for the shape given at open, and why: "attention mma.sync", "attention
 * wgmma (agreed with mma.sync on 2026-12-01, driver 13.0)". */
void cuda_attention_describe(const gb_device *dev, char *out, size_t size);
/* As a part of the code path: ", hopper attention", or empty. */
const char *cuda_attention_path(const gb_device *dev);

#endif
