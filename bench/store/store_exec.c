/* Statements, prepared once and kept, and the transaction that they run in. */
#include "bench/store/store.h"

#include <math.h>
#include <stdarg.h>

#include "bench/store/store_error.h"
#include "bench/store/store_internal.h"
#include "kernels/clock.h"

/* ---- the transaction ---- */

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
    s->opened_ms = gb_monotonic_whole_ms();
    return GB_OK;
}

void store_transaction_drop(store *s)
{
    if (s->in_transaction) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        s->in_transaction = false;
    }
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
    gb_status status =
        s->queue.on ? store_queue_add(&s->queue, gb_monotonic_whole_ms(), err, sql, types, args)
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
