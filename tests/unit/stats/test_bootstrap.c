/* The plain bootstrap against SciPy and NumPy on the same draws, and the one that verdicts take
 * against the plain one; block counts and trends against SciPy. Every expected number without a
 * note is in stats_fixtures.h, which make_stats_fixtures.py writes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/stats/block_count.h"
#include "bench/stats/clock_grid.h"
#include "bench/stats/drift.h"
#include "bench/stats/noise.h"
#include "bench/stats/trimmed_mean.h"
#include "tests/fixtures/stats_fixtures.h"
#include "tests/ref/plain_bootstrap.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void check_close(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-300)) {
        fail_msg("got %.17g, want %.17g (relative %.3g)", got, want, fabs(got / want - 1));
    }
}

static void check_ends(stats_interval got, double low, double high)
{
    check_close(got.low, low, 1e-11);
    check_close(got.high, high, 1e-11);
}

static const size_t n_blocks = COUNT(block_ratios);

/* ---- the plain bootstrap on given draws ---- */

static plain_bootstrap drawn(plain_location location)
{
    const plain_sample sample = {block_ratios, n_blocks, block_draws};
    return plain_bootstrap_make(&sample, location, COUNT(block_draws) / n_blocks);
}

static void check_drawn(plain_location location, const double *resampled, const double *expect)
{
    plain_bootstrap b = drawn(location);
    check_close(b.value, expect[0], 1e-13);
    assert_int_equal(b.resamples, 60);
    for (size_t i = 0; i < 60; i++) {
        check_close(b.values[i], resampled[i], 1e-13);
    }
    check_ends(plain_bootstrap_interval(&b, PLAIN_PERCENTILE, 0.95), expect[1], expect[2]);
    check_ends(plain_bootstrap_interval(&b, PLAIN_PERCENTILE, 0.8), expect[3], expect[4]);
    check_ends(plain_bootstrap_interval(&b, PLAIN_BCA, 0.95), expect[5], expect[6]);
    check_ends(plain_bootstrap_interval(&b, PLAIN_BCA, 0.8), expect[7], expect[8]);
    plain_bootstrap_free(&b);
}

static void test_given_draws(void **state)
{
    (void)state;
    check_drawn(PLAIN_MEAN, expect_resampled_mean, expect_blocks_mean);
    check_drawn(PLAIN_TRIMMED_MEAN, expect_resampled_trimmed, expect_blocks_trimmed);
    check_drawn(PLAIN_MEDIAN, expect_resampled_median, expect_blocks_median);
}

static void test_studentised(void **state)
{
    (void)state;
    plain_bootstrap b = drawn(PLAIN_TRIMMED_MEAN);
    check_close(b.error, expect_studentised[0], 1e-12);
    check_ends(plain_bootstrap_interval(&b, PLAIN_STUDENTISED, 0.95), expect_studentised[1],
               expect_studentised[2]);
    check_ends(plain_bootstrap_interval(&b, PLAIN_STUDENTISED, 0.8), expect_studentised[3],
               expect_studentised[4]);
    plain_bootstrap_free(&b);
    b = drawn(PLAIN_MEAN);
    check_close(b.error, expect_studentised_mean[0], 1e-12);
    check_ends(plain_bootstrap_interval(&b, PLAIN_STUDENTISED, 0.95), expect_studentised_mean[1],
               expect_studentised_mean[2]);
    plain_bootstrap_free(&b);
    b = drawn(PLAIN_MEDIAN); /* has no standard error from the sample alone */
    assert_true(isnan(plain_bootstrap_interval(&b, PLAIN_STUDENTISED, 0.95).low));
    plain_bootstrap_free(&b);
}

/* ---- the one that verdicts take, against the plain one ---- */

static void check_as_plain(const bootstrap *b, const plain_bootstrap *plain)
{
    check_close(bootstrap_value(b), plain->value, 1e-12);
    check_close(bootstrap_standard_error(b), plain->error, 1e-12);
    for (size_t k = 0; k + 1 < plain->resamples; k++) {
        double level = ((double)k + 0.5) / (double)(plain->resamples - 1);
        stats_interval want = plain_bootstrap_interval(plain, PLAIN_STUDENTISED, level);
        stats_interval got = bootstrap_interval(b, level);
        check_close(got.high - got.value, want.high - want.value, 1e-9);
        check_close(got.value - got.low, want.value - want.low, 1e-9);
    }
}

