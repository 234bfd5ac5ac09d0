#include "bench/analysis/runs_pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparability.h"
#include "bench/analysis/entry.h"
#include "bench/analysis/run_numbers.h"
#include "bench/stats/mean_ratio.h"

static double run_metric(const run_facts *run, metric_id metric)
{
    switch (metric) {
    case METRIC_STEP_AVG:
        return run->step_avg_ms;
    case METRIC_STEP_MEDIAN:
        return run->step_median_ms;
    case METRIC_TOKENS_PER_S:
        return run_tokens_per_s(run->tokens_per_step, run->step_avg_ms);
    case METRIC_VAL_LOSS:
        return run->final_val_loss;
    case METRIC_BEST_VAL_LOSS:
        return run->best_val_loss;
    case METRIC_PEAK_MEMORY:
        return run->peak_memory_bytes;
    case METRIC_FLOPS:
    case METRIC_N_PARAMS: /* of a config, not of a run */
    case METRIC_COUNT:
        break;
    }
    return NAN;
}

/* ---- nats ---- */

/* Below these the ratio of two losses is not what they are judged by. */
static const double NATS_SMALL = 1, NATS_ABOVE_ENTROPY = 0.1;

bool losses_are_in_nats(const result_entry *base, const result_entry *config, metric_id metric)
{
    if (!metric_is_loss(metric)) {
        return false;
    }
    bool best = metric == METRIC_BEST_VAL_LOSS;
    double a = best ? base->best_val_loss : base->val_loss.value;
    double b = best ? config->best_val_loss : config->val_loss.value;
    bool known = base->entropy_rate_nats == config->entropy_rate_nats; /* false for NAN */
    double near = known ? base->entropy_rate_nats + NATS_ABOVE_ENTROPY : 0;
    double limit = fmax(NATS_SMALL, near);
    return a < limit || b < limit;
}

double entry_seed_noise(const result_entry *entry, bool in_nats)
{
    double mean = 0, squares = 0;
    int n = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        double loss = entry->runs[r]->final_val_loss;
        if (isfinite(loss) && (in_nats || loss > 0)) {
            double x = in_nats ? loss : log(loss), step = x - mean; /* Welford */
            n++;
            mean += step / n;
            squares += step * (x - mean);
        }
    }
    return n >= 2 ? sqrt(2 * squares / (n - 1)) : NAN;
}

/* ---- pairs ---- */

/* Whether two runs of one replicate saw the same: then their difference is that of the configs. */
static bool runs_belong_together(const run_facts *a, const run_facts *b)
{
    return a->seed == b->seed && strcmp(a->train_data_hash, b->train_data_hash) == 0 &&
           comparability_same_validation(a, b);
}

bool runs_are_pairs(const result_entry *base, const result_entry *config)
{
    for (int i = 0; i < config->n_runs; i++) {
        const run_facts *run = config->runs[i];
        const run_facts *other = entry_find_run(base, run->replicate);
        if (other && !runs_belong_together(run, other)) {
            return false;
        }
    }
    return true;
}

/* The values of the runs that an estimate is made of. */
typedef struct run_samples {
    stats_sample config, base;
    bool paired, all; /* `all` of both entries' runs have a partner */
} run_samples;

/* Both values of each replicate that both finished; returns how many. */
static size_t paired_values(const result_entry *base, const result_entry *config, metric_id metric,
                            double *x, double *y)
{
    size_t n = 0;
    for (int i = 0; i < config->n_runs; i++) {
        const run_facts *run = config->runs[i];
        const run_facts *other = entry_find_run(base, run->replicate);
        double a = run_metric(run, metric), b = other ? run_metric(other, metric) : NAN;
        if (isfinite(a) && isfinite(b)) {
            x[n] = a;
            y[n++] = b;
        }
    }
    return n;
}

static size_t run_values(const result_entry *entry, metric_id metric, double *out)
{
    size_t n = 0;
    for (int i = 0; i < entry->n_runs; i++) {
        double value = run_metric(entry->runs[i], metric);
        if (isfinite(value)) {
            out[n++] = value;
        }
    }
    return n;
}

static run_samples samples_make(const result_entry *base, const result_entry *config,
                                metric_id metric, bool same_database, double *scratch)
{
    double *x = scratch, *y = scratch + config->n_runs;
    /* Times and memory of another day are no pair; for them data do not matter. */
    bool pairs = metric_is_loss(metric) ? runs_are_pairs(base, config) : same_database;
    size_t n = pairs ? paired_values(base, config, metric, x, y) : 0;
    bool all = n == (size_t)config->n_runs && n == (size_t)base->n_runs;
    /* Without its partner a loss says little, for seeds make more than configs do; a time or memory
     * as much as with it, and the change is to be that of the numbers that stand beside it. */
    bool paired = n > 0 && (all || metric_is_loss(metric));
    return (run_samples){.config = {x, paired ? n : run_values(config, metric, x)},
                         .base = {y, paired ? n : run_values(base, metric, y)},
                         .paired = paired,
                         .all = all};
}

/* ---- the estimate ---- */

/* Of these a config is what the lowest or the largest of its runs is (entry.c), of the others what
 * they are on average. */
static bool metric_is_extreme(metric_id metric)
{
    return metric == METRIC_BEST_VAL_LOSS || metric == METRIC_PEAK_MEMORY;
}

static double sample_lowest(stats_sample sample)
{
    double lowest = INFINITY;
    for (size_t i = 0; i < sample.n; i++) {
        lowest = fmin(lowest, sample.values[i]);
    }
    return lowest;
}

