#include "bench/analysis/verdicts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparison.h"
#include "bench/analysis/entry.h"
#include "bench/analysis/means_check.h"
#include "bench/analysis/run_numbers.h"
#include "bench/analysis/runs_pair.h"

/* ---- rows ---- */

static bool config_has_entry(const findings *data, int config)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (data->entries[i].config == config) {
            return true;
        }
    }
    return false;
}

static void row_begin(config_verdicts *out, const findings *data, int config, int entry)
{
    out->rows[out->n++] = (config_verdict){.label = entry >= 0 ? data->entries[entry].label
                                                               : data->facts->configs[config].name,
                                           .config = config,
                                           .entry = entry,
                                           .is_baseline = data->facts->configs[config].is_baseline,
                                           .pace = {.step_avg_ms = {NAN, NAN, NAN},
                                                    .step_median_ms = NAN,
                                                    .tokens_per_s = {NAN, NAN, NAN},
                                                    .mfu = NAN,
                                                    .log_error = NAN},
                                           .time_change = {NAN, NAN, NAN},
                                           .flops_change = NAN,
                                           .mean_change = {NAN, NAN, NAN},
                                           .pair_loss = {NAN, NAN},
                                           .loss_difference = {NAN, NAN, NAN},
                                           .seed_noise = NAN};
}

/* Entries come config by config, in the order of the suite. */
static gb_status rows_make(config_verdicts *out, const findings *data, gb_error *err)
{
    out->rows = calloc((size_t)(data->n_entries + data->facts->n_configs) + 1, sizeof *out->rows);
    if (!out->rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d verdicts", data->n_entries);
    }
    for (int c = 0; c < data->facts->n_configs; c++) {
        for (int i = 0; i < data->n_entries; i++) {
            if (data->entries[i].config == c) {
                row_begin(out, data, c, i);
            }
        }
        if (!config_has_entry(data, c)) {
            row_begin(out, data, c, -1);
        }
    }
    return GB_OK;
}

/* ---- speed ---- */

/* The config that the row is held against (`e`: its entry, or NULL); -1: unknown. */
static int baseline_config(const findings *data, const result_entry *e)
{
    if (e) {
        return e->baseline >= 0 ? data->entries[e->baseline].config : -1;
    }
    for (int c = 0; c < data->facts->n_configs; c++) {
        if (data->facts->configs[c].is_baseline) {
            return c;
        }
    }
    return -1;
}

static void speed_judge(const findings *data, config_verdict *row)
{
    const result_entry *e = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    row->arm = e ? speed_report_find_on(data->speeds, row->config, e->machine, e->backend,
                                        e->precision, &row->session)
                 : speed_report_find(data->speeds, row->config, &row->session);
    if (!row->arm) {
        return;
    }
    const speed_arm *base = &row->session->arms[row->session->facts->baseline];
    int wanted = baseline_config(data, e);
    if (row->is_baseline || row->arm == base || !speed_arm_is_ok(row->arm) ||
        (wanted >= 0 && base->facts->config != wanted)) {
        return;
    }
    if (row->arm->not_compared[0]) {
        row->speed_refused = row->arm->not_compared;
        return;
    }
    row->per_token = row->arm->per_token;
    row->speed_judged = true;
    row->speed = row->arm->verdict;
    row->mean_change = row->arm->mean_change;
    row->means_disagree = means_check_of(row->speed.change, row->mean_change).disagree;
}

static entry_pace pace_of_runs(const result_entry *entry)
{
    return (entry_pace){.step_avg_ms = entry->step_avg_ms,
                        .step_median_ms = entry->step_median_ms,
                        .n_timed = entry->n_timed,
                        .tokens_per_s = entry->tokens_per_s,
                        .mfu = entry->mfu,
                        .log_error = NAN};
}

