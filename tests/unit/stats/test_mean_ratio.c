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
    estimate e = mean_ratio_paired(MEAN_RATIO, config, base, 2);
    assert_int_equal(e.kind, ESTIMATE_STUDENT);
    assert_int_equal(e.n, 2);
    check_close(e.value, log(1.95 / 2));
    /* 1.1 / 1.95 - 0.5 and its opposite, d and -d: sd sqrt(2) |d|, standard error |d|. */
    check_close(e.standard_error, fabs(1.1 / 1.95 - 0.5));
    check_close(e.df, 1);
    /* Values that are not finite take no part, with their partner. */
    const double holes[] = {1, NAN, 3}, filled[] = {1.1, 5, 2.8};
    e = mean_ratio_paired(MEAN_RATIO, filled, holes, 3);
    check_close(e.value, log(1.95 / 2));
    assert_int_equal(e.n, 2);
    /* One pair: a value, no interval. None, or a mean that is not above 0: nothing. */
    e = mean_ratio_paired(MEAN_RATIO, config, base, 1);
    check_close(e.value, log(1.1));
    assert_false(estimate_has_interval(&e));
    assert_int_equal(mean_ratio_paired(MEAN_RATIO, config, base, 0).kind, ESTIMATE_NONE);
    assert_int_equal(mean_ratio_paired(MEAN_RATIO, (double[]){-1}, base, 1).kind, ESTIMATE_NONE);
    /* A tenth more in each: no spread at all. */
    e = mean_ratio_paired(MEAN_RATIO, (double[]){2.2, 4.4}, (double[]){2, 4}, 2);
    assert_true(e.standard_error < 1e-15);
}

static void test_of_two(void **state)
{
    (void)state;
    /* Means 2 and 4, variances 2 and 8: squared errors (2 / 4) / 2 and (8 / 16) / 2, both 0.25. */
    const double config[] = {1, 3}, base[] = {2, 6};
    estimate e = mean_ratio_of_two(MEAN_RATIO, (stats_sample){config, 2}, (stats_sample){base, 2});
    check_close(e.value, log(0.5));
    check_close(e.standard_error, sqrt(0.5));
    check_close(e.df, 2); /* of equal errors with one degree of freedom each */
    e = mean_ratio_of_two(MEAN_RATIO, (stats_sample){config, 2}, (stats_sample){base, 1});
    check_close(e.value, log(1));
    assert_false(estimate_has_interval(&e));
    assert_int_equal(
        mean_ratio_of_two(MEAN_RATIO, (stats_sample){config, 0}, (stats_sample){base, 2}).kind,
        ESTIMATE_NONE);
}

/* The value is the ratio of the extremes, the error that of a single pair. */
static void test_extremes(void **state)
{
    (void)state;
    const double base[] = {1, 3}, config[] = {1.1, 2.8};
    estimate e = extreme_ratio_paired(MEAN_RATIO, (mean_extremes){1.1, 1}, config, base, 2);
    check_close(e.value, log(1.1));
    check_close(e.standard_error, sqrt(2) * fabs(1.1 / 1.95 - 0.5));
    e = extreme_ratio_of_two(MEAN_RATIO, (mean_extremes){2, 1}, (stats_sample){config, 2},
                             (stats_sample){base, 2});
    check_close(e.value, log(2));
    /* sd 1.7 / sqrt(2) of mean 1.95, sd sqrt(2) of mean 2. */
    check_close(e.standard_error, hypot(1.7 / sqrt(2) / 1.95, sqrt(2) / 2));
    assert_int_equal(
        extreme_ratio_paired(MEAN_RATIO, (mean_extremes){NAN, 1}, config, base, 2).kind,
        ESTIMATE_NONE);
    assert_int_equal(
        extreme_ratio_paired(MEAN_RATIO, (mean_extremes){1.1, 1}, config, base, 0).kind,
        ESTIMATE_NONE);
}

/* 0.0011, 0.0012 and 0.0013 against 0.0021, 0.0023 and 0.0020: differences of -10, -11 and -7 in
 * 1e-4, mean -28 / 3, sd sqrt((2^2 + 5^2 + 7^2) / 9 / 2) = sqrt(13 / 3). */
