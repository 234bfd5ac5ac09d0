/* The choice of a product's algorithm: timed once per device, library and product, then remembered
 * (gemm_cache.h), because two algorithms differ in the last bits of what they compute and two
 * processes shall not.
 *
 * - The heuristic's candidates run into c, which the product overwrites anyway. A product that
 *   accumulates shares the algorithm of the one that does not; where that one was not met yet, it
 *   is what is timed, into memory of its own that is freed at once.
 * - Where nothing can be timed (within the capture of a graph, or no memory for c) the heuristic's
 *   first candidate is taken, and remembered as well.
 * - With one candidate there is nothing to choose. GPTBENCH_CUDA_TUNE=0 takes the first always. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/gemm_cache.h"
#include "kernels/cuda/gemm_plan.cuh"

enum {
    CANDIDATES = 32,
    ROUNDS = 7,
    MAX_RUNS = 20, /* per round, of a product too short for the clock */
    MACHINE_CHARS = 256,
    KEY_CHARS = 512
};

/* The clock counts in steps of about half a microsecond: samples are to be a thousand times that.
 */
static const float SAMPLE_MS = 0.5f;
/* One run tells this much: what is so many times slower than the fastest is not run again. */
static const float HOPELESS = 2.0f;
/* Medians this close are a tie, which the heuristic's order decides: noise does not. */
static const float TIE = 1.01f;

static_assert(sizeof(cublasLtMatmulAlgo_t) == GEMM_CACHE_ALGO_BYTES, "the cache keeps 64 bytes");

struct gemm_tuner {
    gemm_cache *cache;
    char machine[MACHINE_CHARS]; /* beginning of every key */
};

struct candidate {
    cublasLtMatmulAlgo_t algo;
    bool out; /* does not work here, or is much slower than another */
    float sample_ms[ROUNDS];
};

/* ---- life ---- */

static gb_status machine_describe(gb_device *dev, char *name, size_t name_size, char *machine,
                                  size_t machine_size)
{
    cudaDeviceProp properties;
    int driver = 0;
    const size_t blas = cublasLtGetVersion();
    CUDA_TRY(dev, "open", cudaGetDeviceProperties(&properties, dev->ordinal));
    CUDA_TRY(dev, "open", cudaDriverGetVersion(&driver));
    snprintf(name, name_size, "%.120s-cublaslt%zu", properties.name, blas);
    snprintf(machine, machine_size, "%.120s, sm_%d, %d SMs, cuBLASLt %zu, driver %d",
             properties.name, dev->compute_capability, dev->multiprocessors, blas, driver);
    for (char *c = machine; *c != '\0'; c++) {
        *c = *c < ' ' ? '_' : *c; /* a key is one line */
    }
    return GB_OK;
}

gb_status gemm_tuner_open(gb_device *dev)
{
    char name[MACHINE_CHARS];
    const char *tune = getenv("GPTBENCH_CUDA_TUNE");
    if (tune != NULL && strcmp(tune, "0") == 0) {
        return GB_OK;
    }
    dev->tuner = (gemm_tuner *)calloc(1, sizeof *dev->tuner);
    if (dev->tuner == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory");
    }
    GB_TRY(
        machine_describe(dev, name, sizeof name, dev->tuner->machine, sizeof dev->tuner->machine));
    dev->tuner->cache = gemm_cache_open(name);
    return dev->tuner->cache != NULL ? GB_OK
                                     : gb_fail(&dev->error, GB_ERR_OOM, "out of host memory");
}

void gemm_tuner_close(gemm_tuner *tuner)
{
    if (tuner != NULL) {
        gemm_cache_close(tuner->cache);
        free(tuner);
    }
}

void cuda_gemm_describe(const gb_device *dev, char *out, size_t size)
{
    const char *reason = dev->tuner != NULL ? gemm_cache_reason(dev->tuner->cache) : NULL;
    snprintf(out, size, "%s%s%s",
             dev->tuner != NULL ? "algorithms timed" : "algorithms by heuristic",
             reason != NULL ? ", not remembered: " : "", reason != NULL ? reason : "");
}

/* ---- candidates ---- */

