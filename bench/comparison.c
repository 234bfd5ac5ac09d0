#include "bench/comparison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/numbers.h"

const char *const metric_names[METRIC_COUNT + 1] = {
    [METRIC_STEP_AVG] = "step_avg",
    [METRIC_STEP_MEDIAN] = "step_median",
    [METRIC_TOKENS_PER_S] = "tokens_per_s",
    [METRIC_VAL_LOSS] = "val_loss",
    [METRIC_BEST_VAL_LOSS] = "best_val_loss",
    [METRIC_PEAK_MEMORY] = "peak_memory",
    [METRIC_FLOPS] = "flops",
    [METRIC_N_PARAMS] = "n_params",
};

metric_id metric_find(const char *name)
{
    int i = 0;
    while (i < METRIC_COUNT && strcmp(metric_names[i], name) != 0) {
        i++;
    }
    return (metric_id)i;
}

metric_text metric_format(metric_id metric, double value)
{
    metric_text out = {"-"};
    if (!isfinite(value)) {
        return out;
    }
    switch (metric) {
    case METRIC_STEP_AVG:
    case METRIC_STEP_MEDIAN:
        snprintf(out.text, sizeof out.text, "%.*f ms", value < 10 ? 3 : 2, value);
        break;
    case METRIC_TOKENS_PER_S:
        snprintf(out.text, sizeof out.text, "%s tokens/s", number_rounded(value).text);
        break;
    case METRIC_VAL_LOSS:
    case METRIC_BEST_VAL_LOSS:
        snprintf(out.text, sizeof out.text, "%.4f nats/token", value);
        break;
    case METRIC_PEAK_MEMORY:
        snprintf(out.text, sizeof out.text, "%s", number_bytes(value).text);
        break;
    case METRIC_FLOPS:
        snprintf(out.text, sizeof out.text, "%s FLOPs/token", number_rounded(value).text);
        break;
    case METRIC_N_PARAMS:
        snprintf(out.text, sizeof out.text, "%s parameters", number_rounded(value).text);
        break;
    case METRIC_COUNT:
        break;
    }
    return out;
}

static double run_metric(const report_run *run, metric_id metric)
{
    switch (metric) {
    case METRIC_STEP_AVG:
        return run->step_avg_ms;
    case METRIC_STEP_MEDIAN:
        return run->step_median_ms;
    case METRIC_TOKENS_PER_S:
        return (double)run->tokens_per_step * 1000 / run->step_avg_ms;
    case METRIC_VAL_LOSS:
        return run->final_val_loss;
    case METRIC_BEST_VAL_LOSS:
        return run->best_val_loss;
    case METRIC_PEAK_MEMORY:
        return run->peak_memory_bytes;
    default:
        return NAN;
    }
}

static double entry_metric(const report_data *data, const report_entry *entry, metric_id metric)
{
    const report_config *config = &data->configs[entry->config];
    switch (metric) {
    case METRIC_STEP_AVG:
        return entry->step_avg_ms.value;
    case METRIC_STEP_MEDIAN:
        return entry->step_median_ms;
    case METRIC_TOKENS_PER_S:
        return entry->tokens_per_s.value;
    case METRIC_VAL_LOSS:
        return entry->val_loss.value;
    case METRIC_BEST_VAL_LOSS:
        return entry->best_val_loss;
    case METRIC_PEAK_MEMORY:
        return entry->peak_memory_bytes;
    case METRIC_FLOPS:
        return config->flops_per_token;
    case METRIC_N_PARAMS:
        return (double)config->n_params;
    case METRIC_COUNT:
        break;
    }
    return NAN;
}

/* Logarithms of new/base over the replicates that both finished; returns how many. In logarithms a
 * slower and an equally much faster replicate weigh the same, and no interval reaches -100 %. */
static size_t paired_log_ratios(const report_entry *base, const report_entry *new_entry,
                                metric_id metric, double *out)
{
    size_t n = 0;
    for (int i = 0; i < new_entry->n_runs; i++) {
        const report_run *run = new_entry->runs[i];
        const report_run *other = report_entry_find_run(base, run->replicate);
        double ratio = other ? run_metric(run, metric) / run_metric(other, metric) : NAN;
        if (isfinite(ratio) && ratio > 0) {
            out[n++] = log(ratio);
        }
    }
    return n;
}

/* The timed steps of an entry in one array, *n of them: of the replicates that `other` has too, or
 * of all when they share none. NULL without memory. */
