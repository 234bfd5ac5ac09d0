/* report_sensors.h: what the sensors saw beside the runs of a report. */
#ifndef GPTBENCH_BENCH_REPORT_SENSORS_H
#define GPTBENCH_BENCH_REPORT_SENSORS_H

#include "bench/analysis/findings.h"
#include "bench/base/document.h"

/* Marked steps of each config, and its energy per token. */
gb_status report_write_disturbances(document *doc, const findings *data, gb_error *err);

#endif
