/* kernel_trial.cuh: how a kernel that is faster comes to be used. It is held against one that is
 * known to be right, once per device, driver and sources of kernels, on fresh random inputs; what
 * came of it is remembered (kernel_verdict.h), and later processes go by that. */
#ifndef GPTBENCH_KERNELS_CUDA_KERNEL_TRIAL_CUH
#define GPTBENCH_KERNELS_CUDA_KERNEL_TRIAL_CUH

#include <stdint.h>

#include "kernels/cuda/cuda_device.cuh"

struct kernel_trial {
    const char *name; /* a line: "attention forward by wgmma, head_dim 64" */
    /* Runs both on inputs of this seed. *error: the largest difference, in units of what rounding
     * explains. Ends with the stream idle. */
    gb_status (*hold)(gb_device *dev, const void *user, uint64_t seed, double *error);
    const void *user;
};

enum { KERNEL_WORDS = 128 };

/* *use: whether the kernel has agreed. `words` says what it is by: "agreed on 2026-12-01,
 * driver 13.0". Fails where the device is lost by the trial; the next process knows it and does
 * without. */
gb_status kernel_trial_decide(gb_device *dev, const kernel_trial *trial, bool *use,
                              char words[KERNEL_WORDS]);

/* For `hold`: waits for the stream, but not for ever: what hangs loses the device. */
gb_status kernel_trial_wait(gb_device *dev);

#endif
