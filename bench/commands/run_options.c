#include "bench/commands/run_options.h"

#include <string.h>

#include "bench/base/cli.h"
#include "bench/report/report.h"
#include "bench/store/db_guard.h"

#define DB_WAIT_S 600

gb_status run_options_read(run_command *c, int argc, char **argv, bool *help, gb_error *err)
{
    *c =
        (run_command){.db_wait_s = DB_WAIT_S, .plan = runplan_options_default(), .max_retries = -1};
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &c->db, "FILE", "database (default: results/NAME.db)", 0, 0},
        {"--backend", NULL, CLI_TEXT, &c->plan.backend, "auto|cuda|cpu",
         "what computes (default: auto, the first that works)", 0, 0},
        {"--only", NULL, CLI_TEXT, &c->plan.only, "GLOB", "only the cells with such names", 0, 0},
        {"--dry-run", NULL, CLI_FLAG, &c->dry_run, NULL, "say what would be done, and do nothing",
         0, 0},
        {"--retry-failed", NULL, CLI_FLAG, &c->plan.retry_failed, NULL,
         "runs that ended nan, oom, failed or killed: try them again", 0, 0},
        {"--max-retries", NULL, CLI_INT, &c->max_retries, "N",
         "more attempts after transient faults (default: the suite's, 0)", 0, LIMITS_MAX_RETRIES},
        {"--report", NULL, CLI_TEXT, &c->report, "DIR",
         "where the report goes (default: beside the database, under its name)", 0, 0},
        {"--no-report", NULL, CLI_FLAG, &c->no_report, NULL, "write no report at the end", 0, 0},
        {"--speed-only", NULL, CLI_FLAG, &c->speed_only, NULL,
         "only time the configs in turn, train none to the end", 0, 0},
        {"--loss-only", NULL, CLI_FLAG, &c->loss_only, NULL,
         "only train, without timing the configs in turn", 0, 0},
        {"--threads", NULL, CLI_INT, &c->plan.threads, "N",
         "threads of the CPU backend (default: every CPU)", 1, 4096},
        {"--device", NULL, CLI_INT, &c->plan.device_index, "N",
         "which of the visible GPUs (default: the first)", 0, 1023},
        {"--train", NULL, CLI_TEXT, &c->plan.train_data, "GLOB",
         "training data, instead of the suite's", 0, 0},
        {"--val", NULL, CLI_TEXT, &c->plan.val_data, "GLOB",
         "validation data, instead of the suite's", 0, 0},
        {"--db-wait", NULL, CLI_INT, &c->db_wait_s, "SECONDS",
         "how long to wait for a database that another program has locked (default: 600)", 1,
         86400},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench run SUITE.ini [options]",
        "Runs every cell of a suite, one process per run, and writes what they report into a"
        " database as it\narrives. The same command again does what is missing and keeps what is"
        " done.\nSeveral may run at once: they share the runs.",
        options,
        1,
        1,
        "SUITE.ini  the suite to run",
        "  gptbench run suites/quick.ini\n"
        "  gptbench run suites/quick.ini --only 'mlp*' --retry-failed\n"};
    int n;
    return cli_parse(&command, argc, argv, &c->suite_path, &n, help, err);
}

gb_status run_options_check(const run_command *c, gb_error *err)
{
    if (c->speed_only && c->loss_only) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--speed-only and --loss-only: together they leave nothing to do; give one");
    }
    if (c->db) {
        GB_TRY(db_guard_name(c->db, err));
        GB_TRY(db_guard_files(c->db, err));
    }
    if (c->report && !c->no_report) {
        GB_TRY(report_folder_check(c->report, err));
    }
    if (strcmp(c->plan.backend, "auto") == 0) {
        return GB_OK;
    }
    const char *names[8] = {"auto"};
    int n = 1;
    for (const gb_backend *const *b = gb_backends(); *b && n < 7; b++) {
        if (strcmp((*b)->name, c->plan.backend) == 0) {
            return GB_OK;
        }
        names[n++] = (*b)->name;
    }
    const char *nearest = gb_nearest_name(c->plan.backend, names);
    return gb_fail(err, GB_ERR_USAGE,
                   "--backend %s: this program has no such backend%s%s; `gptbench doctor` lists "
                   "them",
                   c->plan.backend, nearest ? ", did you mean " : "", nearest ? nearest : "");
}
