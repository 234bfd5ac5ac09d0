/* mean_ratio.h: how what several runs come to differs, config against baseline: their means, and
 * the lowest or the largest of them. The estimate is that of the two numbers which a table shows,
 * so that the change beside them is theirs to the last digit.
 *
 * By default it is the logarithm of a ratio. Losses near their floor are held against each other by
 * their difference in nats instead (MEAN_DIFFERENCE): a loss is the logarithm of a perplexity, so
 * this too is the logarithm of a ratio, that of the perplexities.
 *
 * Values that are not finite take no part; a mean or an extreme that is not above 0 has no ratio
 * (ESTIMATE_NONE), but it has a difference. */
#ifndef GPTBENCH_BENCH_MEAN_RATIO_H
#define GPTBENCH_BENCH_MEAN_RATIO_H

#include "bench/stats/estimate.h"

typedef enum mean_scale { MEAN_RATIO, MEAN_DIFFERENCE } mean_scale;

/* log(mean(config) / mean(base)) of n pairs, or mean(config) - mean(base), with a t interval on
 * n - 1 degrees of freedom. The standard error of a difference is that of the mean of config[i] -
 * base[i]; that of a ratio is that of the mean of config[i] / mean(config) - base[i] / mean(base):
 * the delta method (Cochran, Sampling Techniques, 1977, section 6.3). For values that differ little
 * it is that of the mean log ratio. Below two pairs there is a value without interval. */
estimate mean_ratio_paired(mean_scale scale, const double *config, const double *base, size_t n);
/* The same of two samples that do not belong together in pairs: Welch's interval. */
estimate mean_ratio_of_two(mean_scale scale, stats_sample config, stats_sample base);

/* Of what is the lowest or the largest of the runs on each side: `config` and `base`, which are
 * given, since an extreme may stand in a run that has no pair. An extreme varies no more than a
 * single run does (the lowest of two sets of n differ by no more than some pair of them): the
 * standard error is that of a single pair, not divided by sqrt(n), so the interval is rather too
 * wide than too narrow. */
typedef struct mean_extremes {
    double config, base;
} mean_extremes;
estimate extreme_ratio_paired(mean_scale scale, mean_extremes of, const double *config,
                              const double *base, size_t n);
estimate extreme_ratio_of_two(mean_scale scale, mean_extremes of, stats_sample config,
                              stats_sample base);

/* The step of values that were rounded when they were written down: the largest power of ten from
 * 0.01 down to 1e-6 that all of them are multiples of (nobody prints less than two digits, and of
 * 3, 3 and 3 the others are zeros); without one what an fp32 number near the
 * largest of them and 1 resolves (2^-23 of it). Values that are not finite, and zeros, do not
 * count. */
double mean_value_step(stats_sample config, stats_sample base);
/* No spread that is smaller than the rounding can be told from none: a standard error below that
 * of the difference of two values rounded to `step`, step / sqrt(6), becomes this. It does not
 * shrink with their number, since equal values are rounded alike. For a ratio in units of `level`,
 * the value where it was taken; 1 for a difference. Without a standard error nothing is done. */
void mean_ratio_floor_error(estimate *e, double step, double level);

#endif
