/* A cuBLASLt that multiplies in plain loops. It checks what the real one checks: shapes that fit,
 * leading dimensions, alignment that a plan was made for. */
#include <cmath>
#include <utility>

#include "cublasLt.h"
#include "cuda_bf16.h"
#include "simt_activity.h"
#include "simt_internal.h"
#include "simt_stream.h"
#include "simt_test.h"

typedef cublasLtMatrixLayoutOpaque_t layout;

static size_t element_bytes(cudaDataType_t type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

/* Elements between (r, c) and (r + 1, c), and between (r, c) and (r, c + 1). */
static int64_t row_step(const layout &m)
{
    return m.order == CUBLASLT_ORDER_ROW ? m.ld : 1;
}

static int64_t col_step(const layout &m)
{
    return m.order == CUBLASLT_ORDER_ROW ? 1 : m.ld;
}

static int64_t extent_bytes(const layout &m)
{
    int64_t last = (int64_t)(m.rows - 1) * row_step(m) + (int64_t)(m.cols - 1) * col_step(m);
    return (last + 1) * (int64_t)element_bytes(m.type);
}

static float element(const layout &m, const void *data, int64_t index)
{
    return m.type == CUDA_R_32F ? ((const float *)data)[index]
                                : (float)((const __nv_bfloat16 *)data)[index];
}

/* Dense row-major copy of op(m) as float. */
static std::vector<float> dense(const layout &m, const void *data, bool transposed)
{
    int64_t rows = (int64_t)(transposed ? m.cols : m.rows);
    int64_t cols = (int64_t)(transposed ? m.rows : m.cols);
    int64_t down = transposed ? col_step(m) : row_step(m);
    int64_t right = transposed ? row_step(m) : col_step(m);
    std::vector<float> out((size_t)(rows * cols));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            out[(size_t)(r * cols + c)] = element(m, data, r * down + c * right);
        }
    }
    return out;
}

static void check_extent(const char *name, const layout &m, const void *data)
{
    size_t bytes = (size_t)extent_bytes(m);
    if (!simt::is_device(data, bytes) || !simt::readable(data, bytes)) {
        simt::die("cublasLtMatmul: %s, %zu bytes at %p, is not in one device allocation", name,
                  bytes, data);
    }
}

struct product {
    bool transposed_a, transposed_b;
    float alpha, beta;
    layout a, b, c, d;
    const void *A, *B, *C;
    void *D;
};

static void multiply(const product &p)
{
    check_extent("A", p.a, p.A);
    check_extent("B", p.b, p.B);
    check_extent("D", p.d, p.D);
    std::vector<float> a = dense(p.a, p.A, p.transposed_a), b = dense(p.b, p.B, p.transposed_b);
    int64_t M = (int64_t)p.d.rows, N = (int64_t)p.d.cols, K = (int64_t)a.size() / M;
    /* Sums of sums, as the library's tiles give: one long sum loses digits that it keeps. */
    const int64_t tile = 256;
    std::vector<float> sums((size_t)N), part((size_t)N);
    if (p.beta != 0) {
        check_extent("C", p.c, p.C);
    }
    for (int64_t m = 0; m < M; m++) {
        float *row = sums.data();
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t k0 = 0; k0 < K; k0 += tile) {
            std::fill(part.begin(), part.end(), 0.0f);
            for (int64_t k = k0; k < K && k < k0 + tile; k++) {
                const float x = a[(size_t)(m * K + k)], *y = &b[(size_t)(k * N)];
                for (int64_t n = 0; n < N; n++) {
                    part[(size_t)n] += x * y[n];
                }
            }
            for (int64_t n = 0; n < N; n++) {
                row[n] += part[(size_t)n];
            }
        }
        for (int64_t n = 0; n < N; n++) {
            int64_t at = m * row_step(p.d) + n * col_step(p.d);
            float value = p.alpha * row[n];
            if (p.beta != 0) { /* with beta == 0, C is not read */
                value += p.beta * element(p.c, p.C, m * row_step(p.c) + n * col_step(p.c));
            }
            if (p.d.type == CUDA_R_32F) {
                ((float *)p.D)[at] = value;
            } else {
                ((__nv_bfloat16 *)p.D)[at] = __nv_bfloat16(value);
            }
        }
    }
}

