#include "bench/analysis/equal_budget.h"

#include <math.h>
#include <stdlib.h>

#include "bench/analysis/comparability.h"

double equal_budget_step_s(const result_entry *entry, const run_facts *run, bool interleaved)
{
    bool in_turn = interleaved && entry->pace.interleaved;
    return (in_turn ? entry->pace.step_avg_ms.value : run->step_avg_ms) / 1000;
}

/* One allocation holds the runs and, behind them, their validations. `interleaved`: a step takes
 * what it took in interleaved timing, else what it took in the run. NULL without memory. */
static budget_run *runs_make(const findings *data, const result_entry *entry, bool interleaved)
{
    size_t n_evals = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        n_evals += (size_t)entry->runs[r]->n_evals;
    }
    budget_run *runs =
        malloc(((size_t)entry->n_runs + 1) * sizeof *runs + (n_evals + 1) * sizeof(budget_eval));
    budget_eval *evals = runs ? (budget_eval *)(runs + entry->n_runs + 1) : NULL;
    for (int r = 0; runs && r < entry->n_runs; r++) {
        const run_facts *run = entry->runs[r];
        runs[r] =
            (budget_run){.replicate = run->replicate,
                         .evals = evals,
                         .n_evals = (int)run->n_evals,
                         .tokens_per_step = (double)run->tokens_per_step,
                         .flops_per_token = data->facts->configs[entry->config].flops_per_token,
                         .seconds_per_step = equal_budget_step_s(entry, run, interleaved)};
        for (int64_t k = 0; k < run->n_evals; k++) {
            *evals++ = (budget_eval){(double)run->evals[k].step, run->evals[k].val_loss};
        }
    }
    return runs;
}

gb_status equal_budget_compare(budget_comparison *out, const findings *data,
                               const result_entry *base, const result_entry *entry, gb_error *err)
{
    bool interleaved = entry->pace.interleaved && base->pace.interleaved;
    comparability c;
    *out = (budget_comparison){.n_shared = 0};
    GB_TRY(comparability_of_entries(&c, data->facts, base, entry, METRIC_VAL_LOSS, err));
    if (c.n > 0) {
        return GB_OK;
    }
    GB_TRY(comparability_of_entries(&c, data->facts, base, entry, METRIC_TOKENS_PER_S, err));
    bool seconds = interleaved ? entry->speed_compares : c.n == 0;
    budget_run *one = runs_make(data, entry, interleaved);
    budget_run *other = runs_make(data, base, interleaved);
    gb_status status = one && other
                           ? budget_compare(out, one, entry->n_runs, other, base->n_runs, err)
                           : gb_fail(err, GB_ERR_OOM, "no memory for the curves");
    if (status == GB_OK && !seconds) {
        out->equal[BUDGET_SECONDS] = (budget_equal){
            .budget = NAN, .base = NAN, .config = NAN, .difference = {NAN, NAN, NAN}};
        out->reach[BUDGET_SECONDS] =
            (budget_reach){.base = NAN, .config = NAN, .ratio = {NAN, NAN, NAN}};
    }
    free(one);
    free(other);
    return status;
}
