#include "bench/analysis/pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry.h"
#include "bench/analysis/entry_pair.h"
#include "bench/analysis/run_numbers.h"
#include "bench/analysis/runs_pair.h"
#include "bench/stats/clock_grid.h"

/* ---- finding ---- */

const char *pair_side_name(const pair_side *side)
{
    return side->entry ? side->entry->label : side->data->facts->configs[side->config].name;
}

static bool arm_fits(const pair_side *side, const speed_session *session, const speed_arm *arm)
{
    const result_entry *e = side->entry;
    return !e ||
           (session->facts->machine == e->machine && strcmp(arm->facts->backend, e->backend) == 0 &&
            strcmp(arm->facts->precision, e->precision) == 0);
}

static pair_side side_make(const findings *data, int config, const result_entry *entry)
{
    pair_side side = {.data = data, .config = config, .entry = entry};
    const speed_session *session = NULL;
    const speed_arm *arm = speed_report_find(data->speeds, config, &session);
    if (arm && arm_fits(&side, session, arm)) {
        side.session = session;
        side.arm = arm;
    }
    return side;
}

pair_side pair_side_of_entry(const findings *data, const result_entry *entry)
{
    return side_make(data, entry->config, entry);
}

pair_side pair_side_of(const findings *data, int config)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (data->entries[i].config == config) {
            return side_make(data, config, &data->entries[i]);
        }
    }
    return side_make(data, config, NULL);
}

gb_status pair_side_find(pair_side *out, const findings *data, const char *name, gb_error *err)
{
    int entry = findings_find_entry(data, name);
    if (entry >= 0) {
        *out = side_make(data, data->entries[entry].config, &data->entries[entry]);
        return GB_OK;
    }
    for (int i = 0; i < data->facts->n_configs; i++) {
        if (strcmp(data->facts->configs[i].name, name) == 0) {
            *out = side_make(data, i, NULL);
            if (out->arm) {
                return GB_OK;
            }
        }
    }
    return entry_name_unknown(data, name, err);
}

void pair_align(pair_side *base, pair_side *config, const char *base_by_name)
{
    const speed_session *session;
    const speed_arm *base_arm, *arm;
    if (base->data != config->data) {
        return;
    }
    if (base->entry && config->entry && strcmp(base->entry->label, base_by_name) != 0) {
        *base = side_make(base->data, base->config,
                          entry_beside(base->data, base->entry, config->entry));
    }
    if (speed_report_pair(base->data->speeds, base->config, config->config, &session, &base_arm,
                          &arm) &&
        arm_fits(base, session, base_arm) && arm_fits(config, session, arm)) {
        base->session = config->session = session;
        base->arm = base_arm;
        config->arm = arm;
    }
}

/* ---- whether they compare ---- */

bool pair_is_timed(const pair_side *base, const pair_side *config)
{
    return base->arm && config->arm;
}

static gb_status side_circumstances(circumstances *out, const pair_side *side, bool timed,
                                    gb_error *err)
{
    const facts *f = side->data->facts;
    if (timed) {
        *out = circumstances_of_arm(f, side->session->facts, side->arm->facts);
        return GB_OK;
    }
    return circumstances_of_entry(out, f, side->entry, err);
}

gb_status pair_comparability(comparability *out, const pair_side *base, const pair_side *config,
                             metric_id metric, gb_error *err)
{
    bool timed = metric_is_time(metric) && pair_is_timed(base, config);
    circumstances a, b;
    *out = (comparability){.n = 0};
    if (metric_is_exact(metric) || (!timed && (!base->entry || !config->entry))) {
        return GB_OK;
    }
    GB_TRY(side_circumstances(&a, base, timed, err));
    GB_TRY(side_circumstances(&b, config, timed, err));
    if (timed && base->data == config->data && base->session == config->session) {
        a.clock_mhz = b.clock_mhz = NAN; /* they shared it */
    }
    *out = comparability_of(&a, &b, metric);
    return GB_OK;
}

/* ---- values ---- */

