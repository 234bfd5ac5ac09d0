/* stats.h: the statistics that reports and comparisons use. Pure functions of doubles; nothing here
 * knows what a step is. Each is checked against SciPy (tests/fixtures/make_stats_fixtures.py).
 *
 * Samples are arrays x of n finite values; functions that take them const leave them alone. Where
 * a statistic does not exist (mean of nothing, deviation of one value) the result is NAN. */
#ifndef GPTBENCH_BENCH_STATS_H
#define GPTBENCH_BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

/* n finite values, in any order; borrowed. */
typedef struct stats_sample {
    const double *values;
    size_t n;
} stats_sample;

/* An estimate with its interval; low and high are NAN where there is no interval. */
typedef struct stats_interval {
    double value;
    double low, high;
} stats_interval;

/* Mean, summed pairwise so that 10^6 samples lose no digits that matter. NAN if n == 0. */
double stats_mean(const double *x, size_t n);
/* Sample standard deviation (n - 1), two passes. NAN if n < 2. */
double stats_sd(const double *x, size_t n);

/* Sorts ascending in place. */
void stats_sort(double *x, size_t n);
/* Quantile q in [0, 1] of x sorted ascending, with linear interpolation between order statistics
 * (Hyndman and Fan's type 7, NumPy's default). NAN if n == 0. */
double stats_quantile_sorted(const double *x, size_t n, double q);
/* Median of unsorted x, through a sorted copy. GB_ERR_OOM leaves *median alone. */
gb_status stats_median(const double *x, size_t n, double *median, gb_error *err);

/* P(T <= t) of Student's distribution with df > 0 (need not be whole). */
double stats_t_cdf(double t, double df);
/* The normal distribution's P(Z <= z), and z with P(Z <= z) = p, p in (0, 1); NAN outside. */
double stats_normal_cdf(double z);
double stats_normal_quantile(double p);
/* t with P(T <= t) = p; p in (0, 1), df > 0, where INFINITY means the
 * normal distribution. Relative error below 1e-10. */
double stats_t_quantile(double p, double df);

/* `level` below is the confidence level, 0.95 as a rule. */

/* Mean of x with its t interval; only the value when n < 2. Takes the samples as independent. */
stats_interval stats_mean_interval(const double *x, size_t n, double level);
/* mean(x) / mean(y) for positive samples: Welch's t interval of log mean(x) - log mean(y) (delta
 * method), taken back by exp. Only the value when either n < 2. */
stats_interval stats_ratio_interval(stats_sample x, stats_sample y, double level);
/* mean of x[i] - y[i] over n pairs with the paired t interval. GB_ERR_OOM. */
gb_status stats_paired_interval(const double *x, const double *y, size_t n, double level,
                                stats_interval *out, gb_error *err);

/* A statistic of a sample, for the bootstrap; it may reorder x. */
typedef double (*stats_statistic)(double *x, size_t n);
double stats_statistic_median(double *x, size_t n);

/* How to resample: `draws` resamples of either sample, from a seed, for an interval at `level`. */
typedef struct stats_resampling {
    stats_statistic statistic;
    int draws;
    uint64_t seed;
    double level;
} stats_resampling;

/* statistic(x) / statistic(y) with a percentile bootstrap interval: independent draws with
 * replacement from each sample. The same seed gives the same interval on every machine. Only the
 * value when either n < 2. GB_ERR_OOM. */
gb_status stats_bootstrap_ratio(stats_sample x, stats_sample y, const stats_resampling *how,
                                stats_interval *out, gb_error *err);

/* The counter-based generator behind the bootstrap: 64 well mixed bits that depend on (seed,
 * counter) alone (SplitMix64's finaliser over a Weyl sequence). */
uint64_t stats_random_u64(uint64_t seed, uint64_t counter);
/* Uniform in [0, n) without modulo bias worth speaking of (n < 2^32). */
uint64_t stats_random_below(uint64_t seed, uint64_t counter, uint64_t n);

#endif
