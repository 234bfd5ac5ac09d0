#include "bench/analysis/speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparability.h"
#include "bench/stats/block_count.h"
#include "bench/stats/clock_grid.h"

/* Random halves of the blocks by which the false alarms of the control are counted. */
#define CONTROL_SUBSETS 200

/* ---- of one session ---- */

static double *columns_copy(const speed_session *s)
{
    double *ms = malloc(((size_t)s->n_arms * (size_t)s->facts->blocks + 1) * sizeof *ms);
    for (int a = 0; ms && a < s->n_arms; a++) {
        memcpy(ms + (int64_t)a * s->facts->blocks, s->arms[a].facts->median_ms,
               (size_t)s->facts->blocks * sizeof *ms);
    }
    return ms;
}

/* What the session's clock resolves, by all timed steps. */
static gb_status clock_measure(speed_session *s, gb_error *err)
{
    size_t n = 0, filled = 0;
    for (int a = 0; a < s->n_arms; a++) {
        n += s->arms[a].facts->n_timed;
    }
    double *ms = malloc((n + 1) * sizeof *ms);
    if (!ms) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu steps", n);
    }
    for (int a = 0; a < s->n_arms; a++) {
        const timing_arm *arm = s->arms[a].facts;
        for (size_t k = 0; k < arm->n_timed; k++) {
            ms[filled++] = arm->timed_ms[k];
        }
    }
    s->clock_step_ms = clock_grid_step(ms, n);
    free(ms);
    return GB_OK;
}

static gb_status arm_average(speed_arm *arm, gb_error *err)
{
    arm->step_avg_ms = stats_mean(arm->facts->timed_ms, arm->facts->n_timed);
    return stats_median(arm->facts->timed_ms, arm->facts->n_timed, &arm->step_median_ms, err);
}

/* All arms of a session share its machine and its clock. */
static void arm_compare(speed_arm *arm, const facts *f, const speed_session *s)
{
    circumstances base = circumstances_of_arm(f, s->facts, &s->facts->arms[s->facts->baseline]);
    circumstances own = circumstances_of_arm(f, s->facts, arm->facts);
    base.clock_mhz = own.clock_mhz = NAN;
    comparability c = comparability_of(&base, &own, comparability_speed_metric(&base, &own));
    arm->per_token = base.tokens_per_step != own.tokens_per_step;
    snprintf(arm->not_compared, sizeof arm->not_compared, "%.255s", comparability_words(&c).text);
}

static gb_status arm_measure(speed_session *s, speed_arm *arm, double *scratch, gb_error *err)
{
    estimate burst;
    size_t n = 0;
    const speed_arm *base = &s->arms[s->facts->baseline];
    GB_TRY(noise_outliers_count(&arm->outliers, arm->facts->timed_ms, arm->facts->n_timed, err));
    for (int64_t b = 0; b < s->facts->blocks; b++) {
        if (arm->facts->median_ms[b] > 0) {
            scratch[n++] = log(arm->facts->median_ms[b]);
        }
    }
    GB_TRY(estimate_bootstrap_coarse(
        &burst, (stats_sample){scratch, n},
        clock_grid_log_error(s->clock_step_ms, arm->step_median_ms, INFINITY), verdict_resamples(1),
        1, err));
    stats_interval logs = estimate_interval(&burst, 0.95);
    arm->burst_ms = (stats_interval){exp(logs.value), exp(logs.low), exp(logs.high)};
    estimate_free(&burst);
    GB_TRY(speed_pair_judged(&arm->ratio, s, base, arm, false, err));
    GB_TRY(speed_pair_judged(&burst, s, base, arm, true, err));
    arm->mean_change = estimate_change(&burst, 0.95); /* its resamples would be many megabytes */
    estimate_free(&burst);
    return GB_OK;
}

static double pair_resolution(const speed_session *s, const speed_arm *a, const speed_arm *b)
{
    return clock_grid_log_error(s->clock_step_ms, a->step_median_ms, b->step_median_ms);
}

static gb_status control_measure(speed_session *s, const verdict_rule *plain, double *scratch,
                                 gb_error *err)
{
    const timing_facts *timing = s->facts;
    if (timing->control < 0) {
        return GB_OK;
    }
    verdict_rule rule = *plain;
    rule.resolution = pair_resolution(s, &s->arms[timing->control], &s->arms[timing->baseline]);
    size_t n = estimate_log_ratios(timing->arms[timing->control].median_ms,
                                   timing->arms[timing->baseline].median_ms, (size_t)timing->blocks,
                                   scratch);
    return noise_control_measure(&s->aa, (stats_sample){scratch, n}, &rule, CONTROL_SUBSETS,
                                 (uint64_t)timing->seed, err);
}