/* Not of fewer values: there some resamples are one value many times over, and what is left of
 * their spread is rounding alone. */
static void test_as_plain(void **state)
{
    (void)state;
    enum { RESAMPLES = 499 };
    static const size_t sizes[] = {8, 9, 10, 12};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t n = sizes[i];
        uint32_t *draws = plain_draws(n, RESAMPLES, 100 + n);
        const plain_sample sample = {block_ratios, n, draws};
        plain_bootstrap plain = plain_bootstrap_make(&sample, PLAIN_TRIMMED_MEAN, RESAMPLES);
        bootstrap *b;
        assert_int_equal(
            bootstrap_create(&b, (stats_sample){block_ratios, n}, RESAMPLES, 100 + n, NULL), GB_OK);
        check_as_plain(b, &plain);
        bootstrap_free(b);
        plain_bootstrap_free(&plain);
        free(draws);
    }
}

static void test_trimmed_mean(void **state)
{
    (void)state;
    const struct {
        size_t n;
        const double *expect;
    } cases[] = {{3, expect_trimmed_3},
                 {5, expect_trimmed_5},
                 {9, expect_trimmed_9},
                 {10, expect_trimmed_10},
                 {12, expect_trimmed_12}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        double x[12];
        size_t n = cases[i].n;
        memcpy(x, block_ratios, n * sizeof *x);
        stats_sort(x, n);
        check_close(trimmed_mean_sorted(x, n), cases[i].expect[0], 1e-13);
        check_close(trimmed_mean_error_sorted(x, n), cases[i].expect[1], 1e-11);
    }
}

static void test_normal(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_normal); i++) {
        check_close(stats_normal_quantile(fixture_normal[i].p), fixture_normal[i].z, 1e-11);
        check_close(stats_normal_cdf(fixture_normal[i].z), fixture_normal[i].p, 1e-10);
    }
}

/* ---- what holds by definition ---- */

enum { SEEDED = 999 }; /* resamples */

static bootstrap *seeded(uint64_t seed)
{
    bootstrap *b;
    assert_int_equal(
        bootstrap_create(&b, (stats_sample){block_ratios, n_blocks}, SEEDED, seed, NULL), GB_OK);
    return b;
}

static void check_near(double got, double want, double distance)
{
    if (!(fabs(got - want) <= distance)) {
        fail_msg("got %.17g, want %.17g within %g", got, want, distance);
    }
}

/* p values and intervals are one thing read two ways: the ends of the interval at level L are the
 * thresholds with one-sided p = (1 - L) / 2. Equal resamples make steps in p, of a few in 999. */
static void test_p_is_the_interval(void **state)
{
    (void)state;
    bootstrap *b = seeded(3);
    for (int percent = 50; percent < 100; percent += 7) {
        double level = percent / 100.0;
        stats_interval i = bootstrap_interval(b, level);
        check_near(bootstrap_p_above(b, i.low), (1 - level) / 2, 0.002);
        check_near(1 - bootstrap_p_above(b, i.high), (1 - level) / 2, 0.002);
        check_near(1 - bootstrap_p_above(b, i.low), (1 + level) / 2, 0.002);
    }
    /* 999 resamples vouch for 1 / 1000 on both sides together, and for no less. */
    check_close(bootstrap_p_above(b, -100), 0.0005, 1e-12);
    check_close(1 - bootstrap_p_above(b, 100), 0.0005, 1e-9);
    bootstrap_free(b);
}

static void test_seeds(void **state)
{
    (void)state;
    bootstrap *a = seeded(3), *again = seeded(3), *other = seeded(4);
    int differ = 0;
    for (int k = 0; k + 1 < SEEDED; k++) { /* at a level between two neighbours for every |t*| */
        double level = (k + 0.5) / (SEEDED - 1);
        stats_interval one = bootstrap_interval(a, level), two = bootstrap_interval(again, level);
        assert_memory_equal(&one, &two, sizeof one);
        differ += one.low != bootstrap_interval(other, level).low;
    }
    assert_true(differ > SEEDED / 2);
    bootstrap_free(a);
    bootstrap_free(again);
    bootstrap_free(other);
}

