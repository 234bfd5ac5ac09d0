/* Matrix products through cuBLASLt and the linear maps made of them.
 *
 * Each product has 2 M N K FLOPs and moves (M K + K N) A + M N size(c) bytes, and M N size(c) more
 * where it accumulates; A = sizeof(act). A plan (descriptors and algorithm) is made once per shape,
 * types, transposes, alignment and accumulation and kept until close (gemm_plan.cu); its algorithm
 * is measured once per machine (gemm_tune.cu).
 *
 * Epilogues. Weight gradients are added up in fp32 by beta = 1. The GELU epilogues are not used:
 * they compute the tanh approximation, and this model's GELU is the exact one. The two differ by up
 * to 4.7e-4 (x = 2.7) and their derivatives by up to 8.7e-4 (x = -2.0). That hides in bf16's
 * rounding (2^-9 relative) where x > 0, but not for x < -2: 0.9 % at -2.2, 10 % at -3.
 *
 * alpha is 1. The factor of the attention branch, attn_scale, costs no pass of its own: forward it
 * is a multiplication in the pass that adds the branch to the residual stream (norm.cu), which is
 * there with any factor. Backward that pass writes the branch's gradient beside the stream's, 2 N C
 * bytes more than with the factor 1: for N = 65536 and C = 768 101 MB a layer, 0.02 ms at 4.3 TB/s,
 * 0.3 ms of the 116 ms that a step of d12 is expected to take. With post_norm the norm takes any
 * factor of its input out again, so that alpha could not carry it at all. */
#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/gemm_plan.cuh"

gb_status cuda_gemm_run(gb_device *dev, const cuda_gemm *gemm)
{
    gemm_plan *plan;
    GB_TRY(gemm_plan_get(dev, gemm, &plan));
    return gemm_plan_run(dev, plan, &plan->algo, gemm, gemm->c, gemm->accumulate);
}

gb_status cuda_gemm_open(gb_device *dev)
{
    CUBLAS_TRY(dev, "open", cublasLtCreate(&dev->blas));
    return gemm_tuner_open(dev);
}

void cuda_gemm_close(gb_device *dev)
{
    gemm_plans_close(dev);
    gemm_tuner_close(dev->tuner);
    if (dev->blas != NULL) {
        cublasLtDestroy(dev->blas);
    }
}

/* ---- linear maps ---- */

static gb_status linear(gb_device *dev, const cuda_gemm &gemm)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_COUNT));
    GB_TRY(cuda_gemm_run(dev, &gemm));
    return cuda_op_end(dev, 2.0 * (double)gemm.M * (double)gemm.N * (double)gemm.K);
}

gb_status cuda_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                              int64_t I, int64_t O)
{
    cuda_gemm g = {};
    g.M = N;
    g.N = O;
    g.K = I;
    g.b_transposed = true;
    g.a = x;
    g.b = w;
    g.c = y;
    return linear(dev, g);
}

gb_status cuda_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                     int64_t N, int64_t I, int64_t O)
{
    cuda_gemm g = {};
    g.M = N;
    g.N = I;
    g.K = O;
    g.a = dy;
    g.b = w;
    g.c = dx;
    return linear(dev, g);
}

gb_status cuda_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                      bool first, int64_t N, int64_t I, int64_t O)
{
    cuda_gemm g = {};
    g.M = O;
    g.N = I;
    g.K = N;
    g.a_transposed = true;
    g.c_float = true;
    g.accumulate = !first;
    g.a = dy;
    g.b = x;
    g.c = dw;
    return linear(dev, g);
}
