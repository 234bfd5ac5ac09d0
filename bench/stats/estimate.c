#include "bench/stats/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/drift.h"
#include "bench/stats/trimmed_mean.h"

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

static double *sorted_copy(const double *x, size_t n)
{
    double *sorted = malloc((n + 1) * sizeof *sorted);
    if (sorted) {
        memcpy(sorted, x, n * sizeof *sorted);
        stats_sort(sorted, n);
    }
    return sorted;
}

/* Too few for an interval: the location alone. */
static gb_status value_only(estimate *e, const double *x, size_t n, gb_error *err)
{
    double *sorted = sorted_copy(x, n);
    if (!sorted) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu ratios", n);
    }
    e->value = trimmed_mean_sorted(sorted, n);
    free(sorted);
    return GB_OK;
}

static void bound(bootstrap *b, stats_sample x)
{
    double least = x.values[0], most = x.values[0];
    for (size_t i = 1; i < x.n; i++) {
        least = fmin(least, x.values[i]);
        most = fmax(most, x.values[i]);
    }
    bootstrap_bound(b, least, most);
}

gb_status estimate_bootstrap(estimate *out, const double *log_ratios, size_t n, size_t resamples,
                             uint64_t seed, gb_error *err)
{
    const stats_sample sample = {log_ratios, n};
    return estimate_bootstrap_coarse(out, sample, 0, resamples, seed, err);
}

gb_status estimate_bootstrap_coarse(estimate *out, stats_sample log_ratios, double resolution,
                                    size_t resamples, uint64_t seed, gb_error *err)
{
    const size_t n = log_ratios.n;
    *out = nothing;
    if (n == 0) {
        return GB_OK;
    }
    estimate e = nothing;
    e.kind = ESTIMATE_BOOTSTRAP;
    e.n = n;
    if (n < ESTIMATE_MIN_BLOCKS) {
        GB_TRY(value_only(&e, log_ratios.values, n, err));
    } else {
        GB_TRY(bootstrap_create_coarse(&e.resampled, log_ratios, resolution, resamples, seed, err));
        bound(e.resampled, log_ratios);
        e.value = bootstrap_value(e.resampled);
        e.standard_error = bootstrap_standard_error(e.resampled);
        e.df = estimate_df(ESTIMATE_BOOTSTRAP, n);
    }
    *out = e;
    return GB_OK;
}

/* Degrees of freedom of a sum of two independent squared errors (Welch and Satterthwaite). */
static double df_of_two(double e_x, double df_x, double e_y, double df_y)
{
    double v_x = e_x * e_x, v_y = e_y * e_y, v = v_x + v_y;
    return v > 0 ? v * v / (v_x * v_x / df_x + v_y * v_y / df_y) : df_x + df_y;
}

estimate estimate_welch(stats_sample config, stats_sample base)
{
    if (config.n == 0 || base.n == 0) {
        return nothing;
    }
    estimate x = estimate_student(config.values, config.n);
    estimate y = estimate_student(base.values, base.n), e = x;
    e.n = config.n < base.n ? config.n : base.n;
    e.value = x.value - y.value;
    e.standard_error = hypot(x.standard_error, y.standard_error);
    e.df = df_of_two(x.standard_error, x.df, y.standard_error, y.df);
    return e;
}

gb_status estimate_dependence(double *factor, const double *x, size_t n, gb_error *err)
{
    *factor = 1;
    if (n < 4) {
        return GB_OK;
    }
    double *sorted = sorted_copy(x, n), *y = malloc(n * sizeof *y);
    if (!sorted || !y) {
        free(sorted);
        free(y);
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", n);
    }
    double low = sorted[n / 5], high = sorted[n - 1 - n / 5];
    for (size_t i = 0; i < n; i++) {
        y[i] = fmin(fmax(x[i], low), high);
    }
    double lag1 = drift_lag1(y, n), r = lag1 + (1 + 4 * lag1) / (double)n;
    free(sorted);
    free(y);
    if (r > 0) { /* not NAN either: all equal */
        r = fmin(r, 0.9);
        double worth = (double)n * (1 - r) / (1 + r);
        *factor = sqrt((1 + r) / (1 - r)) * stats_t_quantile(0.975, fmax(worth - 1, 2)) /
                  stats_t_quantile(0.975, (double)(n - 1));
    }
    return GB_OK;
}

/* Where one of two samples lies. */
typedef struct measured_sample {
    double value;
    double plain_error; /* its standard error, for values that do not depend on each other */
    double error;       /* the same, widened by estimate_dependence */
} measured_sample;

static gb_status sample_measure(measured_sample *out, stats_sample x, gb_error *err)
{
    double *sorted = sorted_copy(x.values, x.n), factor;
    if (!sorted) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", x.n);
    }
    out->value = trimmed_mean_sorted(sorted, x.n);
    out->plain_error = trimmed_mean_yuen_factor(x.n) * trimmed_mean_error_sorted(sorted, x.n);
    free(sorted);
    GB_TRY(estimate_dependence(&factor, x.values, x.n, err));
    out->error = factor * out->plain_error;
    return GB_OK;
}

gb_status estimate_bootstrap_two(estimate *out, stats_sample config, stats_sample base,
                                 double resolution, size_t resamples, uint64_t seed, gb_error *err)
{
    *out = nothing;
    if (config.n == 0 || base.n == 0) {
        return GB_OK;
    }
    estimate e = nothing;
    measured_sample x, y;
    GB_TRY(sample_measure(&x, config, err));
    GB_TRY(sample_measure(&y, base, err));
    e.kind = ESTIMATE_BOOTSTRAP;
    e.n = config.n < base.n ? config.n : base.n;
    e.value = x.value - y.value;
    if (e.n >= ESTIMATE_MIN_BLOCKS) {
        GB_TRY(bootstrap_create_two(&e.resampled, config, base, resolution, resamples, seed, err));
        double plain = hypot(x.plain_error, y.plain_error);
        if (plain > 0) {
            bootstrap_widen(e.resampled, hypot(x.error, y.error) / plain);
        }
        e.standard_error = bootstrap_standard_error(e.resampled);
        e.df = df_of_two(x.error, estimate_df(ESTIMATE_BOOTSTRAP, config.n), y.error,
                         estimate_df(ESTIMATE_BOOTSTRAP, base.n));
    }
    *out = e;
    return GB_OK;
}

void estimate_shift(estimate *e, double by)
{
    if (e->kind == ESTIMATE_STUDENT || e->kind == ESTIMATE_BOOTSTRAP) {
        e->value += by;
        if (e->resampled) {
            bootstrap_shift(e->resampled, by);
        }
    }
}

double estimate_df(estimate_kind kind, size_t n)
{
    size_t g = kind == ESTIMATE_BOOTSTRAP ? trimmed_mean_cut(n) : 0;
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
        return bootstrap_interval(e->resampled, level);
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