/* ---- descriptors ---- */

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    static const char *const names[] = {
        "CUBLAS_STATUS_SUCCESS",          "CUBLAS_STATUS_NOT_INITIALIZED",
        "CUBLAS_STATUS_ALLOC_FAILED",     "CUBLAS_STATUS_INVALID_VALUE",
        "CUBLAS_STATUS_ARCH_MISMATCH",    "CUBLAS_STATUS_MAPPING_ERROR",
        "CUBLAS_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_INTERNAL_ERROR",
        "CUBLAS_STATUS_NOT_SUPPORTED"};
    return names[status];
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

size_t cublasLtGetVersion()
{
    return 130000;
}

size_t cublasLtGetCudartVersion()
{
    return CUDART_VERSION;
}

struct cublasLtContext {
    int unused;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    *out = new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    *out = new cublasLtMatmulDescOpaque_t();
    (*out)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    bool known = scale == CUDA_R_32F &&
                 (compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC);
    return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static cublasStatus_t set(T *to, const void *value, size_t bytes)
{
    if (bytes != sizeof *to) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&desc->transposed_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&desc->transposed_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return set(&desc->pointer_mode, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *out = new layout{type, CUBLASLT_ORDER_COL, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t m)
{
    delete m;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t m,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return set(&m->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return set(&m->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return set(&m->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return set(&m->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return set(&m->ld, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = new cublasLtMatmulPreferenceOpaque_t{
        0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    uint32_t ignored;
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->workspace_bytes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return set(&preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return set(&preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return set(&preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[3], value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(&preference->reduction_mask, value, bytes);
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
        return set(&ignored, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- candidates ---- */

namespace simt
{

struct offered {
    blas_candidate what;
    int runs;
};

static std::vector<offered> offers = {{blas_candidate(), 0}};
static int last_run = -1, heuristics;
static std::function<void()> at_run;

void blas_offer(const std::vector<blas_candidate> &candidates)
{
    offers.clear();
    for (const blas_candidate &c : candidates) {
        offers.push_back({c, 0});
    }
    last_run = -1;
    heuristics = 0;
    pass_time(0);
}

void blas_at_run(const std::function<void()> &what)
{
    at_run = what;
}

int blas_runs(size_t candidate)
{
    return offers[candidate].runs;
}

int blas_last()
{
    return last_run;
}

int blas_heuristics()
{
    return heuristics;
}

/* A candidate is run: counts that, and gives its time. */
static double count_run(size_t candidate)
{
    if (at_run) {
        std::exchange(at_run, nullptr)();
    }
    offered &o = offers[candidate];
    const std::vector<double> &costs = o.what.cost_ms;
    const size_t run = (size_t)o.runs++;
    last_run = (int)candidate;
    return costs.empty() ? 0 : costs[min(run, costs.size() - 1)];
}

} // namespace simt

using simt::offers;

/* ---- products ---- */

static bool layout_valid(const layout &m)
{
    int64_t least = (int64_t)(m.order == CUBLASLT_ORDER_ROW ? m.cols : m.rows);
    return m.rows > 0 && m.cols > 0 && m.ld >= least;
}

static cublasStatus_t check_product(cublasLtMatmulDesc_t desc, const layout &a, const layout &b,
                                    const layout &c, const layout &d)
{
    bool ta = desc->transposed_a == CUBLAS_OP_T, tb = desc->transposed_b == CUBLAS_OP_T;
    if (desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT || a.type != b.type || c.type != d.type ||
        (a.type == CUDA_R_32F && d.type != CUDA_R_32F) ||
        desc->pointer_mode != CUBLASLT_POINTER_MODE_HOST) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    bool fits = (ta ? a.cols : a.rows) == d.rows && (tb ? b.rows : b.cols) == d.cols &&
                (ta ? a.rows : a.cols) == (tb ? b.cols : b.rows) && c.rows == d.rows &&
                c.cols == d.cols && c.order == d.order;
    return fits && layout_valid(a) && layout_valid(b) && layout_valid(c) && layout_valid(d)
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_INVALID_VALUE;
}

static uint64_t problem_key(const layout &a, const layout &b, const layout &d)
{
    uint64_t key = 14695981039346656037u;
    const layout *const all[] = {&a, &b, &d};
    for (const layout *m : all) {
        const uint64_t parts[] = {(uint64_t)m->type, (uint64_t)m->order, m->rows, m->cols,
                                  (uint64_t)m->ld};
        for (uint64_t part : parts) {
            key = (key ^ part) * 1099511628211u;
        }
    }
    return key;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int capacity,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    *found = 0;
    cublasStatus_t status = check_product(desc, *a, *b, *c, *d);
    if (status != CUBLAS_STATUS_SUCCESS || capacity < 1) {
        return status != CUBLAS_STATUS_SUCCESS ? status : CUBLAS_STATUS_INVALID_VALUE;
    }
    simt::heuristics++;
    for (size_t k = 0; k < offers.size() && *found < capacity; k++) {
        const simt::blas_candidate &offer = offers[k].what;
        if (offer.reduction != 0 && !(preference->reduction_mask & (uint32_t)offer.reduction)) {
            continue;
        }
        cublasLtMatmulHeuristicResult_t &result = results[(*found)++];
        result = cublasLtMatmulHeuristicResult_t();
        result.algo.data[0] = problem_key(*a, *b, *d);
        for (int i = 0; i < 4; i++) {
            result.algo.data[1 + i] = preference->alignment[i];
        }
        result.algo.data[5] = k;
        result.workspaceSize = offer.workspace_bytes;
        result.wavesCount = 1;
    }
    return *found > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    cublasStatus_t status = check_product(desc, *a, *b, *c, *d);
    const size_t candidate = (size_t)algo->data[5];
    if (status == CUBLAS_STATUS_SUCCESS &&
        (candidate >= offers.size() || algo->data[0] != problem_key(*a, *b, *d))) {
        status = CUBLAS_STATUS_INVALID_VALUE;
    } else if (status == CUBLAS_STATUS_SUCCESS && offers[candidate].what.refused) {
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    } else if (status == CUBLAS_STATUS_SUCCESS) {
        result->workspaceSize = offers[candidate].what.workspace_bytes;
    }
    result->state = status;
    return status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    void *value, size_t bytes, size_t *written)
{
    memset(value, 0, bytes);
    if (written) {
        *written = bytes;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t a, const void *B,
                              cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    double cost_ms = 0;
    cublasStatus_t status = check_product(desc, *a, *b, *c, *d);
    if (!handle || status != CUBLAS_STATUS_SUCCESS) {
        return handle ? status : CUBLAS_STATUS_NOT_INITIALIZED;
    }
    /* Workspace must be device memory of that size; 256 bytes is the alignment that the library's
     * documentation asks for where algorithms use it. */
    if (workspace_bytes > 0 &&
        (!simt::is_device(workspace, workspace_bytes) || (uintptr_t)workspace % 256 != 0)) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (algo) { /* the plan was made for this problem and for addresses at least so aligned */
        const void *const given[] = {A, B, C, D};
        for (int i = 0; i < 4; i++) {
            if ((uintptr_t)given[i] % algo->data[1 + i] != 0) {
                return CUBLAS_STATUS_INVALID_VALUE;
            }
        }
        const size_t candidate = (size_t)algo->data[5];
        if (algo->data[0] != problem_key(*a, *b, *d) || candidate >= offers.size() ||
            offers[candidate].what.workspace_bytes > workspace_bytes) {
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        cost_ms = simt::count_run(candidate);
        if (offers[candidate].what.status != CUBLAS_STATUS_SUCCESS) {
            return offers[candidate].what.status;
        }
    }
    product p = {desc->transposed_a == CUBLAS_OP_T,
                 desc->transposed_b == CUBLAS_OP_T,
                 *(const float *)alpha,
                 *(const float *)beta,
                 *a,
                 *b,
                 *c,
                 *d,
                 A,
                 B,
                 C,
                 D};
    simt::activity_label(GB_ACTIVITY_KERNEL, "gemm");
    cudaError_t code = simt::enqueue(stream, [p, cost_ms]() {
        multiply(p);
        if (cost_ms > 0) {
            simt::pass_time(cost_ms);
        }
    });
    return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
