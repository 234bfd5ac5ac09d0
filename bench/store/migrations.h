/* migrations.h: how a database of an older version becomes one of today's. How to add a
 * column stands at the top of bench/store/schema.sql. */
#ifndef GPTBENCH_BENCH_MIGRATIONS_H
#define GPTBENCH_BENCH_MIGRATIONS_H

#include <sqlite3.h>
#include <stddef.h>

#include "kernels/status.h"

typedef struct migration {
    int to_version;  /* from to_version - 1 */
    const char *sql; /* statements; the row in schema_version is added by migrations_apply. Then
                      * what the schema's text has below its heading "-- ---- version N:", which
                      * must be there when these are "" */
} migration;

/* The migrations of the program, by version, ended by sql == NULL. */
const migration *migrations_list(void);

/* The version that bench/store/schema.sql describes and that this program reads and writes: that of
 * the last of the list. */
int migrations_newest(void);

/* Version of the database: max(schema_version.version), or 0 when it has no such table. */
int migrations_version(sqlite3 *db);

/* Brings `db` from its version to the last of `list`, all in one transaction: on failure
 * (GB_ERR_FORMAT with SQLite's reason) the file is as it was. Where there was something to do, the
 * views of `schema` (bench/store/schema.sql, in which they stand last; NULL leaves all views alone)
 * are dropped first and created in the end. Nothing to do is GB_OK. */
gb_status migrations_apply(sqlite3 *db, const migration *list, const char *schema, gb_error *err);

#endif