static void test_edges(void **state)
{
    (void)state;
    static const double equal[9] = {2, 2, 2, 2, 2, 2, 2, 2, 2}, bad[2] = {1, NAN};
    bootstrap *b = NULL;
    assert_int_equal(bootstrap_create(&b, (stats_sample){equal, 9}, 50, 1, NULL), GB_OK);
    stats_interval i = bootstrap_interval(b, 0.95);
    assert_true(i.value == 2 && i.low == 2 && i.high == 2);
    assert_true(bootstrap_p_above(b, 1.9) < 0.025 && bootstrap_p_above(b, 2.1) > 0.975);
    bootstrap_free(b);
    assert_int_equal(bootstrap_create(&b, (stats_sample){equal, 1}, 50, 1, NULL), GB_OK);
    assert_true(isnan(bootstrap_interval(b, 0.95).low));
    bootstrap_free(b);
    gb_error err;
    assert_int_equal(bootstrap_create(&b, (stats_sample){equal, 0}, 50, 1, &err), GB_ERR_INTERNAL);
    assert_int_equal(bootstrap_create(&b, (stats_sample){equal, 2}, 0, 1, &err), GB_ERR_INTERNAL);
    assert_int_equal(bootstrap_create(&b, (stats_sample){bad, 2}, 50, 1, &err), GB_ERR_INTERNAL);
    bootstrap_free(NULL);
}

/* ---- a coarse clock ---- */

static void test_clock_grid(void **state)
{
    (void)state;
    double fine[] = {0.05, 0.0455, NAN, 0.0505, 0.05, 0, 0.045}, one[] = {0.3, 0.3}, none[] = {NAN};
    check_close(clock_grid_step(fine, COUNT(fine)), 0.0005, 1e-12);
    check_close(clock_grid_step(one, 2), 0.3, 1e-15); /* all that is known: no finer than shown */
    assert_true(clock_grid_step(none, 1) == 0 && clock_grid_step(none, 0) == 0);
    double sum[] = {0.1 + 0.2, 0.3}; /* equal but for rounding */
    check_close(clock_grid_step(sum, 2), 0.3, 1e-15);
    /* a uniform error of width 1 has sd 1 / sqrt(12); 1 % and 1 % of two times */
    check_close(clock_grid_log_error(0.5, 50, 50), 0.01 * sqrt(2.0 / 12), 1e-15);
    assert_true(clock_grid_log_error(0.5, 0, 50) == 0);
}

/* Two values that alternate give resamples without spread; all equal a sample without any. */
static void test_coarse_values(void **state)
{
    (void)state;
    double x[20], equal[20];
    for (int i = 0; i < 20; i++) {
        equal[i] = -0.105;
        x[i] = i % 5 == 0 ? -0.094 : -0.105;
    }
    bootstrap *b = NULL;
    stats_sample coarse = {x, 20}, flat = {equal, 20};
    const double error = 0.003;
    assert_int_equal(bootstrap_create_coarse(&b, coarse, error, 4000, 1, NULL), GB_OK);
    stats_interval i = bootstrap_interval(b, 0.95);
    assert_true(i.low > -0.13 && i.high < -0.08);
    assert_true(i.high - i.value >= 1.959963 * error);
    check_near(bootstrap_p_above(b, i.low), 0.025, 0.002); /* the interval read the other way */
    bootstrap_free(b);
    assert_int_equal(bootstrap_create_coarse(&b, flat, error, 4000, 1, NULL), GB_OK);
    i = bootstrap_interval(b, 0.95); /* 1.95996: the normal quantile 0.975 */
    check_near(i.high - i.value, 1.959964 * error, 1e-6);
    check_near(i.value - i.low, 1.959964 * error, 1e-6);
    check_near(bootstrap_p_above(b, i.low), 0.025, 1e-6);
    bootstrap_free(b);
}

