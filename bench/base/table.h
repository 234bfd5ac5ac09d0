/* table.h: a table of text, written aligned for a terminal, as Markdown, as HTML or as TSV.
 *
 *   table *t = table_create();
 *   table_add_column(t, "config", TABLE_LEFT);
 *   table_add_column(t, "step_avg", TABLE_RIGHT);
 *   table_begin_row(t);
 *   table_add_cell(t, "%s", name);
 *   table_add_cell(t, "%.2f ms", step_avg_ms);
 *   status = table_write(t, stdout, TABLE_TEXT, err);
 *   table_free(t);
 *
 * Lack of memory is remembered by the table and reported by table_write, so the calls between
 * need no checks. All functions accept NULL for the table. Cells are UTF-8. Whatever a cell holds
 * stays inert: control characters and what is not UTF-8 become '?' (bench/base/plain_text.h), and
 * each format escapes what it would take as markup.
 */
#ifndef GPTBENCH_BENCH_TABLE_H
#define GPTBENCH_BENCH_TABLE_H

#include <stdio.h>

#include "kernels/status.h"

typedef struct table table;

typedef enum table_align { TABLE_LEFT, TABLE_RIGHT } table_align;

typedef enum table_format {
    TABLE_TEXT,     /* aligned, two spaces between columns, a rule under the heading */
    TABLE_MARKDOWN, /* a GitHub table, aligned in its source too */
    TABLE_HTML,     /* <table>...</table>; class "number" on right-aligned cells */
    TABLE_TSV       /* heading line, then rows; tabs and newlines in cells become spaces, and text
                       that a spreadsheet would take for a formula begins with ' */
} table_format;

/* Owned by the caller; table_free. NULL when there is no memory (the other calls accept it). */
table *table_create(void);
void table_free(table *t);

/* Columns come before the first row. `heading` is copied. */
void table_add_column(table *t, const char *heading, table_align align);
void table_begin_row(table *t);
/* printf-style; cells beyond the columns are ignored, missing ones are empty. */
void table_add_cell(table *t, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

int table_row_count(const table *t);

/* ---- on a terminal ---- */

/* What becomes of a column where a terminal is too narrow for the table. */
typedef enum table_fit {
    TABLE_MOVE, /* goes to a further, indented line of its row */
    TABLE_WRAP, /* table_column_wrap */
    TABLE_BELOW /* sentences: stand below the table, each once, wide as the terminal may be */
} table_fit;

/* Of the column that was added last: the higher its rank, the sooner it is moved; of equal ones the
 * last. Without this call: TABLE_MOVE, rank 1. The first column is never moved. */
void table_column_fit(table *t, table_fit fit, int rank);
/* Of a column of words, or with a long heading: it is broken into lines within the column, which
 * becomes as narrow as `least` before it is moved. */
void table_column_wrap(table *t, int least, int rank);

/* As TABLE_TEXT; where `out` is a terminal no line is wider than that. Columns that hold the same
 * in all rows are said once below, but for those of rank 0 and 1; then columns are moved, as far as
 * is needed. */
gb_status table_show(const table *t, FILE *out, gb_error *err);
/* The same for a width given; 0: any. */
gb_status table_write_fitted(const table *t, FILE *out, int width, gb_error *err);

/* GB_ERR_OOM when memory lacked on the way here, GB_ERR_IO when the stream refused. */
gb_status table_write(const table *t, FILE *out, table_format format, gb_error *err);

/* Text made inert for one format, without the table around it: terminal and TSV lose control
 * characters, Markdown has its markup backslashed, HTML its entities. */
void table_write_escaped(FILE *out, const char *text, table_format format);

#endif
