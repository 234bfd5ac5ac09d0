#include "bench/store/store_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "bench/store/store_internal.h"
#include "kernels/clock.h"
#include "kernels/process_limits.h"

static gb_status busy_fail(const store *s, gb_error *err)
{
    int64_t waited = s->busy_since_ms ? (gb_monotonic_whole_ms() - s->busy_since_ms) / 1000 : 0;
    char lost[120] = "";
    if (s->queue.rows > 0) {
        snprintf(lost, sizeof lost, "; the last %d rows of the current run are lost with it",
                 s->queue.rows);
    }
    return gb_fail(err, GB_ERR_IO,
                   "%s: locked by another program for %lld s (a database shell with an open"
                   " transaction, a backup?): end that one and give the same command again%s",
                   s->path, (long long)waited, lost);
}

static bool disk_is_full(const store *s)
{
    int code = sqlite3_errcode(s->db) & 0xff;
    int cause = sqlite3_system_errno(s->db);
    return code == SQLITE_FULL || (code == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
}

/* Why the system refused, where that is known and SQLite's own words do not say. */
static const char *system_reason(sqlite3 *db)
{
    int number = sqlite3_system_errno(db);
    return number ? gb_reason(number) : "no reason given";
}

/* The size of a file of the database; 0 where there is none. */
static int64_t file_bytes(const store *s, const char *suffix)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%.4100s%s", s->path, suffix);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* `ulimit -f` rather than the disk: SQLite calls a write that was cut short a full disk, or gives
 * no reason; what it wrote last is larger than a page of any of its files. */
static bool file_may_not_grow(const store *s)
{
    const int64_t last_bytes = 65536;
    struct rlimit most;
    int code = sqlite3_errcode(s->db) & 0xff, cause = sqlite3_system_errno(s->db);
    if ((code != SQLITE_IOERR && code != SQLITE_FULL) || getrlimit(RLIMIT_FSIZE, &most) != 0 ||
        most.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    int64_t largest = file_bytes(s, ""), wal = file_bytes(s, "-wal"), shm = file_bytes(s, "-shm");
    largest = wal > largest ? wal : largest;
    largest = shm > largest ? shm : largest;
    return cause == EFBIG ||
           (cause != ENOSPC && cause != EDQUOT && largest + last_bytes > (int64_t)most.rlim_cur);
}

gb_status store_sqlite_fail(const store *s, gb_error *err, const char *what)
{
    if (file_may_not_grow(s)) {
        return gb_fail(err, GB_ERR_IO,
                       "%s: %s: %s, and give the same command again: what was written before is"
                       " whole",
                       s->path, what, gb_reason(EFBIG));
    }
    if (disk_is_full(s)) {
        return gb_fail(err, GB_ERR_IO,
                       "%s: %s: the disk is full; what was written before is whole: free some space"
                       " there and give the same command again",
                       s->path, what);
    }
    return (sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY
               ? busy_fail(s, err)
               : store_connection_fail(s->db, s->path, err, what);
}

gb_status store_connection_fail(sqlite3 *db, const char *path, gb_error *err, const char *what)
{
    if (sqlite3_extended_errcode(db) == SQLITE_IOERR_NOMEM) {
        return gb_fail(err, GB_ERR_OOM, "%s: %s: out of memory", path, what);
    }
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_NOTADB:
        return gb_fail(err, GB_ERR_FORMAT, "%s: not a SQLite database; give --db another file",
                       path);
    case SQLITE_CORRUPT:
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: the database is corrupt (%s); restore it from a copy, or give --db"
                       " another file",
                       path, sqlite3_errmsg(db));
    case SQLITE_NOMEM:
        return gb_fail(err, GB_ERR_OOM, "%s: %s: out of memory", path, what);
    case SQLITE_TOOBIG: /* larger than bench/store/db_guard.h allows */
        return gb_fail(err, GB_ERR_FORMAT, "%s: %s: %s", path, what, sqlite3_errmsg(db));
    case SQLITE_IOERR:
        return gb_fail(err, GB_ERR_IO, "%s: %s: %s (%s)", path, what, sqlite3_errmsg(db),
                       system_reason(db));
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return gb_fail(err, GB_ERR_IO,
                       "%s: %s: %s (%s); the file and the directory that it lies in must be"
                       " writable",
                       path, what, sqlite3_errmsg(db), system_reason(db));
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return gb_fail(err, GB_ERR_INTERNAL, "%s: %s: %s", path, what, sqlite3_errmsg(db));
    default:
        return gb_fail(err, GB_ERR_IO, "%s: %s: %s", path, what, sqlite3_errmsg(db));
    }
}
