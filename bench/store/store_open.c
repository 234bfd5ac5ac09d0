/* Opening a database, whatever it may be, and closing it. */
#include "bench/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/base/directories.h"
#include "bench/store/db_guard.h"
#include "bench/store/migrations.h"
#include "bench/store/store_error.h"
#include "bench/store/store_internal.h"
#include "kernels/clock.h"
#include "kernels/process_limits.h"
#include "model/near_file.h"
#include "schema_sql.h"
#include "version.h"

#define APPLICATION_ID 1735423074 /* 'gptb', as in schema.sql */
/* For another process to make or bring up to date the file that this one opens. */
#define LOCK_WAIT_MS 3000
/* A reader that stays makes the -wal file grow; when it has gone the file is cut to this. */
#define WAL_KEPT_BYTES "67108864"

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
    if (status == GB_OK && *version > migrations_newest()) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: written by a newer gptbench (schema version %d, this program knows"
                         " %d); use that version, or give --db another file",
                         s->path, *version, migrations_newest());
    }
    if (status == GB_OK && whole) {
        bool current = *version == migrations_newest();
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
                      (int64_t)migrations_newest(), GPTBENCH_VERSION));
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
                                     s->path, gb_reason(errno));
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
        return gb_fail(err, GB_ERR_IO, "%s: %s", s->path, gb_reason(errno));
    }
    return st.st_size > 0 ? file_verify(s, true, version, err) : GB_OK;
}

/* Takes the file: alone where it can be had alone, else together with others, who have made it what
 * it should be; *version is that of its schema. */
static gb_status lock_take(store *s, bool *alone, int *version, gb_error *err)
{
    const struct timespec nap = {0, 20 * 1000 * 1000};
    int64_t until = gb_monotonic_whole_ms() + LOCK_WAIT_MS;
    GB_TRY(lock_open(s, err));
    do {
        *alone = lock_try(s, LOCK_EX);
        if (*alone) {
            return version_read(s, version, err);
        }
        if (lock_try(s, LOCK_SH)) {
            GB_TRY(version_read(s, version, err));
            if (*version == migrations_newest()) {
                return GB_OK;
            }
            flock(s->lock_fd, LOCK_UN); /* so that one of those who wait can make it */
        }
        nanosleep(&nap, NULL);
    } while (gb_monotonic_whole_ms() < until);
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
    GB_TRY(db_guard_name(s->path, err));
    if (stat(s->path, &st) != 0) {
        near_file near = near_file_find(s->path, ".db");
        return gb_fail(err, errno == ENOENT ? GB_ERR_USAGE : GB_ERR_IO,
                       "%s: no such database (%s)%s", s->path, gb_reason(errno),
                       near.hint[0] ? near.hint : "; `gptbench run SUITE.ini --db FILE` makes one");
    }
    int version = 0;
    GB_TRY(db_guard_files(s->path, err));
    GB_TRY(file_verify(s, false, &version, err));
    if (version < migrations_newest()) {
        store *writer = NULL;
        GB_TRY(store_open(&writer, s->path, STORE_WRITE, err));
        store_close(writer);
    }
    GB_TRY(connection_open(s, SQLITE_OPEN_READONLY, err));
    GB_TRY(db_guard_schema(s->db, s->path, schema_sql, true, err));
    s->only_reads = true;
    return GB_OK;
}

/* Bytes of the file of that name with `end` behind it; -1: there is none. */
static int64_t beside_bytes(const char *path, const char *end)
{
    char beside[4096];
    struct stat st;
    return snprintf(beside, sizeof beside, "%s%s", path, end) < (int)sizeof beside &&
                   stat(beside, &st) == 0
               ? (int64_t)st.st_size
               : -1;
}

/* A connection that only reads makes -wal and -shm where they are missing, and may not remove them.
 * One that could write does so as it ends, if by SQLite's own locks it is the last: nothing is
 * written, and what other processes use stays. Not where there is anything to be brought into the
 * database: that is left to who writes. */
static void reader_sweep(const char *path)
{
    sqlite3 *db = NULL;
    if (beside_bytes(path, "-wal") != 0 || beside_bytes(path, "-journal") >= 0 ||
        access(path, W_OK) != 0) {
        return;
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK) {
        sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    sqlite3_close(db);
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
    if (s->only_reads) {
        reader_sweep(s->path);
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
