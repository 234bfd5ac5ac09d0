#include "bench/migrations.h"

#include "version.h"

const migration *migrations_list(void)
{
    /* Columns go to the end of their tables, as in bench/schema.sql. */
    static const migration list[] = {
        {2, "ALTER TABLE run ADD COLUMN profile_note TEXT;"
            "CREATE TABLE op_span ("
            "  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
            "  position INTEGER NOT NULL, phase TEXT NOT NULL, layer INTEGER NOT NULL,"
            "  op TEXT NOT NULL, begin_ms REAL NOT NULL, end_ms REAL NOT NULL,"
            "  PRIMARY KEY (run_id, position)"
            ") STRICT, WITHOUT ROWID;"},
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

/* A migration may not find its table through a view that it breaks. */
static int views_drop(sqlite3 *db)
{
    char *sql = NULL;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT group_concat('DROP VIEW ' || quote(name), ';')"
                                " FROM sqlite_master WHERE type = 'view'",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
        sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
        sql = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
        rc = sql ? SQLITE_OK : SQLITE_NOMEM;
    }
    sqlite3_finalize(stmt);
    if (rc == SQLITE_OK && sql) {
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    sqlite3_free(sql);
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

gb_status migrations_apply(sqlite3 *db, const migration *list, const char *views, gb_error *err)
{
    int version = migrations_version(db), failed = version;
    if (last_version(list) <= version) {
        return GB_OK;
    }
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return gb_fail(err, GB_ERR_IO, "cannot start the migration: %s", sqlite3_errmsg(db));
    }
    if (views && views_drop(db) != SQLITE_OK) {
        goto rollback;
    }
    for (const migration *m = list; m->sql; m++) {
        if (m->to_version <= version) {
            continue;
        }
        failed = m->to_version;
        if (sqlite3_exec(db, m->sql, NULL, NULL, NULL) != SQLITE_OK ||
            version_record(db, m->to_version) != SQLITE_OK) {
            goto rollback;
        }
    }
    if ((!views || sqlite3_exec(db, views, NULL, NULL, NULL) == SQLITE_OK) &&
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        return GB_OK;
    }
rollback:
    gb_fail(err, GB_ERR_FORMAT,
            "cannot be brought from schema version %d to %d: %s; the file is unchanged", version,
            failed, sqlite3_errmsg(db));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return GB_ERR_FORMAT;
}