static gb_status set_preference(gb_device *dev, cublasLtMatmulPreference_t preference,
                                cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                size_t bytes)
{
    CUBLAS_TRY(dev, "gemm",
               cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes));
    return GB_OK;
}

static gb_status set_preferences(gb_device *dev, cublasLtMatmulPreference_t preference,
                                 const gemm_key *k)
{
    const size_t workspace = (size_t)dev->slots[CUDA_SLOT_GEMM].bytes;
    /* Parts of a sum are added up in fp32: not in c's type, and not by whoever comes first. */
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t value;
    } settings[] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, (uint32_t)k->align_b},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, (uint32_t)k->align_a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, (uint32_t)k->align_c},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, (uint32_t)k->align_c},
    };
    for (const auto &s : settings) {
        GB_TRY(set_preference(dev, preference, s.attribute, &s.value, sizeof s.value));
    }
    return set_preference(dev, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                          sizeof workspace);
}

static gb_status fail_unknown(gb_device *dev, const gemm_key *k, cublasStatus_t code)
{
    return gb_fail(&dev->error, GB_ERR_INTERNAL,
                   "gemm: cuBLASLt knows no algorithm (status %d) for M = %lld, N = %lld, "
                   "K = %lld, lda = %lld, ldb = %lld, ldc = %lld, %s%s%s%s (%s:%d)",
                   (int)code, (long long)k->M, (long long)k->N, (long long)k->K, (long long)k->lda,
                   (long long)k->ldb, (long long)k->ldc, dev->bf16 ? "bf16" : "fp32",
                   k->a_transposed ? ", a transposed" : "", k->b_transposed ? ", b transposed" : "",
                   k->c_float ? ", c in fp32" : "", __FILE__, __LINE__);
}

/* The heuristic's candidates, `wanted` of them at most and one at least, best guess first. */
static gb_status candidates_get(gb_device *dev, const gemm_plan *plan, int wanted, candidate *out,
                                int *count)
{
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    int given = 0;
    memset(found, 0, sizeof found);
    CUBLAS_TRY(dev, "gemm", cublasLtMatmulPreferenceCreate(&preference));
    gb_status status = set_preferences(dev, preference, &plan->key);
    cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
    if (status == GB_OK) {
        code = cublasLtMatmulAlgoGetHeuristic(dev->blas, plan->desc, plan->b, plan->a, plan->c,
                                              plan->c, preference, wanted, found, &given);
    }
    cublasLtMatmulPreferenceDestroy(preference);
    GB_TRY(status);
    *count = 0;
    for (int i = 0; code == CUBLAS_STATUS_SUCCESS && i < given; i++) {
        if (found[i].state == CUBLAS_STATUS_SUCCESS) {
            memset(&out[*count], 0, sizeof out[*count]);
            out[(*count)++].algo = found[i].algo;
        }
    }
    return *count > 0 ? GB_OK : fail_unknown(dev, &plan->key, code);
}

/* Whether the library still takes the algorithm for this product, in the workspace that we have. */
static bool algo_works(const gb_device *dev, const gemm_plan *plan,
                       const cublasLtMatmulAlgo_t *algo)
{
    cublasLtMatmulHeuristicResult_t result;
    memset(&result, 0, sizeof result);
    return cublasLtMatmulAlgoCheck(dev->blas, plan->desc, plan->b, plan->a, plan->c, plan->c, algo,
                                   &result) == CUBLAS_STATUS_SUCCESS &&
           result.state == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= (size_t)dev->slots[CUDA_SLOT_GEMM].bytes;
}

/* ---- timing ---- */

