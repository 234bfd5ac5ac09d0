/* bootstrap.h: the 20 % trimmed mean of a sample, and how certain that is, by the studentised
 * bootstrap.
 *
 *   bootstrap *b;
 *   GB_TRY(bootstrap_create(&b, blocks, 4000, seed, err));
 *   stats_interval plain = bootstrap_interval(b, 0.95);
 *   double p = bootstrap_p_above(b, 0.005);
 *   bootstrap_free(b);
 *
 * The resampling distribution is kept, so intervals at any level and tail probabilities against any
 * threshold come from one set of resamples and cannot contradict each other.
 *
 * Why this location and this interval: one burst in thirty that takes several times as long ruins a
 * mean, and percentile and BCa intervals of a trimmed mean are too narrow below some 20 blocks.
 * tests/unit/stats/test_verdict_simulated.c compares them on simulated blocks, with the plain
 * bootstrap of tests/ref/plain_bootstrap.h; docs/MEASURING.md has the figures. */
#ifndef GPTBENCH_BENCH_BOOTSTRAP_H
#define GPTBENCH_BENCH_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "bench/stats/stats.h"
#include "kernels/status.h"

typedef struct bootstrap bootstrap;

/* `resamples` draws with replacement from x (not kept), by the counter-based
 * generator of stats.h: the same seed gives the same bits on every machine, with any number of
 * threads. x.n >= 1, resamples >= 1. *out is owned by the caller. GB_ERR_OOM; GB_ERR_INTERNAL when
 * x.n or resamples is 0 or a value is not finite. */
gb_status bootstrap_create(bootstrap **out, stats_sample x, size_t resamples, uint64_t seed,
                           gb_error *err);
/* Of values that a clock rounded (bench/stats/clock_grid.h): `resolution` is the standard deviation
 * of the error that each of them may share with all others, and so does not shrink with their
 * number. It is added to the standard error and to that of each resample, which has no spread where
 * it drew equal values; no interval is narrower than that of this error alone, taken as normal. */
gb_status bootstrap_create_coarse(bootstrap **out, stats_sample x, double resolution,
                                  size_t resamples, uint64_t seed, gb_error *err);
/* Trimmed mean of x minus trimmed mean of y, two samples that do not belong together in pairs: each
 * is resampled by itself. The standard error is the root of the two squared ones with Yuen's
 * factor, and so is that of each resample. `resolution`: that of the difference, as above; 0: none.
 * Errors as above. */
gb_status bootstrap_create_two(bootstrap **out, stats_sample x, stats_sample y, double resolution,
                               size_t resamples, uint64_t seed, gb_error *err);
/* No interval reaches beyond `least` and `most`, the smallest and largest value of the sample, at
 * levels up to 1 - 2^(1 - n): that all n values lie on one side of the median of what they were
 * drawn from has a chance of 2^(1 - n) (the sign test; Conover, Practical Nonparametric Statistics,
 * 1999, section 3.4). For samples with two humps: a resample from one of them has next to no
 * spread, and by its distance in standard errors an interval would reach far beyond all that was
 * measured. Not for values that depend on each other, nor for two samples. */
void bootstrap_bound(bootstrap *b, double least, double most);
void bootstrap_free(bootstrap *b); /* NULL is fine */

/* Adds a constant to the value and to all that was resampled. */
void bootstrap_shift(bootstrap *b, double by);
/* Standard error and resampled values `factor` times as far from the value: for values that depend
 * on each other and so say less than their number suggests. */
void bootstrap_widen(bootstrap *b, double factor);

double bootstrap_value(const bootstrap *b);          /* of the sample itself */
double bootstrap_standard_error(const bootstrap *b); /* NAN: too few values are left */

/* Two-sided interval at `level` in (0, 1): value -+ standard error * quantile of |t*|, with t* =
 * (resampled value - value) / its own standard error. Only the value when n < 2 or without a
 * standard error. A sample without any spread gives an interval of no width. */
stats_interval bootstrap_interval(const bootstrap *b, double level);

/* One-sided p value from the same distribution: small when the location certainly lies above
 * the threshold; the p value of the hypothesis "location <= threshold". It is the interval read the
 * other way: 2 * p_above(c) is the smallest alpha whose interval at level 1 - alpha lies above c.
 * No smaller than 1 / (2 * (resamples + 1)), since that many resamples cannot show less. 1
 * minus it is the p of the other side. NAN where there is no interval. */
double bootstrap_p_above(const bootstrap *b, double threshold);

#endif
