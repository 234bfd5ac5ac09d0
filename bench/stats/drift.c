#include "bench/stats/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- slope ---- */

/* Sum of k (k - 1) (2k + 5) over the groups of equal values: what ties take from the variance of
 * Kendall's statistic. Sorts x. */
static double tie_sum(double *x, size_t n)
{
    double sum = 0;
    stats_sort(x, n);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && x[end] == x[i]) {
            end++;
        }
        double k = (double)(end - i);
        sum += k * (k - 1) * (2 * k + 5);
        i = end;
    }
    return sum;
}

/* Slopes of all pairs, ascending; returns how many. */
static size_t pair_slopes(double *slopes, const double *x, const double *y, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            if (x[i] != x[j]) {
                slopes[count++] = (y[j] - y[i]) / (x[j] - x[i]);
            }
        }
    }
    stats_sort(slopes, count);
    return count;
}

gb_status drift_theil_sen(stats_interval *out, const double *x, const double *y, size_t n,
                          double level, gb_error *err)
{
    *out = (stats_interval){NAN, NAN, NAN};
    double *slopes = malloc((n * n / 2 + 1) * sizeof *slopes);
    double *scratch = malloc((n + 1) * sizeof *scratch);
    if (!slopes || !scratch) {
        free(slopes);
        free(scratch);
        return gb_fail(err, GB_ERR_OOM, "no memory for the slopes of %zu values", n);
    }
    size_t count = pair_slopes(slopes, x, y, n);
    if (count > 0) {
        double size = (double)n, variance = size * (size - 1) * (2 * size + 5);
        memcpy(scratch, x, n * sizeof *x);
        variance -= tie_sum(scratch, n);
        memcpy(scratch, y, n * sizeof *y);
        variance -= tie_sum(scratch, n);
        double reach = stats_normal_quantile((1 + level) / 2) * sqrt(fmax(variance, 0) / 18);
        double last = (double)(count - 1);
        double high = fmin(rint(((double)count + reach) / 2), last);
        double low = fmax(rint(((double)count - reach) / 2) - 1, 0);
        *out = (stats_interval){stats_quantile_sorted(slopes, count, 0.5),
                                slopes[(size_t)fmin(low, last)], slopes[(size_t)high]};
    }
    free(slopes);
    free(scratch);
    return GB_OK;
}

double drift_lag1(const double *x, size_t n)
{
    double mean = stats_mean(x, n), products = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
        products += i > 0 ? (x[i] - mean) * (x[i - 1] - mean) : 0;
    }
    return n >= 4 && squares > 0 ? products / squares : NAN;
}

/* ---- block effects ---- */

static double log_ms(const double *ms, size_t index)
{
    return isfinite(ms[index]) && ms[index] > 0 ? log(ms[index]) : NAN;
}

/* Median of the finite among n values of x, which it reorders; NAN for none. */
static double median_of_finite(double *x, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            x[kept++] = x[i];
        }
    }
    return stats_statistic_median(x, kept);
}

static gb_status block_effects(double *effects, const drift_bursts *bursts, gb_error *err)
{
    const size_t n_arms = bursts->n_arms, n_blocks = bursts->n_blocks;
    size_t room = n_arms > n_blocks ? n_arms : n_blocks;
    double *arms = malloc((n_arms + 1) * sizeof *arms);
    double *scratch = malloc((room + 1) * sizeof *scratch);
    if (!arms || !scratch) {
        free(arms);
        free(scratch);
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu configs in %zu blocks", n_arms,
                       n_blocks);
    }
    for (size_t arm = 0; arm < n_arms; arm++) {
        for (size_t block = 0; block < n_blocks; block++) {
            scratch[block] = log_ms(bursts->ms, arm * n_blocks + block);
        }
        arms[arm] = median_of_finite(scratch, n_blocks);
    }
    for (size_t block = 0; block < n_blocks; block++) {
        for (size_t arm = 0; arm < n_arms; arm++) {
            scratch[arm] = log_ms(bursts->ms, arm * n_blocks + block) - arms[arm];
        }
        effects[block] = median_of_finite(scratch, n_arms);
    }
    free(arms);
    free(scratch);
    return GB_OK;
}

/* ---- trend ---- */

/* How much wider the interval must be: neighbours depend on each other, so the blocks are worth
 * fewer independent ones. */
static double widening(double lag1, size_t n)
{
    double r = fmin(fmax(lag1 + (2 + 4 * lag1) / (double)n, 0), 0.9);
    double worth = (double)n * (1 - r) / (1 + r);
    double t = stats_t_quantile(0.975, fmax(worth - 2, 2)) / stats_normal_quantile(0.975);
    return sqrt((1 + r) / (1 - r)) * t;
}

static stats_interval scaled(stats_interval slope, double by, double wider)
{
    return (stats_interval){expm1(slope.value * by),
                            expm1((slope.value - wider * (slope.value - slope.low)) * by),
                            expm1((slope.value + wider * (slope.high - slope.value)) * by)};
}

/* The trend of n effects y at times x, which it leaves as residuals in y. */
static gb_status measure_trend(drift *out, double *x, double *y, size_t n, gb_error *err)
{
    size_t stride = (n + DRIFT_MAX_BLOCKS - 1) / DRIFT_MAX_BLOCKS, thinned = 0;
    double *some = malloc(2 * (n + 1) * sizeof *some);
    if (!some) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", n);
    }
    double *x_some = some, *y_some = some + n + 1;
    for (size_t i = 0; i < n; i += stride) {
        x_some[thinned] = x[i];
        y_some[thinned++] = y[i];
    }
    stats_interval slope;
    gb_status status = drift_theil_sen(&slope, x_some, y_some, thinned, 0.95, err);
    free(some);
    GB_TRY(status);
    if (isnan(slope.value)) {
        return GB_OK;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] -= slope.value * x[i];
    }
    out->effect_sd = stats_sd(y, n);
    out->lag1 = drift_lag1(y, n);
    double wider = widening(isnan(out->lag1) ? 0 : out->lag1, n);
    out->per_hour = scaled(slope, 1, wider);
    out->total = scaled(slope, out->hours, wider);
    return GB_OK;
}

gb_status drift_measure(drift *out, const drift_bursts *bursts, double *effects, gb_error *err)
{
    const size_t n_blocks = bursts->n_blocks;
    const stats_interval none = {NAN, NAN, NAN};
    *out = (drift){0, none, none, 0, NAN, NAN};
    double *x = calloc(n_blocks + 1, sizeof *x), *y = calloc(n_blocks + 1, sizeof *y);
    gb_status status = x && y ? block_effects(y, bursts, err)
                              : gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", n_blocks);
    if (status == GB_OK && effects) {
        memcpy(effects, y, n_blocks * sizeof *y);
    }
    size_t n = 0;
    for (size_t block = 0; status == GB_OK && block < n_blocks; block++) {
        if (isfinite(y[block]) && isfinite(bursts->hours[block])) {
            y[n] = y[block];
            x[n++] = bursts->hours[block];
        }
    }
    out->n_blocks = n;
    if (status == GB_OK && n >= 3) {
        out->hours = x[n - 1] - x[0];
        status = measure_trend(out, x, y, n, err);
    }
    free(x);
    free(y);
    return status;
}
