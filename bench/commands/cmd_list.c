/* gptbench list: what databases hold. */
#include <glob.h>
#include <math.h>
#include <stdio.h>

#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/store/store.h"

static const char SUITES_SQL[] =
    "SELECT name, baseline, (SELECT count(*) FROM config c WHERE c.suite_id = s.suite_id"
    " AND in_plan = 1), replicates, coalesce(sum(r.status = 'ok'), 0),"
    " coalesce(sum(r.status IN ('planned', 'running', 'interrupted')), 0),"
    " coalesce(sum(r.status IN ('nan', 'oom', 'failed', 'killed')), 0), substr(updated_at, 1, 16)"
    " FROM suite s LEFT JOIN run_summary r ON r.suite = s.name AND r.is_latest = 1"
    " GROUP BY s.suite_id ORDER BY updated_at DESC";

static const char RUNS_SQL[] =
    "SELECT v.run_id, v.suite, v.config, v.replicate, v.attempt, state_now(v.status, r.runner_id),"
    " v.backend || ' ' || v.precision, v.step_avg_ms, v.final_val_loss,"
    " coalesce(substr(v.started_at, 1, 16), '-')"
    " FROM run_summary v JOIN run r USING (run_id)"
    " ORDER BY v.suite, v.replicate, v.position, v.attempt";

static void suite_add(table *t, sqlite3_stmt *row)
{
    for (int i = 0; i < 8; i++) {
        table_add_cell(t, "%s", store_text(row, i));
    }
}

static void run_add(table *t, sqlite3_stmt *row)
{
    for (int i = 0; i < 7; i++) {
        table_add_cell(t, "%s", store_text(row, i));
    }
    table_add_cell(t, "%s",
                   number_duration_ms(sqlite3_column_type(row, 7) == SQLITE_NULL
                                          ? NAN
                                          : sqlite3_column_double(row, 7))
                       .text);
    if (sqlite3_column_type(row, 8) == SQLITE_NULL) {
        table_add_cell(t, "-");
    } else {
        table_add_cell(t, "%.4f", sqlite3_column_double(row, 8));
    }
    table_add_cell(t, "%s", store_text(row, 9));
}

static gb_status rows_print(store *s, table *t, const char *sql,
                            void (*add)(table *, sqlite3_stmt *), gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err, sql, ""));
    for (;;) {
        GB_TRY(store_step(s, row, &found, err));
        if (!found) {
            return table_write(t, stdout, TABLE_TEXT, err);
        }
        table_begin_row(t);
        add(t, row);
    }
}

static gb_status table_print(store *s, const char *const *headings, const char *aligns,
                             const char *sql, void (*add)(table *, sqlite3_stmt *), gb_error *err)
{
    table *t = table_create();
    for (int i = 0; aligns[i]; i++) {
        table_add_column(t, headings[i], aligns[i] == 'l' ? TABLE_LEFT : TABLE_RIGHT);
    }
    gb_status status = rows_print(s, t, sql, add, err);
    table_free(t);
    return status;
}

static gb_status database_list(const char *path, gb_error *err)
{
    static const char *const suites[] = {"suite", "baseline", "cells",  "replicates",
                                         "ok",    "to do",    "not ok", "updated (UTC)"};
    static const char *const runs[] = {"run",      "suite",        "config",  "replicate",
                                       "attempt",  "status",       "backend", "step_avg",
                                       "val_loss", "started (UTC)"};
    store *s = NULL;
    GB_TRY(store_open(&s, path, STORE_READ, err));
    printf("%s\n\n", path);
    gb_status status = table_print(s, suites, "llrrrrrl", SUITES_SQL, suite_add, err);
    if (status == GB_OK) {
        printf("\n");
        status = table_print(s, runs, "rllrrllrrl", RUNS_SQL, run_add, err);
    }
    store_close(s);
    return status;
}

gb_status cmd_list(int argc, char **argv, gb_error *err)
{
    const char *db = NULL;
    bool help = false;
    int n;
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: all in results/)", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {"gptbench list [options]",
                                 "Lists suites and runs. `gptbench show RUN` shows one of them.",
                                 options,
                                 0,
                                 0,
                                 NULL,
                                 NULL};
    GB_TRY(cli_parse(&command, argc, argv, NULL, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    if (db) {
        return database_list(db, err);
    }
    glob_t found = {0};
    gb_status status = GB_OK;
    if (glob(DBFILE_PATTERN, 0, NULL, &found) != 0) {
        char path[8];
        status = dbfile_choose(path, sizeof path, NULL, err);
    }
    for (size_t i = 0; i < found.gl_pathc && status == GB_OK; i++) {
        printf("%s", i ? "\n" : "");
        status = database_list(found.gl_pathv[i], err);
    }
    globfree(&found);
    return status;
}
