#include "bench/analysis/comparability.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/divergence.h"
#include "bench/analysis/learning_rates.h"

/* ---- circumstances ---- */

/* Over the runs of an entry, which each have a median of their own. */
static gb_status entry_clock(double *mhz, const result_entry *e, gb_error *err)
{
    size_t n = 0;
    double *clocks = malloc(((size_t)e->n_runs + 1) * sizeof *clocks);
    if (!clocks) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d clocks", e->n_runs);
    }
    for (int i = 0; i < e->n_runs; i++) {
        if (e->runs[i]->clock_median_mhz > 0) { /* false for NAN */
            clocks[n++] = e->runs[i]->clock_median_mhz;
        }
    }
    *mhz = NAN;
    gb_status status = n > 0 ? stats_median(clocks, n, mhz, err) : GB_OK;
    free(clocks);
    return status;
}

gb_status circumstances_of_entry(circumstances *out, const facts *f, const result_entry *entry,
                                 gb_error *err)
{
    const run_facts *run = entry->runs[0];
    *out = (circumstances){.machine = run->machine >= 0 ? &f->machines[run->machine] : NULL,
                           .backend = run->backend,
                           .precision = run->precision,
                           .threads = run->threads,
                           .tokens_per_step = run->tokens_per_step,
                           .losses = entry};
    return entry_clock(&out->clock_mhz, entry, err);
}

circumstances circumstances_of_arm(const facts *f, const timing_facts *session,
                                   const timing_arm *arm)
{
    bool of_gpu = strcmp(arm->backend, "cuda") == 0;
    return (circumstances){.machine = session->machine >= 0 ? &f->machines[session->machine] : NULL,
                           .backend = arm->backend,
                           .precision = arm->precision,
                           .threads = arm->threads,
                           .tokens_per_step = arm->tokens_per_step,
                           .clock_mhz = of_gpu ? session->gpu_clock_median_mhz
                                               : session->cpu_clock_median_mhz};
}

/* ---- the list ---- */

static void list_add(comparability *list, const char *what, const char *base, const char *config)
{
    if (list->n < COMPARABILITY_MAX) {
        obstacle *o = &list->obstacles[list->n++];
        snprintf(o->what, sizeof o->what, "%s", what);
        snprintf(o->base, sizeof o->base, "%s", base);
        snprintf(o->config, sizeof o->config, "%s", config);
    }
}

static void list_text(comparability *list, const char *what, const char *base, const char *config)
{
    if (strcmp(base, config) != 0) {
        list_add(list, what, base, config);
    }
}

static void list_int(comparability *list, const char *what, int64_t base, int64_t config)
{
    char texts[2][32];
    snprintf(texts[0], sizeof texts[0], "%" PRId64, base);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, config);
    list_text(list, what, texts[0], texts[1]);
}

static void list_machines(comparability *list, const machine_facts *a, const machine_facts *b)
{
    if (!a || !b) {
        list_text(list, "machine", a ? a->hostname : "unknown", b ? b->hostname : "unknown");
        return;
    }
    list_text(list, "machine", a->hostname, b->hostname);
    list_text(list, "system", a->os, b->os);
    list_text(list, "processor", a->cpu, b->cpu);
    list_int(list, "usable CPUs", a->cpu_count, b->cpu_count);
    list_int(list, "bytes of memory", a->memory_bytes, b->memory_bytes);
    list_text(list, "device", a->device, b->device);
    list_text(list, "driver", a->driver, b->driver);
}

static void list_clocks(comparability *list, double a, double b)
{
    char texts[2][32];
    if (fmax(a, b) / fmin(a, b) > 1 + COMPARABILITY_CLOCK_TOLERANCE && !isnan(a) && !isnan(b)) {
        snprintf(texts[0], sizeof texts[0], "%.0f MHz", a);
        snprintf(texts[1], sizeof texts[1], "%.0f MHz", b);
        list_text(list, "median clock", texts[0], texts[1]);
    }
}

/* ---- validation ---- */

#define DIVERGED "runs that diverged:"

/* What two runs were validated on, where that is not the same. */
static void list_validation(comparability *list, const run_facts *a, const run_facts *b)
{
    bool hashed = *a->val_stretch_hash && *b->val_stretch_hash;
    char texts[2][20]; /* as much of a hash as people read */
    if (hashed && strcmp(a->val_stretch_hash, b->val_stretch_hash) == 0) {
        return;
    }
    if (a->val_tokens > 0 && b->val_tokens > 0 && a->val_tokens != b->val_tokens) {
        list_int(list, "validation tokens", a->val_tokens, b->val_tokens);
        return;
    }
    snprintf(texts[0], sizeof texts[0], "%.16s", hashed ? a->val_stretch_hash : a->val_data_hash);
    snprintf(texts[1], sizeof texts[1], "%.16s", hashed ? b->val_stretch_hash : b->val_data_hash);
    list_text(list, "validation data", texts[0], texts[1]);
}