bool speed_arm_is_ok(const speed_arm *arm)
{
    return strcmp(arm->facts->status, "ok") == 0;
}

bool speed_arm_has_speed(const speed_arm *arm)
{
    return arm && speed_arm_is_ok(arm) && arm->step_avg_ms > 0;
}

static bool arm_is_judged(const speed_arm *arm)
{
    return !arm->facts->is_baseline && !arm->facts->is_control && speed_arm_is_ok(arm) &&
           !arm->not_compared[0];
}

static gb_status verdicts_make(speed_session *s, const verdict_rule *rule, gb_error *err)
{
    const estimate **estimates = calloc((size_t)s->n_arms, sizeof *estimates);
    verdict *verdicts = calloc((size_t)s->n_arms, sizeof *verdicts);
    size_t m = 0;
    gb_status status = estimates && verdicts
                           ? GB_OK
                           : gb_fail(err, GB_ERR_OOM, "no memory for %d verdicts", s->n_arms);
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            estimates[m++] = &s->arms[a].ratio;
        }
    }
    if (status == GB_OK) {
        status = verdict_judge(verdicts, estimates, m, rule, err);
    }
    m = 0;
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            s->arms[a].verdict = verdicts[m++];
        }
    }
    free(estimates);
    free(verdicts);
    return status;
}

/* Blocks for the planner's question, by the widest spread among the configs. */
static double needed_blocks(const speed_session *s, const verdict_rule *rule)
{
    double most = NAN;
    size_t m = 0;
    for (int a = 0; a < s->n_arms; a++) {
        m += arm_is_judged(&s->arms[a]);
    }
    for (int a = 0; a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            double n = block_count_to_find(block_spread_of(&s->arms[a].ratio), 0.01, rule->band,
                                           rule->alpha, m, rule->power);
            most = n <= most ? most : n;
        }
    }
    return most;
}

static gb_status session_measure(speed_session *s, gb_error *err)
{
    verdict_rule rule = verdict_rule_default();
    double *scratch = malloc((size_t)s->facts->blocks * sizeof *scratch), *ms = columns_copy(s);
    gb_status status = scratch && ms ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for speeds");
    for (int64_t b = 0; status == GB_OK && b < s->facts->blocks; b++) {
        s->hours[b] = s->facts->began_hours[b] - s->facts->began_hours[0];
    }
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        status = arm_measure(s, &s->arms[a], scratch, err);
    }
    if (status == GB_OK) {
        status = control_measure(s, &rule, scratch, err);
    }
    if (status == GB_OK) {
        const drift_bursts bursts = {(size_t)s->n_arms, (size_t)s->facts->blocks, ms, s->hours};
        status = drift_measure(&s->drift, &bursts, s->drift_effects, err);
    }
    rule.floor = s->aa.floor;
    if (status == GB_OK) {
        status = verdicts_make(s, &rule, err);
    }
    s->needed_blocks = needed_blocks(s, &rule);
    free(scratch);
    free(ms);
    return status;
}

/* Of a session from which pairs are compared: each pair makes its own estimate. */
static gb_status session_average(speed_session *s, gb_error *err)
{
    for (int a = 0; a < s->n_arms; a++) {
        GB_TRY(arm_average(&s->arms[a], err));
        s->arms[a].ratio = estimate_exact(NAN); /* not known */
        s->arms[a].mean_change = (stats_interval){NAN, NAN, NAN};
    }
    return GB_OK;
}

/* ---- all sessions ---- */

static gb_status session_make(speed_session *s, const facts *f, const timing_facts *timing,
                              bool partial, gb_error *err)
{
    *s = (speed_session){.facts = timing};
    s->hours = calloc((size_t)timing->blocks + 1, sizeof *s->hours);
    s->drift_effects = malloc(((size_t)timing->blocks + 1) * sizeof *s->drift_effects);
    s->arms = calloc((size_t)timing->n_arms + 1, sizeof *s->arms);
    if (!s->hours || !s->drift_effects || !s->arms) {
        return gb_fail(err, GB_ERR_OOM, "no memory for speeds");
    }
    for (int64_t b = 0; b < timing->blocks; b++) {
        s->drift_effects[b] = NAN;
    }
    for (; s->n_arms < timing->n_arms; s->n_arms++) {
        s->arms[s->n_arms].facts = &timing->arms[s->n_arms];
        if (timing->baseline >= 0) {
            arm_compare(&s->arms[s->n_arms], f, s);
        }
    }
    GB_TRY(clock_measure(s, err));
    GB_TRY(session_average(s, err));
    return partial ? GB_OK : session_measure(s, err);
}

