/* The gradient of attention in bf16 on the CUDA backend's kernels, element by element against
 * float64, within what rounding alone can do to it.
 *
 * An element's bound is of first order in the units of rounding, from the values of this very case.
 * With u = 2^-8 for a number rounded to bf16 (8 bits, to nearest), f = 2^-24 for one in fp32, and
 * g(n) = n 2^-23 for a sum of n products on tensor cores, in any order, whose additions may cut off
 * (Higham, Accuracy and Stability of Numerical Algorithms, chapter 3, with twice the unit):
 *   s = q . k / sqrt D      is off by  g(D) |q| . |k| / sqrt D
 *   P = exp(s - lse)        by the factor  e = error of s + 3 f (|s| + |lse|) + 2^-22; 2^-22 is
 * what ex2.approx may err by (PTX ISA) dP = dout . v, delta = dout . out   by  g(D) |dout| . |v|,
 * g(D) |dout| . |out| dS = P (dP - delta)     by  P ((e + 2 f) |dP - delta| + errors of dP and
 * delta) and as factors of the next product P and dS are rounded to bf16, which adds u |P| and u
 * |dS|. A sum adds g(number of its terms) times the sum of its terms' absolute values; u more is
 * the result's own rounding. Terms of second order are covered by 2 % on top. Query 0 has one key:
 * its dS is exactly 0 by definition of the kernels.
 *
 * kinds: emulated */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/random.h"
#include "tests/ref/ref_backend.h"

typedef struct shape {
    int64_t B, T, H, K, D, window;
} shape;

/* T of 1; several heads, a head per key head or several, a window; tiles of 64 that are full but
 * for one row, and that end anywhere. */
static const shape shapes[] = {
    {2, 1, 4, 2, 64, 0},    {1, 1, 2, 1, 128, 0},   {1, 200, 4, 2, 64, 0},   {1, 200, 2, 1, 128, 0},
    {1, 130, 2, 2, 64, 70}, {1, 129, 2, 2, 128, 0}, {1, 193, 1, 1, 128, 66},
};

static const double U = 1.0 / 256, F = 1.0 / 16777216;

static double sum_error(int64_t n)
{
    return (double)n * 2 * F;
}

static float float_of(uint16_t bf16)
{
    uint32_t bits = (uint32_t)bf16 << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint16_t bf16_of(double value)
{
    float x = (float)value;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16); /* to nearest, ties to even */
}

typedef struct problem {
    shape s;
    int64_t n_qkv, n_out, n_lse;
    double *qkv, *dout, *out, *lse; /* as the kernels get them, rounded to bf16 and fp32 */
    double *dqkv, *bound;           /* (n_qkv): the gradient and how far off it may be */
} problem;

static double *zeros(int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    return x;
}

static void round_to_bf16(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)float_of(bf16_of(x[i]));
    }
}

static gb_device *open_reference(void)
{
    gb_options options = {.precision = GB_FP64};
    gb_device *dev = NULL;
    assert_int_equal(gb_backend_ref.open(&options, &dev, NULL), GB_OK);
    return dev;
}

/* Where row t of batch b has q of head h (part 0), or k or v of head h (1, 2), in qkv. */
static int64_t at(const shape *s, int64_t b, int64_t t, int part, int64_t h)
{
    const int64_t first = part == 0 ? 0 : s->H + (part - 1) * s->K;
    return ((b * s->T + t) * (s->H + 2 * s->K) + first + h) * s->D;
}

/* x . y and |x| . |y|. */
static double dot(const double *x, const double *y, int64_t n, double *absolute)
{
    double sum = 0;
    *absolute = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
        *absolute += fabs(x[i] * y[i]);
    }
    return sum;
}

/* y += factor x, and what that may be off by: `error` of the factor, n terms in the sum. */
static void add(double *y, double *bound, const double *x, int64_t D, double factor, double error,
                int64_t n)
{
    for (int64_t d = 0; d < D; d++) {
        y[d] += factor * x[d];
        bound[d] += (error + sum_error(n) * fabs(factor)) * fabs(x[d]);
    }
}

