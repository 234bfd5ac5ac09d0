#include "bench/db_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files beside it ---- */

/* How a journal ends that belongs to a transaction over several files: it then names another
 * file, which SQLite reads and deletes (its file format, section 3.4). */
static bool journal_names_another(const char *path)
{
    static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char end[8];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    bool names = size >= 8 && pread(fd, end, 8, size - 8) == 8 && memcmp(end, magic, 8) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return names;
}

gb_status db_guard_files(const char *path, gb_error *err)
{
    static const char *const kinds[] = {"-journal", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char beside[4096];
        struct stat info;
        if (snprintf(beside, sizeof beside, "%s%s", path, kinds[i]) >= (int)sizeof beside) {
            return gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", path);
        }
        if (lstat(beside, &info) == 0 && !S_ISREG(info.st_mode)) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%s: a link, or no regular file, where SQLite keeps a file of its own;"
                           " remove it",
                           beside);
        }
        if (i == 0 && journal_names_another(beside)) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%s: this journal belongs to several files, and SQLite would delete the"
                           " one that it names; gptbench writes no such journals: remove it",
                           beside);
        }
    }
    return GB_OK;
}

/* ---- connection ---- */

void db_guard_connection(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, (int *)NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, DB_GUARD_TEXT_BYTES);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 10);
    /* A file whose header is broken says so to whoever reads it next. */
    sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
}

/* ---- schema ---- */

typedef struct guard {
    sqlite3 *db;   /* the file's */
    sqlite3 *ours; /* holds the schema alone */
    const char *path;
    gb_error *err;
} guard;

static gb_status guard_fail(const guard *g, const char *what, const char *name)
{
    return gb_fail(g->err, GB_ERR_FORMAT,
                   "%s: not as gptbench makes a database: %s %s; restore it from a copy, or give"
                   " --db another file",
                   g->path, name, what);
}

static gb_status guard_sqlite_fail(const guard *g, sqlite3 *db)
{
    int code = sqlite3_errcode(db) & 0xff;
    return gb_fail(g->err, code == SQLITE_NOMEM ? GB_ERR_OOM : GB_ERR_FORMAT,
                   "%s: the schema cannot be read: %s", g->path, sqlite3_errmsg(db));
}

/* The first column of the first row of `sql` about `name` (and `column`), -1 where there is none.
 */
static gb_status answer_get(const guard *g, int *out, const char *sql, const char *name,
                            const char *column)
{
    sqlite3_stmt *stmt = NULL;
    *out = -1;
    if (sqlite3_prepare_v2(g->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return guard_sqlite_fail(g, g->db);
    }
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (column) {
        sqlite3_bind_text(stmt, 2, column, -1, SQLITE_STATIC);
    }
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        *out = sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return code == SQLITE_ROW || code == SQLITE_DONE ? GB_OK : guard_sqlite_fail(g, g->db);
}

/* Is every column of ours there, stored, and of the same type? Columns of others may be there too,
 * and the order is that in which migrations came. */
static gb_status columns_check(const guard *g, const char *table)
{
    static const char theirs[] = "SELECT hidden || type || \"notnull\" = ?2 FROM"
                                 " pragma_table_xinfo(?1) WHERE name = ?3";
    sqlite3_stmt *ours = NULL, *found = NULL;
    gb_status status = GB_OK;
    if (sqlite3_prepare_v2(g->ours,
                           "SELECT name, hidden || type || \"notnull\" FROM pragma_table_xinfo(?1)",
                           -1, &ours, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(g->db, theirs, -1, &found, NULL) != SQLITE_OK) {
        status = guard_sqlite_fail(g, ours ? g->db : g->ours);
    }
    sqlite3_bind_text(ours, 1, table, -1, SQLITE_STATIC);
    sqlite3_bind_text(found, 1, table, -1, SQLITE_STATIC);
    while (status == GB_OK && sqlite3_step(ours) == SQLITE_ROW) {
        char name[256];
        snprintf(name, sizeof name, "column %s of table %s",
                 (const char *)sqlite3_column_text(ours, 0), table);
        sqlite3_bind_text(found, 2, (const char *)sqlite3_column_text(ours, 1), -1,
                          SQLITE_TRANSIENT);
        sqlite3_bind_text(found, 3, (const char *)sqlite3_column_text(ours, 0), -1,
                          SQLITE_TRANSIENT);
        if (sqlite3_step(found) != SQLITE_ROW) {
            status = guard_fail(g, "is missing", name);
        } else if (!sqlite3_column_int(found, 0)) {
            status = guard_fail(g, "is computed or of another type", name);
        }
        sqlite3_reset(found);
    }
    sqlite3_finalize(ours);
    sqlite3_finalize(found);
    return status;
}

static gb_status table_check(const guard *g, const char *table, bool whole)
{
    int plain = 0, triggers = 0;
    char name[128];
    snprintf(name, sizeof name, "table %s", table);
    GB_TRY(answer_get(g, &plain,
                      "SELECT type = 'table' AND strict FROM pragma_table_list WHERE"
                      " schema = 'main' AND name = ?1 COLLATE NOCASE",
                      table, NULL));
    GB_TRY(answer_get(g, &triggers,
                      "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND"
                      " tbl_name = ?1 COLLATE NOCASE",
                      table, NULL));
    if (triggers > 0) {
        return guard_fail(g, "has a trigger", name);
    }
    if (plain < 0) {
        return whole ? guard_fail(g, "is missing", name) : GB_OK;
    }
    if (plain == 0) {
        return guard_fail(g, "is not a plain strict table", name);
    }
    return whole ? columns_check(g, table) : GB_OK;
}

/* A temporary view is found before one of the file. */
static gb_status view_check(const guard *g, const char *view, const char *sql)
{
    int same = 0;
    GB_TRY(answer_get(g, &same,
                      "SELECT sql = ?2 FROM sqlite_schema WHERE type = 'view' AND name = ?1", view,
                      sql));
    if (same == 1) {
        return GB_OK;
    }
    char *temporary = sqlite3_mprintf("CREATE TEMP VIEW%s", sql + strlen("CREATE VIEW"));
    int code = temporary ? sqlite3_exec(g->db, temporary, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(temporary);
    return code == SQLITE_OK ? GB_OK : guard_sqlite_fail(g, g->db);
}

static gb_status objects_check(const guard *g, bool whole)
{
    sqlite3_stmt *object = NULL;
    gb_status status = GB_OK;
    if (sqlite3_prepare_v2(g->ours,
                           "SELECT type = 'view', name, sql FROM sqlite_schema WHERE type IN"
                           " ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY type",
                           -1, &object, NULL) != SQLITE_OK) {
        return guard_sqlite_fail(g, g->ours);
    }
    while (status == GB_OK && sqlite3_step(object) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(object, 1);
        if (!sqlite3_column_int(object, 0)) {
            status = table_check(g, name, whole);
        } else if (whole) {
            status = view_check(g, name, (const char *)sqlite3_column_text(object, 2));
        }
    }
    sqlite3_finalize(object);
    return status;
}

gb_status db_guard_schema(sqlite3 *db, const char *path, const char *schema, bool whole,
                          gb_error *err)
{
    guard g = {.db = db, .path = path, .err = err};
    gb_status status;
    if (sqlite3_open(":memory:", &g.ours) != SQLITE_OK ||
        sqlite3_exec(g.ours, schema, NULL, NULL, NULL) != SQLITE_OK) {
        status = guard_sqlite_fail(&g, g.ours);
    } else {
        status = objects_check(&g, whole);
    }
    sqlite3_close(g.ours);
    return status;
}
