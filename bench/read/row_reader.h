/* row_reader.h: rows of a query into an array of structs, by a table that says which column goes
 * into which field. All that is read of a database for reports, tables and comparisons comes
 * through here.
 *
 * To read one more column:
 *   1. add a field to the row's struct (bench/read/facts.h);
 *   2. add {column, type, offset} to the table of that struct, in the file of bench/read/ that
 * reads it. The order of a table does not matter. */
#ifndef GPTBENCH_BENCH_ROW_READER_H
#define GPTBENCH_BENCH_ROW_READER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

typedef enum row_type {
    ROW_INT,      /* int64_t; NULL: 0 */
    ROW_BOOL,     /* bool; NULL: false */
    ROW_REAL,     /* double; NULL: NAN */
    ROW_TEXT,     /* const char *; NULL: "". One plain line, whatever the database holds
                     (bench/base/plain_text.h): names and messages end up on terminals */
    ROW_VERBATIM, /* the same with all its characters */
    ROW_OPTIONAL, /* the same; NULL: NULL */
    ROW_LETTER,   /* char: the first of a text; NULL or empty: '?' */
    ROW_MARKS     /* unsigned: names of disturbances as DISTURBANCE_* (bench/stats/disturbance.h) */
} row_type;

/* A column, or any expression of the query's tables, and the field that it goes into. */
typedef struct row_field {
    const char *column;
    row_type type;
    size_t offset;
} row_field;

/* What a row is made of. Fields that no column names are 0. */
typedef struct row_table {
    const row_field *fields;
    int n_fields;
    size_t row_bytes;
} row_table;
#define ROW_TABLE(fields, row_type)                                                                \
    {                                                                                              \
        fields, (int)(sizeof(fields) / sizeof *(fields)), sizeof(row_type)                         \
    }

/* Texts that were read; they live until row_texts_free. */
typedef struct row_texts {
    char **texts;
    int n;
} row_texts;
void row_texts_free(row_texts *texts);
/* Takes `text`, which was allocated; NULL without memory, and then `text` is freed. */
char *row_texts_keep(row_texts *texts, char *text);

typedef struct row_reader {
    sqlite3 *db;
    const char *path; /* for messages */
    row_texts *texts; /* where ROW_TEXT and ROW_VERBATIM live */
    gb_error *err;
} row_reader;

/* SELECT the table's columns and then `rest` ("FROM t WHERE id = ?1 ORDER BY x"), in which ?1 is
 * `id`. Adds the rows to the array *rows of *n elements, which is the caller's: free, also after an
 * error. GB_ERR_OOM, GB_ERR_FORMAT, GB_ERR_IO. */
gb_status rows_read(row_reader *r, const row_table *table, const char *rest, int64_t id,
                    void **rows, int64_t *n);

/* The same where the array is counted by an int. GB_ERR_FORMAT, too, where that is not enough. */
gb_status rows_read_few(row_reader *r, const row_table *table, const char *rest, int64_t id,
                        void **rows, int *n);

/* Puts into the fields of a row what a NULL gives. */
void row_forget(const row_table *table, void *row);
/* Copies the fields of the table from one row to another. */
void row_copy(const row_table *table, void *to, const void *from);

/* Room for one more element of *array, which has n; false without memory. Doubles at each power of
 * two: `n` must count every element that was added. */
bool row_array_grow(void **array, int64_t n, size_t element_bytes);
#define ROW_GROW(array, n) row_array_grow((void **)&(array), (n), sizeof *(array))

#endif
