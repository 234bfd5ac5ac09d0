#include "bench/analysis/means_check.h"

#include <math.h>

means_check means_check_of(stats_interval by_medians, stats_interval by_means)
{
    const stats_interval *a = &by_medians, *b = &by_means;
    return (means_check){by_medians, by_means,
                         a->high < b->low || b->high < a->low}; /* false with NAN */
}

static stats_interval time_change(const estimate *e, bool rate)
{
    stats_interval logs = estimate_interval(e, 0.95);
    return rate ? (stats_interval){expm1(-logs.value), expm1(-logs.high), expm1(-logs.low)}
                : (stats_interval){expm1(logs.value), expm1(logs.low), expm1(logs.high)};
}

means_check means_check_of_estimates(const estimate *by_medians, const estimate *by_means,
                                     bool rate)
{
    return means_check_of(time_change(by_medians, rate), time_change(by_means, rate));
}
