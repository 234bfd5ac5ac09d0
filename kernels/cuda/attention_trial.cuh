/* attention_trial.cuh: an attention kernel against the one that it would replace, for
 * kernel_trial.cuh.
 */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_TRIAL_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_TRIAL_CUH

#include "kernels/cuda/attention_common.cuh"
#include "kernels/cuda/kernel_trial.cuh"

typedef gb_status attention_kernel(gb_device *dev, const attention_args<bf16> &a);

/* One that is faster, and one that is right. */
struct attention_pair {
    const char *name; /* "attention forward by wgmma" */
    bool backward;    /* both write dqkv; else out and lse */
    attention_kernel *candidate, *reference;
};

/* Decides where the candidate of each pair, in the order of the enum in cuda_device.cuh, is used
 * for this head_dim: as kernel_trial_decide. */
gb_status attention_trial_decide(gb_device *dev, const attention_pair pairs[CUDA_ATTENTION_KERNELS],
                                 int64_t D);

/* *error: the largest difference of the two over all shapes, in bounds (attention_trial.cu). */
gb_status attention_trial_hold(gb_device *dev, const attention_pair *pair, int64_t D, uint64_t seed,
                               double *error);

#endif
