/* report_reader.h: rows of a query into a report_data, column after column. For the files that read
 * what a report is made of (bench/read/report_data.c, report_speed.c). */
#ifndef GPTBENCH_BENCH_REPORT_READER_H
#define GPTBENCH_BENCH_REPORT_READER_H

#include <sqlite3.h>

#include "bench/read/report_data.h"

typedef struct report_reader {
    report_data *data;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int column; /* the next one that report_read_* takes */
    bool out_of_memory;
    const char *const *only; /* names of configs whose runs are read in full; NULL: all */
    gb_error *err;
} report_reader;

/* Prepares a query; parameters are then bound to r->stmt. GB_ERR_FORMAT. */
gb_status report_reader_open(report_reader *r, const char *sql);
/* Moves to the next row. At the end or on an error the statement is closed and *row is false. */
gb_status report_reader_next(report_reader *r, bool *row);

int64_t report_read_int(report_reader *r);
double report_read_double(report_reader *r); /* NULL: NAN */
/* NULL: ""; lives as long as r->data. One plain line, whatever the database holds
 * (bench/base/plain_text.h): names and messages end up on terminals. */
const char *report_read_text(report_reader *r);
/* The same with all its characters. */
const char *report_read_verbatim(report_reader *r);

/* Makes room for one more element of *array, which has n; false without memory. */
bool report_array_grow(void **array, int64_t n, size_t element_bytes);
#define REPORT_GROW(array, n) report_array_grow((void **)&(array), (n), sizeof *(array))

/* The ledger of a run: ops, spans, kernels (report_ledger.c). */
gb_status report_ledger_read(report_reader *r, report_run *run);

#endif