/* Two humps, 0.6 and 5 times the baseline's time: many resamples come from one of them alone, and
 * by their standard errors the interval would reach beyond 100 times. That all 9 values lie on one
 * side of the median has a chance of 2 / 2^9 = 0.4 %: at 95 % the interval ends where they do. */
static void test_two_humps(void **state)
{
    (void)state;
    const double x[] = {-0.51, -0.52, 1.62, -0.5, -0.508, 1.6, -0.505, -0.512, -0.515};
    estimate e;
    bootstrap *b = NULL;
    assert_int_equal(bootstrap_create(&b, (stats_sample){x, COUNT(x)}, 4000, 1, NULL), GB_OK);
    assert_true(bootstrap_interval(b, 0.95).high > log(100));
    bootstrap_free(b);
    assert_int_equal(estimate_bootstrap(&e, x, COUNT(x), 4000, 1, NULL), GB_OK);
    stats_interval i = estimate_interval(&e, 0.95);
    check_close(i.low, -0.52, 1e-12);
    check_close(i.high, 1.62, 1e-12);
    check_close(estimate_p_above(&e, -0.53), exp2(-9), 1e-12);
    check_close(estimate_p_below(&e, 1.63), exp2(-9), 1e-12);
    assert_true(estimate_p_above(&e, -0.51) > 0.025); /* inside of them nothing changes */
    /* At a level that nine values cannot reach the resamples are all there is. */
    assert_true(estimate_interval(&e, 0.999).high > log(100));
    estimate_shift(&e, 1);
    check_close(estimate_interval(&e, 0.95).high, 2.62, 1e-12);
    estimate_free(&e);
}

static double unit_random(uint64_t seed, uint64_t counter) /* in [0, 1) */
{
    return (double)(stats_random_u64(seed, counter) >> 11) / 9007199254740992.0; /* 2^53 */
}

/* Bursts of 50 and 45 us that a clock rounds to 0.5 us, noise of 0.1, 0.5 and 2 %: at least 19 of
 * 20 intervals hold the true ratio (binomial 99.9 %: 183 of 200), and none is without an end. */
static void test_coarse_coverage(void **state)
{
    (void)state;
    static const double noises[] = {0.001, 0.005, 0.02};
    for (size_t k = 0; k < COUNT(noises); k++) {
        int held = 0;
        for (uint64_t suite = 0; suite < 200; suite++) {
            double base = 50 + 0.5 * unit_random(7, suite), config = 0.9 * base, logs[20];
            for (uint64_t i = 0; i < 20; i++) {
                double times[2] = {base, config};
                for (uint64_t j = 0; j < 2; j++) {
                    double noise = 0; /* of 12 uniform ones: nearly normal, sd 1 */
                    for (uint64_t u = 0; u < 12; u++) {
                        noise += unit_random(11 + k, ((suite * 20 + i) * 2 + j) * 12 + u);
                    }
                    times[j] = rint(times[j] * (1 + noises[k] * (noise - 6)) / 0.5) * 0.5;
                }
                logs[i] = log(times[1] / times[0]);
            }
            bootstrap *b = NULL;
            double error = clock_grid_log_error(0.5, base, config);
            stats_sample sample = {logs, 20};
            assert_int_equal(bootstrap_create_coarse(&b, sample, error, 500, suite, NULL), GB_OK);
            stats_interval i = bootstrap_interval(b, 0.95);
            held += i.low <= log(0.9) && log(0.9) <= i.high;
            assert_true(i.high - i.low < 0.06);
            bootstrap_free(b);
        }
        assert_true(held >= 183);
    }
}

/* ---- trend, outliers ---- */

static void test_theil_sen(void **state)
{
    (void)state;
    stats_interval slope;
    size_t n = COUNT(trend_x);
    assert_int_equal(drift_theil_sen(&slope, trend_x, trend_y, n, 0.95, NULL), GB_OK);
    check_close(slope.value, expect_theil_sen_95[0], 1e-12);
    check_ends(slope, expect_theil_sen_95[1], expect_theil_sen_95[2]);
    assert_int_equal(drift_theil_sen(&slope, trend_x, trend_y, n, 0.8, NULL), GB_OK);
    check_ends(slope, expect_theil_sen_80[1], expect_theil_sen_80[2]);
    check_close(drift_lag1(trend_y, n), expect_lag1, 1e-10);
    const double here[3] = {1, 1, 1};
    assert_int_equal(drift_theil_sen(&slope, here, trend_y, 3, 0.95, NULL), GB_OK);
    assert_true(isnan(slope.value));
}

