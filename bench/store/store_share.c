#include "bench/store/store_share.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/store/store_error.h"
#include "bench/store/store_internal.h"

/* Behind all that a database can hold, and where SQLite locks nothing. */
#define BYTES_BEGIN ((off_t)1 << 48)
/* The first are those of store_lock, then comes one for each runner by its id. */
#define BYTE_RUNNERS 16
/* Of a larger id, which only a damaged file can have, there is no byte. */
#define RUNNER_MOST ((int64_t)1 << 60)

/* ---- locks ---- */

static bool byte_set(const store *s, int64_t byte, int type)
{
    struct flock lock = {.l_type = (short)type,
                         .l_whence = SEEK_SET,
                         .l_start = BYTES_BEGIN + (off_t)byte,
                         .l_len = 1};
    return s->lock_fd < 0 || fcntl(s->lock_fd, F_OFD_SETLK, &lock) == 0;
}

/* Locks of the descriptor's own do not count. */
static bool byte_is_held_at(int fd, int64_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTES_BEGIN + (off_t)byte, .l_len = 1};
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool store_lock_set(store *s, store_lock lock, store_lock_mode mode)
{
    return byte_set(s, lock,
                    mode == STORE_FREE     ? F_UNLCK
                    : mode == STORE_SHARED ? F_RDLCK
                                           : F_WRLCK);
}

bool store_lock_is_held(const store *s, store_lock lock)
{
    return byte_is_held_at(s->lock_fd, lock);
}

static bool runner_is_seen(int fd, int64_t runner_id)
{
    return runner_id > 0 && runner_id <= RUNNER_MOST &&
           byte_is_held_at(fd, BYTE_RUNNERS + runner_id);
}

bool store_runner_lives(const store *s, int64_t runner_id)
{
    return runner_id != 0 && (runner_id == s->runner_id || runner_is_seen(s->lock_fd, runner_id));
}

/* ---- readers ---- */

/* A reader opens the file the first time that it comes to a run that says `running`, and leaves it
 * open to its end: closing it would drop the locks of another connection of this process. */
static bool reader_knows(store *s)
{
    if (s->lock_fd < 0 && s->look_fd < 0) {
        s->look_fd = open(s->path, O_RDONLY | O_CLOEXEC);
    }
    return s->lock_fd >= 0 || s->look_fd >= 0;
}

static void state_now(sqlite3_context *context, int n, sqlite3_value **values)
{
    store *s = sqlite3_user_data(context);
    const char *status = (const char *)sqlite3_value_text(values[0]);
    (void)n;
    if (status && strcmp(status, "running") == 0 && reader_knows(s)) {
        int64_t runner = sqlite3_value_int64(values[1]);
        if (!store_runner_lives(s, runner) && !runner_is_seen(s->look_fd, runner)) {
            sqlite3_result_text(context, "interrupted", -1, SQLITE_STATIC);
            return;
        }
    }
    sqlite3_result_value(context, values[0]);
}

gb_status store_share_set_up(store *s, gb_error *err)
{
    return sqlite3_create_function(s->db, "state_now", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, s,
                                   state_now, NULL, NULL) == SQLITE_OK
               ? GB_OK
               : store_sqlite_fail(s, err, "cannot be set up");
}

/* ---- runners ---- */

/* Tells one start of the machine from another; "" where it has no such thing. */
static void boot_id_read(char out[64])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = '\0';
    if (file && fgets(out, 64, file)) {
        out[strcspn(out, "\n")] = '\0';
    }
    if (file) {
        fclose(file);
    }
}

gb_status store_runner_begin(store *s, int64_t suite_id, const char *plan, gb_error *err)
{
    char host[128] = "", boot[64];
    if (s->runner_id != 0) {
        return GB_OK;
    }
    gethostname(host, sizeof host - 1);
    boot_id_read(boot);
    GB_TRY(store_exec(s, err,
                      "INSERT INTO runner (suite_id, plan, hostname, boot_id, pid, started_at)"
                      " VALUES (?, ?, ?, ?, ?, " SQL_NOW ")",
                      "ittti", suite_id, plan, host, boot, (int64_t)getpid()));
    int64_t id = sqlite3_last_insert_rowid(s->db);
    /* Nobody sees the row before it is committed, and by then it is locked. */
    if (id > RUNNER_MOST || !byte_set(s, BYTE_RUNNERS + id, F_WRLCK)) {
        return gb_fail(err, GB_ERR_IO,
                       "%s: the file system does not lock files, so runners could not tell whether"
                       " others live; put the database on a local disk",
                       s->path);
    }
    s->runner_id = id;
    return GB_OK;
}

gb_status store_runner_end(store *s, gb_error *err)
{
    if (s->runner_id == 0) {
        return GB_OK;
    }
    GB_TRY(store_exec(s, err, "UPDATE runner SET ended_at = " SQL_ENDED " WHERE runner_id = ?", "i",
                      s->runner_id));
    GB_TRY(store_commit(s, err));
    byte_set(s, BYTE_RUNNERS + s->runner_id, F_UNLCK);
    s->runner_id = 0;
    return GB_OK;
}

