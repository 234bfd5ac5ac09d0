/* means_check.h: whether the means of bursts tell another story than their medians, by which
 * verdicts go. They do where some steps of one of the two are far slower than most: step_avg and
 * tokens/s have those steps, a verdict by medians does not. */
#ifndef GPTBENCH_BENCH_MEANS_CHECK_H
#define GPTBENCH_BENCH_MEANS_CHECK_H

#include <stdbool.h>

#include "bench/stats/estimate.h"

typedef struct means_check {
    /* Of the time of a step, or of a token where that is compared: ratio - 1, 95 %. */
    stats_interval by_medians, by_means;
    bool disagree; /* the two intervals have nothing in common; false where one is missing */
} means_check;

means_check means_check_of(stats_interval by_medians, stats_interval by_means);
/* Of two estimates of one metric; `rate`: of tokens/s, which are turned into times. */
means_check means_check_of_estimates(const estimate *by_medians, const estimate *by_means,
                                     bool rate);

#endif
