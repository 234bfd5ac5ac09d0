/* Matrix products through cuBLASLt. A plan (descriptors and algorithm) is made once per shape,
 * types, transposes, alignment and accumulation, and kept until close.
 *
 * Each product has 2 M N K FLOPs and moves (M K + K N) A + M N size(c) bytes, and M N size(c) more
 * where it accumulates; A = sizeof(act).
 *
 * Algorithms: the heuristic's first choice, so that every process computes the same bits. With
 * GPTBENCH_CUDA_TUNE=1 its candidates are timed once per shape and the fastest is kept; two
 * processes may then choose differently and their results differ in the last bits. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.cuh"

enum { CANDIDATES = 8, TUNE_RUNS = 5 };

struct gemm_key {
    int64_t M, N, K, lda, ldb, ldc;
    int align_a, align_b, align_c; /* bytes, powers of two up to 256 */
    int a_transposed, b_transposed, c_float, accumulate;
};

struct cuda_gemm_plan {
    cuda_gemm_plan *next;
    gemm_key key;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
};

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

static void plan_free(cuda_gemm_plan *plan)
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

static gb_status plan_describe(gb_device *dev, cuda_gemm_plan *plan)
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

static gb_status set_preferences(gb_device *dev, cublasLtMatmulPreference_t preference,
                                 const gemm_key *k)
{
    const size_t workspace = CUDA_GEMM_WORKSPACE_BYTES;
    const uint32_t align_a = (uint32_t)k->align_b, align_b = (uint32_t)k->align_a;
    const uint32_t align_c = (uint32_t)k->align_c;
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference,
                                                    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &workspace, sizeof workspace));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference,
                                                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                                    &align_a, sizeof align_a));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference,
                                                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                                    &align_b, sizeof align_b));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference,
                                                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                                    &align_c, sizeof align_c));
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference,
                                                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                                                    &align_c, sizeof align_c));
    return GB_OK;
}

static gb_status plan_run(gb_device *dev, const cuda_gemm_plan *plan,
                          const cublasLtMatmulAlgo_t *algo, const cuda_gemm *g)
{
    const float one = 1, beta = plan->key.accumulate ? 1.0f : 0.0f;
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmul(dev->blas, plan->desc, &one, g->b, plan->b, g->a, plan->a, &beta,
                              g->c, plan->c, g->c, plan->c, algo, dev->slots[CUDA_SLOT_GEMM].data,
                              CUDA_GEMM_WORKSPACE_BYTES, dev->stream));
    return GB_OK;
}

/* ---- choice of algorithm ---- */

struct stopwatch {
    cudaEvent_t begin, end;
};

static gb_status stopwatch_open(gb_device *dev, stopwatch *watch)
{
    CUDA_TRY(dev, "gemm", cudaEventCreate(&watch->begin));
    cudaError_t code = cudaEventCreate(&watch->end);
    if (code != cudaSuccess) {
        cudaEventDestroy(watch->begin);
        CUDA_TRY(dev, "gemm", code);
    }
    return GB_OK;
}

static void stopwatch_close(stopwatch *watch)
{
    cudaEventDestroy(watch->begin);
    cudaEventDestroy(watch->end);
}

/* Milliseconds of `runs` runs after one to warm up. */
static gb_status time_runs(gb_device *dev, const stopwatch *watch, const cuda_gemm_plan *plan,
                           const cublasLtMatmulAlgo_t *algo, const cuda_gemm *g, int runs,
                           float *out_ms)
{
    GB_TRY(plan_run(dev, plan, algo, g));
    CUDA_TRY(dev, "gemm", cudaEventRecord(watch->begin, dev->stream));
    for (int i = 0; i < runs; i++) {
        GB_TRY(plan_run(dev, plan, algo, g));
    }
    CUDA_TRY(dev, "gemm", cudaEventRecord(watch->end, dev->stream));
    CUDA_TRY(dev, "gemm", cudaEventSynchronize(watch->end));
    CUDA_TRY(dev, "gemm", cudaEventElapsedTime(out_ms, watch->begin, watch->end));
    return GB_OK;
}

/* The fastest of the candidates. They write into c, which the product overwrites anyway; one that
 * fails is passed over. */
static gb_status plan_tune(gb_device *dev, cuda_gemm_plan *plan, const cuda_gemm *g,
                           const cublasLtMatmulHeuristicResult_t *found, int count)
{
    stopwatch watch;
    float best_ms = 0;
    int best = -1;
    GB_TRY(stopwatch_open(dev, &watch));
    for (int i = 0; i < count; i++) {
        float ms;
        if (found[i].state == CUBLAS_STATUS_SUCCESS &&
            time_runs(dev, &watch, plan, &found[i].algo, g, TUNE_RUNS, &ms) == GB_OK &&
            (best < 0 || ms < best_ms)) {
            best = i;
            best_ms = ms;
        }
    }
    stopwatch_close(&watch);
    if (best >= 0) {
        plan->algo = found[best].algo;
    }
    return GB_OK;
}

/* The plan of the same product without accumulation: its timed algorithm serves both, because
 * timing an accumulating product would spoil what it adds to. */