/* Of losses over the pairs, where they are not all: one seed's lowest is not held against
 * another's. */
static mean_extremes extremes_of(const result_entry *base, const result_entry *config,
                                 metric_id metric, const run_samples *s)
{
    if (metric == METRIC_BEST_VAL_LOSS && s->paired && !s->all) {
        return (mean_extremes){sample_lowest(s->config), sample_lowest(s->base)};
    }
    return metric == METRIC_BEST_VAL_LOSS
               ? (mean_extremes){config->best_val_loss, base->best_val_loss}
               : (mean_extremes){config->peak_memory_bytes, base->peak_memory_bytes};
}

static estimate samples_estimate(const run_samples *s, mean_scale scale, const mean_extremes *of)
{
    const double *x = s->config.values, *y = s->base.values;
    size_t n = s->config.n;
    if (of) {
        return s->paired ? extreme_ratio_paired(scale, *of, x, y, n)
                         : extreme_ratio_of_two(scale, *of, s->config, s->base);
    }
    return s->paired ? mean_ratio_paired(scale, x, y, n)
                     : mean_ratio_of_two(scale, s->config, s->base);
}

static double sample_mean(stats_sample sample)
{
    return stats_mean(sample.values, sample.n);
}

/* In one scale. Losses were rounded, to fp32 or by who printed them, and times by a clock: equal
 * ones are not known to be equal. Bytes are. */
static estimate scaled_estimate(const run_samples *s, mean_scale scale, const mean_extremes *of,
                                metric_id metric)
{
    estimate e = samples_estimate(s, scale, of);
    if (metric != METRIC_PEAK_MEMORY && e.kind != ESTIMATE_NONE) {
        mean_ratio_floor_error(&e, mean_value_step(s->config, s->base),
                               scale == MEAN_RATIO ? sample_mean(s->base) : 1);
    }
    return e;
}

/* Where the pairs of a loss are not all of the runs: what the two come to over the pairs. */
static void over_pairs(runs_pair *out, const run_samples *s, metric_id metric)
{
    bool lowest = metric == METRIC_BEST_VAL_LOSS;
    size_t used = strlen(out->method);
    out->over_pairs[0] = lowest ? sample_lowest(s->base) : sample_mean(s->base);
    out->over_pairs[1] = lowest ? sample_lowest(s->config) : sample_mean(s->config);
    snprintf(out->method + used, sizeof out->method - used, "; over these alone %.32s and %.32s",
             metric_format(metric, out->over_pairs[0]).text,
             metric_format(metric, out->over_pairs[1]).text);
}

static void method_make(runs_pair *out, const run_samples *s, metric_id metric)
{
    const char *weaker = metric_is_time(metric)
                             ? "; run after run, not interleaved: drift of the machine is in it"
                             : "";
    const char *of = metric == METRIC_BEST_VAL_LOSS ? "lowest"
                     : metric == METRIC_PEAK_MEMORY ? "largest"
                                                    : "means";
    const char *change = out->in_nats ? "difference" : "ratio";
    if (s->paired && s->config.n >= 2) {
        snprintf(out->method, sizeof out->method, "paired t of the %s of %s over %zu replicates%s",
                 change, of, s->config.n, weaker);
    } else if (s->paired) {
        snprintf(out->method, sizeof out->method,
                 "no interval: it takes two replicates that both configs finished%s", weaker);
    } else {
        snprintf(out->method, sizeof out->method,
                 "Welch t of the %s of %s over %zu and %zu runs, not paired%s%s", change, of,
                 s->base.n, s->config.n,
                 estimate_has_interval(&out->ratio) ? "" : ": too few for an interval", weaker);
    }
}

static void pair_make(runs_pair *out, const result_entry *base, const result_entry *config,
                      metric_id metric, const run_samples *s)
{
    bool rate = metric == METRIC_TOKENS_PER_S, extreme = metric_is_extreme(metric);
    const mean_extremes of = extremes_of(base, config, metric, s);
    run_samples of_estimate = *s;
    if (rate) { /* the tokens of a step by its time: that of the means, not a mean of rates */
        of_estimate.config = s->base;
        of_estimate.base = s->config;
    }
    estimate difference = scaled_estimate(s, MEAN_DIFFERENCE, extreme ? &of : NULL, metric);
    out->in_nats = losses_are_in_nats(base, config, metric);
    out->ratio = out->in_nats
                     ? difference
                     : scaled_estimate(&of_estimate, MEAN_RATIO, extreme ? &of : NULL, metric);
    out->difference = estimate_interval(&difference, 0.95);
    out->paired = s->paired;
    if (rate) {
        estimate_shift(&out->ratio, log((double)config->runs[0]->tokens_per_step /
                                        (double)base->runs[0]->tokens_per_step));
    }
    method_make(out, s, metric);
    if (s->paired && !s->all) {
        over_pairs(out, s, metric);
    }
}

gb_status runs_pair_make(runs_pair *out, const result_entry *base, const result_entry *config,
                         metric_id metric, bool same_database, gb_error *err)
{
    *out = (runs_pair){.over_pairs = {NAN, NAN}};
    size_t most = (size_t)(base->n_runs > config->n_runs ? base->n_runs : config->n_runs);
    double *scratch = malloc(((size_t)config->n_runs + most + 1) * sizeof *scratch);
    if (!scratch) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the replicates");
    }
    metric_id of = metric == METRIC_TOKENS_PER_S ? METRIC_STEP_AVG : metric;
    run_samples s = samples_make(base, config, of, same_database, scratch);
    pair_make(out, base, config, metric, &s);
    free(scratch);
    return GB_OK;
}
