/* bootstrap.h: where the typical value of a sample lies, and how surely, by the bootstrap.
 *
 *   bootstrap *b;
 *   GB_TRY(bootstrap_create(&b, d, n, BOOTSTRAP_TRIMMED_MEAN, 4000, seed, err));
 *   stats_interval plain = bootstrap_interval(b, BOOTSTRAP_STUDENTISED, 0.95);
 *   double p = bootstrap_p_above(b, 0.005);
 *   bootstrap_free(b);
 *
 * The resampling distribution is kept, so intervals at any level and tail probabilities against any
 * threshold come from one set of resamples and cannot contradict each other.
 *
 * Which location, which interval: tests/unit/stats/test_verdict_simulated.c compares them on
 * simulated blocks, and docs/MEASURING.md has the figures. In short: one burst in thirty that takes
 * several times as long ruins a mean, so verdicts take the 20 % trimmed mean; percentile and BCa
 * intervals of it are too narrow below some 20 blocks, and the studentised one holds. */
#ifndef GPTBENCH_BENCH_BOOTSTRAP_H
#define GPTBENCH_BENCH_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "bench/stats/stats.h"
#include "kernels/status.h"

typedef enum bootstrap_location {
    BOOTSTRAP_MEAN,
    BOOTSTRAP_TRIMMED_MEAN, /* floor(n / 5) values dropped at each end */
    BOOTSTRAP_MEDIAN
} bootstrap_location;

typedef enum bootstrap_method {
    BOOTSTRAP_PERCENTILE, /* quantiles of the resampled location */
    BOOTSTRAP_BCA,        /* the same at levels corrected for bias and skewness (Efron 1987) */
    BOOTSTRAP_STUDENTISED /* value -+ se * quantile of |t*|, symmetric; t* = (v* - value) / se* */
} bootstrap_method;

typedef struct bootstrap bootstrap;

/* Location of x sorted ascending; NAN if n == 0. */
double bootstrap_location_sorted(const double *x, size_t n, bootstrap_location location);
/* Its standard error from the sample alone: sd / sqrt(n) for the mean; for the trimmed mean the
 * winsorised sd over (1 - 2g/n) sqrt(n) (Tukey and McLaughlin), with n - 2g - 1 degrees of freedom;
 * NAN for the median and where fewer than two values are left. */
double bootstrap_standard_error_sorted(const double *x, size_t n, bootstrap_location location);
/* What Yuen (1974) takes in its place for the difference of two trimmed means, and SciPy's trimmed
 * t test too: a little larger for small n; the same for the mean. */
double bootstrap_yuen_error_sorted(const double *x, size_t n, bootstrap_location location);
/* Values cut off at each end: floor(n / 5) for the trimmed mean, else 0. */
size_t bootstrap_trimmed_count(size_t n, bootstrap_location location);

/* `resamples` draws with replacement from the n finite values of x (not kept), by the counter-based
 * generator of stats.h: the same seed gives the same bits on every machine. n >= 1, resamples >= 1.
 * *out is owned by the caller. GB_ERR_OOM; GB_ERR_INTERNAL when n or resamples is 0 or a value is
 * not finite. */
gb_status bootstrap_create(bootstrap **out, const double *x, size_t n, bootstrap_location location,
                           size_t resamples, uint64_t seed, gb_error *err);
/* The same on given draws: resample r consists of x[indices[r * n + i]], i < n. For checks against
 * other programs on the same draws. GB_ERR_INTERNAL also for an index >= n. */
gb_status bootstrap_create_from(bootstrap **out, const double *x, size_t n,
                                bootstrap_location location, const uint32_t *indices,
                                size_t resamples, gb_error *err);
void bootstrap_free(bootstrap *b); /* NULL is fine */

typedef struct bootstrap_sample {
    const double *values;
    size_t n;
    const uint32_t *draws; /* as `indices` above; NULL: made from the seed */
} bootstrap_sample;

/* Location of x minus location of y, two samples that do not belong together in pairs: each is
 * resampled by itself. The standard error is the root of the two squared ones by
 * bootstrap_yuen_error_sorted, and so is that of each resample. Errors as above; no BCa interval.
 */
gb_status bootstrap_create_two(bootstrap **out, const bootstrap_sample *x,
                               const bootstrap_sample *y, bootstrap_location location,
                               size_t resamples, uint64_t seed, gb_error *err);

/* Adds a constant to the value and to all that was resampled. */
void bootstrap_shift(bootstrap *b, double by);
/* Standard error and resampled values `factor` times as far from the value: for values that depend
 * on each other and so say less than their number makes believe. */
void bootstrap_widen(bootstrap *b, double factor);

double bootstrap_value(const bootstrap *b);          /* location of the sample itself */
double bootstrap_standard_error(const bootstrap *b); /* as above; for the median the sd of the
                                                        resampled medians */
size_t bootstrap_count(const bootstrap *b);          /* n, of two samples together */
size_t bootstrap_resamples(const bootstrap *b);
/* The resampled locations, ascending. Lives as long as b. */
const double *bootstrap_sorted(const bootstrap *b);

/* Two-sided interval at `level` in (0, 1). Only the value when n < 2 and, studentised, for a median
 * or where a trimmed mean has no standard error. A sample without any spread gives an interval of
 * no width. */
stats_interval bootstrap_interval(const bootstrap *b, bootstrap_method method, double level);

/* One-sided p values from the studentised distribution. p_above is small when the location surely
 * lies above the threshold: the p value of the hypothesis "location <= threshold". They are the
 * interval read the other way: 2 * p_above(c) is the smallest alpha whose interval at level
 * 1 - alpha lies above c. No smaller than 1 / (2 * (resamples + 1)), since that many resamples
 * cannot vouch for less. NAN where there is no interval. */
double bootstrap_p_above(const bootstrap *b, double threshold);
double bootstrap_p_below(const bootstrap *b, double threshold);

#endif