gb_status gemm_plan_time(gb_device *dev, const gemm_plan *plan, const cublasLtMatmulAlgo_t *algo,
                         const cuda_gemm *g, void *c, int runs, float *out_ms)
{
    cudaEvent_t begin = NULL, end = NULL;
    cudaError_t code = cudaEventCreate(&begin);
    gb_status status = GB_OK;
    if (code == cudaSuccess && (code = cudaEventCreate(&end)) == cudaSuccess &&
        (code = cudaEventRecord(begin, dev->stream)) == cudaSuccess) {
        for (int i = 0; i < runs && status == GB_OK; i++) {
            status = gemm_plan_run(dev, plan, algo, g, c, false);
        }
        code = cudaEventRecord(end, dev->stream);
        code = code == cudaSuccess ? cudaEventSynchronize(end) : code;
        code = code == cudaSuccess ? cudaEventElapsedTime(out_ms, begin, end) : code;
    }
    if (begin != NULL) {
        cudaEventDestroy(begin);
    }
    if (end != NULL) {
        cudaEventDestroy(end);
    }
    CUDA_TRY(dev, "gemm", code);
    return status;
}

static float median(const float values[ROUNDS])
{
    float sorted[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > values[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = values[i];
    }
    return sorted[ROUNDS / 2];
}

/* One run of each candidate, after one that loads its code. Returns the shortest, 0 where none
 * works; those without a chance are out. */
static float first_pass(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g, void *c,
                        candidate *list, int count)
{
    float best_ms = 0;
    for (int i = 0; i < count; i++) {
        float *ms = &list[i].sample_ms[0];
        list[i].out = !algo_works(dev, plan, &list[i].algo) ||
                      gemm_plan_time(dev, plan, &list[i].algo, g, c, 1, ms) != GB_OK ||
                      gemm_plan_time(dev, plan, &list[i].algo, g, c, 1, ms) != GB_OK;
        if (!list[i].out && (best_ms <= 0 || *ms < best_ms)) {
            best_ms = *ms;
        }
    }
    for (int i = 0; i < count; i++) {
        list[i].out = list[i].out || list[i].sample_ms[0] > HOPELESS * best_ms;
    }
    return best_ms;
}

/* The candidate with the least median; of those that tie the first. -1 where none works. */
static int pick(const candidate *list, int count, float *out_ms)
{
    float best_ms = -1;
    for (int i = 0; i < count; i++) {
        const float ms = median(list[i].sample_ms);
        if (!list[i].out && (best_ms < 0 || ms < best_ms)) {
            best_ms = ms;
        }
    }
    for (int i = 0; i < count; i++) {
        *out_ms = median(list[i].sample_ms);
        if (!list[i].out && *out_ms <= TIE * best_ms) {
            return i;
        }
    }
    return -1;
}

/* Times the candidates in turn, so that a clock that changes meets them all. Index of the fastest
 * and the time of its run, -1 where none works. */
static int fastest(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g, void *c,
                   candidate *list, int count, double *out_ms)
{
    const float first_ms = first_pass(dev, plan, g, c, list, count);
    const float wanted = SAMPLE_MS / (first_ms > 0 ? first_ms : SAMPLE_MS);
    const int runs = wanted > MAX_RUNS ? (int)MAX_RUNS : wanted < 1 ? 1 : (int)wanted;
    float ms = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < count; i++) {
            if (!list[i].out) {
                list[i].out = gemm_plan_time(dev, plan, &list[i].algo, g, c, runs,
                                             &list[i].sample_ms[round]) != GB_OK;
            }
        }
    }
    const int best = pick(list, count, &ms);
    *out_ms = (double)ms / runs;
    return best;
}

/* Memory of c's size for a product whose own c must not be touched; NULL where there is none. */
static void *scratch_get(const gb_device *dev, const gemm_key *k)
{
    void *scratch = NULL;
    const int64_t bytes = k->M * k->ldc * (k->c_float || !dev->bf16 ? 4 : 2);
    if (cudaMalloc(&scratch, (size_t)bytes) != cudaSuccess) {
        (void)cudaGetLastError();
        return NULL;
    }
    return scratch;
}

/* ---- choice ---- */

