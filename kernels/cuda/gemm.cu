/* Matrix products through cuBLASLt, the linear maps made of them, and the peak rate.
 *
 * Each product has 2 M N K FLOPs and moves (M K + K N) A + M N size(c) bytes, and M N size(c) more
 * where it accumulates; A = sizeof(act). A plan (descriptors and algorithm) is made once per shape,
 * types, transposes, alignment and accumulation and kept until close (gemm_plan.cu); its algorithm
 * is measured once per machine (gemm_tune.cu).
 *
 * Epilogues. Weight gradients are added up in fp32 by beta = 1. The GELU epilogues are not used:
 * they compute the tanh approximation, and this model's GELU is the exact one. The two differ by up
 * to 4.7e-4 (x = 2.7) and their derivatives by up to 8.7e-4 (x = -2.0). That hides in bf16's
 * rounding (2^-9 relative) where x > 0, but not for x < -2: 0.9 % at -2.2, 10 % at -3. */
#include <stdlib.h>
#include <string.h>

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

/* ---- peak ---- */

/* FLOP/s of a product of two (n, n) matrices in `buffer`, c behind b behind a: the best of several
 * batches of runs, after one run to warm up. <= 0 where it failed. */
static double measure_square(gb_device *dev, char *buffer, int64_t n, int batches, int runs)
{
    const int64_t matrix = n * n * (dev->bf16 ? 2 : 4);
    cuda_gemm g = {};
    gemm_plan *plan;
    float ms = 0;
    double best = 0;
    g.M = g.N = g.K = n;
    g.b_transposed = true;
    g.a = buffer;
    g.b = buffer + matrix;
    g.c = buffer + 2 * matrix;
    if (gemm_plan_get(dev, &g, &plan) != GB_OK ||
        gemm_plan_time(dev, plan, &plan->algo, &g, g.c, 1, &ms) != GB_OK) {
        return 0;
    }
    for (int i = 0; i < batches; i++) {
        if (gemm_plan_time(dev, plan, &plan->algo, &g, g.c, runs, &ms) != GB_OK) {
            return 0;
        }
        const double rate = 2.0 * (double)n * (double)n * (double)n * runs / ((double)ms * 1e-3);
        best = ms > 0 && rate > best ? rate : best;
    }
    return best;
}

/* Operands are random: a GPU that multiplies zeros uses less power and clocks higher than one that
 * trains. */
static gb_status fill_random(gb_device *dev, char *buffer, int64_t bytes)
{
    const int64_t BLOCK = 1 << 20;
    uint32_t *host = (uint32_t *)malloc((size_t)BLOCK);
    if (host == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "gemm peak: out of host memory");
    }
    uint32_t x = 2463534242u;
    for (int i = 0; i < BLOCK / 4; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        /* Sign and fraction of each half at random, exponent of 1/2: +-[1/2, 1) in either type. */
        host[i] = (x & 0x807f807fu) | 0x3f003f00u;
    }
    cudaError_t code = cudaSuccess;
    for (int64_t at = 0; at < bytes && code == cudaSuccess; at += BLOCK) {
        const int64_t count = bytes - at < BLOCK ? bytes - at : BLOCK;
        code =
            cudaMemcpyAsync(buffer + at, host, (size_t)count, cudaMemcpyHostToDevice, dev->stream);
    }
    if (code == cudaSuccess) {
        code = cudaStreamSynchronize(dev->stream);
    }
    free(host);
    CUDA_TRY(dev, "gemm peak", code);
    return GB_OK;
}

double cuda_backend_measure_gemm_peak(gb_device *dev)
{
    const int act = dev->bf16 ? 2 : 4;
    void *buffer = NULL;
    int64_t largest = 256; /* a small device needs no large product to be busy */
    while (largest < 8192 && largest < (int64_t)dev->multiprocessors * 128) {
        largest *= 2;
    }
    if (cudaSetDevice(dev->ordinal) != cudaSuccess) {
        return 0;
    }
    for (int64_t n = largest; n >= 256; n /= 2) {
        if (cudaMalloc(&buffer, (size_t)(3 * n * n * act)) != cudaSuccess) {
            (void)cudaGetLastError(); /* less memory is tried */
            continue;
        }
        double rate = 0;
        if (fill_random(dev, (char *)buffer, 2 * n * n * act) == GB_OK) {
            rate = measure_square(dev, (char *)buffer, n, 5, dev->bf16 ? 20 : 4);
        }
        cudaFree(buffer);
        return rate;
    }
    return 0;
}

/* ---- linear maps ---- */

static gb_status linear(gb_device *dev, const cuda_gemm &gemm)
{
    GB_TRY(cuda_op_begin(dev));
    GB_TRY(cuda_gemm_run(dev, &gemm));
    return cuda_op_end(dev, GB_OP_COUNT, 2.0 * (double)gemm.M * (double)gemm.N * (double)gemm.K);
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
