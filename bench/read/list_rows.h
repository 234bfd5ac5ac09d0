/* list_rows.h: the suites and runs of a database, a line each, for `gptbench list`. */
#ifndef GPTBENCH_BENCH_LIST_ROWS_H
#define GPTBENCH_BENCH_LIST_ROWS_H

#include "bench/read/row_reader.h"

struct store;

typedef struct list_suite {
    const char *name, *baseline, *updated_at; /* to the minute, UTC */
    int64_t cells, replicates, ok, to_do, not_ok;
} list_suite;

typedef struct list_run {
    int64_t run_id, replicate, attempt;
    const char *suite, *config, *status, *backend, *precision, *started_at;
    double step_avg_ms, final_val_loss; /* NAN: none; as in view run_summary */
    /* What tells whether it diverged; NAN: not known. */
    double first_val_loss, best_val_loss, entropy_rate_nats, vocab_size;
} list_run;

typedef struct list_rows {
    list_suite *suites; /* the one that changed last first */
    int64_t n_suites;
    list_run *runs; /* by suite, replicate, config */
    int64_t n_runs;
    row_texts texts;
} list_rows;

/* In one transaction. GB_ERR_FORMAT, GB_ERR_OOM; list_rows_free in any case. */
gb_status list_rows_read(list_rows *out, struct store *s, gb_error *err);
void list_rows_free(list_rows *list);

#endif