static void test_difference(void **state)
{
    (void)state;
    const double config[] = {0.0011, 0.0012, 0.0013}, base[] = {0.0021, 0.0023, 0.0020};
    estimate e = mean_ratio_paired(MEAN_DIFFERENCE, config, base, 3);
    check_close(e.value, -28e-4 / 3);
    check_close(e.standard_error, 1e-4 * sqrt(13.0 / 3) / sqrt(3));
    check_close(e.df, 2);
    /* Variances 1 and 7 / 3, in 1e-8. */
    e = mean_ratio_of_two(MEAN_DIFFERENCE, (stats_sample){config, 3}, (stats_sample){base, 3});
    check_close(e.value, -28e-4 / 3);
    check_close(e.standard_error, 1e-4 * sqrt(1.0 / 3 + 7.0 / 9));
    const mean_extremes lowest = {0.0011, 0.0020};
    e = extreme_ratio_paired(MEAN_DIFFERENCE, lowest, config, base, 3);
    check_close(e.value, -0.0009);
    check_close(e.standard_error, 1e-4 * sqrt(13.0 / 3));
    e = extreme_ratio_of_two(MEAN_DIFFERENCE, lowest, (stats_sample){config, 3},
                             (stats_sample){base, 3});
    check_close(e.value, -0.0009);
    check_close(e.standard_error, 1e-4 * sqrt(1 + 7.0 / 3));
    /* A loss of 0, or below, has a difference. */
    const double nothing[] = {0, 0, -0.0001};
    e = mean_ratio_paired(MEAN_DIFFERENCE, nothing, base, 3);
    check_close(e.value, -65e-4 / 3);
    assert_int_equal(mean_ratio_paired(MEAN_RATIO, nothing, base, 3).kind, ESTIMATE_NONE);
}

static double step_of(double a, double b, double c)
{
    const double x[] = {a, b, c};
    return mean_value_step((stats_sample){x, 2}, (stats_sample){x + 2, 1});
}

static void test_rounding(void **state)
{
    (void)state;
    check_close(step_of(3, 2.9, 3), 0.01);
    check_close(step_of(3.2784, 3.2783, 3.3), 1e-4);
    check_close(step_of(0, 3.278412, NAN), 1e-6);
    check_close(step_of(4, 3, 12), 0.01);
    /* Full digits, and nothing but zeros: what fp32 resolves near 1 and above. */
    check_close(step_of(1.0 / 3, 0, 0), pow(2, -23));
    check_close(step_of(10.0 / 3, 1, 1), pow(2, -23) * 10 / 3);
    check_close(step_of(0, 0, 0), pow(2, -23));
    /* Three times 3.0 against 2.9: as well 2.95 against 2.95. Of two uniform errors of a step each
     * the variance is 1 / 12 + 1 / 12. */
    estimate e =
        mean_ratio_paired(MEAN_DIFFERENCE, (double[]){3, 3, 3}, (double[]){2.9, 2.9, 2.9}, 3);
    mean_ratio_floor_error(&e, 0.1, 1);
    check_close(e.standard_error, 0.1 / sqrt(6));
    e = mean_ratio_paired(MEAN_RATIO, (double[]){3, 3, 3}, (double[]){2.9, 2.9, 2.9}, 3);
    mean_ratio_floor_error(&e, 0.1, 2.9);
    check_close(e.standard_error, 0.1 / sqrt(6) / 2.9);
    /* A larger spread shows the rounding itself; one pair has no error to raise. */
    e = mean_ratio_paired(MEAN_DIFFERENCE, (double[]){3, 4, 5}, (double[]){1, 1, 1}, 3);
    mean_ratio_floor_error(&e, 0.1, 1);
    check_close(e.standard_error, 1 / sqrt(3));
    e = mean_ratio_paired(MEAN_DIFFERENCE, (double[]){3}, (double[]){1}, 1);
    mean_ratio_floor_error(&e, 0.1, 1);
    assert_true(isnan(e.standard_error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paired),   cmocka_unit_test(test_of_two),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_difference),
        cmocka_unit_test(test_rounding),
    };
    return cmocka_run_group_tests_name("mean_ratio", tests, NULL, NULL);
}
