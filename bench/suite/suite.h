/* suite.h: a suite file, read into the list of runs that it asks for. The language is described
 * in docs/SUITES.md. */
#ifndef GPTBENCH_BENCH_SUITE_H
#define GPTBENCH_BENCH_SUITE_H

#include "bench/suite/limits.h"
#include "bench/suite/metric.h"
#include "bench/suite/timing_options.h"
#include "model/config.h"
#include "model/train_spec.h"

enum {
    SUITE_MAX_CELLS = 10000, /* of the product, before [exclude] */
    SUITE_MAX_REPLICATES = 100
};

/* One cell of the matrix, or one named config. */
typedef struct suite_cell {
    char name[128]; /* unique in the suite; made of its axis values, or the [config NAME] */
    int line;       /* of the [matrix] or [config] section, for messages */
    bool is_baseline;
    gpt_config config;   /* resolved and validated */
    train_spec spec;     /* resolved and validated; one per cell, since axes may be train keys */
    uint32_t spec_given; /* bit i: train_spec_keys()[i] stands in the suite, not the default */
} suite_cell;

/* How config's value v and baseline's value b give the percentage p that is compared:
 *   SPEEDUP    more work per time: 100 * (b / v - 1) for the two step times,
 *              100 * (v / b - 1) for tokens_per_s; other metrics refuse it
 *   INCREASE   100 * (v / b - 1)
 *   REDUCTION  100 * (1 - v / b)
 *   WITHIN     100 * |v / b - 1|, always compared with <= */
typedef enum suite_relation {
    SUITE_SPEEDUP,
    SUITE_INCREASE,
    SUITE_REDUCTION,
    SUITE_WITHIN,
    SUITE_RELATION_COUNT
} suite_relation;

typedef enum suite_comparison { SUITE_GE, SUITE_LE, SUITE_GT, SUITE_LT } suite_comparison;

/* `METRIC speedup|increase|reduction >=|<=|>|< NUMBER%` or `METRIC within NUMBER%`. */
typedef struct suite_expect {
    metric_id metric;
    suite_relation relation;
    suite_comparison comparison;
    double percent;
} suite_expect;

/* GB_ERR_USAGE without a place ("no such metric 'setp_avg', did you mean step_avg; ..."). */
gb_status suite_expect_parse(suite_expect *out, const char *text, gb_error *err);
/* The percentage p as above for two measured values; NAN where baseline or config is not > 0. */
double suite_expect_percent(const suite_expect *expect, double config, double baseline);
/* Whether `percent` fulfils the expectation; false for NAN. */
bool suite_expect_holds(const suite_expect *expect, double percent);

typedef struct suite_claim {
    char name[128];
    int line;
    char config[128], baseline[128]; /* names of cells */
    char expect[128];                /* as written, in one line */
    suite_expect expectation;        /* the same, parsed */
    char source[256];
} suite_claim;

/* One line of [matrix]. */
typedef struct suite_matrix_axis {
    char *name; /* as written: "n_embd+n_head" */
    int n_values;
    char **values; /* as written: "768+12" */
} suite_matrix_axis;

typedef struct suite {
    char name[64];         /* [suite] name; letters, digits, '-', '_' and '.' */
    char *path;            /* as given */
    char *text;            /* the whole file, NUL-terminated */
    int64_t replicates;    /* 1..SUITE_MAX_REPLICATES; default 3 */
    int64_t profile_steps; /* steps of the per-op window of each run; default 3 */
    bool replicates_given, profile_steps_given; /* they stand in the suite */
    int64_t checkpoint_steps;                   /* checkpoint_every: so many steps, or */
    double checkpoint_s;                        /* so many seconds; both 0: never */
    bool checkpoint_given;
    timing_options timing;
    uint32_t timing_given; /* bit i: suite_timing_keys()[i] stands in the suite */
    run_limits limits;
    uint32_t limits_given; /* bit i: limits_keys()[i] stands in the suite */
    int n_cells;
    suite_cell *cells; /* in the order of the file: the product, then named configs */
    int baseline;      /* index into cells */
    int data_lines[2]; /* of `train` and `val` in [data]; 0: suite_override_data gave another */
    int n_axes;
    suite_matrix_axis *axes;
    int *places; /* (n_cells, n_axes): the cell's value on each axis; -1: a named config */
    int n_claims;
    suite_claim *claims;
} suite;

/* Reads and checks a whole suite. GB_ERR_USAGE: "FILE:LINE: what is wrong, and what would be
 * right" (first error found). *out is owned by the caller; suite_free. Data files are not opened.
 */
gb_status suite_read(suite **out, const char *path, gb_error *err);
/* The same from memory; `path` is for messages. For tests and fuzzing. */
gb_status suite_parse(suite **out, const char *path, const char *text, gb_error *err);
void suite_free(suite *suite); /* NULL is fine */

/* The keys of [timing] but `stop`, of a timing_options. */
const gb_key *suite_timing_keys(void);

/* What checkpoint_every is where the suite does not say, and its text as in a suite. */
#define SUITE_CHECKPOINT_DEFAULT "10 min"
#define SUITE_CHECKPOINT_TEXT    32
/* "never", "200", "200 steps", "10 min", "30 s", "1.5 h": so many steps or seconds, both 0 for
 * never. False when it is none of these. */
bool suite_checkpoint_parse(const char *text, int64_t *steps, double *seconds);
void suite_checkpoint_format(const suite *of, char out[SUITE_CHECKPOINT_TEXT]);

/* Index of the cell by name, or -1. */
int suite_cell_find(const suite *suite, const char *name);

/* "the cells are a, b and 10 more", for the message that a name is none of them. */
typedef struct suite_cells {
    char text[640];
} suite_cells;
suite_cells suite_cells_listed(const suite *suite);

/* Other data for every cell than [data] says; NULL keeps what is there. GB_ERR_USAGE where the
 * text is too long; then nothing has changed. */
gb_status suite_override_data(suite *suite, const char *train, const char *val, gb_error *err);

#endif
