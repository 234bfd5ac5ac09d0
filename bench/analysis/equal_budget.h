/* equal_budget.h: losses of two entries at equal steps, tokens, FLOPs and seconds
 * (bench/stats/budget.h).
 */
#ifndef GPTBENCH_BENCH_EQUAL_BUDGET_H
#define GPTBENCH_BENCH_EQUAL_BUDGET_H

#include "bench/analysis/findings.h"
#include "bench/stats/budget.h"

/* By the validations of their runs. Seconds are steps times step_avg: of interleaved timing where
 * both have it, else of each run. GB_ERR_OOM. */
gb_status equal_budget_compare(budget_comparison *out, const findings *data,
                               const result_entry *base, const result_entry *entry, gb_error *err);

#endif
