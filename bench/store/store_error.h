/* store_error.h: what the store says of a file that SQLite cannot read or write. For the store's
 * own files. */
#ifndef GPTBENCH_BENCH_STORE_ERROR_H
#define GPTBENCH_BENCH_STORE_ERROR_H

#include "bench/store/store.h"

/* The newest error of SQLite as a status, prefixed with the file's name: GB_ERR_OOM, GB_ERR_IO with
 * the system's reason, GB_ERR_FORMAT, GB_ERR_INTERNAL. `what` says what could not be done. */
gb_status store_connection_fail(sqlite3 *db, const char *path, gb_error *err, const char *what);
/* The same of the store's connection, which also knows how long a locked file was waited for, and
 * what is lost by it. */
gb_status store_sqlite_fail(const store *s, gb_error *err, const char *what);

#endif
