/* One call of cuBLASLt: what a plan describes, by one of its algorithms. */
#include "kernels/cuda/gemm_plan.cuh"

gb_status gemm_plan_run(gb_device *dev, const gemm_plan *plan, const cublasLtMatmulAlgo_t *algo,
                        const cuda_gemm *g, void *c, bool accumulate)
{
    const float one = 1, beta = accumulate ? 1.0f : 0.0f;
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmul(dev->blas, plan->desc, &one, g->b, plan->b, g->a, plan->a, &beta, c,
                              plan->c, c, plan->c, algo, dev->slots[CUDA_SLOT_GEMM].data,
                              (size_t)dev->slots[CUDA_SLOT_GEMM].bytes, dev->stream));
    return GB_OK;
}
