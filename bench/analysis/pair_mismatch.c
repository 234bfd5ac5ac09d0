/* Whether the two sides of a pair may be compared. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/learning_rates.h"
#include "bench/analysis/pair.h"

/* Where and how a side was measured. */
typedef struct circumstances {
    const machine_facts *machine; /* NULL: unknown */
    const char *backend, *precision;
    int64_t threads, tokens_per_step;
} circumstances;

static circumstances circumstances_of(const pair_side *side, bool timed)
{
    const run_facts *run = timed ? NULL : side->entry->runs[0];
    const speed_arm *arm = side->arm;
    int machine = timed ? side->session->facts->machine : run->machine;
    return (circumstances){
        .machine = machine >= 0 ? &side->data->facts->machines[machine] : NULL,
        .backend = timed ? arm->facts->backend : run->backend,
        .precision = timed ? arm->facts->precision : run->precision,
        .threads = timed ? arm->facts->threads : run->threads,
        .tokens_per_step = timed ? arm->facts->tokens_per_step : run->tokens_per_step,
    };
}

/* ---- the list ---- */

typedef struct mismatch_list {
    pair_mismatch *items;
    int n;
} mismatch_list;

static void list_text(mismatch_list *list, const char *what, const char *base, const char *config)
{
    if (list->n < PAIR_MAX_MISMATCHES && strcmp(base, config) != 0) {
        pair_mismatch *m = &list->items[list->n++];
        snprintf(m->what, sizeof m->what, "%s", what);
        snprintf(m->base, sizeof m->base, "%s", base);
        snprintf(m->config, sizeof m->config, "%s", config);
    }
}

static void list_int(mismatch_list *list, const char *what, int64_t base, int64_t config)
{
    char texts[2][32];
    snprintf(texts[0], sizeof texts[0], "%" PRId64, base);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, config);
    list_text(list, what, texts[0], texts[1]);
}

static void list_machines(mismatch_list *list, const machine_facts *a, const machine_facts *b)
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

/* ---- clocks ---- */

/* Median clock of what computed, beside a session. NAN: not known. */
static double session_clock(const pair_side *side)
{
    const timing_facts *t = side->session->facts;
    bool of_gpu = strcmp(side->arm->facts->backend, "cuda") == 0;
    return of_gpu ? t->gpu_clock_median_mhz : t->cpu_clock_median_mhz;
}

/* The same over the samples of all runs of an entry. */
static gb_status runs_clock(double *mhz, const result_entry *e, gb_error *err)
{
    int64_t all = 0, n = 0;
    for (int i = 0; i < e->n_runs; i++) {
        all += e->runs[i]->sensors.n_samples;
    }
    double *clocks = malloc((size_t)(all + 1) * sizeof *clocks);
    if (!clocks) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %" PRId64 " samples", all);
    }
    for (int i = 0; i < e->n_runs; i++) {
        const sensor_facts *sensors = &e->runs[i]->sensors;
        for (int64_t k = 0; k < sensors->n_samples; k++) {
            if (sensors->samples[k].clock_mhz > 0) {
                clocks[n++] = sensors->samples[k].clock_mhz;
            }
        }
    }
    *mhz = NAN;
    gb_status status = n > 0 ? stats_median(clocks, (size_t)n, mhz, err) : GB_OK;
    free(clocks);
    return status;
}

static gb_status list_clocks(mismatch_list *list, const pair_side *base, const pair_side *config,
                             bool timed, gb_error *err)
{
    double a, b;
    char texts[2][32];
    if (timed && base->data == config->data && base->session == config->session) {
        return GB_OK; /* the clock that they shared */
    }
    if (timed) {
        a = session_clock(base);
        b = session_clock(config);
    } else {
        GB_TRY(runs_clock(&a, base->entry, err));
        GB_TRY(runs_clock(&b, config->entry, err));
    }
    if (fmax(a, b) / fmin(a, b) > 1 + PAIR_CLOCK_TOLERANCE) { /* false for NAN */
        snprintf(texts[0], sizeof texts[0], "%.0f MHz", a);
        snprintf(texts[1], sizeof texts[1], "%.0f MHz", b);
        list_text(list, "median clock", texts[0], texts[1]);
    }
    return GB_OK;
}

gb_status pair_mismatches(pair_mismatch *out, int *n, const pair_side *base,
                          const pair_side *config, metric_id metric, gb_error *err)
{
    mismatch_list list = {out, 0};
    bool timed = metric_is_time(metric) && pair_is_timed(base, config);
    *n = 0;
    if (metric_is_exact(metric) || (!timed && (!base->entry || !config->entry))) {
        return GB_OK;
    }
    if (metric_is_loss(metric)) {
        const char *a = base->entry->runs[0]->val_data_hash;
        const char *b = config->entry->runs[0]->val_data_hash;
        list_text(&list, "validation data", a, b);
        list_text(&list, "learning rate after NaN", entry_rates_of(base->entry).text,
                  entry_rates_of(config->entry).text);
        *n = list.n;
        return GB_OK;
    }
    circumstances a = circumstances_of(base, timed), b = circumstances_of(config, timed);
    list_machines(&list, a.machine, b.machine);
    list_text(&list, "backend", a.backend, b.backend);
    list_text(&list, "precision", a.precision, b.precision);
    list_int(&list, "threads", a.threads, b.threads);
    if (metric != METRIC_TOKENS_PER_S) {
        list_int(&list, "tokens per step", a.tokens_per_step, b.tokens_per_step);
    }
    if (metric_is_time(metric)) {
        GB_TRY(list_clocks(&list, base, config, timed, err));
    }
    *n = list.n;
    return GB_OK;
}
