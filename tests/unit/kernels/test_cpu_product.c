/* Our own product of matrices on every instruction set, against sums in double; and that it gives
 * the same bits whatever the team is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* One product, its operands in float and in the type that they are given in. */
typedef struct problem {
    cpu_product_args args;
    int64_t a_count, b_count;
    float *a, *b, *before;
    void *a_given, *b_given;
} problem;

static void *aligned(int64_t bytes)
{
    return aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
}

/* In (-1, 1), a multiple of 1/128: exact in bfloat16 too. */
static float value_of(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)((int32_t)(*state >> 24) - 127) / 128.0f;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static float from_bf16(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static void *given_as(const float *values, int64_t n, bool bf16)
{
    void *out = aligned(n * (bf16 ? 2 : 4));
    for (int64_t i = 0; i < n; i++) {
        if (bf16) {
            ((uint16_t *)out)[i] = to_bf16(values[i]);
        } else {
            ((float *)out)[i] = values[i];
        }
    }
    return out;
}

static float *random_values(int64_t n, uint32_t *state)
{
    float *out = aligned(n * 4);
    for (int64_t i = 0; i < n; i++) {
        out[i] = value_of(state);
    }
    return out;
}

/* Rows are `pad` elements longer than they need to be. */
static problem problem_make(int64_t M, int64_t N, int64_t K, int64_t pad, int flags)
{
    problem p = {.args = {.M = M,
                          .N = N,
                          .K = K,
                          .a_transposed = (flags & 1) != 0,
                          .b_transposed = (flags & 2) != 0,
                          .bf16 = (flags & 4) != 0,
                          .c_bf16 = (flags & 12) == 12,
                          .accumulate = (flags & 8) != 0 && (flags & 4) == 0}};
    cpu_product_args *g = &p.args;
    uint32_t state = (uint32_t)(M * 31 + N * 17 + K + flags);
    g->lda = (g->a_transposed ? M : K) + pad;
    g->ldb = (g->b_transposed ? K : N) + pad;
    p.a_count = (g->a_transposed ? K : M) * g->lda;
    p.b_count = (g->b_transposed ? N : K) * g->ldb;
    p.a = random_values(p.a_count, &state);
    p.b = random_values(p.b_count, &state);
    p.before = random_values(M * N, &state);
    g->a = p.a_given = given_as(p.a, p.a_count, g->bf16);
    g->b = p.b_given = given_as(p.b, p.b_count, g->bf16);
    return p;
}

static void problem_free(problem *p)
{
    free(p->a), free(p->b), free(p->before), free(p->a_given), free(p->b_given);
}

/* The product by a team of so many threads; memory of its exact size, so that sanitizers see what
 * is read or written beyond. */
static void *solve(const cpu_kernels *k, const problem *p, int threads)
{
    cpu_product_args g = p->args;
    const int64_t n = g.M * g.N;
    void *c = given_as(p->before, n, g.c_bf16);
    g.c = c;
    g.sums = g.c_bf16 && g.K > CPU_PRODUCT_DEPTH ? aligned(n * 4) : NULL;
    g.workspace = aligned(cpu_product_workspace_bytes(g.M, threads));
    memset(g.workspace, 0xff, (size_t)cpu_product_workspace_bytes(g.M, threads));
    omp_set_num_threads(threads);
    k->product(&g);
    free(g.workspace), free(g.sums);
    return c;
}

/* Products of multiples of 1/128 are exact in float, so what a float sum loses is what its K
 * additions round: at most K * eps/2 of the sum of absolute values; bfloat16 rounds once more, to
 * eight bits. */
static void check(const cpu_kernels *k, int64_t M, int64_t N, int64_t K, int64_t pad, int flags)
{
    problem p = problem_make(M, N, K, pad, flags);
    const cpu_product_args *g = &p.args;
    void *c = solve(k, &p, 2);
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++) {
            double sum = g->accumulate ? (double)p.before[i * N + j] : 0, size = fabs(sum);
            for (int64_t l = 0; l < K; l++) {
                const double x = (double)p.a[g->a_transposed ? l * g->lda + i : i * g->lda + l];
                const double y = (double)p.b[g->b_transposed ? j * g->ldb + l : l * g->ldb + j];
                sum += x * y;
                size += fabs(x * y);
            }
            const double got = g->c_bf16 ? (double)from_bf16(((uint16_t *)c)[i * N + j])
                                         : (double)((float *)c)[i * N + j];
            const double most = size * (double)(K + 1) * (double)FLT_EPSILON / 2 +
                                (g->c_bf16 ? fabs(sum) / 256 : 0);
            if (!(fabs(got - sum) <= most)) {
                fail_msg("%lld x %lld x %lld, flags %d: row %lld column %lld is %.9g, not %.9g",
                         (long long)M, (long long)N, (long long)K, flags, (long long)i,
                         (long long)j, got, sum);
            }
        }
    }
    free(c);
    problem_free(&p);
}

static void fill(cpu_isa isa, cpu_kernels *k)
{
    if (!cpu_isa_exists(isa)) {
        skip();
    }
    *k = (cpu_kernels){0};
    cpu_isa_fill(isa, k);
}

