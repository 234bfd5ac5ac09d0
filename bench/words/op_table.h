/* op_table.h: the ops of a step, each against the roof: what it did, what it had to do at least,
 * and what keeps it from being faster (model/op_floor.h). For `profile`, `show`, `why` and the
 * report. */
#ifndef GPTBENCH_BENCH_OP_TABLE_H
#define GPTBENCH_BENCH_OP_TABLE_H

#include "bench/analysis/op_rows.h"
#include "bench/base/table.h"

/* A table with a row per row; step_ms is what shares are of. *out is the caller's: table_free.
 * Columns that no row has anything for are left out (the roof's without rates, imbalance). */
gb_status op_table_make(table **out, const op_row *rows, int n, double step_ms, const op_roof *roof,
                        gb_error *err);

#endif
