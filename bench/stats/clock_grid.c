#include "bench/stats/clock_grid.h"

#include <math.h>

#include "bench/stats/stats.h"

double clock_grid_step(double *ms, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(ms[i]) && ms[i] > 0) {
            ms[kept++] = ms[i];
        }
    }
    if (kept == 0) {
        return 0;
    }
    stats_sort(ms, kept);
    double step = ms[0];
    for (size_t i = 1; i < kept; i++) {
        double difference = ms[i] - ms[i - 1];
        if (difference > 1e-9 * ms[i] && difference < step) {
            step = difference;
        }
    }
    return step;
}

double clock_grid_log_error(double step, double a, double b)
{
    return a > 0 && b > 0 ? step * hypot(1 / a, 1 / b) / sqrt(12) : 0;
}
