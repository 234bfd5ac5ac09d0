/* report_sensors.h: what the sensors saw beside the runs of a report. */
#ifndef GPTBENCH_BENCH_REPORT_SENSORS_H
#define GPTBENCH_BENCH_REPORT_SENSORS_H

#include <sqlite3.h>

#include "bench/base/document.h"
#include "bench/read/report_data.h"

/* Fills the `sensors` of a run. GB_ERR_FORMAT, GB_ERR_OOM. */
gb_status report_sensors_read_run(report_data *data, report_run *run, sqlite3 *db, gb_error *err);
void report_sensors_free(report_sensors *sensors);

/* Whether there is anything to draw over time. */
bool report_sensors_any(const report_data *data);
/* Marked steps of each config, and its energy per token. */
gb_status report_write_disturbances(document *doc, const report_data *data, gb_error *err);

#endif
