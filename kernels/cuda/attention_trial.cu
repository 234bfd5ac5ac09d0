/* An attention kernel against the one that it would replace, on random inputs.
 *
 * The bound. Both compute the same sums of products of bf16 numbers, add in fp32, and round to bf16
 * three things: the result, P, and for the gradient dS. Let u = 2^-8, what rounding to 8 bits may
 * change a number by, relatively. Of a row, the D numbers of one head of one token, let |r| be the
 * norm. the result's own rounding   moves it by u |r| at most, in each of the two: 2 u |r|; that of
 * P, or of dS         gives each term p_j x_j of the row's sum a factor of its own, 1 + u at most.
 * The x_j are random and so nearly orthogonal, which makes this u |r| at most, in each of the two:
 * 2 u |r|. It is less by about half: errors of roundings are spread evenly up to u. So rows may
 * differ by 4 u |r|. What fp32 adds, some 2^-20, is within the half that is not used. A key too
 * many or too few of n that a query sees changes the row by |r| / sqrt(n) or so, 8 times the bound
 * where n is 64, and still more than the bound where n is 4000; other mistakes by more. lse is
 * rounded to fp32 alone: a sum of D products and one of n exponentials, with g(k) = k 2^-23 for
 * sums on tensor cores, n + D up to 4096: 2^-11 (1 + |lse|). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/attention_trial.cuh"

static const double ROW_BOUND = 4.0 / 256, LSE_BOUND = 1.0 / 2048;

struct trial_shape {
    int64_t B, T, H, K, window;
};

enum { SHAPES_MAX = 5 };

/* Tiles have 64, 128 or 192 queries and 64 or 128 keys. */
static int shapes_make(const gb_device *dev, trial_shape out[SHAPES_MAX])
{
    /* More (queries, head) than multiprocessors, so that each block walks from one to the next. */
    const int64_t many = dev->multiprocessors / 4 + 1;
    int n = 0;
    out[n++] = trial_shape{1, 384, 2, 2, 0};    /* whole tiles */
    out[n++] = trial_shape{many, 193, 4, 2, 0}; /* a query and a key more than that; shared keys */
    out[n++] = trial_shape{1, 321, 2, 1, 100};  /* a window that ends within tiles */
    out[n++] = trial_shape{3, 1, 2, 2, 0};      /* one key */
    if (dev->multiprocessors >= 32) { /* many turns of each ring of slots; a real length */
        out[n++] = trial_shape{2, 2048, 4, 4, 0};
    }
    return n;
}

/* ---- buffers ---- */

/* Of one shape; `all` is one piece of memory, and the rest lies in it. Index 1 is the candidate's.
 */
struct trial_buffers {
    char *all;
    bf16 *qkv, *dout, *out[2], *dqkv[2];
    float *lse[2], *delta;
    int64_t n_qkv, n_out, n_lse; /* elements */
};

static int64_t place(char *base, int64_t at, int64_t bytes, void *out)
{
    char *here = base + at;
    memcpy(out, &here, sizeof here);
    return at + (bytes + 255) / 256 * 256;
}

/* The pointers into `base`; returns the bytes that this takes. */
static int64_t buffers_place(trial_buffers *b, char *base)
{
    int64_t at = 0;
    at = place(base, at, b->n_qkv * 2, &b->qkv);
    at = place(base, at, b->n_out * 2, &b->dout);
    at = place(base, at, b->n_lse * 4, &b->delta);
    for (int i = 0; i < 2; i++) {
        at = place(base, at, b->n_out * 2, &b->out[i]);
        at = place(base, at, b->n_qkv * 2, &b->dqkv[i]);
        at = place(base, at, b->n_lse * 4, &b->lse[i]);
    }
    return at;
}

/* Everything but the inputs is NaN: what a kernel leaves unwritten differs. */
static gb_status buffers_open(gb_device *dev, const trial_shape &s, int64_t D, trial_buffers *b)
{
    *b = trial_buffers{};
    b->n_qkv = s.B * s.T * (s.H + 2 * s.K) * D;
    b->n_out = s.B * s.T * s.H * D;
    b->n_lse = s.B * s.T * s.H;
    char none;
    const int64_t bytes = buffers_place(b, &none);
    const cudaError_t code = cudaMalloc((void **)&b->all, (size_t)bytes);
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        b->all = NULL;
        return gb_fail(&dev->error, GB_ERR_OOM, "trial: no memory");
    }
    CUDA_TRY(dev, "trial", code);
    (void)buffers_place(b, b->all);
    CUDA_TRY(dev, "trial", cudaMemsetAsync(b->all, 0xff, (size_t)bytes, dev->stream));
    return GB_OK;
}

/* Uniform in [-2, 2), so that scores have a deviation of 4/3. */
static gb_status fill_random(gb_device *dev, bf16 *to, int64_t n, uint64_t *seed)
{
    bf16 *host = (bf16 *)malloc((size_t)n * sizeof *host);
    if (host == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "trial: no host memory");
    }
    for (int64_t i = 0; i < n; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        host[i] = __float2bfloat16((float)(*seed >> 40) / 4194304.0f - 2.0f);
    }
    cudaError_t code =
        cudaMemcpyAsync(to, host, (size_t)n * sizeof *host, cudaMemcpyHostToDevice, dev->stream);
    code = code == cudaSuccess ? cudaStreamSynchronize(dev->stream) : code;
    free(host);
    CUDA_TRY(dev, "trial", code);
    return GB_OK;
}

/* ---- differences ---- */

