/* store_internal.h: what the store's own files share. */
#ifndef GPTBENCH_BENCH_STORE_INTERNAL_H
#define GPTBENCH_BENCH_STORE_INTERNAL_H

#include "bench/store.h"

#define SQL_NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

/* The newest error of SQLite as a status, prefixed with the file's name. */
gb_status store_sqlite_fail(const store *s, gb_error *err, const char *what);

#endif
