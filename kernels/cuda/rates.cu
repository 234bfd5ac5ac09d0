/* What the device can do at most: the rates of a large product and of a large copy. */
#include <stdlib.h>

#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/gemm_plan.cuh"

/* Operands are random: a GPU that multiplies zeros uses less power and clocks higher than one that
 * trains. */
static gb_status fill_random(gb_device *dev, char *buffer, int64_t bytes)
{
    const int64_t BLOCK = 1 << 20;
    uint32_t *host = (uint32_t *)malloc((size_t)BLOCK);
    if (host == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "rates: out of host memory");
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
    CUDA_TRY(dev, "rates", code);
    return GB_OK;
}

/* ---- a large product ---- */

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

/* ---- a large copy ---- */

/* Milliseconds of one copy by the device's clock; false where it failed. */
static bool copy_time(gb_device *dev, char *to, const char *from, int64_t bytes, cudaEvent_t begin,
                      cudaEvent_t end, float *ms)
{
    return cudaEventRecord(begin, dev->stream) == cudaSuccess &&
           cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, dev->stream) ==
               cudaSuccess &&
           cudaEventRecord(end, dev->stream) == cudaSuccess &&
           cudaEventSynchronize(end) == cudaSuccess &&
           cudaEventElapsedTime(ms, begin, end) == cudaSuccess;
}

/* The best of several copies of the first half of `buffer` to the second; the first one warms up.
 * <= 0 where it failed. */
static double copy_best(gb_device *dev, char *buffer, int64_t bytes)
{
    enum { COPIES = 10 };
    cudaEvent_t begin = NULL, end = NULL;
    double best = 0;
    float ms = 0;
    bool ok = cudaEventCreate(&begin) == cudaSuccess && cudaEventCreate(&end) == cudaSuccess;
    for (int i = 0; i <= COPIES && ok; i++) {
        ok = copy_time(dev, buffer + bytes, buffer, bytes, begin, end, &ms);
        const double rate = ms > 0 ? 2.0 * (double)bytes / ((double)ms * 1e-3) : 0;
        best = i > 0 && rate > best ? rate : best;
    }
    if (begin != NULL) {
        cudaEventDestroy(begin);
    }
    if (end != NULL) {
        cudaEventDestroy(end);
    }
    return ok ? best : 0;
}

double cuda_backend_measure_copy_rate(gb_device *dev, int64_t bytes)
{
    const int64_t MIB = 1 << 20;
    /* Second-level caches grow with the device: this is eight times theirs or more. */
    const int64_t large = (int64_t)dev->multiprocessors * 8 * MIB;
    int64_t n = bytes > 0 ? bytes : large < 1024 * MIB ? large : 1024 * MIB;
    void *buffer = NULL;
    if (cudaSetDevice(dev->ordinal) != cudaSuccess) {
        return 0;
    }
    while (cudaMalloc(&buffer, (size_t)(2 * n)) != cudaSuccess) {
        (void)cudaGetLastError(); /* less memory is tried, unless so much was asked for */
        n /= 2;
        if (bytes > 0 || n < large / 8) {
            return 0;
        }
    }
    const double rate =
        fill_random(dev, (char *)buffer, n) == GB_OK ? copy_best(dev, (char *)buffer, n) : 0;
    cudaFree(buffer);
    return rate;
}
