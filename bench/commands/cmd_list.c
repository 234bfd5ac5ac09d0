/* gptbench list: what databases hold. */
#include <glob.h>
#include <math.h>
#include <stdio.h>

#include "bench/analysis/divergence.h"
#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/read/list_rows.h"
#include "bench/store/store.h"

/* `aligns` has an l or r for each column, `ranks` a digit (table_column_fit). */
static table *table_with(const char *const *headings, const char *aligns, const char *ranks)
{
    table *t = table_create();
    for (int i = 0; aligns[i]; i++) {
        table_add_column(t, headings[i], aligns[i] == 'l' ? TABLE_LEFT : TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, ranks[i] - '0');
    }
    return t;
}

static void number_add(table *t, int64_t x)
{
    table_add_cell(t, "%lld", (long long)x);
}

static gb_status suites_print(const list_rows *list, gb_error *err)
{
    static const char *const headings[] = {"suite", "baseline", "cells",  "replicates",
                                           "ok",    "to do",    "not ok", "updated (UTC)"};
    table *t = table_with(headings, "llrrrrrl", "06351114");
    for (int64_t i = 0; i < list->n_suites; i++) {
        const list_suite *s = &list->suites[i];
        table_begin_row(t);
        table_add_cell(t, "%s", s->name);
        table_add_cell(t, "%s", s->baseline);
        number_add(t, s->cells);
        number_add(t, s->replicates);
        number_add(t, s->ok);
        number_add(t, s->to_do);
        number_add(t, s->not_ok);
        table_add_cell(t, "%s", s->updated_at);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

/* A run that diverged without a NaN is ok all the same. */
static bool run_diverged(const list_run *r)
{
    const loss_course course = {r->first_val_loss, r->best_val_loss, r->final_val_loss,
                                log(r->vocab_size), r->entropy_rate_nats};
    return divergence_of(&course) != DIVERGENCE_NONE;
}

static gb_status runs_print(const list_rows *list, gb_error *err)
{
    static const char *const headings[] = {"run",      "suite",        "config",  "replicate",
                                           "attempt",  "status",       "backend", "step_avg",
                                           "val_loss", "started (UTC)"};
    table *t = table_with(headings, "rllrrllrrl", "0613514227");
    for (int64_t i = 0; i < list->n_runs; i++) {
        const list_run *r = &list->runs[i];
        table_begin_row(t);
        number_add(t, r->run_id);
        table_add_cell(t, "%s", r->suite);
        table_add_cell(t, "%s", r->config);
        number_add(t, r->replicate);
        number_add(t, r->attempt);
        table_add_cell(t, "%s%s", r->status, run_diverged(r) ? ", diverged" : "");
        table_add_cell(t, "%s %s", r->backend, r->precision);
        table_add_cell(t, "%s", number_duration_ms(r->step_avg_ms).text);
        table_add_cell(t, isnan(r->final_val_loss) ? "-" : "%.4f", r->final_val_loss);
        table_add_cell(t, "%s", r->started_at);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

static gb_status database_list(const char *path, gb_error *err)
{
    store *s = NULL;
    list_rows list;
    GB_TRY(store_open(&s, path, STORE_READ, err));
    gb_status status = list_rows_read(&list, s, err);
    store_close(s);
    if (status == GB_OK) {
        printf("%s\n\n", path);
        status = suites_print(&list, err);
    }
    if (status == GB_OK) {
        printf("\n");
        status = runs_print(&list, err);
    }
    list_rows_free(&list);
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
