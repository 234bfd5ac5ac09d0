/* report_limits.h: what a report says of runs that diverged, and of those whose learning rate was
 * halved for it. */
#ifndef GPTBENCH_BENCH_REPORT_LIMITS_H
#define GPTBENCH_BENCH_REPORT_LIMITS_H

#include "bench/base/document.h"
#include "bench/read/report_data.h"

/* "as asked", "halved 1x", "halved 1x in 1 of 3 runs", "halved up to 2x in 3 of 3 runs": the
 * learning rates of an entry's runs. */
typedef struct entry_rates {
    int halved; /* runs */
    char text[64];
} entry_rates;
entry_rates entry_rates_of(const report_entry *entry);

/* Warns below the result table where any learning rate was halved. */
void report_write_halved(document *doc, const report_data *data);

/* The runs that ended as nan: where, and what was before. Nothing when there are none. */
gb_status report_write_diverged(document *doc, const report_data *data, gb_error *err);

#endif