static double *pooled_steps(const report_entry *entry, const report_entry *other, size_t *n)
{
    double *all = malloc(((size_t)entry->n_timed + 1) * sizeof *all);
    *n = 0;
    bool shared = false;
    for (int i = 0; i < entry->n_runs; i++) {
        shared |= report_entry_find_run(other, entry->runs[i]->replicate) != NULL;
    }
    for (int i = 0; all && i < entry->n_runs; i++) {
        const report_run *run = entry->runs[i];
        bool counts = !shared || report_entry_find_run(other, run->replicate);
        if (counts && run->n_timed > 0) {
            memcpy(all + *n, run->timed_ms, (size_t)run->n_timed * sizeof *all);
            *n += (size_t)run->n_timed;
        }
    }
    return all;
}

/* tokens/s go as one over the time: an interval of time ratios is turned round. */
static stats_interval ratio_to_change(stats_interval ratio, bool inverse)
{
    if (inverse) {
        return (stats_interval){1 / ratio.value - 1, 1 / ratio.high - 1, 1 / ratio.low - 1};
    }
    return (stats_interval){ratio.value - 1, ratio.low - 1, ratio.high - 1};
}

static gb_status change_over_steps(comparison *out, const report_entry *base,
                                   const report_entry *new_entry, gb_error *err)
{
    size_t n_new, n_base;
    double *x = pooled_steps(new_entry, base, &n_new);
    double *y = pooled_steps(base, new_entry, &n_base);
    gb_status status = x && y ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for the steps");
    stats_interval ratio = {NAN, NAN, NAN};
    const char *method = "Welch t";
    if (status == GB_OK && out->metric == METRIC_STEP_MEDIAN) {
        /* About 2e7 draws at most: a second, whatever the length of the runs. */
        double fit = 2e7 / (double)(n_new + n_base + 1);
        int resamples = fit > 4000 ? 4000 : fit < 200 ? 200 : (int)fit;
        status = stats_bootstrap_ratio(x, n_new, y, n_base, stats_statistic_median, resamples, 1,
                                       0.95, &ratio, err);
        method = "bootstrap of the medians";
    } else if (status == GB_OK) {
        ratio = stats_ratio_interval(x, n_new, y, n_base, 0.95);
    }
    free(x);
    free(y);
    stats_interval change = ratio_to_change(ratio, out->metric == METRIC_TOKENS_PER_S);
    out->change = change;
    if (n_new >= 2 && n_base >= 2) {
        snprintf(out->method, sizeof out->method,
                 "%s over %zu and %zu timed steps; the steps of a run depend on each "
                 "other, so it is too narrow",
                 method, n_base, n_new);
    } else {
        snprintf(out->method, sizeof out->method, "no interval: too few timed steps");
    }
    return status;
}

gb_status comparison_make(comparison *out, const report_data *data, const report_entry *base,
                          const report_entry *new_entry, metric_id metric, gb_error *err)
{
    double before = entry_metric(data, base, metric);
    double after = entry_metric(data, new_entry, metric), change = after / before - 1;
    *out = (comparison){
        .metric = metric, .base = before, .new_value = after, .change = {change, NAN, NAN}};
    if (metric == METRIC_FLOPS || metric == METRIC_N_PARAMS) {
        out->exact = true;
        out->change.low = out->change.high = change;
        snprintf(out->method, sizeof out->method, "exact: a property of the model");
        return GB_OK;
    }
    double *logs = calloc((size_t)new_entry->n_runs + 1, sizeof *logs);
    if (!logs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d replicates", new_entry->n_runs);
    }
    size_t n = paired_log_ratios(base, new_entry, metric, logs);
    stats_interval paired = stats_mean_interval(logs, n, 0.95);
    free(logs);
    if (n >= 1) { /* with one pair just the value: like is held against like */
        out->change = (stats_interval){expm1(paired.value), expm1(paired.low), expm1(paired.high)};
    }
    if (n >= 2) {
        snprintf(out->method, sizeof out->method, "paired t of log ratios over %zu replicates", n);
        return GB_OK;
    }
    if (metric == METRIC_STEP_AVG || metric == METRIC_STEP_MEDIAN ||
        metric == METRIC_TOKENS_PER_S) {
        return change_over_steps(out, base, new_entry, err);
    }
    snprintf(out->method, sizeof out->method,
             "no interval: it takes two replicates that both configs finished");
    return GB_OK;
}