/* Of the row's arm, which has a speed; `peak` may be NAN. */
static entry_pace pace_of_arm(const findings *data, const config_verdict *row, double peak,
                              double *scratch)
{
    const speed_arm *arm = row->arm;
    size_t n = 0;
    for (int64_t b = 0; b < row->session->facts->blocks; b++) {
        if (isfinite(arm->facts->mean_ms[b])) {
            scratch[n++] = arm->facts->mean_ms[b];
        }
    }
    stats_interval bursts = stats_mean_interval(scratch, n, 0.95);
    stats_interval avg = {arm->step_avg_ms, bursts.low, bursts.high};
    stats_interval rate = run_tokens_interval(arm->facts->tokens_per_step, avg);
    return (entry_pace){
        .interleaved = true,
        .step_avg_ms = avg,
        .step_median_ms = arm->step_median_ms,
        .n_timed = (int64_t)arm->facts->n_timed,
        .tokens_per_s = rate,
        .mfu = run_mfu(data->facts->configs[row->config].flops_per_token, rate.value, peak),
        .log_error = arm->facts->is_baseline ? 0 : arm->ratio.standard_error};
}

static void pace_make(findings *data, config_verdict *row, double *scratch)
{
    result_entry *entry = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    if (speed_arm_has_speed(row->arm)) {
        double peak = entry ? entry->gemm_peak_flops_per_s : NAN;
        row->pace = pace_of_arm(data, row, peak, scratch);
    } else if (entry) {
        row->pace = pace_of_runs(entry);
    }
    if (entry) {
        entry->pace = row->pace;
    }
}

static gb_status speeds_judge(findings *data, gb_error *err)
{
    size_t most = 1;
    for (int i = 0; data->speeds && i < data->speeds->n_sessions; i++) {
        size_t blocks = (size_t)data->speeds->sessions[i].facts->blocks;
        most = blocks > most ? blocks : most;
    }
    double *scratch = malloc(most * sizeof *scratch);
    if (!scratch) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", most);
    }
    for (int i = 0; i < data->verdicts->n; i++) {
        config_verdict *row = &data->verdicts->rows[i];
        speed_judge(data, row);
        pace_make(data, row, scratch);
    }
    free(scratch);
    return GB_OK;
}

/* ---- loss ---- */

static gb_status loss_estimate(estimate *out, const findings *data, config_verdict *row,
                               gb_error *err)
{
    const result_entry *entry = &data->entries[row->entry];
    const result_entry *base = &data->entries[entry->baseline];
    runs_pair p;
    GB_TRY(runs_pair_make(&p, base, entry, METRIC_VAL_LOSS, true, err));
    *out = p.ratio;
    row->loss_in_nats = p.in_nats;
    row->loss_difference = p.difference;
    row->seed_noise = entry_seed_noise(base, p.in_nats);
    memcpy(row->pair_loss, p.over_pairs, sizeof row->pair_loss);
    return GB_OK;
}

/* Room for the losses of all configs. */
typedef struct loss_family {
    estimate *estimates;
    const estimate **pointers;
    verdict *verdicts;
} loss_family;

static bool row_is_of_family(const findings *data, const config_verdict *row, int base)
{
    return row->entry >= 0 && row->entry != base && data->entries[row->entry].baseline == base &&
           !row->loss_refused;
}

/* Losses of all configs whose baseline is entry `base`: one family of comparisons. */
static gb_status family_judge(findings *data, int base, loss_family *family, gb_error *err)
{
    verdict_rule rule = verdict_rule_default();
    size_t m = 0, k = 0;
    for (int i = 0; i < data->verdicts->n; i++) {
        config_verdict *row = &data->verdicts->rows[i];
        if (row_is_of_family(data, row, base)) {
            GB_TRY(loss_estimate(&family->estimates[m], data, row, err));
            family->pointers[m] = &family->estimates[m];
            m++;
        }
    }
    GB_TRY(verdict_judge(family->verdicts, family->pointers, m, &rule, err));
    for (int i = 0; i < data->verdicts->n; i++) {
        config_verdict *row = &data->verdicts->rows[i];
        if (row_is_of_family(data, row, base)) {
            row->loss = family->verdicts[k++];
            row->loss_judged = true;
        }
    }
    return GB_OK;
}

