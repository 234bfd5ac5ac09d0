/* store_internal.h: what the store's own files share. */
#ifndef GPTBENCH_BENCH_STORE_INTERNAL_H
#define GPTBENCH_BENCH_STORE_INTERNAL_H

#include "bench/store/store.h"
#include "bench/store/store_queue.h"

#define STORE_MAX_STATEMENTS 128

struct store {
    sqlite3 *db;
    char *path;
    int lock_fd; /* of the database file, with flock and the byte locks of store_share.h; or -1 */
    int look_fd; /* a reader's, to look at those locks; or -1 */
    bool only_reads; /* opened, and may read */
    bool in_transaction;
    int rows;          /* written in the open transaction */
    int64_t opened_ms; /* when the open transaction began */
    int n_statements;
    struct {
        const char *sql;
        sqlite3_stmt *stmt;
    } statements[STORE_MAX_STATEMENTS];
    store_queue queue;
    store_waiting waiting;
    int64_t busy_since_ms; /* when the file that is now waited for was first locked; 0: none is */
    int64_t try_since_ms, patience_ms; /* of the current try; patience 0: as `waiting` says */
    bool busy_noted;
    int64_t runner_id; /* of this process, once store_runner_begin has registered it */
    int others;        /* other living runners of the suite, as store_plan_begin saw them */
};

/* ---- store_wait.c ---- */

/* From now on the connection waits for a locked file as s->waiting says. */
void store_wait_set_up(store *s);
/* After a failure: the file is locked, and the limit not reached. */
bool store_wait_goes_on(const store *s);
/* The lock was got. */
void store_wait_over(store *s);

/* ---- store_exec.c ---- */

/* A statement of the store's own, reset and ready to be bound. */
gb_status store_statement_get(store *s, sqlite3_stmt **out, gb_error *err, const char *sql);
/* Begins the transaction where none is open; waits for the file as store_waiting says. */
gb_status store_transaction_begin(store *s, gb_error *err);
/* Rolls back and keeps what is queued. */
void store_transaction_drop(store *s);

/* ---- store_commit.c ---- */

/* How long a try to write the queue may hold up whoever follows a run, and when the next is. */
#define STORE_TRY_MS       50
#define STORE_TRY_AGAIN_MS 200

/* ---- words of SQL ---- */

#define SQL_NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
/* The end of what the row says began: never before that, wherever the clock was set meanwhile. */
#define SQL_ENDED "max(" SQL_NOW ", coalesce(started_at, ''))"

/* ---- store_share.c, store_summary.c, store_run.c ---- */

/* Gives the connection the function state_now of store_share.h. */
gb_status store_share_set_up(store *s, gb_error *err);

/* Keeps what run_steps_live says of a run that has ended (table step_summary), or forgets it. */
gb_status store_summary_keep(store *s, int64_t run_id, gb_error *err);
gb_status store_summary_forget(store *s, int64_t run_id, gb_error *err);
/* Keeps it for every run that has ended and has none: those of a file of an older version, and
 * those whose program was killed. Commits. */
gb_status store_summary_keep_missing(store *s, gb_error *err);

/* Writes a sample through `sql`, which takes its owner's id and the columns of table sample. */
gb_status store_sample_into(store *s, const char *sql, int64_t id, const gb_sample *x,
                            gb_error *err);
/* How marks are written: `clear` takes (id, n) and says that the first n steps are undisturbed,
 * `set` takes (names, id, position). */
typedef struct store_marks_sql {
    const char *clear, *set;
} store_marks_sql;
gb_status store_marks_into(store *s, const store_marks_sql *sql, int64_t id,
                           const unsigned char *marks, size_t n, gb_error *err);

#endif
