/* mean_ratio.h: ratios of what several runs come to, config over baseline: of their means, and of
 * the lowest or the largest of them. The estimate is that of the two numbers which a table shows,
 * so that the change beside them is theirs to the last digit.
 *
 * Values that are not finite take no part; a mean or an extreme that is not above 0 has no ratio
 * (ESTIMATE_NONE). */
#ifndef GPTBENCH_BENCH_MEAN_RATIO_H
#define GPTBENCH_BENCH_MEAN_RATIO_H

#include "bench/stats/estimate.h"

/* log(mean(config) / mean(base)) of n pairs, with a t interval on n - 1 degrees of freedom. Its
 * standard error is that of the mean of config[i] / mean(config) - base[i] / mean(base): the delta
 * method (Cochran, Sampling Techniques, 1977, section 6.3). For values that differ little it is
 * that of the mean log ratio. Below two pairs there is a value without interval. */
estimate mean_ratio_paired(const double *config, const double *base, size_t n);
/* The same of two samples that do not belong together in pairs: Welch's interval. */
estimate mean_ratio_of_two(stats_sample config, stats_sample base);

/* Of what is the lowest or the largest of the runs on each side: log(ratio), which is given, since
 * an extreme may stand in a run that has no pair. An extreme varies no more than a single run does
 * (the lowest of two sets of n differ by no more than some pair of them): the standard error is
 * that of a single pair, not divided by sqrt(n), so the interval is rather too wide than too
 * narrow. */
estimate extreme_ratio_paired(double ratio, const double *config, const double *base, size_t n);
estimate extreme_ratio_of_two(double ratio, stats_sample config, stats_sample base);

#endif
