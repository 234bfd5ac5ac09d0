#include "bench/analysis/entry_watch.h"

#include <math.h>

#include "bench/analysis/run_numbers.h"

bool entry_watch_any(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const sensor_facts *s = &data->entries[i].runs[r]->sensors;
            for (int64_t k = 0; k < s->n_samples; k++) {
                const sample_facts *x = &s->samples[k];
                if (isfinite(x->clock_mhz) || isfinite(x->power_w) || isfinite(x->busy)) {
                    return true;
                }
            }
        }
    }
    return false;
}

entry_watch entry_watch_of(const result_entry *entry)
{
    entry_watch sum = {.energy_per_token_j = 0};
    int known = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const sensor_facts *s = &entry->runs[r]->sensors;
        double energy = run_energy_per_token_j(entry->runs[r]);
        sum.timed_known += s->timed_known;
        sum.timed_marked += s->timed_marked;
        for (int k = 0; k < DISTURBANCE_KINDS; k++) {
            sum.timed_by[k] += s->timed_by[k];
        }
        if (isfinite(energy)) {
            sum.energy_per_token_j += energy;
            known++;
        }
    }
    sum.energy_per_token_j = known ? sum.energy_per_token_j / known : NAN;
    return sum;
}
