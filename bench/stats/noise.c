#include "bench/stats/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- A/A ---- */

/* The first `size` of n values become a random subset, by Fisher and Yates. */
static void draw_subset(double *x, size_t n, size_t size, uint64_t seed, uint64_t *counter)
{
    for (size_t i = 0; i < size; i++) {
        size_t j = i + (size_t)stats_random_below(seed, (*counter)++, n - i);
        double kept = x[i];
        x[i] = x[j];
        x[j] = kept;
    }
}

static gb_status is_alarm(bool *out, const double *log_ratios, size_t n, const verdict_rule *rule,
                          uint64_t seed, gb_error *err)
{
    estimate e;
    const stats_sample sample = {log_ratios, n};
    GB_TRY(estimate_bootstrap_coarse(&e, sample, rule->resolution, 1000, seed, err));
    const estimate *only = &e;
    verdict v;
    gb_status status = verdict_judge(&v, &only, 1, rule, err);
    *out = status == GB_OK && (v.kind == VERDICT_LESS || v.kind == VERDICT_MORE);
    estimate_free(&e);
    return status;
}

static gb_status count_alarms(noise_control *out, double *x, const verdict_rule *rule,
                              size_t subsets, uint64_t seed, gb_error *err)
{
    size_t half = out->n / 2, alarms = 0;
    size_t size = half < ESTIMATE_MIN_BLOCKS ? ESTIMATE_MIN_BLOCKS : half;
    verdict_rule without_floor = *rule;
    without_floor.floor = 0;
    uint64_t counter = 0;
    for (size_t i = 0; i < subsets; i++) {
        bool alarm;
        draw_subset(x, out->n, size, seed, &counter);
        GB_TRY(is_alarm(&alarm, x, size, &without_floor, seed + i, err));
        alarms += alarm;
    }
    out->subsets = subsets;
    out->false_alarm_rate = subsets ? (double)alarms / (double)subsets : NAN;
    return GB_OK;
}

gb_status noise_control_measure(noise_control *out, stats_sample log_ratios,
                                const verdict_rule *rule, size_t subsets, uint64_t seed,
                                gb_error *err)
{
    const size_t n = log_ratios.n;
    *out = (noise_control){.n = n, .change = {NAN, NAN, NAN}, .false_alarm_rate = NAN};
    if (n == 0) {
        return GB_OK;
    }
    estimate e;
    GB_TRY(estimate_bootstrap_coarse(&e, log_ratios, rule->resolution, verdict_resamples(1), seed,
                                     err));
    out->change = estimate_change(&e, 0.95);
    out->floor = fabs(out->change.value);
    estimate_free(&e);
    if (n < NOISE_MIN_SUBSET_BLOCKS) {
        return GB_OK;
    }
    double *x = malloc(n * sizeof *x);
    if (!x) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu ratios", n);
    }
    memcpy(x, log_ratios.values, n * sizeof *x);
    gb_status status = count_alarms(out, x, rule, subsets, seed, err);
    free(x);
    return status;
}

/* ---- outliers ---- */

/* x in place becomes |x - middle|; returns the mean of these. */
static double deviations(double *x, size_t n, double middle)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = fabs(x[i] - middle);
    }
    return stats_mean(x, n);
}

gb_status noise_outliers_count(noise_outliers *out, const double *x, size_t n, gb_error *err)
{
    *out = (noise_outliers){.n = n, .median = NAN, .scaled_mad = NAN};
    if (n == 0) {
        return GB_OK;
    }
    double *scratch = malloc(n * sizeof *scratch);
    if (!scratch) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu values", n);
    }
    memcpy(scratch, x, n * sizeof *scratch);
    out->median = stats_statistic_median(scratch, n);
    double mean_deviation = deviations(scratch, n, out->median);
    out->scaled_mad = NOISE_MAD_SCALE * stats_statistic_median(scratch, n);
    free(scratch);
    double scale = out->scaled_mad > 0 ? out->scaled_mad : sqrt(M_PI / 2) * mean_deviation;
    for (size_t i = 0; i < n; i++) {
        out->above += x[i] - out->median > 5 * scale;
        out->below += out->median - x[i] > 5 * scale;
    }
    return GB_OK;
}