bool comparability_same_validation(const run_facts *a, const run_facts *b)
{
    comparability list = {.n = 0};
    list_validation(&list, a, b);
    return list.n == 0;
}

/* Of all runs of both: a mean is over them. */
static void list_losses(comparability *list, const result_entry *base, const result_entry *config)
{
    for (int i = 0; i < base->n_runs + config->n_runs && list->n == 0; i++) {
        list_validation(list, base->runs[i < base->n_runs ? i : 0],
                        config->runs[i < base->n_runs ? 0 : i - base->n_runs]);
    }
    entry_divergence a = divergence_of_entry(base), b = divergence_of_entry(config);
    if (a.run || b.run) {
        list_add(list, DIVERGED, a.text, b.text);
    }
    list_text(list, "learning rate after NaN", entry_rates_of(base).text,
              entry_rates_of(config).text);
}

/* ---- the rule ---- */

#define TOKENS_PER_STEP "tokens per step"

comparability comparability_of(const circumstances *base, const circumstances *config,
                               metric_id metric)
{
    comparability list = {.n = 0};
    if (metric_is_exact(metric)) {
        return list;
    }
    if (metric_is_loss(metric)) {
        if (base->losses && config->losses) {
            list_losses(&list, base->losses, config->losses);
        }
        return list;
    }
    list_machines(&list, base->machine, config->machine);
    list_text(&list, "backend", base->backend, config->backend);
    list_text(&list, "precision", base->precision, config->precision);
    list_int(&list, "threads", base->threads, config->threads);
    if (!metric_is_rate(metric)) {
        list_int(&list, TOKENS_PER_STEP, base->tokens_per_step, config->tokens_per_step);
    }
    if (metric_is_time(metric)) {
        list_clocks(&list, base->clock_mhz, config->clock_mhz);
    }
    return list;
}

metric_id comparability_speed_metric(const circumstances *base, const circumstances *config)
{
    return base->tokens_per_step == config->tokens_per_step ? METRIC_STEP_AVG : METRIC_TOKENS_PER_S;
}

gb_status comparability_of_entries(comparability *out, const facts *f, const result_entry *base,
                                   const result_entry *config, metric_id metric, gb_error *err)
{
    circumstances a, b;
    GB_TRY(circumstances_of_entry(&a, f, base, err));
    GB_TRY(circumstances_of_entry(&b, f, config, err));
    *out = comparability_of(&a, &b, metric);
    return GB_OK;
}

bool comparability_wants_rate(const comparability *c, metric_id metric)
{
    return c->n == 1 && metric_is_time(metric) &&
           strcmp(c->obstacles[0].what, TOKENS_PER_STEP) == 0;
}

const char *comparability_rate_hint(const comparability *c, metric_id metric)
{
    return comparability_wants_rate(c, metric) ? "; per token their speeds do: tokens_per_s" : "";
}

bool comparability_is_divergence(const comparability *c)
{
    return c->n == 1 && strcmp(c->obstacles[0].what, DIVERGED) == 0;
}

comparability_text comparability_words(const comparability *c)
{
    comparability_text out = {""};
    for (int i = 0, used = 0; i < c->n && used < (int)sizeof out.text; i++) {
        const obstacle *o = &c->obstacles[i];
        used += snprintf(out.text + used, sizeof out.text - (size_t)used, "%s%s %.100s and %.100s",
                         i ? "; " : "", o->what, o->base[0] ? o->base : "unknown",
                         o->config[0] ? o->config : "unknown");
    }
    return out;
}

loss_terms comparability_loss_terms(const result_entry *base, const result_entry *config)
{
    const run_facts *a = base->runs[0], *b = config->runs[0];
    loss_terms out = {.trained = 0};
    double other = (double)a->tokens_per_step * (double)a->num_iterations;
    double own = (double)b->tokens_per_step * (double)b->num_iterations;
    if (own != other) {
        out.trained = own;
        out.base_trained = other;
    }
    if (a->sequence_length != b->sequence_length) {
        out.context = b->sequence_length;
        out.base_context = a->sequence_length;
    }
    return out;
}
