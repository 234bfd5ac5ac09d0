#include "bench/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/base/directories.h"
#include "bench/store/db_guard.h"
#include "bench/store/migrations.h"
#include "bench/store/store_internal.h"
#include "schema_sql.h"
#include "version.h"

#define APPLICATION_ID 1735423074 /* 'gptb', as in schema.sql */
/* For another process to make or bring up to date the file that this one opens. */
#define LOCK_WAIT_MS 3000
/* A reader that stays makes the -wal file grow; when it has gone the file is cut to this. */
#define WAL_KEPT_BYTES "67108864"

int64_t store_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- statements ---- */

gb_status store_statement_get(store *s, sqlite3_stmt **out, gb_error *err, const char *sql)
{
    for (int i = 0; i < s->n_statements; i++) {
        if (s->statements[i].sql == sql) {
            *out = s->statements[i].stmt;
            sqlite3_reset(*out);
            return GB_OK;
        }
    }
    if (s->n_statements == STORE_MAX_STATEMENTS) {
        return gb_fail(err, GB_ERR_INTERNAL, "store: more than %d statements",
                       STORE_MAX_STATEMENTS);
    }
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK) {
        return store_sqlite_fail(s, err, "cannot prepare a statement");
    }
    s->statements[s->n_statements].sql = sql;
    s->statements[s->n_statements++].stmt = *out;
    return GB_OK;
}

static gb_status statement_bind(store *s, sqlite3_stmt *stmt, gb_error *err, const char *types,
                                va_list args)
{
    for (int i = 0; types[i]; i++) {
        int rc = SQLITE_MISUSE;
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 'd') {
            double value = va_arg(args, double);
            rc = isfinite(value) ? sqlite3_bind_double(stmt, i + 1, value)
                                 : sqlite3_bind_null(stmt, i + 1);
        } else if (types[i] == 't') {
            rc = sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        }
        if (rc != SQLITE_OK) {
            return store_sqlite_fail(s, err, "cannot bind a value");
        }
    }
    return GB_OK;
}

static gb_status query_v(store *s, sqlite3_stmt **out, gb_error *err, const char *sql,
                         const char *types, va_list args)
{
    GB_TRY(store_statement_get(s, out, err, sql));
    return statement_bind(s, *out, err, types, args);
}

gb_status store_transaction_begin(store *s, gb_error *err)
{
    if (s->in_transaction) {
        return GB_OK;
    }
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return store_sqlite_fail(s, err, "cannot begin to write");
    }
    store_wait_over(s);
    s->in_transaction = true;
    s->rows = 0;
    s->opened_ms = store_now_ms();
    return GB_OK;
}

static gb_status exec_v(store *s, gb_error *err, const char *sql, const char *types, va_list args)
{
    sqlite3_stmt *stmt = NULL;
    GB_TRY(store_transaction_begin(s, err));
    GB_TRY(query_v(s, &stmt, err, sql, types, args));
    int rc = sqlite3_step(stmt);
    gb_status status =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? GB_OK : store_sqlite_fail(s, err, "cannot write");
    sqlite3_reset(stmt);
    s->rows++;
    return status;
}

gb_status store_exec(store *s, gb_error *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    gb_status status = s->queue.on ? store_queue_add(&s->queue, err, sql, types, args)
                                   : exec_v(s, err, sql, types, args);
    va_end(args);
    return status;
}

gb_status store_query(store *s, sqlite3_stmt **out, gb_error *err, const char *sql,
                      const char *types, ...)
{
    va_list args;
    va_start(args, types);
    gb_status status = query_v(s, out, err, sql, types, args);
    va_end(args);
    return status;
}

gb_status store_step(store *s, sqlite3_stmt *stmt, bool *row, gb_error *err)
{
    int rc = sqlite3_step(stmt);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return GB_OK;
    }
    gb_status status = rc == SQLITE_DONE ? GB_OK : store_sqlite_fail(s, err, "cannot read");
    sqlite3_reset(stmt);
    return status;
}

