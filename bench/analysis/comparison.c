#include "bench/analysis/comparison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/divergence.h"
#include "bench/analysis/entry.h"

/* The timed steps of an entry in one array, *n of them: of the replicates that `other` has too, or
 * of all when they share none. NULL without memory. */
static double *pooled_steps(const result_entry *entry, const result_entry *other, size_t *n)
{
    double *all = malloc(((size_t)entry->n_timed + 1) * sizeof *all);
    *n = 0;
    bool shared = false;
    for (int i = 0; i < entry->n_runs; i++) {
        shared |= entry_find_run(other, entry->runs[i]->replicate) != NULL;
    }
    for (int i = 0; all && i < entry->n_runs; i++) {
        const run_facts *run = entry->runs[i];
        bool counts = !shared || entry_find_run(other, run->replicate);
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

/* The interval of a change that is known: as far to either side, as a ratio, as that of the ratio
 * over all steps reaches from its value. One computation gives the change, with steps and without.
 */
static void change_widen(comparison *out, stats_interval ratio, bool inverse)
{
    stats_interval over_steps = ratio_to_change(ratio, inverse);
    double scale = (1 + out->change.value) / (1 + over_steps.value);
    out->change.low = scale * (1 + over_steps.low) - 1;
    out->change.high = scale * (1 + over_steps.high) - 1;
}

static gb_status interval_over_steps(comparison *out, const result_entry *base,
                                     const result_entry *new_entry, gb_error *err)
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
        const stats_resampling how = {stats_statistic_median, resamples, 1, 0.95};
        status = stats_bootstrap_ratio((stats_sample){x, n_new}, (stats_sample){y, n_base}, &how,
                                       &ratio, err);
        method = "bootstrap of the medians";
    } else if (status == GB_OK) {
        ratio = stats_ratio_interval((stats_sample){x, n_new}, (stats_sample){y, n_base}, 0.95);
    }
    free(x);
    free(y);
    change_widen(out, ratio, out->metric == METRIC_TOKENS_PER_S);
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

gb_status comparison_of_pair(comparison *out, const pair_side *base, const pair_side *new_side,
                             metric_id metric, gb_error *err)
{
    bool timed = pair_is_timed(base, new_side);
    *out = (comparison){.metric = metric,
                        .base = pair_side_value(base, metric, timed),
                        .new_value = pair_side_value(new_side, metric, timed),
                        .exact = metric_is_exact(metric)};
    pair_estimate p;
    GB_TRY(pair_estimate_make(&p, base, new_side, metric, err));
    snprintf(out->method, sizeof out->method, "%s", p.method);
    bool settled = estimate_has_interval(&p.ratio);
    if (metric_is_loss(metric)) {
        if (base->entry && new_side->entry) {
            out->terms = comparability_loss_terms(base->entry, new_side->entry);
        }
        out->base_diverged = divergence_of_side(base->data->facts, base->config, base->entry);
        out->new_diverged =
            divergence_of_side(new_side->data->facts, new_side->config, new_side->entry);
    }
    out->means = p.means;
    out->in_nats = p.in_nats;
    out->change = estimate_change(&p.ratio, 0.95);
    if (out->exact) { /* to the last bit */
        double change = out->new_value / out->base - 1;
        out->change = (stats_interval){change, change, change};
    }
    pair_estimate_free(&p);
    bool steps = base->data->facts->detail == FACTS_ALL; /* were read */
    if (!settled && !timed && steps && metric_is_time(metric) && base->entry && new_side->entry) {
        return interval_over_steps(out, base->entry, new_side->entry, err);
    }
    return GB_OK;
}

void comparison_withdraw(comparison *c, const char *why)
{
    c->change = (stats_interval){NAN, NAN, NAN};
    c->refused = true;
    c->means.disagree = false;
    snprintf(c->method, sizeof c->method, COMPARISON_REFUSED "%.240s", why);
}

gb_status comparison_make(comparison *out, const findings *data, const result_entry *base,
                          const result_entry *new_entry, metric_id metric, gb_error *err)
{
    pair_side base_side = {.data = data, .config = base->config, .entry = base};
    pair_side new_side = {.data = data, .config = new_entry->config, .entry = new_entry};
    comparability c;
    GB_TRY(comparison_of_pair(out, &base_side, &new_side, metric, err));
    GB_TRY(pair_comparability(&c, &base_side, &new_side, metric, err));
    if (c.n > 0) {
        comparison_withdraw(out, comparability_words(&c).text);
    }
    return GB_OK;
}

gb_status comparison_of_speed(comparison *out, bool *per_token, const findings *data,
                              const result_entry *base, const result_entry *new_entry,
                              gb_error *err)
{
    *per_token = base->runs[0]->tokens_per_step != new_entry->runs[0]->tokens_per_step;
    if (!*per_token) {
        return comparison_make(out, data, base, new_entry, METRIC_STEP_AVG, err);
    }
    GB_TRY(comparison_make(out, data, base, new_entry, METRIC_TOKENS_PER_S, err));
    stats_interval rate = out->change;
    out->change =
        (stats_interval){1 / (1 + rate.value) - 1, 1 / (1 + rate.high) - 1, 1 / (1 + rate.low) - 1};
    return GB_OK;
}
