#include "bench/analysis/front.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/pareto.h"

/* Standard error of the logarithm of step_avg: from interleaved timing where there is any; else
 * over replicates, else over the timed steps of the one run, which depend on each other: then it is
 * too small. NAN where there is neither. */
static double log_speed_error(const result_entry *entry, double *scratch)
{
    if (entry->pace.interleaved) {
        return entry->pace.log_error;
    }
    size_t n = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        if (entry->runs[r]->step_avg_ms > 0) {
            scratch[n++] = log(entry->runs[r]->step_avg_ms);
        }
    }
    if (n >= 2) {
        return stats_sd(scratch, n) / sqrt((double)n);
    }
    const run_facts *run = entry->runs[0];
    return stats_sd(run->timed_ms, (size_t)run->n_timed) / sqrt((double)run->n_timed) /
           run->step_avg_ms;
}

static int losses_collect(const result_entry *entry, double *losses, int64_t *replicates)
{
    int n = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        if (isfinite(entry->runs[r]->final_val_loss)) {
            losses[n] = entry->runs[r]->final_val_loss;
            replicates[n++] = entry->runs[r]->replicate;
        }
    }
    return n;
}

gb_status front_make(findings *data, gb_error *err)
{
    const size_t n = (size_t)data->n_entries, room = (size_t)data->facts->n_runs + 1;
    pareto_config *configs = calloc(n + 1, sizeof *configs);
    double *losses = calloc(2 * room + n, sizeof *losses);
    int64_t *replicates = calloc(room, sizeof *replicates);
    gb_status status = GB_OK;
    if (!configs || !losses || !replicates) {
        status = gb_fail(err, GB_ERR_OOM, "no memory for the Pareto front");
    } else {
        double *scratch = losses + room, *share = scratch + room;
        size_t used = 0;
        for (size_t i = 0; i < n; i++) {
            const result_entry *entry = &data->entries[i];
            double speed = entry->pace.tokens_per_s.value;
            configs[i] = (pareto_config){.log_speed = speed > 0 ? log(speed) : NAN,
                                         .log_speed_error = log_speed_error(entry, scratch),
                                         .losses = losses + used,
                                         .replicates = replicates + used};
            configs[i].n_losses = losses_collect(entry, losses + used, replicates + used);
            used += (size_t)configs[i].n_losses;
        }
        status = pareto_probabilities(configs, (int)n, PARETO_DRAWS, 1, share, err);
        for (size_t i = 0; i < n && status == GB_OK; i++) {
            data->entries[i].front_probability = share[i];
        }
    }
    free(configs);
    free(losses);
    free(replicates);
    return status;
}
