/* The curves that the CPU kernels compute by fits of their own (kernels/cpu/isa/isa.h), on every
 * instruction set: against the C library's in double, with the errors that are promised there; and
 * that what an attention's query does not see leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* A thousandth apart on [-20, 20], where everything happens, and far out. */
enum { STEPS = 20000, POINTS = 2 * STEPS + 1 + 10 };

static void points(float x[POINTS])
{
    static const float far[10] = {-3e18f, -1e4f, -100, -89, -87.5f, 87.5f, 89, 100, 1e4f, 3e18f};
    for (int i = -STEPS; i <= STEPS; i++) {
        x[i + STEPS] = (float)i / 1000;
    }
    memcpy(x + POINTS - 10, far, sizeof far);
}

static void fill(void **state, cpu_kernels *k)
{
    const cpu_isa isa = *(cpu_isa *)*state;
    if (!cpu_isa_exists(isa)) {
        print_message("skip: this CPU has no %s\n", cpu_isa_name(isa));
        skip();
    }
    cpu_isa_fill(isa, k);
}

/* Errors are counted in units of float rounding, 2^-24, of `scale`. */
static void near_enough(const char *what, float x, float got, double want, double scale,
                        double units)
{
    double error = fabs((double)got - want) / scale * 0x1p24;
    if (!(error <= units)) {
        fail_msg("%s(%g) is %.9g, not %.12g: %.2f units of %g", what, (double)x, (double)got, want,
                 error, scale);
    }
}

/* Phi off by 1e-7 (half of isa_erf's 2e-7) is 1.7 units, and there are three roundings more. The
 * gradient has Phi off by 2e-7, 3.4 units, x phi(x) < 0.25 off by 2e-7, and roundings of numbers up
 * to 1.13. */
static void test_gelu(void **state)
{
    static float x[POINTS], one[POINTS], y[POINTS], dx[POINTS];
    cpu_kernels k;
    fill(state, &k);
    points(x);
    for (int i = 0; i < POINTS; i++) {
        one[i] = 1;
    }
    k.gelu_forward(y, x, POINTS, false, NULL);
    k.gelu_backward(dx, one, x, POINTS, false, NULL);
    for (int i = 0; i < POINTS; i++) {
        const double at = (double)x[i], cdf = 0.5 * erfc(-at / sqrt(2));
        const double density = exp(-0.5 * at * at) / sqrt(2 * acos(-1.0));
        near_enough("gelu", x[i], y[i], at * cdf, fabs(at) + 1e-30, 4);
        near_enough("gelu's gradient", x[i], dx[i], cdf + at * density, 1, 5);
    }
}

/* exp within 2e-7, 3.4 units; a sum, a division and a product round. In the gradient,
 * s (1 + g (1 - s)), errors of s count g times, as long as 1 - s is not zero to float. Where
 * exp(-g) is limited, at g = -88, silu is below 1e-35. */
static void test_swiglu(void **state)
{
    static float gv[2 * POINTS], one[POINTS], y[POINTS], dgv[2 * POINTS];
    cpu_kernels k;
    fill(state, &k);
    points(gv);
    for (int i = 0; i < POINTS; i++) {
        gv[POINTS + i] = one[i] = 1;
    }
    k.swiglu_forward(y, gv, 1, POINTS, false, NULL);
    k.swiglu_backward(dgv, one, gv, 1, POINTS, false, NULL);
    for (int i = 0; i < POINTS; i++) {
        const double g = (double)gv[i], s = 1 / (1 + exp(-g));
        const double silu = g * s, slope = s * (1 + g * (1 - s));
        const double scale = g < -87 ? 1 : fabs(silu);
        near_enough("silu", gv[i], y[i], silu, scale + 1e-30, 6);
        near_enough("swiglu's value", gv[i], dgv[POINTS + i], silu, scale + 1e-30, 6);
        near_enough("silu's gradient", gv[i], dgv[i], slope, 1 + fmin(fabs(g), 20), 4);
    }
}

/* Logits of which most are far below the top. Their distance to it is a float; its exponential is
 * zero below exp(-87), and else within 2e-7, and two products and the sum round. */
static void test_softmax(void **state)
{
    enum { V = 4000 };
    static float logits[V], below[V];
    float top = -INFINITY;
    double sum = 0;
    int zeros = 0;
    cpu_softmax_row row = {.top = 0};
    const int32_t target = 17;
    cpu_kernels k;
    fill(state, &k);
    for (int i = 0; i < V; i++) {
        logits[i] = (float)(120 * sin(i * 0.37) + i % 7);
        top = fmaxf(top, logits[i]);
    }
    for (int i = 0; i < V; i++) {
        below[i] = logits[i] - top;
        sum += exp((double)below[i]);
    }
    cpu_softmax_args args = {
        .logits = logits, .rows = &row, .targets = &target, .grad_scale = 1, .N = 1, .columns = V};
    k.softmax_gather(&args);
    assert_true(row.top == top);
    assert_true(fabs(row.sum / sum - 1) < 2e-7 + 0x1p-24);
    k.softmax_gradient(&args);
    for (int i = 0; i < V; i++) {
        const double p = below[i] < -87 ? 0 : exp((double)below[i]) / sum, want = p - (i == target);
        near_enough("softmax", below[i], logits[i], want, fabs(want) + 1e-37, p > 0 ? 6 : 0);
        zeros += p == 0;
    }
    assert_in_range(zeros, V / 3, 2 * V / 3);
}

/* ---- what a query does not see ---- */

