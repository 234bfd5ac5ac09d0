/* What the store does about a file that is locked, and what it says about one that it cannot
 * write. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/store/store_internal.h"

#define WAIT_MS_DEFAULT 10000
#define NOTE_AFTER_MS   2000
#define NAP_MS          10

/* ---- waiting ---- */

static void note(store *s, const char *format, int64_t value)
{
    char text[1200];
    if (s->waiting.note) {
        snprintf(text, sizeof text, format, s->path, (long long)value);
        s->waiting.note(s->waiting.user, text);
    }
}

static int64_t limit_ms(const store *s)
{
    return s->waiting.limit_ms > 0 ? s->waiting.limit_ms : WAIT_MS_DEFAULT;
}

/* SQLite asks this whenever it finds the file locked: 1 tries again. */
static int busy(void *user, int tries)
{
    store *s = user;
    int64_t now = store_now_ms();
    if (s->busy_since_ms == 0) {
        s->busy_since_ms = now;
    }
    if (tries == 0) {
        s->try_since_ms = now;
    }
    if (!s->busy_noted && now - s->busy_since_ms >= NOTE_AFTER_MS) {
        s->busy_noted = true;
        note(s,
             "%s: another program has the database locked; waiting for up to %lld s, what is"
             " measured meanwhile is kept in memory",
             limit_ms(s) / 1000);
    }
    if ((s->patience_ms > 0 && now - s->try_since_ms >= s->patience_ms) ||
        now - s->busy_since_ms >= limit_ms(s) || (s->waiting.stops && *s->waiting.stops >= 2)) {
        return 0;
    }
    nanosleep(&(struct timespec){0, NAP_MS * 1000000L}, NULL);
    return 1;
}

void store_wait_set_up(store *s)
{
    sqlite3_busy_handler(s->db, busy, s);
}

void store_set_waiting(store *s, const store_waiting *waiting)
{
    s->waiting = *waiting;
}

bool store_wait_goes_on(const store *s)
{
    return (sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY && s->busy_since_ms != 0 &&
           store_now_ms() - s->busy_since_ms < limit_ms(s);
}

void store_wait_over(store *s)
{
    if (s->busy_noted) {
        note(s, "%s: free again after %lld s", (store_now_ms() - s->busy_since_ms) / 1000);
    }
    s->busy_noted = false;
    s->busy_since_ms = 0;
}

/* ---- words ---- */

static gb_status busy_fail(const store *s, gb_error *err)
{
    int64_t waited = s->busy_since_ms ? (store_now_ms() - s->busy_since_ms) / 1000 : 0;
    char lost[120] = "";
    if (s->queue.rows > 0) {
        snprintf(lost, sizeof lost, "; the last %d rows of the run in hand are lost with it",
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
    return number ? strerror(number) : "no reason given";
}

gb_status store_sqlite_fail(const store *s, gb_error *err, const char *what)
{
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
