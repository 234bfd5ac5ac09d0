/* number_of.h: one number out of a results database, for tests; after cmocka.h. */
#ifndef GPTBENCH_TESTS_NUMBER_OF_H
#define GPTBENCH_TESTS_NUMBER_OF_H

#include <math.h>
#include <sqlite3.h>

#include "bench/store/store.h"

/* The first column of the first row; NAN where that is NULL or there is none. */
static double number_of(store *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    double value = NAN;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
        value = sqlite3_column_double(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return value;
}

#endif