/* What query i of head h and key j add to the gradients. */
static void add_pair(problem *p, int64_t b, int64_t h, int64_t i, int64_t j)
{
    const shape *s = &p->s;
    const int64_t D = s->D, kv = h / (s->H / s->K), terms = s->T * (s->H / s->K);
    const int64_t q = at(s, b, i, 0, h), k = at(s, b, j, 1, kv), v = at(s, b, j, 2, kv);
    const double scale = 1 / sqrt((double)D);
    const double *dout = p->dout + ((b * s->T + i) * s->H + h) * D;
    const double *out = p->out + ((b * s->T + i) * s->H + h) * D;
    const double lse = p->lse[(b * s->H + h) * s->T + i];
    double all_s, all_dp, all_delta;
    const double score = scale * dot(p->qkv + q, p->qkv + k, D, &all_s);
    const double weight = exp(score - lse);
    const double difference = dot(dout, p->qkv + v, D, &all_dp) - dot(dout, out, D, &all_delta);
    const double e = scale * sum_error(D) * all_s + 3 * F * (fabs(score) + fabs(lse)) + 4 * F;
    const double ds = i == 0 ? 0 : weight * difference;
    const double ds_error =
        i == 0 ? 0
               : weight * ((e + 2 * F) * fabs(difference) + sum_error(D) * (all_dp + all_delta)) +
                     U * fabs(ds);
    add(p->dqkv + q, p->bound + q, p->qkv + k, D, scale * ds, scale * ds_error, s->T);
    add(p->dqkv + k, p->bound + k, p->qkv + q, D, scale * ds, scale * ds_error, terms);
    add(p->dqkv + v, p->bound + v, dout, D, weight, (e + U) * weight, terms);
}

static void solve(problem *p)
{
    const shape *s = &p->s;
    for (int64_t row = 0; row < s->B * s->H * s->T; row++) {
        const int64_t i = row % s->T, h = row / s->T % s->H, b = row / s->T / s->H;
        for (int64_t j = s->window > 0 && i > s->window ? i - s->window : 0; j <= i; j++) {
            add_pair(p, b, h, i, j);
        }
    }
    for (int64_t n = 0; n < p->n_qkv; n++) {
        p->bound[n] = 1.02 * (p->bound[n] + (U + 2 * F) * fabs(p->dqkv[n]));
    }
}

/* That the formula above is the reference's own, so that what is bounded is what is asked for. */
static void check_against_reference(const problem *p)
{
    const shape *s = &p->s;
    double *want = zeros(p->n_qkv);
    gb_device *dev = open_reference();
    assert_int_equal(gb_backend_ref.attention_backward(dev, want, p->dout, p->qkv, p->out, p->lse,
                                                       s->B, s->T, s->H, s->K, s->D, s->window),
                     GB_OK);
    gb_backend_ref.close(dev);
    for (int64_t n = 0; n < p->n_qkv; n++) {
        /* For query 0 the formula gives what rounding `out` to bf16 left of dP - delta = 0. */
        if (n / (s->H + 2 * s->K) / s->D % s->T > 0) {
            assert_true(fabs(want[n] - p->dqkv[n]) <= 1e-11 + 1e-11 * fabs(want[n]));
        }
    }
    free(want);
}

static problem make_problem(shape s, uint64_t seed)
{
    test_random rng = {seed};
    problem p = {.s = s,
                 .n_qkv = s.B * s.T * (s.H + 2 * s.K) * s.D,
                 .n_out = s.B * s.T * s.H * s.D,
                 .n_lse = s.B * s.T * s.H};
    p.qkv = zeros(p.n_qkv), p.dqkv = zeros(p.n_qkv), p.bound = zeros(p.n_qkv);
    p.dout = zeros(p.n_out), p.out = zeros(p.n_out), p.lse = zeros(p.n_lse);
    test_random_fill(&rng, p.qkv, p.n_qkv, 1);
    test_random_fill(&rng, p.dout, p.n_out, 1);
    round_to_bf16(p.qkv, p.n_qkv);
    round_to_bf16(p.dout, p.n_out);
    gb_device *dev = open_reference();
    assert_int_equal(gb_backend_ref.attention_forward(dev, p.out, p.lse, p.qkv, s.B, s.T, s.H, s.K,
                                                      s.D, s.window),
                     GB_OK);
    gb_backend_ref.close(dev);
    round_to_bf16(p.out, p.n_out);
    for (int64_t n = 0; n < p.n_lse; n++) {
        p.lse[n] = (double)(float)p.lse[n];
    }
    solve(&p);
    check_against_reference(&p);
    return p;
}

static void free_problem(problem *p)
{
    double *const all[] = {p->qkv, p->dout, p->out, p->lse, p->dqkv, p->bound};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

/* ---- on the device ---- */

static const gb_backend *cuda_backend(void)
{
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        if (strcmp((*b)->name, "cuda") == 0) {
            return *b;
        }
    }
    return NULL;
}

