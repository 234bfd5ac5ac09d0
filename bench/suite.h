/* suite.h: a suite file, read into the list of runs that it asks for. The language is described
 * in docs/SUITES.md. */
#ifndef GPTBENCH_BENCH_SUITE_H
#define GPTBENCH_BENCH_SUITE_H

#include "model/config.h"
#include "model/train_spec.h"

/* One cell of the matrix, or one named config. */
typedef struct suite_cell {
    char name[128]; /* unique in the suite; made of its axis values, or the [config NAME] */
    int line;       /* of the [matrix] or [config] section, for messages */
    bool is_baseline;
    gpt_config config; /* resolved and validated */
    train_spec spec;   /* resolved and validated; one per cell, since axes may be train keys */
} suite_cell;

typedef struct suite_claim {
    char name[128];
    int line;
    char config[128], baseline[128]; /* names of cells */
    char expect[128];                /* as written; parsed and checked when the suite is read */
    char source[256];
} suite_claim;

typedef struct suite {
    char name[64];  /* [suite] name; letters, digits, '-', '_' and '.' */
    char *path;     /* as given */
    char *text;     /* the whole file, NUL-terminated */
    int64_t replicates;
    int64_t profile_steps; /* steps of the per-op window of each run; default 3 */
    int n_cells;
    suite_cell *cells; /* in the order of the file: the product, then named configs */
    int baseline;      /* index into cells */
    int n_claims;
    suite_claim *claims;
} suite;

/* Reads and checks a whole suite. GB_ERR_USAGE: "FILE:LINE: what is wrong, and what would be
 * right" (first error found). *out is owned by the caller; suite_free. Data files are not opened. */
gb_status suite_read(suite **out, const char *path, gb_error *err);
/* The same from memory; `path` is for messages. For tests and fuzzing. */
gb_status suite_parse(suite **out, const char *path, const char *text, gb_error *err);
void suite_free(suite *suite); /* NULL is fine */

/* Index of the cell by name, or -1. */
int suite_cell_find(const suite *suite, const char *name);

#endif
