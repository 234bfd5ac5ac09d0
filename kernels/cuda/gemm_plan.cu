/* Plans: cuBLASLt's descriptors of a product, and the list of those that a device has. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/gemm_plan.cuh"

static int alignment_of(const void *p)
{
    const uintptr_t bits = (uintptr_t)p | 256;
    return (int)(bits & (~bits + 1));
}

/* cuBLASLt thinks in columns: it is asked for c^T (N, M) = b^T . a^T, whose first operand is our
 * b and whose second is our a; a row-major matrix is its transpose in columns, with no copy. */
static gemm_key key_of(const cuda_gemm *g)
{
    gemm_key k;
    memset(&k, 0, sizeof k); /* keys are compared as bytes */
    k.M = g->M;
    k.N = g->N;
    k.K = g->K;
    k.lda = g->lda > 0 ? g->lda : g->a_transposed ? g->M : g->K;
    k.ldb = g->ldb > 0 ? g->ldb : g->b_transposed ? g->K : g->N;
    k.ldc = g->ldc > 0 ? g->ldc : g->N;
    k.align_a = alignment_of(g->a);
    k.align_b = alignment_of(g->b);
    k.align_c = alignment_of(g->c);
    k.a_transposed = g->a_transposed;
    k.b_transposed = g->b_transposed;
    k.c_float = g->c_float;
    k.accumulate = g->accumulate;
    return k;
}

static void plan_free(gemm_plan *plan)
{
    if (plan->a != NULL) {
        cublasLtMatrixLayoutDestroy(plan->a);
    }
    if (plan->b != NULL) {
        cublasLtMatrixLayoutDestroy(plan->b);
    }
    if (plan->c != NULL) {
        cublasLtMatrixLayoutDestroy(plan->c);
    }
    if (plan->desc != NULL) {
        cublasLtMatmulDescDestroy(plan->desc);
    }
    free(plan);
}

/* The layout in columns of a matrix stored as `rows` rows of `columns` elements. */
static gb_status layout_create(gb_device *dev, cublasLtMatrixLayout_t *out, cudaDataType_t type,
                               int64_t rows, int64_t columns, int64_t stride)
{
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatrixLayoutCreate(out, type, (uint64_t)columns, (uint64_t)rows, stride));
    return GB_OK;
}

static gb_status plan_describe(gb_device *dev, gemm_plan *plan)
{
    const gemm_key *k = &plan->key;
    const cudaDataType_t act = dev->bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasOperation_t op_b = k->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t op_a = k->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    /* fp32 stays fp32: no TF32 products. */
    CUBLAS_TRY(dev, "gemm", cublasLtMatmulDescCreate(&plan->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_b,
                                              sizeof op_b));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_TRANSB, &op_a,
                                              sizeof op_a));
    GB_TRY(layout_create(dev, &plan->b, act, k->b_transposed ? k->N : k->K,
                         k->b_transposed ? k->K : k->N, k->ldb));
    GB_TRY(layout_create(dev, &plan->a, act, k->a_transposed ? k->K : k->M,
                         k->a_transposed ? k->M : k->K, k->lda));
    return layout_create(dev, &plan->c, k->c_float ? CUDA_R_32F : act, k->M, k->N, k->ldc);
}

gb_status gemm_plan_get(gb_device *dev, const cuda_gemm *g, gemm_plan **out)
{
    const gemm_key key = key_of(g);
    for (gemm_plan *p = dev->plans; p != NULL; p = p->next) {
        if (memcmp(&p->key, &key, sizeof key) == 0) {
            *out = p;
            return GB_OK;
        }
    }
    gemm_plan *plan = (gemm_plan *)calloc(1, sizeof *plan);
    if (plan == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "gemm: out of host memory");
    }
    plan->key = key;
    gb_status status = plan_describe(dev, plan);
    if (status == GB_OK) {
        status = gemm_plan_choose(dev, plan, g);
    }
    if (status != GB_OK) {
        plan_free(plan);
        return status;
    }
    plan->next = dev->plans;
    dev->plans = plan;
    *out = plan;
    return GB_OK;
}

void gemm_plans_close(gb_device *dev)
{
    while (dev->plans != NULL) {
        gemm_plan *plan = dev->plans;
        dev->plans = plan->next;
        plan_free(plan);
    }
}