static double timed_value(const speed_arm *arm, metric_id metric)
{
    double ms = metric == METRIC_STEP_MEDIAN ? arm->step_median_ms : arm->step_avg_ms;
    return metric == METRIC_TOKENS_PER_S ? run_tokens_per_s(arm->facts->tokens_per_step, ms) : ms;
}

double pair_side_value(const pair_side *side, metric_id metric, bool timed)
{
    const config_facts *config = &side->data->facts->configs[side->config];
    const result_entry *e = side->entry;
    if (timed && metric_is_time(metric) && speed_arm_has_speed(side->arm)) {
        return timed_value(side->arm, metric);
    }
    /* No default: the compiler names a metric that is missing here. */
    switch (metric) {
    case METRIC_FLOPS:
        return config->flops_per_token;
    case METRIC_N_PARAMS:
        return (double)config->n_params;
    case METRIC_STEP_AVG:
        return e ? e->step_avg_ms.value : NAN;
    case METRIC_STEP_MEDIAN:
        return e ? e->step_median_ms : NAN;
    case METRIC_TOKENS_PER_S:
        return e ? e->tokens_per_s.value : NAN;
    case METRIC_VAL_LOSS:
        return e ? e->val_loss.value : NAN;
    case METRIC_BEST_VAL_LOSS:
        return e ? e->best_val_loss : NAN;
    case METRIC_PEAK_MEMORY:
        return e ? e->peak_memory_bytes : NAN;
    case METRIC_COUNT:
        break;
    }
    return NAN;
}

/* ---- estimates from sessions ---- */

const char *pair_basis_name(pair_basis basis)
{
    static const char *const names[] = {
        [PAIR_EXACT] = "exact",           [PAIR_BLOCKS] = "blocks", [PAIR_SESSIONS] = "sessions",
        [PAIR_REPLICATES] = "replicates", [PAIR_RUNS] = "runs",     [PAIR_NOTHING] = "nothing"};
    return names[basis];
}

static bool arm_failed(pair_estimate *out, const pair_side *side)
{
    const speed_arm *arm = side->arm;
    if (speed_arm_is_ok(arm)) {
        return false;
    }
    out->basis = PAIR_NOTHING;
    snprintf(out->method, sizeof out->method,
             "no value: `%.64s` did not get through the timing: %s%s%.120s", pair_side_name(side),
             arm->facts->status, arm->facts->message[0] ? ": " : "", arm->facts->message);
    return true;
}

/* Logarithms of the medians, or means, of an arm's bursts in the order in which they ran; returns
 * how many. */
static size_t burst_logs(const pair_side *side, bool by_means, double *out)
{
    const timing_arm *arm = side->arm->facts;
    const double *ms = by_means ? arm->mean_ms : arm->median_ms;
    size_t n = 0;
    for (int64_t b = 0; b < side->session->facts->blocks; b++) {
        if (ms[b] > 0) {
            out[n++] = log(ms[b]);
        }
    }
    return n;
}

/* Standard deviation that the clock of its session gives the logarithm of a side's time. */
static double side_resolution(const pair_side *side)
{
    return clock_grid_log_error(side->session->clock_step_ms, side->arm->step_median_ms, INFINITY);
}

/* log(config / base) of the burst times of two sessions. */
static gb_status sessions_estimate(estimate *out, const pair_side *base, const pair_side *config,
                                   bool by_means, gb_error *err)
{
    double *x = malloc((size_t)(config->session->facts->blocks + 1) * sizeof *x);
    double *y = malloc((size_t)(base->session->facts->blocks + 1) * sizeof *y);
    gb_status status = x && y ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for two sessions");
    size_t n_x = 0, n_y = 0;
    if (status == GB_OK) {
        n_x = burst_logs(config, by_means, x);
        n_y = burst_logs(base, by_means, y);
        status = estimate_bootstrap_two(out, (stats_sample){x, n_x}, (stats_sample){y, n_y},
                                        hypot(side_resolution(config), side_resolution(base)),
                                        verdict_resamples(1),
                                        (uint64_t)config->session->facts->seed, err);
    }
    free(x);
    free(y);
    return status;
}

static size_t burst_count(const pair_side *side)
{
    size_t n = 0;
    for (int64_t b = 0; b < side->session->facts->blocks; b++) {
        n += side->arm->facts->median_ms[b] > 0;
    }
    return n;
}

