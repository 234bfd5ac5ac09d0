/* Ratios of means and of extremes over runs, against cases worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/stats/mean_ratio.h"

static void check_close(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

/* 1 and 3 against 1.1 and 2.8: the mean falls from 2 to 1.95, while the mean log ratio rises,
 * (log(1.1) + log(2.8 / 3)) / 2 = +0.013. The change is that of the means. */
static void test_paired(void **state)
{
    (void)state;
    const double base[] = {1, 3}, config[] = {1.1, 2.8};
    estimate e = mean_ratio_paired(config, base, 2);
    assert_int_equal(e.kind, ESTIMATE_STUDENT);
    assert_int_equal(e.n, 2);
    check_close(e.value, log(1.95 / 2));
    /* 1.1 / 1.95 - 0.5 and its opposite, d and -d: sd sqrt(2) |d|, standard error |d|. */
    check_close(e.standard_error, fabs(1.1 / 1.95 - 0.5));
    check_close(e.df, 1);
    /* Values that are not finite take no part, with their partner. */
    const double holes[] = {1, NAN, 3}, filled[] = {1.1, 5, 2.8};
    e = mean_ratio_paired(filled, holes, 3);
    check_close(e.value, log(1.95 / 2));
    assert_int_equal(e.n, 2);
    /* One pair: a value, no interval. None, or a mean that is not above 0: nothing. */
    e = mean_ratio_paired(config, base, 1);
    check_close(e.value, log(1.1));
    assert_false(estimate_has_interval(&e));
    assert_int_equal(mean_ratio_paired(config, base, 0).kind, ESTIMATE_NONE);
    assert_int_equal(mean_ratio_paired((double[]){-1}, base, 1).kind, ESTIMATE_NONE);
    /* A tenth more in each: no spread at all. */
    e = mean_ratio_paired((double[]){2.2, 4.4}, (double[]){2, 4}, 2);
    assert_true(e.standard_error < 1e-15);
}

static void test_of_two(void **state)
{
    (void)state;
    /* Means 2 and 4, variances 2 and 8: squared errors (2 / 4) / 2 and (8 / 16) / 2, both 0.25. */
    const double config[] = {1, 3}, base[] = {2, 6};
    estimate e = mean_ratio_of_two((stats_sample){config, 2}, (stats_sample){base, 2});
    check_close(e.value, log(0.5));
    check_close(e.standard_error, sqrt(0.5));
    check_close(e.df, 2); /* of equal errors with one degree of freedom each */
    e = mean_ratio_of_two((stats_sample){config, 2}, (stats_sample){base, 1});
    check_close(e.value, log(1));
    assert_false(estimate_has_interval(&e));
    assert_int_equal(mean_ratio_of_two((stats_sample){config, 0}, (stats_sample){base, 2}).kind,
                     ESTIMATE_NONE);
}

/* The value is the ratio of the extremes, the error that of a single pair. */
static void test_extremes(void **state)
{
    (void)state;
    const double base[] = {1, 3}, config[] = {1.1, 2.8};
    estimate e = extreme_ratio_paired(1.1, config, base, 2);
    check_close(e.value, log(1.1));
    check_close(e.standard_error, sqrt(2) * fabs(1.1 / 1.95 - 0.5));
    e = extreme_ratio_of_two(2, (stats_sample){config, 2}, (stats_sample){base, 2});
    check_close(e.value, log(2));
    /* sd 1.7 / sqrt(2) of mean 1.95, sd sqrt(2) of mean 2. */
    check_close(e.standard_error, hypot(1.7 / sqrt(2) / 1.95, sqrt(2) / 2));
    assert_int_equal(extreme_ratio_paired(NAN, config, base, 2).kind, ESTIMATE_NONE);
    assert_int_equal(extreme_ratio_paired(1.1, config, base, 0).kind, ESTIMATE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paired),
        cmocka_unit_test(test_of_two),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests_name("mean_ratio", tests, NULL, NULL);
}
