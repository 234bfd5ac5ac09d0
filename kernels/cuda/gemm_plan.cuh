/* gemm_plan.cuh: plans of matrix products, between gemm.cu and its parts: gemm_plan.cu
 * makes and keeps them, gemm_tune.cu chooses their algorithms, gemm_run.cu runs them. */
#ifndef GPTBENCH_KERNELS_CUDA_GEMM_PLAN_CUH
#define GPTBENCH_KERNELS_CUDA_GEMM_PLAN_CUH

#include "kernels/cuda/cuda_device.cuh"

/* What tells one plan from another; compared as bytes. */
struct gemm_key {
    int64_t M, N, K, lda, ldb, ldc;
    int align_a, align_b, align_c; /* bytes, powers of two up to 256 */
    int a_transposed, b_transposed, c_float, accumulate;
};

struct gemm_plan {
    gemm_plan *next;
    gemm_key key;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
};

/* ---- gemm_plan.cu ---- */

/* The plan for this product, made at the first call; owned by the device. */
gb_status gemm_plan_get(gb_device *dev, const cuda_gemm *g, gemm_plan **out);
void gemm_plans_close(gb_device *dev);

/* ---- gemm_run.cu ---- */

/* Runs `algo`, which may be the plan's own, into c, adding to what is there with `accumulate`. */
gb_status gemm_plan_run(gb_device *dev, const gemm_plan *plan, const cublasLtMatmulAlgo_t *algo,
                        const cuda_gemm *g, void *c, bool accumulate);

/* ---- gemm_tune.cu ---- */

struct gemm_tuner;

/* Nothing is timed with GPTBENCH_CUDA_TUNE=0. */
gb_status gemm_tuner_open(gb_device *dev);
void gemm_tuner_close(gemm_tuner *tuner); /* NULL is fine */
/* Sets plan->algo, for a plan that has all else. May run the product: c is then overwritten, unless
 * the plan accumulates. */
gb_status gemm_plan_choose(gb_device *dev, gemm_plan *plan, const cuda_gemm *g);
/* Milliseconds of `runs` runs into c, one after another, by the device's clock. */
gb_status gemm_plan_time(gb_device *dev, const gemm_plan *plan, const cublasLtMatmulAlgo_t *algo,
                         const cuda_gemm *g, void *c, int runs, float *out_ms);

#endif
