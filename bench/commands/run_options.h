/* run_options.h: what the command line of `gptbench run` says. */
#ifndef GPTBENCH_BENCH_RUN_OPTIONS_H
#define GPTBENCH_BENCH_RUN_OPTIONS_H

#include "bench/plan/runplan.h"

typedef struct run_command {
    const char *suite_path, *db, *report;
    bool dry_run, no_report, speed_only, loss_only;
    int64_t db_wait_s;
    runplan_options plan;
    int64_t max_retries; /* -1: as the suite says */
} run_command;

gb_status run_options_read(run_command *c, int argc, char **argv, bool *help, gb_error *err);
/* What can be told to be wrong before the suite is read. GB_ERR_USAGE, GB_ERR_FORMAT. */
gb_status run_options_check(const run_command *c, gb_error *err);

#endif
