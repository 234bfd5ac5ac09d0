/* gptbench report: from a database to a report. */
#include <stdio.h>

#include "bench/base/cli.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/report/report.h"
#include "bench/run/progress.h"
#include "bench/store/store.h"

/* Its only suite, where none was named. "" where it cannot be read. */
static void suite_find(char *out, size_t size, const char *path)
{
    store *s = NULL;
    sqlite3_stmt *stmt;
    bool row = false;
    out[0] = '\0';
    if (store_open(&s, path, STORE_READ, NULL) == GB_OK &&
        store_query(s, &stmt, NULL, "SELECT name FROM suite LIMIT 1", "") == GB_OK &&
        store_step(s, stmt, &row, NULL) == GB_OK && row) {
        snprintf(out, size, "%s", store_text(stmt, 0));
        sqlite3_reset(stmt);
    }
    store_close(s);
}

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
    char path[4096], only[256];
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    progress *display = progress_create_for(stderr);
    progress_task_begin(display, "drawing the report");
    gb_status status = report_write(path, suite, out, err);
    progress_free(display);
    if (status != GB_OK) {
        return suite ? dbfile_tell_others(path, &(dbfile_wanted){.suite = suite}, err) : status;
    }
    if (!db || !suite) { /* on standard error: standard output lists files */
        suite_find(only, sizeof only, path);
        terminal_say(stderr, 2, "report of suite %s in %s\n", suite ? suite : only, path);
    }
    printf("%s/index.html\n%s/report.md\n", out, out);
    return GB_OK;
}
