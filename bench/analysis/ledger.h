/* ledger.h: the difference of a step between two entries, row by row, so that the rows add up to
 * it. Rows are milliseconds per profiled step; what a profiled step costs beyond a timed one stands
 * beside them (step_avg_ms), never among them. */
#ifndef GPTBENCH_BENCH_LEDGER_H
#define GPTBENCH_BENCH_LEDGER_H

#include "bench/analysis/findings.h"
#include "bench/analysis/means_check.h"

typedef enum ledger_by {
    LEDGER_BY_OP_PHASE,
    LEDGER_BY_OP,
    LEDGER_BY_LAYER, /* ops outside the blocks keep rows of their own */
    LEDGER_BY_COUNT
} ledger_by;

/* As on the command line; NULL at the end. */
extern const char *const ledger_by_names[LEDGER_BY_COUNT + 1];

/* The row for what the profiled steps took beyond all rows that the database has; there is none in
 * a ledger that gptbench wrote. */
#define LEDGER_GAP "not in the ledger"

typedef struct ledger_row {
    const char *op;         /* "" for a layer */
    const char *phase;      /* "" unless by op and phase */
    int64_t layer;          /* of a layer's row, else -1 */
    double base_ms, new_ms; /* means over the replicates; 0 where the config has no such row */
    double base_flops, new_flops;
    /* new - base; the 95 % interval is a paired t interval over the replicates, NAN with one */
    stats_interval change_ms;
    /* The part that FLOPs do not account for: new - base * new_flops / base_flops. NAN where one of
     * the two has no FLOPs. */
    stats_interval rate_ms;
} ledger_row;

typedef struct ledger_total {
    double base_ms, new_ms;
    stats_interval change_ms;
} ledger_total;

typedef struct ledger {
    const findings *data;
    const result_entry *base, *new_entry;
    ledger_by by;
    int n_pairs;       /* replicates that both have with a ledger; 0: each over its own */
    int n_base, n_new; /* replicates in the means */
    ledger_row *rows;  /* by falling absolute difference */
    int n_rows;
    ledger_total profiled; /* what the rows add up to */
    ledger_total timed;    /* step_avg of the same runs; NAN without timed steps */
    stats_interval
        measured;          /* change of the step time as verdicts and compare have it; NAN: none */
    means_check means;     /* of it */
    bool measured_in_turn; /* by interleaved timing; else by step_avg of the runs */
} ledger;

/* Whether both have profiled steps, with times that are numbers: ledger_make then lacks nothing but
 * memory. */
bool ledger_possible(const result_entry *base, const result_entry *new_entry);

/* GB_ERR_USAGE when one of the two has no profiled steps; GB_ERR_FORMAT when the database holds a
 * time that is no number; GB_ERR_OOM. *out is owned by the caller: ledger_free. Strings are those
 * of `data`, which must outlive it. */
gb_status ledger_make(ledger **out, const findings *data, const result_entry *base,
                      const result_entry *new_entry, ledger_by by, gb_error *err);
void ledger_free(ledger *l); /* NULL is fine */

/* Whether the interval of a change holds 0: -1 where there is no interval, else 0 or 1. */
int ledger_within_noise(stats_interval change);

/* "linear_qkv forward", "layer 3"; as long as names in the database are. */
typedef struct ledger_name {
    char text[96];
} ledger_name;
ledger_name ledger_row_name(const ledger_row *row);

/* ---- figures that add up as printed ---- */

/* A ledger in whole units of the last decimal: rows add up to the totals to the last digit, each
 * within one unit of its value (largest remainders). */
typedef struct ledger_units {
    int decimals;
    double scale;              /* units per millisecond */
    int64_t *base, *new_value; /* of each row */
    int64_t base_total, new_total;
} ledger_units;

gb_status ledger_units_make(ledger_units *out, const ledger *l, gb_error *err);
void ledger_units_free(ledger_units *u);

/* values[0..n) to whole numbers that add up to `total`. */
void ledger_round(const double *values, int n, int64_t total, int64_t *out);

#endif