gb_status store_get_int(store *s, int64_t *out, int64_t missing, gb_error *err, const char *sql,
                        const char *types, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list args;
    va_start(args, types);
    gb_status status = query_v(s, &stmt, err, sql, types, args);
    va_end(args);
    GB_TRY(status);
    bool row;
    GB_TRY(store_step(s, stmt, &row, err));
    *out = missing;
    if (row && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
        *out = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_reset(stmt);
    return GB_OK;
}

const char *store_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

/* ---- transactions ---- */

gb_status store_commit(store *s, gb_error *err)
{
    if (s->queue.on) {
        return store_queue_write(s, err);
    }
    if (!s->in_transaction) {
        return GB_OK;
    }
    if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        gb_status status = store_sqlite_fail(s, err, "cannot commit");
        store_rollback(s);
        return status;
    }
    s->in_transaction = false;
    return GB_OK;
}

gb_status store_commit_due(store *s, bool flush, gb_error *err)
{
    if (s->queue.on) {
        return store_queue_write_due(s, flush, err);
    }
    if (s->in_transaction && (flush || s->rows >= STORE_COMMIT_ROWS ||
                              store_now_ms() - s->opened_ms >= STORE_COMMIT_MS)) {
        return store_commit(s, err);
    }
    return GB_OK;
}

static gb_status synchronous_set(store *s, const char *sql, gb_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? GB_OK
               : store_sqlite_fail(s, err, "cannot be set up");
}

gb_status store_durable_begin(store *s, gb_error *err)
{
    GB_TRY(store_commit(s, err));
    return synchronous_set(s, "PRAGMA synchronous = FULL", err);
}

gb_status store_durable_end(store *s, gb_error *err)
{
    gb_status status = store_commit(s, err);
    gb_status back =
        synchronous_set(s, "PRAGMA synchronous = NORMAL", status == GB_OK ? err : NULL);
    return status == GB_OK ? back : status;
}

void store_rollback(store *s)
{
    store_queue_clear(&s->queue);
    store_transaction_drop(s);
}

void store_transaction_drop(store *s)
{
    if (s->in_transaction) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        s->in_transaction = false;
    }
}

/* ---- opening ---- */

static gb_status connection_open(store *s, int flags, gb_error *err)
{
    /* One thread alone speaks to it, so its locks against others only cost time. */
    flags |= SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK) {
        gb_status status = s->db ? store_sqlite_fail(s, err, "cannot be opened")
                                 : gb_fail(err, GB_ERR_OOM, "%s: out of memory", s->path);
        sqlite3_close(s->db);
        s->db = NULL;
        return status;
    }
    sqlite3_extended_result_codes(s->db, 1);
    db_guard_connection(s->db);
    store_wait_set_up(s);
    return store_share_set_up(s, err);
}

static void connection_close(store *s)
{
    for (int i = 0; i < s->n_statements; i++) {
        sqlite3_finalize(s->statements[i].stmt);
    }
    s->n_statements = 0;
    sqlite3_close(s->db);
    s->db = NULL;
}

static gb_status pragma_int(store *s, const char *sql, int64_t *out, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    *out = 0;
    if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        gb_status status = store_sqlite_fail(s, err, "cannot be read");
        sqlite3_finalize(stmt);
        return status;
    }
    *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return GB_OK;
}

static gb_status integrity_check(store *s, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    gb_status status = GB_OK;
    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        status = store_sqlite_fail(s, err, "cannot be checked");
    } else if (strcmp(store_text(stmt, 0), "ok") != 0) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: the database is corrupt (%s); restore it from a copy, or give --db"
                         " another file",
                         s->path, store_text(stmt, 0));
    }
    sqlite3_finalize(stmt);
    return status;
}

/* A database without a table: the first write to it was cut short, by a kill or a full disk. */
static bool is_empty(store *s)
{
    int64_t n = 1;
    return pragma_int(s, "SELECT count(*) FROM sqlite_schema", &n, NULL) == GB_OK && n == 0;
}