/* The key of the cache: all that the speed depends on, and not whether it accumulates. */
static void key_write(const gb_device *dev, const gemm_key *k, char out[KEY_CHARS])
{
    snprintf(out, KEY_CHARS,
             "%s: %s M=%lld N=%lld K=%lld ld=%lld,%lld,%lld align=%d,%d,%d a=%c b=%c c=%s "
             "workspace=%lld candidates=%d",
             dev->tuner->machine, dev->bf16 ? "bf16" : "fp32", (long long)k->M, (long long)k->N,
             (long long)k->K, (long long)k->lda, (long long)k->ldb, (long long)k->ldc, k->align_a,
             k->align_b, k->align_c, k->a_transposed ? 't' : 'n', k->b_transposed ? 't' : 'n',
             k->c_float ? "wide" : "act", (long long)dev->slots[CUDA_SLOT_GEMM].bytes,
             (int)CANDIDATES);
}

/* The plan of the same product that does not accumulate, or does where this one does not. */
static const gemm_plan *plan_sibling(const gb_device *dev, const gemm_key *key)
{
    gemm_key wanted = *key;
    wanted.accumulate = !key->accumulate;
    for (const gemm_plan *p = dev->plans; p != NULL; p = p->next) {
        if (memcmp(&p->key, &wanted, sizeof wanted) == 0) {
            return p;
        }
    }
    return NULL;
}

/* Timing waits for the device and allocates, neither of which a capture bears. */
static bool is_capturing(const gb_device *dev)
{
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(dev->stream, &status) != cudaSuccess ||
           status != cudaStreamCaptureStatusNone;
}

/* Sets *choice to one of several candidates. False where each of them failed: nothing is known
 * then, and running the first will say what is wrong. */
static bool measure(gb_device *dev, const gemm_plan *plan, const cuda_gemm *g, candidate *list,
                    int count, gemm_choice *choice)
{
    const gb_error before = dev->error; /* candidates that fail are nobody's failure */
    const bool possible = !is_capturing(dev);
    void *scratch = possible && plan->key.accumulate ? scratch_get(dev, &plan->key) : NULL;
    void *c = plan->key.accumulate ? scratch : g->c;
    int best = 0;
    choice->time_ms = 0;
    if (possible && c != NULL) {
        best = fastest(dev, plan, g, c, list, count, &choice->time_ms);
    }
    if (scratch != NULL) {
        cudaFree(scratch);
    }
    dev->error = before;
    memcpy(choice->algo, &list[best >= 0 ? best : 0].algo, sizeof choice->algo);
    return best >= 0;
}

static cublasLtMatmulAlgo_t algo_of(const gemm_choice *choice)
{
    cublasLtMatmulAlgo_t algo;
    memcpy(&algo, choice->algo, sizeof algo);
    return algo;
}

/* Takes a candidate, or what another process chose meanwhile. `refused`: see gemm_cache_store. */
static gb_status choose_anew(gb_device *dev, gemm_plan *plan, const cuda_gemm *g, const char *key,
                             const gemm_choice *refused)
{
    candidate list[CANDIDATES];
    gemm_choice choice;
    int count;
    GB_TRY(candidates_get(dev, plan, CANDIDATES, list, &count));
    plan->algo = list[0].algo;
    if (count > 1 && measure(dev, plan, g, list, count, &choice)) {
        plan->algo = algo_of(&choice);
        gemm_cache_store(dev->tuner->cache, key, refused, &choice);
        const cublasLtMatmulAlgo_t agreed = algo_of(&choice);
        plan->algo = algo_works(dev, plan, &agreed) ? agreed : plan->algo;
    }
    return GB_OK;
}

gb_status gemm_plan_choose(gb_device *dev, gemm_plan *plan, const cuda_gemm *g)
{
    char key[KEY_CHARS];
    gemm_choice known;
    if (dev->tuner == NULL) {
        candidate first;
        int count;
        GB_TRY(candidates_get(dev, plan, 1, &first, &count));
        plan->algo = first.algo;
        return GB_OK;
    }
    const gemm_plan *sibling = plan_sibling(dev, &plan->key);
    if (sibling != NULL) {
        plan->algo = sibling->algo;
        return GB_OK;
    }
    key_write(dev, &plan->key, key);
    if (!gemm_cache_find(dev->tuner->cache, key, &known)) {
        return choose_anew(dev, plan, g, key, NULL);
    }
    plan->algo = algo_of(&known);
    return algo_works(dev, plan, &plan->algo) ? GB_OK : choose_anew(dev, plan, g, key, &known);
}
