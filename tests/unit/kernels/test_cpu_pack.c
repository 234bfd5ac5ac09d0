/* Packed and transposed copies on every instruction set, element by element against the order that
 * kernels/cpu/cpu_kernels.h describes; and softmax over columns that come in lots against doubles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_device.h"

enum { FENCE = 0xdead };

static bool can_run(cpu_isa isa)
{
    return cpu_isa_exists(isa);
}

static uint16_t *numbered(int64_t n)
{
    uint16_t *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (uint16_t)(i * 40503 + 1);
    }
    return x;
}

/* Aligned, and with an element behind that nobody may write. */
static uint16_t *fenced(int64_t n)
{
    uint16_t *x = aligned_alloc(64, (size_t)((n + 32) / 32 * 32) * sizeof *x);
    x[n] = FENCE;
    return x;
}

static void check_pack(const cpu_kernels *k, int64_t K, int64_t N, int64_t stride, bool transposed)
{
    const int64_t k_blocks = (K + 31) / 32, n = cpu_packed_elements(K, N);
    uint16_t *in = numbered((transposed ? N : K) * stride), *out = fenced(n);
    k->pack(&(cpu_pack_args){out, in, K, N, stride, transposed});
    for (int64_t i = 0; i < n; i++) {
        int64_t block = i / 2048, pair = i % 2048 / 128, column = i % 128 / 2;
        int64_t row = block % k_blocks * 32 + pair * 2 + i % 2,
                col = block / k_blocks * 64 + column;
        uint16_t want = row >= K || col >= N ? 0
                        : transposed         ? in[col * stride + row]
                                             : in[row * stride + col];
        assert_int_equal(out[i], want);
    }
    assert_int_equal(out[n], FENCE);
    free(in), free(out);
}

static void check_transpose(const cpu_kernels *k, int64_t rows, int64_t columns, int64_t stride)
{
    uint16_t *in = numbered(rows * stride), *out = fenced(rows * columns);
    k->transpose(&(cpu_transpose_args){out, in, rows, columns, stride});
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++) {
            assert_int_equal(out[c * rows + r], in[r * stride + c]);
        }
    }
    assert_int_equal(out[rows * columns], FENCE);
    free(in), free(out);
}

/* Logits whose maximum rises from lot to lot, falls, or is far away: the sum must follow. Terms of
 * a float sum of 1024 are rounded 1024 times at worst, and exp is exact to 2e-7: 1e-5 covers both,
 * relative. */
static void check_softmax(const cpu_kernels *k, float slope)
{
    enum { N = 3, COLUMNS = 1100, LOTS = 3, V = COLUMNS * LOTS };
    static float logits[LOTS][N][COLUMNS];
    static double want[N][V];
    const int32_t targets[N] = {0, COLUMNS + 5, V - 1};
    cpu_softmax_row rows[N];
    for (int n = 0; n < N; n++) {
        for (int v = 0; v < V; v++) {
            float x = slope * (float)v / V + (float)(v * 7919 % 101) / 50;
            logits[v / COLUMNS][n][v % COLUMNS] = x;
            want[n][v] = (double)x;
        }
    }
    cpu_softmax_args args = {
        .rows = rows, .targets = targets, .grad_scale = 0.5f, .N = N, .columns = COLUMNS};
    for (int lot = 0; lot < LOTS; lot++) {
        args.logits = &logits[lot][0][0];
        args.first_column = lot * COLUMNS;
        k->softmax_gather(&args);
    }
    for (int lot = 0; lot < LOTS; lot++) {
        args.logits = &logits[lot][0][0];
        args.first_column = lot * COLUMNS;
        k->softmax_gradient(&args);
    }
    for (int n = 0; n < N; n++) {
        double sum = 0, top = want[n][0];
        for (int v = 0; v < V; v++) {
            top = fmax(top, want[n][v]);
        }
        for (int v = 0; v < V; v++) {
            sum += exp(want[n][v] - top);
        }
        double loss = log(sum) + top - want[n][targets[n]];
        double got = log(rows[n].sum) + (double)rows[n].top - (double)rows[n].target;
        assert_true(fabs(got - loss) <= 1e-5 * (1 + loss));
        for (int v = 0; v < V; v++) {
            double p = exp(want[n][v] - top) / sum, d = 0.5 * (p - (v == targets[n] ? 1 : 0));
            assert_true(fabs((double)logits[v / COLUMNS][n][v % COLUMNS] - d) <= 1e-5 * p + 1e-7);
        }
    }
}

static void test_copies_and_lots(void **state)
{
    int tried = 0;
    (void)state;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        cpu_kernels k;
        if (!can_run((cpu_isa)isa)) {
            print_message("skip: this CPU has no %s\n", cpu_isa_name((cpu_isa)isa));
            continue;
        }
        cpu_isa_fill((cpu_isa)isa, &k);
        tried++;
        for (int transposed = 0; transposed < 2; transposed++) {
            check_pack(&k, 32, 64, transposed ? 32 : 64, transposed);
            check_pack(&k, 96, 192, 200, transposed);
            check_pack(&k, 1, 1, 1, transposed);
            check_pack(&k, 33, 65, 77, transposed);
            check_pack(&k, 95, 127, 131, transposed);
        }
        check_transpose(&k, 32, 32, 32);
        check_transpose(&k, 96, 160, 171);
        check_transpose(&k, 1, 70, 70);
        check_transpose(&k, 45, 67, 67);
        check_softmax(&k, 30);
        check_softmax(&k, -30);
        check_softmax(&k, 0);
    }
    assert_true(tried >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies_and_lots)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
