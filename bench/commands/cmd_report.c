/* gptbench report: from a database to a report. */
#include <stdio.h>

#include "bench/base/cli.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/report/report.h"
#include "bench/run/progress.h"

gb_status cmd_report(int argc, char **argv, gb_error *err)
{
    const char *db = NULL, *suite = NULL, *out = NULL;
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: the newest in results/)", 0, 0},
        {"--suite", NULL, CLI_TEXT, &suite, "NAME", "suite, where the database holds several", 0,
         0},
        {"--output", "-o", CLI_TEXT, &out, "DIR", "where the report goes; made where missing", 0,
         0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench report [options] -o DIR",
        "Writes DIR/index.html (one file, to be read anywhere), DIR/report.md, DIR/results.tsv, "
        "DIR/report.json and "
        "figures in SVG and PNG with the data and gnuplot scripts that they are drawn from.",
        options,
        0,
        0,
        NULL,
        "gptbench report --db results/quick.db -o results/quick"};
    int n = 0;
    bool help = false;
    GB_TRY(cli_parse(&command, argc, argv, NULL, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    if (!out) {
        return gb_fail(err, GB_ERR_USAGE, "report: say where it goes: -o DIR");
    }
    char path[4096];
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    progress *display = progress_create_for(stderr);
    progress_task_begin(display, "drawing the report");
    gb_status status = report_write(path, suite, out, err);
    progress_free(display);
    if (status != GB_OK) {
        return suite ? dbfile_tell_others(path, &(dbfile_wanted){.suite = suite}, err) : status;
    }
    printf("%s/index.html\n%s/report.md\n", out, out);
    return GB_OK;
}
