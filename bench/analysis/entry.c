#include "bench/analysis/entry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/run_numbers.h"

/* ---- grouping ---- */

static bool entry_takes(const result_entry *entry, const run_facts *run)
{
    /* The analyzer does not see that entries below n_entries have been filled in. */
    return entry->config == run->config && entry->machine == run->machine &&
           /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
           strcmp(entry->backend, run->backend) == 0 &&
           strcmp(entry->precision, run->precision) == 0;
}

/* Runs come in order of (replicate, run_id): a later finished run of a replicate replaces an
 * earlier one. */
static gb_status entry_add_run(result_entry *entry, const run_facts *run, gb_error *err)
{
    if (entry->n_runs > 0 && entry->runs[entry->n_runs - 1]->replicate == run->replicate) {
        entry->runs[entry->n_runs - 1] = run;
        return GB_OK;
    }
    size_t count = (size_t)entry->n_runs + 1;
    const run_facts **runs = realloc(entry->runs, count * sizeof *runs);
    if (!runs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu runs", count);
    }
    entry->runs = runs;
    entry->runs[entry->n_runs++] = run;
    return GB_OK;
}

static gb_status entries_group(findings *data, gb_error *err)
{
    /* At most one entry per run. */
    data->entries = calloc((size_t)data->facts->n_runs + 1, sizeof *data->entries);
    if (!data->entries) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", data->facts->n_runs);
    }
    for (int i = 0; i < data->facts->n_runs; i++) {
        const run_facts *run = &data->facts->runs[i];
        if (strcmp(run->status, "ok") != 0 || run->config < 0) {
            continue;
        }
        int k = 0;
        while (k < data->n_entries && !entry_takes(&data->entries[k], run)) {
            k++;
        }
        result_entry *entry = &data->entries[k];
        if (k == data->n_entries) {
            data->n_entries++;
            entry->config = run->config;
            entry->machine = run->machine;
            entry->backend = run->backend;
            entry->precision = run->precision;
            entry->is_baseline = data->facts->configs[run->config].is_baseline;
        }
        GB_TRY(entry_add_run(entry, run, err));
    }
    return GB_OK;
}

/* The name, and what tells it from another entry of the same config. */
static gb_status entry_label(findings *data, result_entry *entry, gb_error *err)
{
    const char *name = data->facts->configs[entry->config].name;
    bool alone = true, other_machine = false, other_backend = false, other_precision = false;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *other = &data->entries[i];
        if (other == entry || other->config != entry->config) {
            continue;
        }
        alone = false;
        other_machine |= other->machine != entry->machine;
        other_backend |= strcmp(other->backend, entry->backend) != 0;
        other_precision |= strcmp(other->precision, entry->precision) != 0;
    }
    if (alone) {
        entry->label = name;
        return GB_OK;
    }
    char machine[32] = "";
    if (other_machine) {
        snprintf(machine, sizeof machine, " machine %d", entry->machine + 1);
    }
    entry->label = facts_text(
        data->facts, "%s (%s%s%s%s)", name, other_backend ? entry->backend : "",
        other_backend && other_precision ? " " : "", other_precision ? entry->precision : "",
        machine + (other_backend || other_precision ? 0 : 1));
    return entry->label ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a label");
}

static int entry_find_baseline(const findings *data, const result_entry *entry)
{
    int found = -1;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *other = &data->entries[i];
        if (!other->is_baseline || other->machine != entry->machine ||
            strcmp(other->backend, entry->backend) != 0) {
            continue;
        }
        if (strcmp(other->precision, entry->precision) == 0) {
            return i;
        }
        found = found < 0 ? i : found;
    }
    return found;
}

/* ---- summary ---- */

/* Values of one quantity over the entry's runs, the finite ones. */
typedef double (*run_value)(const run_facts *run);

static double value_step_avg(const run_facts *run)
{
    return run->step_avg_ms;
}

static double value_step_median(const run_facts *run)
{
    return run->step_median_ms;
}

static double value_peak(const run_facts *run)
{
    return run->gemm_peak_flops_per_s;
}

static double value_final_loss(const run_facts *run)
{
    return run->final_val_loss;
}

static size_t values_collect(const result_entry *entry, run_value value, double *out)
{
    size_t n = 0;
    for (int i = 0; i < entry->n_runs; i++) {
        double x = value(entry->runs[i]);
        if (isfinite(x)) {
            out[n++] = x;
        }
    }
    return n;
}

static void entry_summarise(const findings *data, result_entry *entry, double *scratch)
{
    /* An entry is made for a run. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    const run_facts *first = entry->runs[0];
    double flops = data->facts->configs[entry->config].flops_per_token;
    size_t n = values_collect(entry, value_step_avg, scratch);
    entry->step_avg_ms = stats_mean_interval(scratch, n, 0.95);
    if (n == 1 && entry->n_runs == 1) {
        entry->step_avg_ms = run_step_avg(first);
    }
    n = values_collect(entry, value_step_median, scratch);
    entry->step_median_ms = stats_mean(scratch, n);
    entry->tokens_per_s = run_tokens_interval(first->tokens_per_step, entry->step_avg_ms);
    n = values_collect(entry, value_peak, scratch);
    entry->gemm_peak_flops_per_s = stats_mean(scratch, n);
    entry->mfu = run_mfu(flops, entry->tokens_per_s.value, entry->gemm_peak_flops_per_s);
    n = values_collect(entry, value_final_loss, scratch);
    entry->val_loss = stats_mean_interval(scratch, n, 0.95);

    entry->best_val_loss = entry->peak_memory_bytes = NAN;
    for (int i = 0; i < entry->n_runs; i++) {
        const run_facts *run = entry->runs[i];
        entry->n_timed += run->n_timed;
        if (!(run->best_val_loss >= entry->best_val_loss)) {
            entry->best_val_loss = run->best_val_loss;
        }
        if (!(run->peak_memory_bytes <= entry->peak_memory_bytes)) {
            entry->peak_memory_bytes = run->peak_memory_bytes;
        }
    }
    entry->entropy_rate_nats = first->entropy_rate_nats;
}

gb_status entries_make(findings *data, gb_error *err)
{
    GB_TRY(entries_group(data, err));
    double *scratch = calloc((size_t)data->facts->n_runs + 1, sizeof *scratch);
    if (!scratch) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", data->facts->n_runs);
    }
    gb_status status = GB_OK;
    for (int i = 0; i < data->n_entries && status == GB_OK; i++) {
        result_entry *entry = &data->entries[i];
        entry_summarise(data, entry, scratch);
        entry->baseline = entry_find_baseline(data, entry);
        status = entry_label(data, entry, err);
    }
    free(scratch);
    return status;
}

int findings_find_entry(const findings *data, const char *name)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (strcmp(data->entries[i].label, name) == 0) {
            return i;
        }
    }
    for (int i = 0; i < data->n_entries; i++) {
        if (strcmp(data->facts->configs[data->entries[i].config].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const run_facts *entry_find_run(const result_entry *entry, int64_t replicate)
{
    for (int i = 0; i < entry->n_runs; i++) {
        if (entry->runs[i]->replicate == replicate) {
            return entry->runs[i];
        }
    }
    return NULL;
}