/* Of bf16 (n) in rows of D: the largest |x - y| / |y|, in bounds. */
static double rows_differ(const bf16 *x, const bf16 *y, int64_t n, int64_t D)
{
    double worst = 0;
    for (int64_t row = 0; row < n; row += D) {
        double norm = 0, off = 0;
        for (int64_t i = row; i < row + D; i++) {
            const double a = (double)__bfloat162float(x[i]), b = (double)__bfloat162float(y[i]);
            norm += b * b;
            off += (a - b) * (a - b);
        }
        const double error = off == 0 ? 0 : sqrt(off) / (ROW_BOUND * sqrt(norm));
        worst = error <= worst ? worst : error == error ? error : INFINITY; /* NaN is not equal */
    }
    return worst;
}

static double lse_differ(const float *x, const float *y, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double a = (double)x[i], b = (double)y[i];
        const double error = fabs(a - b) / (LSE_BOUND * (1 + fabs(b)));
        worst = error <= worst ? worst : error == error ? error : INFINITY;
    }
    return worst;
}

/* Both arrays on the host, in one piece that is freed by the caller; NULL where there is none. */
static gb_status fetch(gb_device *dev, const void *const from[2], int64_t bytes, void *host[2])
{
    host[0] = malloc((size_t)(2 * bytes));
    if (host[0] == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "trial: no host memory");
    }
    host[1] = (char *)host[0] + bytes;
    for (int i = 0; i < 2; i++) {
        CUDA_TRY(
            dev, "trial",
            cudaMemcpyAsync(host[i], from[i], (size_t)bytes, cudaMemcpyDeviceToHost, dev->stream));
    }
    CUDA_TRY(dev, "trial", cudaStreamSynchronize(dev->stream));
    return GB_OK;
}

static gb_status compare(gb_device *dev, const trial_buffers *b, bool backward, int64_t D,
                         double *error)
{
    const void *const rows[2] = {backward ? b->dqkv[0] : b->out[0],
                                 backward ? b->dqkv[1] : b->out[1]};
    const void *const lse[2] = {b->lse[0], b->lse[1]};
    const int64_t n = backward ? b->n_qkv : b->n_out;
    void *host[2] = {};
    gb_status status = fetch(dev, rows, n * 2, host);
    *error = status == GB_OK ? rows_differ((const bf16 *)host[1], (const bf16 *)host[0], n, D) : 0;
    free(host[0]);
    if (status == GB_OK && !backward) {
        status = fetch(dev, lse, b->n_lse * 4, host);
        const double other =
            status == GB_OK ? lse_differ((const float *)host[1], (const float *)host[0], b->n_lse)
                            : 0;
        *error = other > *error ? other : *error;
        free(host[0]);
    }
    return status;
}

/* ---- the trial ---- */

static attention_args<bf16> args_of(const trial_shape &s, int64_t D, const trial_buffers *b,
                                    int which, bool backward)
{
    attention_args<bf16> a = {};
    a.B = (int)s.B;
    a.T = (int)s.T;
    a.H = (int)s.H;
    a.K = (int)s.K;
    a.D = (int)D;
    a.window = (int)s.window;
    a.qkv = b->qkv;
    a.out = b->out[backward ? 0 : which]; /* both gradients of the same forward */
    a.lse = b->lse[backward ? 0 : which];
    a.dout = b->dout;
    a.dqkv = b->dqkv[which];
    a.delta = b->delta;
    return a;
}

static gb_status shape_hold(gb_device *dev, const attention_pair *pair, const trial_shape &s,
                            int64_t D, trial_buffers *b, uint64_t *seed, double *error)
{
    GB_TRY(buffers_open(dev, s, D, b));
    GB_TRY(fill_random(dev, b->qkv, b->n_qkv, seed));
    GB_TRY(fill_random(dev, b->dout, b->n_out, seed));
    if (pair->backward) {
        GB_TRY(cuda_attention_flash_forward(dev, args_of(s, D, b, 0, true)));
    }
    GB_TRY(pair->reference(dev, args_of(s, D, b, 0, pair->backward)));
    GB_TRY(pair->candidate(dev, args_of(s, D, b, 1, pair->backward)));
    GB_TRY(kernel_trial_wait(dev));
    return compare(dev, b, pair->backward, D, error);
}

gb_status attention_trial_hold(gb_device *dev, const attention_pair *pair, int64_t D, uint64_t seed,
                               double *error)
{
    trial_shape shapes[SHAPES_MAX];
    const int n = shapes_make(dev, shapes);
    *error = 0;
    for (int i = 0; i < n; i++) {
        trial_buffers b = {};
        double worst = INFINITY;
        const gb_status status = shape_hold(dev, pair, shapes[i], D, &b, &seed, &worst);
        if (b.all != NULL && !dev->lost) {
            cudaFree(b.all);
        }
        GB_TRY(status);
        *error = worst > *error ? worst : *error;
    }
    return GB_OK;
}

struct trial_subject {
    const attention_pair *pair;
    int64_t D;
};

static gb_status hold(gb_device *dev, const void *user, uint64_t seed, double *error)
{
    const trial_subject *subject = (const trial_subject *)user;
    return attention_trial_hold(dev, subject->pair, subject->D, seed, error);
}

gb_status attention_trial_decide(gb_device *dev, const attention_pair pairs[CUDA_ATTENTION_KERNELS],
                                 int64_t D)
{
    for (int i = 0; i < CUDA_ATTENTION_KERNELS; i++) {
        char name[96];
        bool use;
        const trial_subject subject = {&pairs[i], D};
        snprintf(name, sizeof name, "%s, head_dim %d", pairs[i].name, (int)D);
        const kernel_trial trial = {name, hold, &subject};
        GB_TRY(kernel_trial_decide(dev, &trial, &use, dev->attention[i].words));
        dev->attention[i].head_dim = use ? D : 0;
    }
    return GB_OK;
}