/* Every combination of orientation and type, at sizes around those of tiles (14, 6 or 4 rows),
 * vectors (4 to 16) and panels (two vectors), and with a stride that meets itself in the first
 * cache. */
static void test_shapes(void **state)
{
    static const int64_t shapes[][3] = {{1, 1, 1},    {1, 33, 5},   {13, 31, 16}, {14, 32, 17},
                                        {15, 65, 40}, {29, 16, 15}, {43, 8, 300}, {57, 97, 257}};
    cpu_kernels k;
    fill(*(cpu_isa *)*state, &k);
    for (int flags = 0; flags < 16; flags++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            check(&k, shapes[i][0], shapes[i][1], shapes[i][2], (int64_t)(i % 3), flags);
        }
        check(&k, 20, 40, 30, 1024 - 30, flags);
    }
}

/* Several lots of columns and several chunks of the sums' terms. */
static void test_stages(void **state)
{
    cpu_kernels k;
    fill(*(cpu_isa *)*state, &k);
    for (int flags = 0; flags < 16; flags++) {
        check(&k, 17, 2 * CPU_PRODUCT_COLUMNS + 5, 2 * CPU_PRODUCT_DEPTH + 3, 0, flags);
    }
}

/* Threads outnumber the processors here, and take tiles from each other. */
static void test_teams(void **state)
{
    static const int64_t shapes[][3] = {{300, 70, 600}, {20, 1600, 300}, {3, 5, 700}, {5, 700, 2}};
    cpu_kernels k;
    fill(*(cpu_isa *)*state, &k);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int flags = 0; flags < 16; flags += 3) {
            problem p = problem_make(shapes[i][0], shapes[i][1], shapes[i][2], 0, flags);
            const size_t bytes = (size_t)(p.args.M * p.args.N) * (p.args.c_bf16 ? 2 : 4);
            void *one = solve(&k, &p, 1);
            for (int threads = 2; threads <= 12; threads += 1 + threads / 4) {
                void *c = solve(&k, &p, threads);
                assert_memory_equal(c, one, bytes);
                free(c);
            }
            free(one);
            problem_free(&p);
        }
    }
}

/* What is infinite or not a number reaches the elements that it belongs to and no others. */
static void test_not_finite(void **state)
{
    cpu_kernels k;
    fill(*(cpu_isa *)*state, &k);
    problem p = problem_make(20, 37, 50, 0, 0);
    ((float *)p.a_given)[3 * 50 + 7] = INFINITY;
    ((float *)p.b_given)[9 * 37 + 36] = NAN;
    float *c = solve(&k, &p, 2);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 37; j++) {
            assert_int_equal(isnan(c[i * 37 + j]), j == 36 || (i == 3 && p.b[7 * 37 + j] == 0));
            if (j < 36 && p.b[7 * 37 + j] != 0) {
                assert_int_equal(isinf(c[i * 37 + j]) != 0, i == 3);
            }
        }
    }
    free(c);
    problem_free(&p);
}

/* More blocks of rows than a thread can have at once, on each instruction set; in either order. */
static void test_many_rows(void **state)
{
    enum { BLOCK_ROWS_MOST = 24 };
    const int64_t M = BLOCK_ROWS_MOST * ((int64_t)1 << 20) + 2 * BLOCK_ROWS_MOST + 1;
    cpu_kernels k;
    fill(*(cpu_isa *)*state, &k);
    const int64_t workspace = cpu_product_workspace_bytes(M, 1);
    float *a = aligned(M * 4), *c = aligned(M * 4), b = 3;
    cpu_product_args g = {.a = a, .b = &b, .c = c, .M = M, .N = 1, .K = 1, .ldb = 1};
    g.workspace = aligned(workspace);
    for (int64_t i = 0; i < M; i++) {
        a[i] = (float)(i % 1021);
    }
    omp_set_num_threads(1);
    for (int transposed = 0; transposed < 2; transposed++) {
        g.a_transposed = transposed == 1;
        g.lda = transposed ? M : 1;
        memset(c, 0xff, (size_t)M * 4);
        k.product(&g);
        int64_t wrong = 0;
        for (int64_t i = 0; i < M; i++) {
            wrong += c[i] != 3 * a[i];
        }
        assert_int_equal(wrong, 0);
    }
    free(a), free(c), free(g.workspace);
}

int main(void)
{
    static cpu_isa isas[] = {CPU_ISA_GENERIC, CPU_ISA_AVX2, CPU_ISA_AVX512};
#define TEST(name, isa)                                                                            \
    {                                                                                              \
#name " " #isa, test_##name, NULL, NULL, &isas[isa]                                        \
    }
#define TESTS(isa)                                                                                 \
    TEST(shapes, isa), TEST(stages, isa), TEST(teams, isa), TEST(not_finite, isa),                 \
        TEST(many_rows, isa)
    const struct CMUnitTest tests[] = {TESTS(CPU_ISA_GENERIC), TESTS(CPU_ISA_AVX2),
                                       TESTS(CPU_ISA_AVX512)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
