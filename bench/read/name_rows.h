/* name_rows.h: the names that a database holds, for the completion of command lines. */
#ifndef GPTBENCH_BENCH_NAME_ROWS_H
#define GPTBENCH_BENCH_NAME_ROWS_H

#include "bench/read/row_reader.h"

struct store;

typedef enum name_kind {
    NAME_SUITES,
    NAME_CONFIGS, /* that are in the plan of their suite */
    NAME_RUNS     /* their numbers, the latest first */
} name_kind;

typedef struct name_row {
    const char *name, *about; /* a config's suite; config, replicate and status of a run */
} name_row;

typedef struct name_rows {
    name_row *rows;
    int64_t n;
    row_texts texts;
} name_rows;

/* GB_ERR_FORMAT, GB_ERR_OOM; name_rows_free in any case. */
gb_status name_rows_read(name_rows *out, struct store *s, name_kind kind, gb_error *err);
void name_rows_free(name_rows *names);

#endif
