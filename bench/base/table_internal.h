/* table_internal.h: what table.c and table_fit.c know of a table. */
#ifndef GPTBENCH_BENCH_TABLE_INTERNAL_H
#define GPTBENCH_BENCH_TABLE_INTERNAL_H

#include <stdbool.h>

#include "bench/base/table.h"

typedef struct table_column {
    char *heading;
    table_align align;
    table_fit fit;
    int rank, least;
} table_column;

struct table {
    table_column *columns;
    int n_columns;
    char **cells; /* n_rows * n_columns, row by row; NULL is an empty cell */
    int n_rows;
    int capacity_rows;
    int filled; /* cells of the last row so far */
    bool out_of_memory;
};

/* Escaped headings (row 0) and cells (rows 1..n); table_grid_free. NULL without memory. */
char **table_grid(const table *t, table_format format);
void table_grid_free(const table *t, char **grid);
/* Of what the grid has in a column. */
int table_column_width(const table *t, char **grid, int column);

#endif
