/* db_guard.h: opening a database that somebody else made. Such a file is a program: views and
 * triggers run with every query, a rollback journal beside it is played back into it, and its
 * schema need not be ours though its number says so. */
#ifndef GPTBENCH_BENCH_DB_GUARD_H
#define GPTBENCH_BENCH_DB_GUARD_H

#include <sqlite3.h>
#include <stdbool.h>

#include "kernels/status.h"

/* Longest text of a row; a suite is at most a megabyte. */
#define DB_GUARD_TEXT_BYTES (16 << 20)

/* GB_ERR_USAGE for a name that SQLite takes for something else than the file of that name: empty,
 * one that begins with a colon (":memory:") or with "file:", one that ends as those of its own
 * files do. */
gb_status db_guard_name(const char *path, gb_error *err);

/* The same, and before SQLite touches the file: GB_ERR_USAGE when it is no regular one,
 * GB_ERR_FORMAT when what lies beside it under the names that SQLite gives its own files is a link,
 * or a journal that names a file elsewhere, which SQLite would delete after playing it back. */
gb_status db_guard_files(const char *path, gb_error *err);

/* Makes a fresh connection distrust its file: no functions with side effects from views and
 * triggers, no change of the schema's own table, pages checked as they are read, nothing attached,
 * rows of at most DB_GUARD_TEXT_BYTES. */
void db_guard_connection(sqlite3 *db);

/* GB_ERR_FORMAT when a table of `schema` is there as something else than a strict table (a view, a
 * virtual table), or has a trigger; with `whole` also when one is missing, or a column of it, or
 * one is computed or of another type. With `whole`, views of the file that are not as in `schema`
 * are hidden behind temporary ones that are: no foreign view is ever read. */
gb_status db_guard_schema(sqlite3 *db, const char *path, const char *schema, bool whole,
                          gb_error *err);

#endif
