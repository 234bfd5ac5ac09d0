/* Statistics against SciPy: every expected number is in stats_fixtures.h, which
 * make_stats_fixtures.py writes. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/stats/stats.h"
#include "tests/fixtures/stats_fixtures.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void check_close(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-300)) {
        fail_msg("got %.17g, want %.17g (relative %.3g)", got, want, fabs(got / want - 1));
    }
}

static void test_t_quantile(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_t_quantile); i++) {
        double t = stats_t_quantile(fixture_t_quantile[i].p, fixture_t_quantile[i].df);
        if (fixture_t_quantile[i].p == 0.5) {
            assert_true(t == 0);
        } else {
            check_close(t, fixture_t_quantile[i].t, 1e-9);
        }
    }
    assert_true(isnan(stats_t_quantile(0, 5)));
    assert_true(isnan(stats_t_quantile(1, 5)));
    assert_true(isnan(stats_t_quantile(0.975, 0)));
    assert_true(isnan(stats_t_quantile(0.975, NAN)));
}

static void test_t_cdf(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_t_cdf); i++) {
        check_close(stats_t_cdf(fixture_t_cdf[i].t, fixture_t_cdf[i].df), fixture_t_cdf[i].p,
                    1e-10);
    }
}

static void check_sample(const double *x, size_t n, const double *expect)
{
    static const double q[5] = {0, 0.05, 0.25, 0.9, 1};
    check_close(stats_mean(x, n), expect[0], 1e-15);
    /* Near 1e9 a double resolves 1.2e-7, so the deviation of 0.01 carries errors near 1e-5 of
     * itself, but the same ones on both sides. */
    check_close(stats_sd(x, n), expect[1], 1e-9);
    double median = 0;
    assert_int_equal(stats_median(x, n, &median, NULL), GB_OK);
    check_close(median, expect[2], 1e-15);
    stats_interval interval = stats_mean_interval(x, n, 0.95);
    check_close(interval.value, expect[0], 1e-15);
    check_close(interval.low, expect[3], 1e-12);
    check_close(interval.high, expect[4], 1e-12);
    double *sorted = malloc(n * sizeof *sorted);
    assert_non_null(sorted);
    memcpy(sorted, x, n * sizeof *sorted);
    stats_sort(sorted, n);
    for (size_t i = 0; i < COUNT(q); i++) {
        check_close(stats_quantile_sorted(sorted, n, q[i]), expect[5 + i], 1e-14);
    }
    free(sorted);
}

/* Many values are sorted another way than few: ascending, and the same values as qsort puts there.
 */
static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_sort(void **state)
{
    enum { N = 5000 };
    static double x[N], want[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        double unit = (double)(stats_random_u64(1, (uint64_t)i) >> 11) * 0x1p-53;
        x[i] = i % 7 == 0 ? floor(10 * unit) : ldexp(unit - 0.5, i % 100 - 50);
    }
    x[17] = -INFINITY;
    x[18] = INFINITY;
    x[19] = -DBL_MAX;
    x[20] = 5e-324; /* the smallest double above 0 */
    memcpy(want, x, sizeof x);
    qsort(want, N, sizeof *want, ascending);
    stats_sort(x, N);
    for (int i = 0; i < N; i++) {
        assert_true(x[i] == want[i]);
    }
}

static void test_descriptive(void **state)
{
    (void)state;
    check_sample(sample_x, COUNT(sample_x), expect_x);
    check_sample(sample_y, COUNT(sample_y), expect_y);
    check_sample(sample_big, COUNT(sample_big), expect_big);
}

static void check_interval(stats_interval got, const double *expect, double relative)
{
    check_close(got.value, expect[0], relative);
    check_close(got.low, expect[1], relative);
    check_close(got.high, expect[2], relative);
}

static const stats_sample all_x = {sample_x, COUNT(sample_x)}, all_y = {sample_y, COUNT(sample_y)};