/* log(above / below) of the time of a step, by the medians of bursts or by their means. */
static gb_status bursts_estimate(estimate *out, const pair_side *below, const pair_side *above,
                                 bool by_means, gb_error *err)
{
    return below->session == above->session
               ? speed_pair_estimate(out, below->session, below->arm, above->arm, by_means, err)
               : sessions_estimate(out, below, above, by_means, err);
}

static void timed_method(pair_estimate *out, const pair_side *below, const pair_side *above)
{
    if (below->session == above->session) {
        out->basis = PAIR_BLOCKS;
        snprintf(out->method, sizeof out->method,
                 "bootstrap of paired ratios of burst medians in %zu blocks of interleaved "
                 "timing%s",
                 out->ratio.n,
                 estimate_has_interval(&out->ratio) ? "" : "; too few for an interval");
    } else {
        out->basis = PAIR_SESSIONS;
        snprintf(out->method, sizeof out->method,
                 "bootstrap of the typical bursts of two sessions (%zu and %zu blocks), not "
                 "paired: what changed on the machine between them is in it%s",
                 burst_count(below), burst_count(above),
                 estimate_has_interval(&out->ratio) ? "" : "; too few blocks");
    }
}

/* Times as log(config / base). Tokens/s are times the other way round, and the tokens. */
static gb_status timed_estimate(pair_estimate *out, const pair_side *base, const pair_side *config,
                                metric_id metric, gb_error *err)
{
    if (arm_failed(out, base) || arm_failed(out, config)) {
        return GB_OK;
    }
    bool rate = metric == METRIC_TOKENS_PER_S;
    const pair_side *above = rate ? base : config, *below = rate ? config : base;
    GB_TRY(bursts_estimate(&out->ratio, below, above, false, err));
    GB_TRY(bursts_estimate(&out->mean_ratio, below, above, true, err));
    timed_method(out, below, above);
    if (rate) {
        double tokens = log((double)config->arm->facts->tokens_per_step /
                            (double)base->arm->facts->tokens_per_step);
        estimate_shift(&out->ratio, tokens);
        estimate_shift(&out->mean_ratio, tokens);
    }
    out->means = means_check_of_estimates(&out->ratio, &out->mean_ratio, rate);
    return GB_OK;
}

/* ---- estimates from runs ---- */

static gb_status runs_estimate(pair_estimate *out, const pair_side *base, const pair_side *config,
                               metric_id metric, gb_error *err)
{
    if (!base->entry || !config->entry) {
        snprintf(out->method, sizeof out->method, "no value: `%.128s` has no finished run",
                 pair_side_name(base->entry ? config : base));
        return GB_OK;
    }
    runs_pair p;
    GB_TRY(runs_pair_make(&p, base->entry, config->entry, metric, base->data == config->data, err));
    out->ratio = p.ratio;
    out->in_nats = p.in_nats;
    out->basis = p.ratio.kind == ESTIMATE_NONE ? PAIR_NOTHING
                 : p.paired                    ? PAIR_REPLICATES
                                               : PAIR_RUNS;
    snprintf(out->method, sizeof out->method, "%s", p.method);
    return GB_OK;
}

gb_status pair_estimate_make(pair_estimate *out, const pair_side *base, const pair_side *config,
                             metric_id metric, gb_error *err)
{
    *out = (pair_estimate){
        .ratio = estimate_exact(NAN), .basis = PAIR_NOTHING, .mean_ratio = estimate_exact(NAN)};
    if (metric_is_exact(metric)) {
        out->basis = PAIR_EXACT;
        out->ratio = estimate_exact(pair_side_value(config, metric, false) /
                                    pair_side_value(base, metric, false));
        snprintf(out->method, sizeof out->method, "exact: a property of the model");
        return GB_OK;
    }
    if (metric_is_time(metric) && pair_is_timed(base, config)) {
        return timed_estimate(out, base, config, metric, err);
    }
    return runs_estimate(out, base, config, metric, err);
}

void pair_estimate_free(pair_estimate *p)
{
    estimate_free(&p->ratio);
    estimate_free(&p->mean_ratio);
}
