#include "bench/analysis/front.h"

#include <math.h>
#include <stdlib.h>

#include "bench/analysis/peers.h"
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

static bool is_dominated(const findings *data, int index)
{
    const result_entry *entry = &data->entries[index];
    double rate = entry->pace.tokens_per_s.value, loss = entry->val_loss.value;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *other = &data->entries[i];
        double other_rate = other->pace.tokens_per_s.value, other_loss = other->val_loss.value;
        if (peers_share_front(data, index, i) && other_rate >= rate && other_loss <= loss &&
            (other_rate > rate || other_loss < loss)) {
            return true;
        }
    }
    return false;
}

void entries_set_off(findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        result_entry *entry = &data->entries[i];
        entry->on_front = isfinite(entry->pace.tokens_per_s.value) &&
                          isfinite(entry->val_loss.value) && peers_may_lead_front(data, i) &&
                          !is_dominated(data, i);
    }
}

/* Room for one front, and for the losses of all entries. */
typedef struct front_room {
    pareto_config *configs;
    double *losses, *scratch, *share;
    int64_t *replicates;
    int *members; /* entries */
} front_room;

/* The front of those beside one entry. */
static gb_status front_of(findings *data, int beside, const front_room *room, gb_error *err)
{
    int n = 0;
    size_t used = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *entry = &data->entries[i];
        if (entry->beside != beside || !peers_may_lead_front(data, i)) {
            continue;
        }
        double speed = entry->pace.tokens_per_s.value;
        pareto_config *c = &room->configs[n];
        *c = (pareto_config){.log_speed = speed > 0 ? log(speed) : NAN,
                             .log_speed_error = log_speed_error(entry, room->scratch),
                             .losses = room->losses + used,
                             .replicates = room->replicates + used};
        c->n_losses = losses_collect(entry, room->losses + used, room->replicates + used);
        used += (size_t)c->n_losses;
        room->members[n++] = i;
    }
    GB_TRY(pareto_probabilities(room->configs, n, PARETO_DRAWS, 1, room->share, err));
    for (int k = 0; k < n; k++) {
        data->entries[room->members[k]].front_probability = room->share[k];
    }
    return GB_OK;
}

gb_status front_make(findings *data, gb_error *err)
{
    const size_t n = (size_t)data->n_entries, runs = (size_t)data->facts->n_runs + 1;
    front_room room = {.configs = calloc(n + 1, sizeof *room.configs),
                       .losses = calloc(2 * runs + n, sizeof *room.losses),
                       .replicates = calloc(runs, sizeof *room.replicates),
                       .members = calloc(n + 1, sizeof *room.members)};
    gb_status status = GB_OK;
    if (!room.configs || !room.losses || !room.replicates || !room.members) {
        status = gb_fail(err, GB_ERR_OOM, "no memory for the Pareto front");
    } else {
        room.scratch = room.losses + runs;
        room.share = room.scratch + runs;
    }
    for (int i = 0; i < data->n_entries; i++) {
        data->entries[i].front_probability = NAN;
    }
    for (int i = 0; i < data->n_entries && status == GB_OK; i++) {
        if (data->entries[i].beside == i) {
            status = front_of(data, i, &room, err);
        }
    }
    free(room.configs);
    free(room.losses);
    free(room.replicates);
    free(room.members);
    return status;
}