/* Whether the loss of a row may be held against its baseline's at all. */
static gb_status loss_admit(findings *data, config_verdict *row, gb_error *err)
{
    const result_entry *e = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    if (!e || e->baseline < 0 || e->baseline == row->entry) {
        return GB_OK;
    }
    const result_entry *base = &data->entries[e->baseline];
    comparability c;
    GB_TRY(comparability_of_entries(&c, data->facts, base, e, METRIC_VAL_LOSS, err));
    if (c.n > 0) {
        row->loss_refused = facts_text(data->facts, "%s", comparability_words(&c).text);
        return row->loss_refused ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a reason");
    }
    row->terms = comparability_loss_terms(base, e);
    return GB_OK;
}

static gb_status losses_judge(findings *data, gb_error *err)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        GB_TRY(loss_admit(data, &data->verdicts->rows[i], err));
    }
    size_t n = (size_t)data->verdicts->n + 1;
    loss_family family = {.estimates = calloc(n, sizeof *family.estimates),
                          .pointers = calloc(n, sizeof *family.pointers),
                          .verdicts = calloc(n, sizeof *family.verdicts)};
    gb_status status = family.estimates && family.pointers && family.verdicts
                           ? GB_OK
                           : gb_fail(err, GB_ERR_OOM, "no memory for %zu verdicts", n);
    for (int i = 0; i < data->n_entries && status == GB_OK; i++) {
        if (data->entries[i].is_baseline) {
            status = family_judge(data, i, &family, err);
        }
    }
    free(family.estimates);
    free(family.pointers);
    free(family.verdicts);
    return status;
}

/* ---- beside the baseline ---- */

static const config_facts *suite_baseline(const facts *f)
{
    for (int c = 0; c < f->n_configs; c++) {
        if (f->configs[c].is_baseline) {
            return &f->configs[c];
        }
    }
    return NULL;
}

double config_flops_change(const facts *f, int config)
{
    const config_facts *base = suite_baseline(f);
    return base ? f->configs[config].flops_per_token / base->flops_per_token - 1 : NAN;
}

double config_params_change(const facts *f, int config)
{
    const config_facts *base = suite_baseline(f);
    return base ? (double)f->configs[config].n_params / (double)base->n_params - 1 : NAN;
}

static gb_status change_make(findings *data, config_verdict *row, gb_error *err)
{
    result_entry *e = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    const result_entry *base = e && e->baseline >= 0 ? &data->entries[e->baseline] : NULL;
    row->flops_change = config_flops_change(data->facts, row->config);
    if (e) {
        e->flops_fraction = row->flops_change;
    }
    if (row->speed_judged) {
        row->time_change = row->speed.change;
    } else if (base && base != e && !e->pace.interleaved && !base->pace.interleaved &&
               !data->partial) {
        comparison c;
        GB_TRY(comparison_of_speed(&c, &row->per_token, data, base, e, err));
        row->time_change = c.change;
        if (c.refused) {
            const char *why = c.method + strlen(COMPARISON_REFUSED);
            row->speed_refused = facts_text(data->facts, "%s", why);
            return row->speed_refused ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a reason");
        }
    }
    return GB_OK;
}

/* ---- all ---- */

gb_status config_verdicts_make(findings *data, gb_error *err)
{
    data->verdicts = calloc(1, sizeof *data->verdicts);
    if (!data->verdicts) {
        return gb_fail(err, GB_ERR_OOM, "no memory for verdicts");
    }
    GB_TRY(rows_make(data->verdicts, data, err));
    GB_TRY(speeds_judge(data, err));
    GB_TRY(losses_judge(data, err));
    for (int i = 0; i < data->verdicts->n; i++) {
        GB_TRY(change_make(data, &data->verdicts->rows[i], err));
    }
    return GB_OK;
}

void config_verdicts_free(config_verdicts *verdicts)
{
    if (verdicts) {
        free(verdicts->rows);
        free(verdicts);
    }
}

bool speed_report_any(const findings *data)
{
    return data->speeds && data->speeds->n_sessions > 0;
}

const config_verdict *config_verdict_of(const findings *data, int entry)
{
    for (int i = 0; data->verdicts && i < data->verdicts->n; i++) {
        if (data->verdicts->rows[i].entry == entry) {
            return &data->verdicts->rows[i];
        }
    }
    return NULL;
}
