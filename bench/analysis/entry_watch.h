/* entry_watch.h: what was watched beside the runs of an entry, taken together. */
#ifndef GPTBENCH_BENCH_ENTRY_WATCH_H
#define GPTBENCH_BENCH_ENTRY_WATCH_H

#include "bench/analysis/findings.h"

typedef struct entry_watch {
    int64_t timed_known; /* timed steps that were watched, and of these the marked ones */
    int64_t timed_marked;
    int64_t timed_by[DISTURBANCE_KINDS]; /* for DISTURBANCE_INDEX_* */
    double energy_per_token_j;           /* mean of the runs that know it; NAN: none does */
} entry_watch;

/* Sums over the entry's runs. */
entry_watch entry_watch_of(const result_entry *entry);

/* Whether there is anything to draw over time. */
bool entry_watch_any(const findings *data);

#endif