/* Reads a file that is there through a connection that cannot write, so that whatever is wrong
 * with it, it stays as it is. *version is that of its schema; 0, with `whole`, of an empty one. */
static gb_status file_verify(store *s, bool whole, int *version, gb_error *err)
{
    GB_TRY(connection_open(s, SQLITE_OPEN_READONLY, err));
    int64_t id = 0;
    gb_status status = pragma_int(s, "PRAGMA application_id", &id, err);
    *version = 0;
    if (status == GB_OK && id == APPLICATION_ID) {
        *version = migrations_version(s->db);
        int primary = sqlite3_errcode(s->db) & 0xff;
        /* Without that table it is SQLITE_ERROR. */
        if (*version <= 0 && primary >= SQLITE_PERM && primary < SQLITE_ROW) {
            status = store_sqlite_fail(s, err, "cannot be read");
        }
    }
    if (status == GB_OK && id == 0 && whole && is_empty(s)) {
        connection_close(s);
        return GB_OK;
    }
    if (status == GB_OK && whole) {
        status = integrity_check(s, err);
    }
    if (status == GB_OK && *version <= 0) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: not a database of gptbench; give --db another file", s->path);
    }
    if (status == GB_OK && *version > STORE_SCHEMA_VERSION) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: written by a newer gptbench (schema version %d, this program knows"
                         " %d); use that version, or give --db another file",
                         s->path, *version, STORE_SCHEMA_VERSION);
    }
    if (status == GB_OK && whole) {
        bool current = *version == STORE_SCHEMA_VERSION;
        status = db_guard_schema(s->db, s->path, schema_sql, current, err);
    }
    connection_close(s);
    return status;
}

