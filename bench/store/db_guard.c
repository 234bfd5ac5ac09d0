#include "bench/store/db_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/store/store_error.h"

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

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

gb_status db_guard_name(const char *path, gb_error *err)
{
    if (!path[strspn(path, " \t")] || ends_with(path, "/")) {
        return gb_fail(err, GB_ERR_USAGE, "--db \"%s\": expected the name of a file", path);
    }
    if (path[0] == ':' || strncmp(path, "file:", 5) == 0) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--db %s: SQLite takes this for %s; give the path of a file (./%s is one)",
                       path, path[0] == ':' ? "a database that is kept nowhere" : "an address",
                       path);
    }
    if (ends_with(path, "-wal") || ends_with(path, "-shm") || ends_with(path, "-journal")) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--db %s: SQLite keeps files of such names beside a database; give another",
                       path);
    }
    return GB_OK;
}

gb_status db_guard_files(const char *path, gb_error *err)
{
    static const char *const kinds[] = {"-journal", "-wal", "-shm"};
    struct stat database;
    GB_TRY(db_guard_name(path, err));
    if (stat(path, &database) == 0 && !S_ISREG(database.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE, "%s: is %s; give --db a file", path,
                       S_ISDIR(database.st_mode) ? "a directory" : "not a regular file");
    }
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
    return store_connection_fail(db, g->path, g->err, "the schema cannot be read");
}

/* The first column of the first row of `sql` about `name` (and `also`), NULL where there is none.
 * The caller frees it. */
static gb_status answer_get(const guard *g, sqlite3 *db, char **out, const char *sql,
                            const char *name, const char *also)
{
    sqlite3_stmt *stmt = NULL;
    *out = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return guard_sqlite_fail(g, db);
    }
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (also) {
        sqlite3_bind_text(stmt, 2, also, -1, SQLITE_STATIC);
    }
    int code = sqlite3_step(stmt);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    bool lost = text && !(*out = strdup(text));
    gb_status status = lost                                        ? GB_ERR_OOM
                       : code == SQLITE_ROW || code == SQLITE_DONE ? GB_OK
                                                                   : guard_sqlite_fail(g, db);
    sqlite3_finalize(stmt);
    return lost ? gb_fail(g->err, GB_ERR_OOM, "%s: no memory to check it", g->path) : status;
}

/* Is every line of `ours` one of `theirs`? The name that starts the first that is not. */
static bool lines_are_in(const char *ours, const char *theirs, char *missing, size_t size)
{
    while (*ours) {
        size_t length = strcspn(ours, "\n");
        bool found = false;
        for (const char *line = theirs; *line && !found;) {
            size_t n = strcspn(line, "\n");
            found = n == length && memcmp(line, ours, n) == 0;
            line += n + (line[n] == '\n');
        }
        if (!found) {
            snprintf(missing, size, "%.*s", (int)strcspn(ours, " \n"), ours);
            return false;
        }
        ours += length + (ours[length] == '\n');
    }
    return true;
}

/* Is every column of ours there, stored, and of the same type? Columns of others may be there too,
 * and the order is that in which migrations came. */
static gb_status columns_check(const guard *g, const char *table)
{
    static const char sql[] = "SELECT group_concat(name || ' ' || hidden || type || \"notnull\","
                              " char(10)) FROM pragma_table_xinfo(?1)";
    char *ours = NULL, *theirs = NULL, column[64], name[256];
    gb_status status = answer_get(g, g->ours, &ours, sql, table, NULL);
    if (status == GB_OK) {
        status = answer_get(g, g->db, &theirs, sql, table, NULL);
    }
    if (status == GB_OK && ours &&
        !lines_are_in(ours, theirs ? theirs : "", column, sizeof column)) {
        snprintf(name, sizeof name, "column %s of table %s", column, table);
        status = guard_fail(g, "is missing, computed, or of another type", name);
    }
    free(ours);
    free(theirs);
    return status;
}

static gb_status table_check(const guard *g, const char *table, bool whole)
{
    char *found = NULL, *trigger = NULL, name[128];
    snprintf(name, sizeof name, "table %s", table);
    gb_status status = answer_get(g, g->db, &found,
                                  "SELECT type || strict FROM pragma_table_list(?1) WHERE"
                                  " schema = 'main'",
                                  table, NULL);
    if (status == GB_OK) {
        status = answer_get(g, g->db, &trigger,
                            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND"
                            " tbl_name = ?1 COLLATE NOCASE",
                            table, NULL);
    }
    if (status == GB_OK && trigger) {
        status = guard_fail(g, "has a trigger", name);
    } else if (status == GB_OK && !found) {
        status = whole ? guard_fail(g, "is missing", name) : GB_OK;
    } else if (status == GB_OK && strcmp(found, "table1") != 0) {
        status = guard_fail(g, "is not a plain strict table", name);
    } else if (status == GB_OK && whole) {
        status = columns_check(g, table);
    }
    free(found);
    free(trigger);
    return status;
}

/* A temporary view is found before one of the file. */
static gb_status view_check(const guard *g, const char *view, const char *sql)
{
    char *same = NULL;
    GB_TRY(answer_get(g, g->db, &same,
                      "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 AND sql = ?2",
                      view, sql));
    free(same);
    if (same) {
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
    } else if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        status = guard_sqlite_fail(&g, db);
    } else {
        status = objects_check(&g, whole);
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    sqlite3_close(g.ours);
    return status;
}