static const cuda_gemm_plan *plan_sibling(const gb_device *dev, const gemm_key *key)
{
    gemm_key wanted = *key;
    wanted.accumulate = 0;
    for (const cuda_gemm_plan *p = dev->plans; p != NULL; p = p->next) {
        if (memcmp(&p->key, &wanted, sizeof wanted) == 0) {
            return p;
        }
    }
    return NULL;
}

static gb_status plan_choose(gb_device *dev, cuda_gemm_plan *plan, const cuda_gemm *g)
{
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    const gemm_key *k = &plan->key;
    int count = 0;
    memset(found, 0, sizeof found);
    CUBLAS_TRY(dev, "gemm", cublasLtMatmulPreferenceCreate(&preference));
    gb_status status = set_preferences(dev, preference, k);
    cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
    if (status == GB_OK) {
        code = cublasLtMatmulAlgoGetHeuristic(dev->blas, plan->desc, plan->b, plan->a, plan->c,
                                              plan->c, preference,
                                              dev->tune_gemms ? (int)CANDIDATES : 1, found, &count);
    }
    cublasLtMatmulPreferenceDestroy(preference);
    GB_TRY(status);
    if (code != CUBLAS_STATUS_SUCCESS || count == 0 || found[0].state != CUBLAS_STATUS_SUCCESS) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL,
                       "gemm: cuBLASLt knows no algorithm (status %d) for M = %lld, N = %lld, "
                       "K = %lld, lda = %lld, ldb = %lld, ldc = %lld, %s%s%s%s (%s:%d)",
                       (int)code, (long long)k->M, (long long)k->N, (long long)k->K,
                       (long long)k->lda, (long long)k->ldb, (long long)k->ldc,
                       dev->bf16 ? "bf16" : "fp32", k->a_transposed ? ", a transposed" : "",
                       k->b_transposed ? ", b transposed" : "", k->c_float ? ", c in fp32" : "",
                       __FILE__, __LINE__);
    }
    plan->algo = found[0].algo;
    if (!dev->tune_gemms) {
        return GB_OK;
    }
    if (k->accumulate) {
        const cuda_gemm_plan *sibling = plan_sibling(dev, k);
        if (sibling != NULL) {
            plan->algo = sibling->algo;
        }
        return GB_OK;
    }
    return plan_tune(dev, plan, g, found, count);
}

static gb_status plan_get(gb_device *dev, const cuda_gemm *g, cuda_gemm_plan **out)
{
    const gemm_key key = key_of(g);
    for (cuda_gemm_plan *p = dev->plans; p != NULL; p = p->next) {
        if (memcmp(&p->key, &key, sizeof key) == 0) {
            *out = p;
            return GB_OK;
        }
    }
    cuda_gemm_plan *plan = (cuda_gemm_plan *)calloc(1, sizeof *plan);
    if (plan == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "gemm: out of host memory");
    }
    plan->key = key;
    gb_status status = plan_describe(dev, plan);
    if (status == GB_OK) {
        status = plan_choose(dev, plan, g);
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

gb_status cuda_gemm_run(gb_device *dev, const cuda_gemm *gemm)
{
    cuda_gemm_plan *plan;
    GB_TRY(plan_get(dev, gemm, &plan));
    return plan_run(dev, plan, &plan->algo, gemm);
}

gb_status cuda_gemm_open(gb_device *dev)
{
    const char *tune = getenv("GPTBENCH_CUDA_TUNE");
    dev->tune_gemms = tune != NULL && strcmp(tune, "1") == 0;
    CUBLAS_TRY(dev, "open", cublasLtCreate(&dev->blas));
    return GB_OK;
}

void cuda_gemm_close(gb_device *dev)
{
    while (dev->plans != NULL) {
        cuda_gemm_plan *plan = dev->plans;
        dev->plans = plan->next;
        plan_free(plan);
    }
    if (dev->blas != NULL) {
        cublasLtDestroy(dev->blas);
    }
}

/* ---- peak ---- */

/* FLOP/s of a product of two (n, n) matrices in `buffer`, c behind a behind b: the best of
 * several batches of runs. <= 0 where it failed. */
static double measure_square(gb_device *dev, char *buffer, int64_t n, int batches, int runs)
{
    const int64_t matrix = n * n * (dev->bf16 ? 2 : 4);
    cuda_gemm g = {};
    cuda_gemm_plan *plan;
    stopwatch watch;
    double best = 0;
    g.M = g.N = g.K = n;
    g.b_transposed = true;
    g.a = buffer;
    g.b = buffer + matrix;
    g.c = buffer + 2 * matrix;
    if (plan_get(dev, &g, &plan) != GB_OK || stopwatch_open(dev, &watch) != GB_OK) {
        return 0;
    }
    for (int i = 0; i < batches; i++) {
        float ms = 0;
        if (time_runs(dev, &watch, plan, &plan->algo, &g, runs, &ms) != GB_OK) {
            best = 0;
            break;
        }
        const double rate = 2.0 * (double)n * (double)n * (double)n * runs / ((double)ms * 1e-3);
        best = ms > 0 && rate > best ? rate : best;
    }
    stopwatch_close(&watch);
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