enum { DEAD_AT_ONCE = 64 };

/* Runners that have not said that they ended and whose lock is gone. */
static gb_status dead_find(store *s, int64_t *ids, int *n, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    *n = 0;
    GB_TRY(store_query(s, &stmt, err, "SELECT runner_id FROM runner WHERE ended_at IS NULL", ""));
    while (*n < DEAD_AT_ONCE) {
        GB_TRY(store_step(s, stmt, &row, err));
        if (!row) {
            return GB_OK;
        }
        int64_t id = sqlite3_column_int64(stmt, 0);
        if (!store_runner_lives(s, id)) {
            ids[(*n)++] = id;
        }
    }
    sqlite3_reset(stmt);
    return GB_OK;
}

gb_status store_runners_mark_dead(store *s, gb_error *err)
{
    int64_t dead[DEAD_AT_ONCE];
    int n;
    GB_TRY(store_transaction_begin(s, err));
    do {
        GB_TRY(dead_find(s, dead, &n, err));
        for (int i = 0; i < n; i++) {
            GB_TRY(store_exec(s, err,
                              "UPDATE runner SET ended_at = " SQL_ENDED " WHERE runner_id = ?", "i",
                              dead[i]));
        }
    } while (n == DEAD_AT_ONCE);
    /* Without a runner: from before there were such rows. */
    return store_exec(s, err,
                      "UPDATE run SET status = 'interrupted', ended_at = " SQL_ENDED ","
                      " steps_done = (SELECT count(*) FROM step WHERE step.run_id = run.run_id),"
                      " message = '" STORE_DEAD_MESSAGE "'"
                      " WHERE status = 'running' AND (runner_id IS NULL OR runner_id IN"
                      " (SELECT runner_id FROM runner WHERE ended_at IS NOT NULL))",
                      "");
}

gb_status store_runners_count_others(store *s, const char *suite, const char *plan, int *others,
                                     gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    *others = 0;
    GB_TRY(store_query(s, &stmt, err,
                       "SELECT runner_id, plan, pid, hostname FROM runner JOIN suite"
                       " USING (suite_id) WHERE name = ? AND ended_at IS NULL",
                       "t", suite));
    while (true) {
        GB_TRY(store_step(s, stmt, &row, err));
        if (!row) {
            return GB_OK;
        }
        int64_t id = sqlite3_column_int64(stmt, 0);
        if (id == s->runner_id || !store_runner_lives(s, id)) {
            continue;
        }
        (*others)++;
        if (plan && strcmp((const char *)sqlite3_column_text(stmt, 1), plan) != 0) {
            gb_status status =
                gb_fail(err, GB_ERR_USAGE,
                        "%s: process %lld is at work on suite %s, of which it has another text,"
                        " other data, backend, threads or device, or another build of the program;"
                        " wait for it, give the same, or give --db another file",
                        s->path, (long long)sqlite3_column_int64(stmt, 2), suite);
            sqlite3_reset(stmt);
            return status;
        }
    }
}

/* ---- runs ---- */

gb_status store_run_claim(store *s, int64_t run_id, bool *taken, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET status = 'running', runner_id = nullif(?, 0), started_at"
                      " = " SQL_NOW " WHERE run_id = ? AND status = 'planned'",
                      "ii", s->runner_id, run_id));
    *taken = sqlite3_changes(s->db) == 1;
    return store_commit(s, err);
}

gb_status store_run_unclaim(store *s, int64_t run_id, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET status = 'planned', runner_id = NULL, started_at = NULL"
                      " WHERE run_id = ? AND status = 'running'",
                      "i", run_id));
    return store_commit(s, err);
}

gb_status store_run_state_get(store *s, int64_t config_id, int64_t replicate, const char *identity,
                              store_run_state *out, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    *out = (store_run_state){.other_pid = 0};
    GB_TRY(store_query(s, &stmt, err,
                       "SELECT r.status, coalesce(r.runner_id, 0), coalesce(u.pid, 0), r.run_id"
                       " FROM run r"
                       " LEFT JOIN runner u USING (runner_id) WHERE config_id = ? AND replicate = ?"
                       " AND identity = ? AND in_plan = 1"
                       " ORDER BY r.status = 'ok' DESC, attempt DESC LIMIT 1",
                       "iit", config_id, replicate, identity));
    GB_TRY(store_step(s, stmt, &row, err));
    if (!row) {
        return GB_OK;
    }
    int64_t runner_id = sqlite3_column_int64(stmt, 1);
    out->run_id = sqlite3_column_int64(stmt, 3);
    snprintf(out->status, sizeof out->status, "%s", store_text(stmt, 0));
    if (strcmp(out->status, "running") == 0 && runner_id != s->runner_id &&
        store_runner_lives(s, runner_id)) {
        out->other_pid = sqlite3_column_int64(stmt, 2);
    }
    sqlite3_reset(stmt);
    return GB_OK;
}