/* Three configs of 10, 20 and 5 ms; every block is 2 % per hour slower, in logarithms, and one
 * burst is ten times as long. The trend is put in exactly, so it must come out exactly, with an
 * interval of no width, and block b's effect is 0.02 * (hours[b] - median hours). */
static void test_drift_exact(void **state)
{
    (void)state;
    enum { ARMS = 3, BLOCKS = 9 };
    double ms[ARMS * BLOCKS], hours[BLOCKS], effects[BLOCKS];
    static const double arm_ms[ARMS] = {10, 20, 5};
    for (int b = 0; b < BLOCKS; b++) {
        hours[b] = 3 + 0.5 * b;
        for (int arm = 0; arm < ARMS; arm++) {
            ms[arm * BLOCKS + b] = arm_ms[arm] * exp(0.02 * hours[b]);
        }
    }
    ms[1 * BLOCKS + 6] *= 10;
    ms[2 * BLOCKS + 0] = NAN; /* a burst that failed, the first: its median moves by half a block */
    drift d;
    assert_int_equal(drift_measure(&d, &(drift_bursts){ARMS, BLOCKS, ms, hours}, effects, NULL),
                     GB_OK);
    assert_int_equal(d.n_blocks, BLOCKS);
    assert_true(d.hours == 4);
    check_close(d.per_hour.value, expm1(0.02), 1e-6);
    check_close(d.total.value, expm1(0.08), 1e-6);
    for (int b = 0; b < BLOCKS; b++) {
        assert_true(fabs(effects[b] - 0.02 * (hours[b] - 5)) < 1e-12 || b == 6);
    }
    assert_int_equal(drift_measure(&d, &(drift_bursts){ARMS, 2, ms, hours}, NULL, NULL), GB_OK);
    assert_true(isnan(d.per_hour.value));
    assert_int_equal(drift_measure(&d, &(drift_bursts){0, 0, ms, hours}, NULL, NULL), GB_OK);
    assert_int_equal(d.n_blocks, 0);
}

static void test_outliers(void **state)
{
    (void)state;
    noise_outliers o;
    assert_int_equal(noise_outliers_count(&o, noisy_steps, COUNT(noisy_steps), NULL), GB_OK);
    check_close(o.median, expect_outliers[0], 1e-14);
    check_close(o.scaled_mad, expect_outliers[1], 1e-12);
    assert_int_equal(o.above, (size_t)expect_outliers[2]);
    assert_int_equal(o.below, (size_t)expect_outliers[3]);
    /* More than half equal: MAD 0. The mean deviation is 9/10, so the limit 5 * 1.2533 * 0.9 = 5.6:
     * the 9 is beyond it. */
    const double clumped[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 10};
    assert_int_equal(noise_outliers_count(&o, clumped, 10, NULL), GB_OK);
    assert_true(o.scaled_mad == 0);
    assert_int_equal(o.above, 1);
    assert_int_equal(o.below, 0);
    const double same[3] = {4, 4, 4};
    assert_int_equal(noise_outliers_count(&o, same, 3, NULL), GB_OK);
    assert_int_equal(o.above + o.below, 0);
    assert_int_equal(noise_outliers_count(&o, same, 0, NULL), GB_OK);
    assert_true(isnan(o.median));
}

/* ---- block counts ---- */