enum { T = 75, H = 2, K = 1, D = 16, WIDTH = (H + 2 * K) * D };

typedef struct heads {
    float qkv[T * WIDTH], out[T * H * D], dout[T * H * D], dqkv[T * WIDTH], lse[H * T];
} heads;

static void store(void *array, int64_t i, float value, bool bf16)
{
    if (bf16) {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
    } else {
        ((float *)array)[i] = value;
    }
}

static void attend(const cpu_kernels *k, heads *h, bool bf16, bool dots, int64_t window)
{
    const int64_t floats = cpu_attention_scratch_floats(T, D);
    float *scratch = aligned_alloc(64, (size_t)(floats * omp_get_max_threads() * 4 + 63) / 64 * 64);
    assert_non_null(scratch);
    cpu_attention_args args = {.qkv = h->qkv,
                               .out = h->out,
                               .dout = h->dout,
                               .dqkv = h->dqkv,
                               .lse = h->lse,
                               .B = 1,
                               .T = T,
                               .H = H,
                               .K = K,
                               .D = D,
                               .window = window,
                               .bf16 = bf16,
                               .scratch = scratch,
                               .scratch_floats = floats};
    (dots ? k->attention_dots_forward : k->attention_forward)(&args);
    (dots ? k->attention_dots_backward : k->attention_backward)(&args);
    free(scratch);
}

static heads *heads_make(void)
{
    heads *h = calloc(1, sizeof *h);
    assert_non_null(h);
    return h;
}

/* Forward and backward where key `huge` and its value are 1e30. */
static heads *attend_beside(const cpu_kernels *k, bool bf16, bool dots, int64_t window, int huge)
{
    heads *h = heads_make();
    for (int i = 0; i < T * WIDTH; i++) {
        const bool far = i / WIDTH == huge && i % WIDTH >= H * D;
        store(h->qkv, i, far ? 1e30f : (float)(i * 37 % 64 - 32) / 16, bf16);
    }
    for (int i = 0; i < T * H * D; i++) {
        store(h->dout, i, (float)(i * 29 % 64 - 32) / 32, bf16);
    }
    attend(k, h, bf16, dots, window);
    return h;
}

static void check_unseen(const cpu_kernels *k, bool bf16, bool dots, int64_t window, int huge)
{
    heads *plain = attend_beside(k, bf16, dots, window, -1);
    heads *far = attend_beside(k, bf16, dots, window, huge);
    const size_t bytes = bf16 ? 2 : 4;
    int same = 0;
    for (int t = 0; t < T; t++) {
        const bool sees = huge <= t && (window == 0 || huge >= t - window);
        const char *a = (char *)plain->out + (size_t)(t * H * D) * bytes;
        const char *b = (char *)far->out + (size_t)(t * H * D) * bytes;
        const char *da = (char *)plain->dqkv + (size_t)(t * WIDTH) * bytes;
        const char *db = (char *)far->dqkv + (size_t)(t * WIDTH) * bytes;
        if (sees) {
            assert_memory_not_equal(a, b, H * D * bytes);
        } else {
            assert_memory_equal(a, b, H * D * bytes);
            assert_memory_equal(da, db, H * D * bytes); /* the queries' part */
            same++;
        }
    }
    assert_true(same > 10);
    free(plain);
    free(far);
}

static void test_unseen(void **state)
{
    cpu_kernels k;
    fill(state, &k);
    for (int64_t window = 0; window <= 20; window += 20) {
        for (int huge = 12; huge < T; huge += 13) {
            check_unseen(&k, false, false, window, huge);
            check_unseen(&k, true, false, window, huge);
            if (k.attention_dots_forward != NULL && cpu_isa_exists(CPU_ISA_AVX512_BF16)) {
                check_unseen(&k, true, true, window, huge);
            }
        }
    }
}

/* A query all of whose scores overflow to minus infinity: its output is not a number, and not made
 * of what it does not see. */
static void check_overflow(const cpu_kernels *k, bool bf16, bool dots)
{
    heads *h = heads_make();
    for (int i = 0; i < T * WIDTH; i++) {
        const bool first = i < (H + K) * D; /* queries and key of token 0 */
        store(h->qkv, i, !first ? 1 : i < H * D ? 1e30f : -1e30f, bf16);
    }
    attend(k, h, bf16, dots, 0);
    for (int i = 0; i < H * D; i++) {
        assert_true(bf16 ? (((uint16_t *)(void *)h->out)[i] & 0x7fff) > 0x7f80 : isnan(h->out[i]));
    }
    free(h);
}

static void test_overflow(void **state)
{
    cpu_kernels k;
    fill(state, &k);
    check_overflow(&k, false, false);
    check_overflow(&k, true, false);
    if (k.attention_dots_forward != NULL && cpu_isa_exists(CPU_ISA_AVX512_BF16)) {
        check_overflow(&k, true, true);
    }
}

int main(void)
{
    static cpu_isa isas[] = {CPU_ISA_GENERIC, CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_AVX512_BF16};
#define TEST(name, isa)                                                                            \
    {                                                                                              \
#name " " #isa, test_##name, NULL, NULL, &isas[isa]                                        \
    }
#define TESTS(isa)                                                                                 \
    TEST(gelu, isa), TEST(swiglu, isa), TEST(softmax, isa), TEST(unseen, isa), TEST(overflow, isa)
    const struct CMUnitTest tests[] = {TESTS(CPU_ISA_GENERIC), TESTS(CPU_ISA_AVX2),
                                       TESTS(CPU_ISA_AVX512), TESTS(CPU_ISA_AVX512_BF16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
