#include "bench/store/migrations.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "version.h"

const migration *migrations_list(void)
{
    /* Columns go to the end of their tables, as in bench/store/schema.sql. */
    static const migration list[] = {
        {2, "ALTER TABLE run ADD COLUMN profile_note TEXT;"
            "CREATE TABLE op_span ("
            "  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
            "  position INTEGER NOT NULL, phase TEXT NOT NULL, layer INTEGER NOT NULL,"
            "  op TEXT NOT NULL, begin_ms REAL NOT NULL, end_ms REAL NOT NULL,"
            "  PRIMARY KEY (run_id, position)"
            ") STRICT, WITHOUT ROWID;"
            "ALTER TABLE run ADD COLUMN energy_j REAL;"
            "ALTER TABLE run ADD COLUMN energy_source TEXT;"
            "ALTER TABLE run ADD COLUMN sensors_missing TEXT;"
            "ALTER TABLE step ADD COLUMN ended_s REAL;"
            "ALTER TABLE step ADD COLUMN disturbance TEXT;"
            "CREATE TABLE sample ("
            "  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, at_s REAL NOT NULL,"
            "  gpu_clock_mhz REAL, gpu_memory_clock_mhz REAL, gpu_power_w REAL,"
            "  gpu_temperature_c REAL, gpu_throttle TEXT, gpu_memory_bytes REAL,"
            "  gpu_energy_j REAL, cpu_clock_mhz REAL, cpu_load REAL, cpu_busy REAL,"
            "  cpu_steal REAL, cpu_energy_j REAL,"
            "  PRIMARY KEY (run_id, at_s)"
            ") STRICT, WITHOUT ROWID;"},
        {3, "ALTER TABLE gemm_peak ADD COLUMN copy_bytes_per_s REAL;"
            "ALTER TABLE op_time ADD COLUMN thread_mean_ms REAL;"
            "ALTER TABLE op_time ADD COLUMN thread_max_ms REAL;"
            "ALTER TABLE run ADD COLUMN spans_zero_s REAL;"},
        {4, ""},
        {5, "ALTER TABLE run ADD COLUMN resumed_from INTEGER;"
            "ALTER TABLE run ADD COLUMN resumed_step INTEGER;"
            "ALTER TABLE step ADD COLUMN session INTEGER;"},
        {6, "ALTER TABLE run ADD COLUMN runner_id INTEGER;"},
        {7, "ALTER TABLE run ADD COLUMN lr_scale REAL NOT NULL DEFAULT 1;"
            "ALTER TABLE run ADD COLUMN process_memory_bytes INTEGER;"},
        {8, ""},
        {9, ";"}, /* config_summary has interleaved times */
        {10, ""},
        {11, "ALTER TABLE run ADD COLUMN val_tokens INTEGER;"
             "ALTER TABLE run ADD COLUMN val_stretch_hash TEXT;"
             "UPDATE run SET val_tokens = (SELECT max(e.val_tokens) FROM eval e"
             " WHERE e.run_id = run.run_id);"},
        {12, ";"}, /* run_summary says what was validated on */
        {13, ";"}, /* run_summary has the first validation loss */
        {14, ""},
        {15, "ALTER TABLE gemm_peak ADD COLUMN sustained_flops_per_s REAL;"},
        {0, NULL}};
    return list;
}

int migrations_version(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int version = 0;
    if (sqlite3_prepare_v2(db, "SELECT max(version) FROM schema_version", -1, &stmt, NULL) ==
            SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        version = sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return version;
}

static int version_record(sqlite3 *db, int version)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "INSERT INTO schema_version VALUES"
                                " (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ?)",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(stmt, 1, version);
        sqlite3_bind_text(stmt, 2, GPTBENCH_VERSION, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Views hold no data: those that `views` creates are dropped before. Views that others have added
 * to the file stay. */
static int views_drop(sqlite3 *db, const char *views)
{
    static const char create[] = "CREATE VIEW ";
    int rc = SQLITE_OK;
    for (const char *at = views; rc == SQLITE_OK && (at = strstr(at, create)) != NULL;) {
        at += sizeof create - 1;
        char *sql = sqlite3_mprintf("DROP VIEW IF EXISTS %.*s", (int)strcspn(at, " \n"), at);
        rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    return rc;
}

static int last_version(const migration *list)
{
    int last = 0;
    for (; list->sql; list++) {
        last = list->to_version;
    }
    return last;
}

int migrations_newest(void)
{
    return last_version(migrations_list());
}

/* Runs the part of the schema below the heading of a version, which ends at the next heading. */
static int section_run(sqlite3 *db, const char *schema, int version, bool optional)
{
    char heading[40];
    snprintf(heading, sizeof heading, "\n-- ---- version %d:", version);
    const char *begin = schema ? strstr(schema, heading) : NULL;
    const char *end = begin ? strstr(begin + 1, "\n-- ---- ") : NULL;
    if (!end && optional) {
        return SQLITE_OK;
    }
    char *sql = end ? sqlite3_mprintf("%.*s", (int)(end - begin), begin) : NULL;
    int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_ERROR;
    sqlite3_free(sql);
    return rc;
}

static int step_run(sqlite3 *db, const migration *m, const char *schema)
{
    int rc = sqlite3_exec(db, m->sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? section_run(db, schema, m->to_version, m->sql[0] != '\0') : rc;
}

gb_status migrations_apply(sqlite3 *db, const migration *list, const char *schema, gb_error *err)
{
    const char *views = schema ? strstr(schema, "\nCREATE VIEW") : NULL;
    int version = migrations_version(db), failed = version;
    if (last_version(list) <= version) {
        return GB_OK;
    }
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return gb_fail(err, GB_ERR_IO, "cannot start the migration: %s", sqlite3_errmsg(db));
    }
    if (views && views_drop(db, views) != SQLITE_OK) {
        goto rollback;
    }
    for (const migration *m = list; m->sql; m++) {
        if (m->to_version <= version) {
            continue;
        }
        failed = m->to_version;
        if (step_run(db, m, schema) != SQLITE_OK ||
            version_record(db, m->to_version) != SQLITE_OK) {
            goto rollback;
        }
    }
    if ((!views || sqlite3_exec(db, views, NULL, NULL, NULL) == SQLITE_OK) &&
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        return GB_OK;
    }
rollback:;
    /* What is wrong with the file, or with the disk that it lies on. */
    int code = sqlite3_errcode(db) & 0xff;
    gb_status status = code == SQLITE_ERROR || code == SQLITE_CONSTRAINT || code == SQLITE_CORRUPT
                           ? GB_ERR_FORMAT
                       : code == SQLITE_NOMEM ? GB_ERR_OOM
                                              : GB_ERR_IO;
    gb_fail(err, status,
            "cannot be brought from schema version %d to %d: %s; the file is unchanged", version,
            failed, sqlite3_errmsg(db));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
