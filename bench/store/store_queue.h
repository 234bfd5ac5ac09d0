/* store_queue.h: rows that wait in memory for the database. While a run goes on its rows are put
 * here and written together (store_commit.c), so that the file is locked for moments only and other
 * writers get their turn; and while another program keeps the file locked they stay here. Knows
 * neither the store nor the file. */
#ifndef GPTBENCH_BENCH_STORE_QUEUE_H
#define GPTBENCH_BENCH_STORE_QUEUE_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

/* Some millions of steps. A database that is locked for longer than this lasts ends the run. */
#define STORE_QUEUE_MOST_BYTES ((size_t)512 << 20)

typedef struct store_queue {
    bool on; /* store_exec puts its rows here */
    unsigned char *bytes;
    size_t used, capacity;
    int rows;
    int64_t oldest_ms;   /* when the first of them came, on the monotonic clock */
    int64_t next_try_ms; /* the file was locked: no further try before */
} store_queue;

/* Copies the values; `sql` and `types` (store_exec) are kept by address. GB_ERR_OOM. */
gb_status store_queue_add(store_queue *q, int64_t now_ms, gb_error *err, const char *sql,
                          const char *types, va_list args);
/* Drops what there is; the queue can be used again. */
void store_queue_clear(store_queue *q);

/* Row after row, the first at 0: the statement of the row at `at`, and its values, which are bound
 * to that statement as long as the queue is left alone. *at then is the next row's. Of SQLite's
 * codes SQLITE_OK, or what a value met. */
const char *store_queue_statement(const store_queue *q, size_t at);
int store_queue_bind(const store_queue *q, size_t *at, sqlite3_stmt *stmt);

#endif
