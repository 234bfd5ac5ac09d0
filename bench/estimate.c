#include "bench/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const estimate nothing = {ESTIMATE_NONE, 0, NAN, NAN, NAN, NAN, NULL};

estimate estimate_exact(double ratio)
{
    estimate e = nothing;
    if (isfinite(ratio) && ratio > 0) {
        e = (estimate){ESTIMATE_EXACT, 0, log(ratio), ratio, 0, INFINITY, NULL};
    }
    return e;
}

estimate estimate_student(const double *log_ratios, size_t n)
{
    estimate e = nothing;
    if (n > 0) {
        e.kind = ESTIMATE_STUDENT;
        e.n = n;
        e.value = stats_mean(log_ratios, n);
        e.standard_error = stats_sd(log_ratios, n) / sqrt((double)n);
        e.df = n < 2 ? NAN : (double)(n - 1);
    }
    return e;
}

/* Too few for an interval: the location alone. */
static gb_status value_only(estimate *e, const double *x, size_t n, gb_error *err)
{
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu ratios", n);
    }
    memcpy(sorted, x, n * sizeof *sorted);
    stats_sort(sorted, n);
    e->value = bootstrap_location_sorted(sorted, n, BOOTSTRAP_TRIMMED_MEAN);
    free(sorted);
    return GB_OK;
}

gb_status estimate_bootstrap(estimate *out, const double *log_ratios, size_t n, size_t resamples,
                             uint64_t seed, gb_error *err)
{
    *out = nothing;
    if (n == 0) {
        return GB_OK;
    }
    estimate e = nothing;
    e.kind = ESTIMATE_BOOTSTRAP;
    e.n = n;
    if (n < ESTIMATE_MIN_BLOCKS) {
        GB_TRY(value_only(&e, log_ratios, n, err));
    } else {
        GB_TRY(bootstrap_create(&e.resampled, log_ratios, n, BOOTSTRAP_TRIMMED_MEAN, resamples,
                                seed, err));
        e.value = bootstrap_value(e.resampled);
        e.standard_error = bootstrap_standard_error(e.resampled);
        e.df = estimate_df(ESTIMATE_BOOTSTRAP, n);
    }
    *out = e;
    return GB_OK;
}

double estimate_df(estimate_kind kind, size_t n)
{
    size_t g = kind == ESTIMATE_BOOTSTRAP ? bootstrap_trimmed_count(n, BOOTSTRAP_TRIMMED_MEAN) : 0;
    return kind == ESTIMATE_EXACT ? INFINITY : (double)n - 2 * (double)g - 1;
}

void estimate_free(estimate *e)
{
    bootstrap_free(e->resampled);
    *e = nothing;
}

size_t estimate_log_ratios(const double *config, const double *base, size_t n, double *out)
{
    size_t kept = 0;
    for (size_t b = 0; b < n; b++) {
        if (isfinite(config[b]) && isfinite(base[b]) && config[b] > 0 && base[b] > 0) {
            out[kept++] = log(config[b] / base[b]);
        }
    }
    return kept;
}

bool estimate_has_interval(const estimate *e)
{
    return e->kind == ESTIMATE_EXACT || (e->kind == ESTIMATE_STUDENT && e->n >= 2) ||
           (e->kind == ESTIMATE_BOOTSTRAP && e->resampled != NULL);
}

stats_interval estimate_interval(const estimate *e, double level)
{
    stats_interval out = {e->value, NAN, NAN};
    if (!estimate_has_interval(e)) {
        return out;
    }
    if (e->kind == ESTIMATE_BOOTSTRAP) {
        return bootstrap_interval(e->resampled, BOOTSTRAP_STUDENTISED, level);
    }
    double half = e->kind == ESTIMATE_EXACT
                      ? 0
                      : e->standard_error * stats_t_quantile(0.5 + level / 2, e->df);
    return (stats_interval){e->value, e->value - half, e->value + half};
}

stats_interval estimate_change(const estimate *e, double level)
{
    stats_interval logs = estimate_interval(e, level);
    return (stats_interval){expm1(logs.value), expm1(logs.low), expm1(logs.high)};
}

double estimate_p_above(const estimate *e, double threshold)
{
    if (!estimate_has_interval(e)) {
        return NAN;
    }
    if (e->kind == ESTIMATE_BOOTSTRAP) {
        return bootstrap_p_above(e->resampled, threshold);
    }
    double distance = e->value - threshold;
    if (!(e->standard_error > 0)) { /* exact, or without any spread */
        return distance > 0 ? 0 : 1;
    }
    return stats_t_cdf(-distance / e->standard_error, e->df);
}

double estimate_p_below(const estimate *e, double threshold)
{
    if (estimate_has_interval(e) && e->kind != ESTIMATE_BOOTSTRAP && !(e->standard_error > 0)) {
        return e->value < threshold ? 0 : 1;
    }
    return 1 - estimate_p_above(e, threshold);
}
