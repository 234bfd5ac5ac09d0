/* When what was written reaches the file: commits, and the rows that wait in memory for one. */
#include "bench/store/store.h"

#include "bench/store/store_error.h"
#include "bench/store/store_internal.h"
#include "kernels/clock.h"

/* ---- rows that wait ---- */

static gb_status row_write(store *s, size_t *at, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    GB_TRY(store_statement_get(s, &stmt, err, store_queue_statement(&s->queue, *at)));
    if (store_queue_bind(&s->queue, at, stmt) != SQLITE_OK) {
        return store_sqlite_fail(s, err, "cannot bind a value");
    }
    int rc = sqlite3_step(stmt);
    gb_status status =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? GB_OK : store_sqlite_fail(s, err, "cannot write");
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return status;
}

static gb_status rows_write(store *s, gb_error *err)
{
    size_t at = 0;
    GB_TRY(store_transaction_begin(s, err));
    for (int i = 0; i < s->queue.rows; i++) {
        GB_TRY(row_write(s, &at, err));
    }
    return GB_OK;
}

/* Writes what is queued, waiting as s->waiting says; on failure all of it stays queued. */
static gb_status queue_write(store *s, gb_error *err)
{
    if (s->queue.rows == 0) {
        return GB_OK;
    }
    gb_status status = rows_write(s, err);
    if (status != GB_OK) {
        store_transaction_drop(s);
        return status;
    }
    if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        status = store_sqlite_fail(s, err, "cannot commit");
        store_transaction_drop(s);
        return status;
    }
    s->in_transaction = false;
    s->queue.used = 0;
    s->queue.rows = 0;
    return GB_OK;
}

/* The same where it is due; a locked file only puts it off, as long as the limit allows. */
static gb_status queue_write_due(store *s, bool flush, gb_error *err)
{
    store_queue *q = &s->queue;
    int64_t now = gb_monotonic_whole_ms();
    bool due = flush || q->rows >= STORE_COMMIT_ROWS || now - q->oldest_ms >= STORE_COMMIT_MS;
    if (q->rows == 0 || !due || now < q->next_try_ms) {
        return GB_OK;
    }
    s->patience_ms = STORE_TRY_MS;
    gb_status status = queue_write(s, err);
    s->patience_ms = 0;
    q->next_try_ms = 0;
    if (status != GB_OK && store_wait_goes_on(s)) {
        q->next_try_ms = gb_monotonic_whole_ms() + STORE_TRY_AGAIN_MS;
        return GB_OK;
    }
    return status;
}

void store_defer(store *s, bool on)
{
    s->queue.on = on;
    if (!on) {
        store_queue_clear(&s->queue);
    }
}

/* ---- commits ---- */

gb_status store_commit(store *s, gb_error *err)
{
    if (s->queue.on) {
        return queue_write(s, err);
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
        return queue_write_due(s, flush, err);
    }
    if (s->in_transaction && (flush || s->rows >= STORE_COMMIT_ROWS ||
                              gb_monotonic_whole_ms() - s->opened_ms >= STORE_COMMIT_MS)) {
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