static gb_status schema_create(store *s, gb_error *err)
{
    if (sqlite3_exec(s->db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, schema_sql, NULL, NULL, NULL) != SQLITE_OK) {
        gb_status status = store_sqlite_fail(s, err, "cannot create the tables");
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    s->in_transaction = true;
    GB_TRY(store_exec(s, err, "INSERT INTO schema_version VALUES (?, " SQL_NOW ", ?)", "it",
                      (int64_t)STORE_SCHEMA_VERSION, GPTBENCH_VERSION));
    return store_commit(s, err);
}

/* Writers hold the file with a shared flock, which SQLite does not use and which ends with the
 * process; one that makes the file or brings it up to date needs it for itself, as older versions
 * of this program do all the time. The descriptor must stay open until SQLite has closed its own:
 * closing any descriptor of the file would drop SQLite's POSIX locks. */
static gb_status lock_open(store *s, gb_error *err)
{
    GB_TRY(directories_make(s->path, false, err));
    s->lock_fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return s->lock_fd >= 0 ? GB_OK
                           : gb_fail(err, GB_ERR_IO, "%s: cannot be opened for writing: %s",
                                     s->path, strerror(errno));
}

static bool lock_try(store *s, int how)
{
    return flock(s->lock_fd, how | LOCK_NB) == 0;
}

static gb_status lock_refused(const store *s, gb_error *err)
{
    return gb_fail(err, GB_ERR_USAGE,
                   "%s: another gptbench is writing this database, of a version that does not share"
                   " it; wait for it, or give --db another file",
                   s->path);
}

/* The version of the file's schema, 0 for an empty file. */
static gb_status version_read(store *s, int *version, gb_error *err)
{
    struct stat st;
    *version = 0;
    if (fstat(s->lock_fd, &st) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", s->path, strerror(errno));
    }
    return st.st_size > 0 ? file_verify(s, true, version, err) : GB_OK;
}

/* Takes the file: alone where it can be had alone, else together with others, who have made it what
 * it should be; *version is that of its schema. */
static gb_status lock_take(store *s, bool *alone, int *version, gb_error *err)
{
    const struct timespec nap = {0, 20 * 1000 * 1000};
    int64_t until = store_now_ms() + LOCK_WAIT_MS;
    GB_TRY(lock_open(s, err));
    do {
        *alone = lock_try(s, LOCK_EX);
        if (*alone) {
            return version_read(s, version, err);
        }
        if (lock_try(s, LOCK_SH)) {
            GB_TRY(version_read(s, version, err));
            if (*version == STORE_SCHEMA_VERSION) {
                return GB_OK;
            }
            flock(s->lock_fd, LOCK_UN); /* so that one of those who wait can make it */
        }
        nanosleep(&nap, NULL);
    } while (store_now_ms() < until);
    return lock_refused(s, err);
}

/* Lets others in. An older program may step between. */
static gb_status lock_share(store *s, gb_error *err)
{
    return lock_try(s, LOCK_SH) ? GB_OK : lock_refused(s, err);
}

static gb_status open_in_memory(store *s, gb_error *err)
{
    GB_TRY(connection_open(s, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    if (sqlite3_exec(s->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL) != SQLITE_OK) {
        return store_sqlite_fail(s, err, "cannot be set up");
    }
    return schema_create(s, err);
}

static gb_status open_for_writing(store *s, gb_error *err)
{
    if (strcmp(s->path, ":memory:") == 0) {
        return open_in_memory(s, err);
    }
    GB_TRY(db_guard_files(s->path, err));
    bool alone;
    int version;
    GB_TRY(lock_take(s, &alone, &version, err));
    GB_TRY(connection_open(s, SQLITE_OPEN_READWRITE, err));
    if (sqlite3_exec(s->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = " WAL_KEPT_BYTES ";",
                     NULL, NULL, NULL) != SQLITE_OK) {
        return store_sqlite_fail(s, err, "cannot be set up");
    }
    gb_status status = GB_OK;
    if (alone && version == 0) {
        status = schema_create(s, err);
    } else if (alone &&
               (status = migrations_apply(s->db, migrations_list(), schema_sql, err)) != GB_OK) {
        gb_error_prefix(err, "%s", s->path);
    }
    if (status == GB_OK && version != 0) {
        status = db_guard_schema(s->db, s->path, schema_sql, true, err);
    }
    if (status == GB_OK && alone && version != 0) {
        status = store_summary_keep_missing(s, err);
    }
    return status == GB_OK && alone ? lock_share(s, err) : status;
}

static gb_status open_for_reading(store *s, gb_error *err)
{
    struct stat st;
    if (stat(s->path, &st) != 0) {
        return gb_fail(err, errno == ENOENT ? GB_ERR_USAGE : GB_ERR_IO,
                       "%s: no such database (%s); `gptbench run SUITE.ini --db FILE` makes one",
                       s->path, strerror(errno));
    }
    int version = 0;
    GB_TRY(db_guard_files(s->path, err));
    GB_TRY(file_verify(s, false, &version, err));
    if (version < STORE_SCHEMA_VERSION) {
        store *writer = NULL;
        GB_TRY(store_open(&writer, s->path, STORE_WRITE, err));
        store_close(writer);
    }
    GB_TRY(connection_open(s, SQLITE_OPEN_READONLY, err));
    return db_guard_schema(s->db, s->path, schema_sql, true, err);
}

gb_status store_open(store **out, const char *path, store_mode mode, gb_error *err)
{
    *out = NULL;
    store *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to open the database", path);
    }
    s->lock_fd = s->look_fd = -1;
    gb_status status = mode == STORE_WRITE ? open_for_writing(s, err) : open_for_reading(s, err);
    if (status != GB_OK) {
        store_close(s);
        return status;
    }
    *out = s;
    return GB_OK;
}

void store_close(store *s)
{
    if (!s) {
        return;
    }
    s->patience_ms = STORE_TRY_MS;
    store_commit(s, NULL);
    store_queue_clear(&s->queue);
    connection_close(s);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    free(s->path);
    free(s);
}

sqlite3 *store_sqlite(store *s)
{
    return s->db;
}

const char *store_path(const store *s)
{
    return s->path;
}
