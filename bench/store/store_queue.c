#include "bench/store/store_queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- putting in ---- */

static gb_status bytes_add(store_queue *q, const void *bytes, size_t n, gb_error *err)
{
    if (n > STORE_QUEUE_MOST_BYTES - q->used) {
        return gb_fail(err, GB_ERR_OOM,
                       "the database has been locked for so long that %d rows wait for it: there"
                       " is no room for more",
                       q->rows);
    }
    if (q->used + n > q->capacity) {
        size_t capacity = q->capacity ? q->capacity : 16384;
        while (capacity < q->used + n) {
            capacity *= 2;
        }
        unsigned char *bigger = realloc(q->bytes, capacity);
        if (!bigger) {
            return gb_fail(err, GB_ERR_OOM, "no memory for rows of the database");
        }
        q->bytes = bigger;
        q->capacity = capacity;
    }
    memcpy(q->bytes + q->used, bytes, n);
    q->used += n;
    return GB_OK;
}

/* A text is its length and its bytes with their NUL; a length of -1 is NULL. */
static gb_status text_add(store_queue *q, const char *text, gb_error *err)
{
    int64_t length = text ? (int64_t)strlen(text) : -1;
    GB_TRY(bytes_add(q, &length, sizeof length, err));
    return text ? bytes_add(q, text, (size_t)length + 1, err) : GB_OK;
}

static gb_status values_add(store_queue *q, gb_error *err, const char *types, va_list args)
{
    for (int i = 0; types[i]; i++) {
        if (types[i] == 'i') {
            int64_t value = va_arg(args, int64_t);
            GB_TRY(bytes_add(q, &value, sizeof value, err));
        } else if (types[i] == 'd') {
            double value = va_arg(args, double);
            GB_TRY(bytes_add(q, &value, sizeof value, err));
        } else {
            GB_TRY(text_add(q, va_arg(args, const char *), err));
        }
    }
    return GB_OK;
}

gb_status store_queue_add(store_queue *q, int64_t now_ms, gb_error *err, const char *sql,
                          const char *types, va_list args)
{
    size_t before = q->used;
    const char *head[2] = {sql, types};
    gb_status status = bytes_add(q, head, sizeof head, err);
    if (status == GB_OK) {
        status = values_add(q, err, types, args);
    }
    if (status != GB_OK) {
        q->used = before; /* never half a row */
        return status;
    }
    q->oldest_ms = q->rows++ == 0 ? now_ms : q->oldest_ms;
    return GB_OK;
}

void store_queue_clear(store_queue *q)
{
    free(q->bytes);
    *q = (store_queue){.on = q->on};
}

/* ---- taking out ---- */

static void take(const unsigned char **at, void *out, size_t n)
{
    memcpy(out, *at, n);
    *at += n;
}

static int value_bind(sqlite3_stmt *stmt, int index, char type, const unsigned char **at)
{
    int64_t whole;
    double real;
    if (type == 'd') {
        take(at, &real, sizeof real);
        return isfinite(real) ? sqlite3_bind_double(stmt, index, real)
                              : sqlite3_bind_null(stmt, index);
    }
    take(at, &whole, sizeof whole);
    if (type == 'i') {
        return sqlite3_bind_int64(stmt, index, whole);
    }
    if (whole < 0) {
        return sqlite3_bind_null(stmt, index);
    }
    const char *text = (const char *)*at; /* stays where it is until the statement is done */
    *at += whole + 1;
    return sqlite3_bind_text64(stmt, index, text, (sqlite3_uint64)whole, SQLITE_STATIC,
                               SQLITE_UTF8);
}

const char *store_queue_statement(const store_queue *q, size_t at)
{
    const char *sql;
    memcpy(&sql, q->bytes + at, sizeof sql);
    return sql;
}

int store_queue_bind(const store_queue *q, size_t *at, sqlite3_stmt *stmt)
{
    const char *head[2]; /* the statement and its types, as store_queue_add puts them in */
    const unsigned char *next = q->bytes + *at;
    int code = SQLITE_OK;
    take(&next, head, sizeof head);
    for (int i = 0; head[1][i] && code == SQLITE_OK; i++) {
        code = value_bind(stmt, i + 1, head[1][i], &next);
    }
    *at = (size_t)(next - q->bytes);
    return code;
}
