/* store_internal.h: what the store's own files share. */
#ifndef GPTBENCH_BENCH_STORE_INTERNAL_H
#define GPTBENCH_BENCH_STORE_INTERNAL_H

#include "bench/store.h"

#define SQL_NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

/* The newest error of SQLite as a status, prefixed with the file's name: GB_ERR_OOM, GB_ERR_IO with
 * the system's reason, GB_ERR_FORMAT, GB_ERR_INTERNAL. */
gb_status store_connection_fail(sqlite3 *db, const char *path, gb_error *err, const char *what);
gb_status store_sqlite_fail(const store *s, gb_error *err, const char *what);

/* Writes a sample through `sql`, which takes its owner's id and the columns of table sample. */
gb_status store_sample_into(store *s, const char *sql, int64_t id, const gb_sample *x,
                            gb_error *err);
/* Writes marks: `clear` takes (id, n) and says that the first n steps are undisturbed, `set` takes
 * (names, id, position). */
gb_status store_marks_into(store *s, const char *clear, const char *set, int64_t id,
                           const unsigned char *marks, size_t n, gb_error *err);

#endif
