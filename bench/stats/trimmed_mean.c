#include "bench/stats/trimmed_mean.h"

#include <math.h>

#include "bench/stats/stats.h"

size_t trimmed_mean_cut(size_t n)
{
    return n / 5;
}

double trimmed_mean_sorted(const double *x, size_t n)
{
    size_t g = trimmed_mean_cut(n);
    return stats_mean(x + g, n - 2 * g);
}

double trimmed_mean_error_sorted(const double *x, size_t n)
{
    size_t g = trimmed_mean_cut(n), kept = n - 2 * g;
    if (kept < 2) {
        return NAN;
    }
    /* Winsorised: what is cut off counts as the last value that is kept. */
    double low = x[g], high = x[n - g - 1], ends = (double)g;
    double mean = (ends * low + ends * high + stats_mean(x + g, kept) * (double)kept) / (double)n;
    double squares = ends * ((low - mean) * (low - mean) + (high - mean) * (high - mean));
    for (size_t i = g; i < n - g; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    double sd = sqrt(squares / (double)(n - 1));
    return sd * sqrt((double)n) / (double)kept; /* sd / ((1 - 2g/n) sqrt(n)) */
}

double trimmed_mean_yuen_factor(size_t n)
{
    double kept = (double)(n - 2 * trimmed_mean_cut(n));
    return sqrt((double)(n - 1) * kept / ((kept - 1) * (double)n));
}
