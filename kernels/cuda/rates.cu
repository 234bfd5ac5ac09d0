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

/* A product of two (n, n) matrices in `buffer`, c behind b behind a. */
static cuda_gemm square_of(const gb_device *dev, char *buffer, int64_t n)
{
    const int64_t matrix = n * n * (dev->bf16 ? 2 : 4);
    cuda_gemm g = {};
    g.M = g.N = g.K = n;
    g.b_transposed = true;
    g.a = buffer;
    g.b = buffer + matrix;
    g.c = buffer + 2 * matrix;
    return g;
}

static double square_rate(const cuda_gemm *g, int runs, float ms)
{
    return ms > 0 ? 2.0 * (double)g->M * (double)g->N * (double)g->K * runs / ((double)ms * 1e-3)
                  : 0;
}

/* FLOP/s: the best of several batches of runs, after one run to warm up. <= 0 where it failed. */
static double square_best(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g)
{
    const int batches = 5, runs = dev->bf16 ? 20 : 4;
    float ms = 0;
    double best = 0;
    if (gemm_plan_time(dev, plan, &plan->algo, g, g->c, 1, &ms) != GB_OK) {
        return 0;
    }
    for (int i = 0; i < batches; i++) {
        if (gemm_plan_time(dev, plan, &plan->algo, g, g->c, runs, &ms) != GB_OK) {
            return 0;
        }
        const double rate = square_rate(g, runs, ms);
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- and for how long ---- */

enum { WINDOWS = 25, WINDOW_RUNS_MAX = 1000 };

static const float WINDOW_MS =
    50; /* together 1.25 s; governors of clocks and power look more often */

/* Issues all windows without waiting between them; marks[i] and marks[i + 1] are around one. */
static gb_status windows_issue(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g, int runs,
                               const cudaEvent_t marks[WINDOWS + 1])
{
    CUDA_TRY(dev, "rates", cudaEventRecord(marks[0], dev->stream));
    for (int i = 1; i <= WINDOWS; i++) {
        for (int k = 0; k < runs; k++) {
            GB_TRY(gemm_plan_run(dev, plan, &plan->algo, g, g->c, false));
        }
        CUDA_TRY(dev, "rates", cudaEventRecord(marks[i], dev->stream));
    }
    CUDA_TRY(dev, "rates", cudaEventSynchronize(marks[WINDOWS]));
    return GB_OK;
}

static int slower_first(const void *x, const void *y)
{
    const float a = *(const float *)x, b = *(const float *)y;
    return (a < b) - (a > b);
}

/* Milliseconds of the window in the middle. */
static gb_status windows_median(gb_device *dev, const cudaEvent_t marks[WINDOWS + 1], float *out_ms)
{
    float ms[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        CUDA_TRY(dev, "rates", cudaEventElapsedTime(&ms[i], marks[i], marks[i + 1]));
    }
    qsort(ms, WINDOWS, sizeof ms[0], slower_first);
    *out_ms = ms[WINDOWS / 2];
    return GB_OK;
}

/* FLOP/s that are kept up. <= 0 where it failed. */
static double square_sustained(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g)
{
    cudaEvent_t marks[WINDOWS + 1] = {};
    float ms = 0;
    bool ok = gemm_plan_time(dev, plan, &plan->algo, g, g->c, 1, &ms) == GB_OK &&
              gemm_plan_time(dev, plan, &plan->algo, g, g->c, 1, &ms) == GB_OK;
    const float wanted = ms > 0 ? WINDOW_MS / ms : 1;
    const int runs = wanted < 1 ? 1 : wanted > WINDOW_RUNS_MAX ? (int)WINDOW_RUNS_MAX : (int)wanted;
    for (cudaEvent_t &mark : marks) {
        ok = ok && cudaEventCreate(&mark) == cudaSuccess;
    }
    ok = ok && windows_issue(dev, plan, g, runs, marks) == GB_OK &&
         windows_median(dev, marks, &ms) == GB_OK;
    for (cudaEvent_t mark : marks) {
        if (mark != NULL) {
            cudaEventDestroy(mark);
        }
    }
    return ok ? square_rate(g, runs, ms) : 0;
}

/* What `measure` says of the largest square product that there is memory for. */
static double square_measure(gb_device *dev,
                             double (*measure)(gb_device *dev, const gemm_plan *plan,
                                               const cuda_gemm *g))
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
        gemm_plan *plan;
        const cuda_gemm g = square_of(dev, (char *)buffer, n);
        double rate = 0;
        if (fill_random(dev, (char *)buffer, 2 * n * n * act) == GB_OK &&
            gemm_plan_get(dev, &g, &plan) == GB_OK) {
            rate = measure(dev, plan, &g);
        }
        cudaFree(buffer);
        return rate;
    }
    return 0;
}

double cuda_backend_measure_gemm_peak(gb_device *dev)
{
    return square_measure(dev, square_best);
}

double cuda_backend_measure_gemm_sustained(gb_device *dev)
{
    return square_measure(dev, square_sustained);
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
