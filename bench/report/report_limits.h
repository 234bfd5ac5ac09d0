/* report_limits.h: what a report says of runs that diverged, and of those whose learning rate was
 * halved for it. */
#ifndef GPTBENCH_BENCH_REPORT_LIMITS_H
#define GPTBENCH_BENCH_REPORT_LIMITS_H

#include "bench/analysis/findings.h"
#include "bench/base/document.h"

/* Warns below the result table where any learning rate was halved. */
/* What is to be known of the data before losses are compared. */
void report_write_data_warnings(document *doc, const findings *data);
void report_write_halved(document *doc, const findings *data);

/* The runs that ended as nan: where, and what was before. Nothing when there are none. */
gb_status report_write_diverged(document *doc, const findings *data, gb_error *err);

#endif
