/* op_rows.h: the ops of a step, each against the roof: what it did, what it had to do at least, and
 * what keeps it from being faster (model/op_floor.h). */
#ifndef GPTBENCH_BENCH_OP_ROWS_H
#define GPTBENCH_BENCH_OP_ROWS_H

#include "bench/analysis/findings.h"
#include "model/op_floor.h"

/* One op in one phase, over all layers, per step. */
typedef struct op_row {
    const char *op, *phase;
    double calls, time_ms, flops;
    double thread_mean_ms, thread_max_ms; /* as in gb_op_time; 0: not known */
    op_floor floor;                       /* {0, 0}: it has none */
} op_row;

/* What the rows are held against. */
typedef struct op_roof {
    op_rates rates;
    double start_ms; /* what starting a call costs: rates_start_ms */
} op_roof;

op_roof op_roof_of_entry(const result_entry *entry);

/* The share of the roofline: floor by time. NAN where it has no floor, or a rate is missing. */
double op_row_share(const op_row *row, const op_roof *roof);
op_bound op_row_bound(const op_row *row, const op_roof *roof);
/* The slowest thread by the mean of all, 1 or more; NAN where it is not known. */
double op_row_imbalance(const op_row *row);

/* The rows of an entry, means over its runs that have a ledger, most time first. *rows is the
 * caller's: free. No ledger: *n is 0. GB_ERR_OOM. Strings are those of `data`. */
gb_status op_rows_of_entry(op_row **rows, int *n, const findings *data, const result_entry *entry,
                           gb_error *err);

/* Most time first. */
void op_rows_sort(op_row *rows, int n);

#endif