static void test_differences(void **state)
{
    (void)state;
    check_interval(stats_ratio_interval(all_x, all_y, 0.95), expect_ratio, 1e-10);
    stats_interval paired;
    assert_int_equal(stats_paired_interval(sample_x, sample_y, 5, 0.95, &paired, NULL), GB_OK);
    check_interval(paired, expect_paired_5, 1e-10);
}

static double statistic_mean(double *x, size_t n)
{
    return stats_mean(x, n);
}

static stats_interval bootstrap(stats_statistic statistic, uint64_t seed)
{
    stats_interval out;
    const stats_resampling how = {statistic, 20000, seed, 0.95};
    assert_int_equal(stats_bootstrap_ratio(all_x, all_y, &how, &out, NULL), GB_OK);
    return out;
}

static void test_bootstrap(void **state)
{
    (void)state;
    stats_interval a = bootstrap(statistic_mean, 7);
    check_close(a.value, expect_bootstrap_mean[0], 1e-14);
    /* The ratio's standard error is about 0.016; an end of the interval from 20000 resamples
     * wanders by about 2.7 * 0.016 / sqrt(20000) = 0.0003. Allowed: six times that. */
    check_close(a.low, expect_bootstrap_mean[1], 0.0018);
    check_close(a.high, expect_bootstrap_mean[2], 0.0018);
    stats_interval median = bootstrap(stats_statistic_median, 7);
    check_close(median.value, expect_bootstrap_median[0], 1e-14);
    /* Medians of 23 values are lumpy: the ends sit on few order statistics. */
    check_close(median.low, expect_bootstrap_median[1], 0.005);
    check_close(median.high, expect_bootstrap_median[2], 0.005);
    /* The same seed gives the same bits, another one does not. */
    stats_interval again = bootstrap(statistic_mean, 7);
    assert_true(a.low == again.low && a.high == again.high);
    assert_true(a.low != bootstrap(statistic_mean, 8).low);
}

static void test_random(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_random); i++) {
        assert_true(stats_random_u64(fixture_random[i].seed, fixture_random[i].counter) ==
                    fixture_random[i].value);
    }
    int counts[5] = {0};
    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t draw = stats_random_below(3, i, 5);
        assert_true(draw < 5);
        counts[draw]++;
    }
    for (int i = 0; i < 5; i++) { /* binomial sd is 89: five of them */
        assert_true(abs(counts[i] - 10000) < 450);
    }
}

static void test_too_few(void **state)
{
    (void)state;
    double one[1] = {4}, two[2] = {3, 3}, unused = 0;
    stats_interval out;
    assert_true(isnan(stats_mean(one, 0)));
    assert_true(isnan(stats_sd(one, 1)));
    assert_int_equal(stats_median(&unused, 0, &out.value, NULL), GB_OK);
    assert_true(isnan(out.value));
    out = stats_mean_interval(one, 1, 0.95);
    assert_true(out.value == 4 && isnan(out.low) && isnan(out.high));
    out = stats_mean_interval(two, 2, 0.95); /* no spread: an interval of no width */
    assert_true(out.value == 3 && out.low == 3 && out.high == 3);
    out = stats_ratio_interval((stats_sample){two, 2}, (stats_sample){one, 1}, 0.95);
    assert_true(out.value == 0.75 && isnan(out.high));
    const stats_resampling how = {statistic_mean, 100, 1, 0.95};
    assert_int_equal(
        stats_bootstrap_ratio((stats_sample){one, 1}, (stats_sample){two, 2}, &how, &out, NULL),
        GB_OK);
    assert_true(isnan(out.low));
    assert_true(stats_quantile_sorted(one, 1, 0.3) == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),        cmocka_unit_test(test_t_quantile),
        cmocka_unit_test(test_t_cdf),       cmocka_unit_test(test_descriptive),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_random),      cmocka_unit_test(test_too_few),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