static void test_block_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_needed); i++) {
        block_spread spread = {ESTIMATE_STUDENT, 1, fixture_needed[i].df};
        double n = block_count_needed(spread, fixture_needed[i].distance, fixture_needed[i].alpha,
                                      fixture_needed[i].power);
        assert_true(n == fixture_needed[i].least);
    }
    block_spread spread = {ESTIMATE_BOOTSTRAP, 0.01, INFINITY};
    assert_true(isinf(block_count_needed(spread, 0, 0.05, 0.9)));
    assert_true(isinf(block_count_needed(spread, 1e-7, 0.05, 0.9)));
    assert_true(isinf(block_count_to_find(spread, 0.004, 0.005, 0.05, 1, 0.9)));
    assert_true(isnan(block_count_needed((block_spread){ESTIMATE_STUDENT, NAN, 3}, 1, 0.05, 0.9)));
    assert_true(block_count_needed(spread, 1, 0.05, 0.9) == ESTIMATE_MIN_BLOCKS);
    /* A known sd of 1 % and 0.4975 % from 1.01 to 1.005: (1.96 + 1.2816)^2 * (1 / 0.4963)^2 = 42.7
     * by the normal distribution; trimming leaves 60 % of the degrees of freedom, so t is 2.06 and
     * not 1.96: (2.06 + 1.28)^2 * 4.06 = 45.3. */
    double n = block_count_to_find(spread, 0.01, 0.005, 0.05, 1, 0.9);
    assert_true(n >= 44 && n <= 47);
    assert_true(block_count_to_find(spread, 0.01, 0.005, 0.05, 6, 0.9) > n);
    /* What n blocks can detect, and the blocks it takes to detect that, are the same question. */
    double change = block_count_detectable(spread, n, 0.005, 0.05, 0.9);
    assert_true(fabs(change - 0.01) < 1e-4);
    /* An estimate in the middle of the band is settled as SAME, one on its edge never. */
    /* By the normal distribution with t again 2.05 and 1.645 for 95 %, since each side may fail:
     * (2.05 + 1.645)^2 * (1 / 0.49875)^2 = 54.9. */
    n = block_count_to_settle(spread, 0, 0.005, 0.05, 0.9);
    assert_true(n >= 53 && n <= 57);
    assert_true(isinf(block_count_to_settle(spread, log1p(0.005), 0.005, 0.05, 0.9)));
}

static block_spread spread_from(size_t n)
{
    estimate e;
    assert_int_equal(estimate_bootstrap(&e, block_ratios, n, 1, 0, NULL), GB_OK);
    block_spread spread = block_spread_of(&e);
    estimate_free(&e);
    return spread;
}

/* Twelve blocks, two cut off at each end: 7 degrees of freedom, of which seven tenths count. */
static void test_spread(void **state)
{
    (void)state;
    block_spread spread = spread_from(n_blocks);
    check_close(spread.sd, expect_studentised[0] * sqrt(12), 1e-12);
    check_close(spread.df, 0.7 * 7, 1e-12);
    assert_true(isnan(spread_from(7).sd));
}

static void test_looks(void **state)
{
    (void)state;
    static const size_t looks[] = {10, 13, 17, 22, 28, 35}; /* each a quarter more, rounded up */
    size_t next = 0, n = 0;
    for (size_t i = 0; i < COUNT(looks); i++) {
        n = block_count_next_look(n);
        assert_int_equal(n, looks[i]);
    }
    for (n = 0; n <= 35; n++) {
        bool due = block_count_is_look(n);
        assert_true(due == (next < COUNT(looks) && n == looks[next]));
        next += due;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given_draws), cmocka_unit_test(test_studentised),
        cmocka_unit_test(test_as_plain),    cmocka_unit_test(test_trimmed_mean),
        cmocka_unit_test(test_normal),      cmocka_unit_test(test_p_is_the_interval),
        cmocka_unit_test(test_seeds),       cmocka_unit_test(test_edges),
        cmocka_unit_test(test_clock_grid),  cmocka_unit_test(test_coarse_values),
        cmocka_unit_test(test_two_humps),   cmocka_unit_test(test_coarse_coverage),
        cmocka_unit_test(test_theil_sen),   cmocka_unit_test(test_drift_exact),
        cmocka_unit_test(test_outliers),    cmocka_unit_test(test_block_count),
        cmocka_unit_test(test_looks),       cmocka_unit_test(test_spread),
    };
    return cmocka_run_group_tests_name("bootstrap", tests, NULL, NULL);
}
