/* report_resumed.h: runs that were interrupted and gone on with, one process ("session") after
 * another, each with a warm-up of its own. */
#ifndef GPTBENCH_BENCH_REPORT_RESUMED_H
#define GPTBENCH_BENCH_REPORT_RESUMED_H

#include <jansson.h>

#include "bench/base/document.h"
#include "bench/read/report_reader.h"

/* Reads the sessions of a run; none where one process did all of it. Freed with the run. */
gb_status report_resumed_read(report_reader *r, report_run *run);

/* The sessions of such runs that are ok side by side. Nothing when there are none. */
gb_status report_write_resumed(document *doc, const report_data *data, gb_error *err);

/* Array of objects, one per session; empty where one process did all of it. NULL without memory. */
json_t *report_resumed_json(const report_run *run);

#endif
