/* What a failed call of CUDA or cuBLASLt says. */
#include "kernels/cuda/cuda_device.cuh"

/* Whether a kernel met this while it ran: the call that reports it may be of a later op. */
static bool is_late(cudaError_t code)
{
    switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorIllegalInstruction:
        return true;
    default:
        return false;
    }
}

gb_status cuda_fail(gb_device *dev, cudaError_t code, const char *op, const char *what,
                    const char *file, int line)
{
    const bool memory = code == cudaErrorMemoryAllocation;
    (void)cudaGetLastError(); /* so that the next call does not report it again */
    return gb_fail(&dev->error, memory ? GB_ERR_OOM : GB_ERR_INTERNAL, "%s: %s: %s: %s%s (%s:%d)",
                   op, what, cudaGetErrorName(code), cudaGetErrorString(code),
                   is_late(code) ? ", here or in an op before (CUDA_LAUNCH_BLOCKING=1 "
                                   "GPTBENCH_CUDA_GRAPHS=0 tells which)"
                                 : "",
                   file, line);
}

static const char *blas_status_text(cublasStatus_t code)
{
    switch (code) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "the library is not initialised, or not installed";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "out of memory";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "invalid value";
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "not possible on this GPU";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "execution failed";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "not supported";
    default:
        return "internal error";
    }
}

gb_status cuda_fail_blas(gb_device *dev, cublasStatus_t code, const char *op, const char *what,
                         const char *file, int line)
{
    const bool memory = code == CUBLAS_STATUS_ALLOC_FAILED;
    return gb_fail(&dev->error, memory ? GB_ERR_OOM : GB_ERR_INTERNAL,
                   "%s: %s: cuBLASLt status %d, %s (%s:%d)", op, what, (int)code,
                   blas_status_text(code), file, line);
}