gb_status speed_report_make(speed_report **out, const facts *f, bool partial, gb_error *err)
{
    speed_report *speeds = calloc(1, sizeof *speeds);
    if (speeds) {
        speeds->sessions = calloc((size_t)f->n_timings + 1, sizeof *speeds->sessions);
    }
    gb_status status =
        speeds && speeds->sessions ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for speeds");
    for (int64_t i = 0; i < f->n_timings && status == GB_OK; i++) {
        status =
            session_make(&speeds->sessions[speeds->n_sessions++], f, &f->timings[i], partial, err);
    }
    if (status != GB_OK) {
        speed_report_free(speeds);
        return status;
    }
    *out = speeds;
    return GB_OK;
}

static void session_clear(speed_session *s)
{
    for (int a = 0; a < s->n_arms; a++) {
        estimate_free(&s->arms[a].ratio);
    }
    free(s->arms);
    free(s->hours);
    free(s->drift_effects);
}

void speed_report_free(speed_report *speeds)
{
    if (speeds) {
        for (int i = 0; i < speeds->n_sessions; i++) {
            session_clear(&speeds->sessions[i]);
        }
        free(speeds->sessions);
        free(speeds);
    }
}

/* ---- looking up ---- */

static const speed_arm *arm_of(const speed_session *s, int config)
{
    for (int a = 0; a < s->n_arms; a++) {
        if (s->arms[a].facts->config == config && !s->arms[a].facts->is_control) {
            return &s->arms[a];
        }
    }
    return NULL;
}

const speed_arm *speed_report_find_on(const speed_report *speeds, int config, int machine,
                                      const char *backend, const char *precision,
                                      const speed_session **session)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        const speed_arm *arm = arm_of(&speeds->sessions[i], config);
        if (arm && speeds->sessions[i].facts->machine == machine &&
            strcmp(arm->facts->backend, backend) == 0 &&
            strcmp(arm->facts->precision, precision) == 0) {
            *session = &speeds->sessions[i];
            return arm;
        }
    }
    return NULL;
}

const speed_arm *speed_report_find(const speed_report *speeds, int config,
                                   const speed_session **session)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        const speed_arm *arm = arm_of(&speeds->sessions[i], config);
        if (arm) {
            *session = &speeds->sessions[i];
            return arm;
        }
    }
    return NULL;
}

bool speed_report_pair(const speed_report *speeds, int base, int config,
                       const speed_session **session, const speed_arm **base_arm,
                       const speed_arm **config_arm)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        *session = &speeds->sessions[i];
        *base_arm = arm_of(*session, base);
        *config_arm = arm_of(*session, config);
        if (*base_arm && *config_arm) {
            return true;
        }
    }
    return false;
}

gb_status speed_pair_estimate(estimate *out, const speed_session *session, const speed_arm *base,
                              const speed_arm *config, bool by_means, gb_error *err)
{
    size_t n = (size_t)session->facts->blocks;
    double *logs = malloc((n + 1) * sizeof *logs);
    if (!logs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", n);
    }
    n = estimate_log_ratios(by_means ? config->facts->mean_ms : config->facts->median_ms,
                            by_means ? base->facts->mean_ms : base->facts->median_ms, n, logs);
    gb_status status = estimate_bootstrap_coarse(
        out, (stats_sample){logs, n}, pair_resolution(session, base, config),
        verdict_resamples((size_t)session->n_arms), (uint64_t)session->facts->seed, err);
    free(logs);
    return status;
}

gb_status speed_pair_judged(estimate *out, const speed_session *session, const speed_arm *base,
                            const speed_arm *config, bool by_means, gb_error *err)
{
    int64_t of_base = base->facts->tokens_per_step, of_config = config->facts->tokens_per_step;
    GB_TRY(speed_pair_estimate(out, session, base, config, by_means, err));
    if (of_base != of_config && out->kind != ESTIMATE_NONE) {
        estimate_shift(out, log((double)of_base / (double)of_config));
    }
    return GB_OK;
}
