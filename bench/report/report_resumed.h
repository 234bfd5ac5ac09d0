/* report_resumed.h: runs that were interrupted and gone on with, one process after another,
 * each with a warm-up of its own: segments, which report and database call sessions. */
#ifndef GPTBENCH_BENCH_REPORT_RESUMED_H
#define GPTBENCH_BENCH_REPORT_RESUMED_H

#include <jansson.h>

#include "bench/analysis/findings.h"
#include "bench/base/document.h"

/* The segments of such runs that are ok side by side. Nothing when there are none. */
gb_status report_write_resumed(document *doc, const findings *data, gb_error *err);

/* Array of objects, one per segment; empty where one process did all of it. NULL without memory. */
json_t *report_resumed_json(const run_facts *run);

#endif
