#include "bench/analysis/learning_rates.h"

#include <stdio.h>

#include "bench/run/retry.h"

entry_rates entry_rates_of(const result_entry *entry)
{
    entry_rates out = {0, "as asked"};
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < entry->n_runs; i++) {
        int64_t halvings = retry_halvings_of(entry->runs[i]->lr_scale);
        out.halved += halvings > 0;
        least = halvings < least ? halvings : least;
        most = halvings > most ? halvings : most;
    }
    if (out.halved == entry->n_runs && least == most && most > 0) {
        snprintf(out.text, sizeof out.text, "halved %lldx", (long long)most);
    } else if (out.halved > 0) {
        snprintf(out.text, sizeof out.text, "halved %s%lldx in %d of %d runs",
                 most > 1 ? "up to " : "", (long long)most, out.halved, entry->n_runs);
    }
    return out;
}