/* Opens the device with these attention kernels, or skips the test. */
static gb_device *open_cuda(const gb_backend *cuda, const char *kernels, const shape *s)
{
    gb_options options = {.precision = GB_BF16,
                          .device_index = -1,
                          .shape = {.batch_size = s->B,
                                    .sequence_length = s->T,
                                    .n_embd = s->H * s->D,
                                    .n_head = s->H,
                                    .n_kv_head = s->K,
                                    .head_dim = s->D,
                                    .mlp_hidden = 8,
                                    .vocab_size = 8}};
    gb_device *dev = NULL;
    gb_error error = {0};
    const char *reason = cuda ? cuda->unavailable(GB_BF16) : "this program has no CUDA backend";
    assert_int_equal(setenv("GPTBENCH_CUDA_ATTENTION", kernels, 1), 0);
    if (!reason && cuda->open(&options, &dev, &error) != GB_OK) {
        assert_int_equal(error.status, GB_ERR_ENV);
        reason = error.message;
    }
    unsetenv("GPTBENCH_CUDA_ATTENTION");
    if (reason) {
        printf("# skip %s: %s\n", kernels, reason);
        skip();
    }
    return dev;
}

/* A buffer with these values as bf16, or as fp32. */
static void *place(const gb_backend *cuda, gb_device *dev, const double *x, int64_t n, bool wide)
{
    const int64_t bytes = n * (wide ? 4 : 2);
    void *ptr = NULL;
    unsigned char *encoded = malloc((size_t)bytes);
    assert_non_null(encoded);
    for (int64_t i = 0; i < n; i++) {
        const float single = (float)x[i];
        const uint16_t half = bf16_of(x[i]);
        memcpy(encoded + i * (wide ? 4 : 2), wide ? (const void *)&single : (const void *)&half,
               wide ? 4 : 2);
    }
    assert_int_equal(cuda->alloc(dev, GB_MEM_ACTIVATIONS, bytes, &ptr), GB_OK);
    assert_int_equal(cuda->upload(dev, ptr, encoded, bytes), GB_OK);
    free(encoded);
    return ptr;
}

/* The greatest error, in bounds. */
static double greatest_error(const problem *p, const char *kernels)
{
    const shape *s = &p->s;
    const gb_backend *cuda = cuda_backend();
    gb_device *dev = open_cuda(cuda, kernels, s);
    uint16_t *got = malloc((size_t)p->n_qkv * sizeof *got);
    void *qkv = place(cuda, dev, p->qkv, p->n_qkv, false);
    void *dout = place(cuda, dev, p->dout, p->n_out, false);
    void *out = place(cuda, dev, p->out, p->n_out, false);
    void *lse = place(cuda, dev, p->lse, p->n_lse, true);
    void *dqkv = place(cuda, dev, p->qkv, p->n_qkv, false); /* to be overwritten */
    assert_non_null(got);
    assert_int_equal(cuda->attention_backward(dev, dqkv, dout, qkv, out, lse, s->B, s->T, s->H,
                                              s->K, s->D, s->window),
                     GB_OK);
    assert_int_equal(cuda->download(dev, got, dqkv, p->n_qkv * 2), GB_OK);
    cuda->close(dev);
    double worst = 0;
    for (int64_t n = 0; n < p->n_qkv; n++) {
        const double error = fabs((double)float_of(got[n]) - p->dqkv[n]);
        const double share = error == 0 ? 0 : error / p->bound[n];
        worst = isnan(share) ? INFINITY : fmax(worst, share);
    }
    free(got);
    return worst;
}

static void test_within_rounding(void **state)
{
    const char *kernels = *state;
    double worst = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = make_problem(shapes[i], 31 + i);
        const double share = greatest_error(&p, kernels);
        printf("# %s, T = %d, D = %d: the greatest error is %.2f of its bound\n", kernels,
               (int)shapes[i].T, (int)shapes[i].D, share);
        free_problem(&p);
        assert_true(share <= 1);
        worst = share > worst ? share : worst;
    }
    /* One rounding to bf16 may err by all of u, and so among these thousands some come near. */
    assert_true(worst > 0.25);
}

int main(void)
{
    static char portable[] = "portable", hopper[] = "hopper";
    const struct CMUnitTest tests[] = {
        {"gradients by portable kernels", test_within_rounding, NULL, NULL, portable},
        {"gradients by hopper kernels", test_within_rounding, NULL, NULL, hopper},
    };
    return cmocka_run_group_tests_name("attention bounds", tests, NULL, NULL);
}
