/* results_table.h: the table of a suite's results as `run` prints it. */
#ifndef GPTBENCH_BENCH_RESULTS_TABLE_H
#define GPTBENCH_BENCH_RESULTS_TABLE_H

#include <stdio.h>

#include "bench/store/store.h"

/* One line per config, backend and precision: size, FLOPs/token and step_avg against the baseline,
 * tokens/s, MFU, final validation loss, and how its runs ended. Where the suite was timed in turn,
 * step_avg, tokens/s and MFU are from there, the time against the baseline is a verdict, and the
 * noise floor stands beneath; where not, they are from the runs. GB_ERR_USAGE when the database has
 * no such suite. */
gb_status results_table_print(store *s, const char *suite_name, FILE *out, gb_error *err);

#endif
