/* equal_budget.h: losses of two entries at equal steps, tokens, FLOPs and seconds
 * (bench/stats/budget.h).
 */
#ifndef GPTBENCH_BENCH_EQUAL_BUDGET_H
#define GPTBENCH_BENCH_EQUAL_BUDGET_H

#include "bench/analysis/findings.h"
#include "bench/stats/budget.h"

/* Seconds of training that a step of one of the entry's runs counts for: step_avg, of interleaved
 * timing where the entry has it and `interleaved`, else of the run. */
double equal_budget_step_s(const result_entry *entry, const run_facts *run, bool interleaved);

/* By the validations of their runs; n_shared is 0 where losses do not compare
 * (bench/analysis/comparability.h), and there is nothing by seconds where speeds do not. Seconds
 * are steps times step_avg: of interleaved timing where both have it, else of each run. GB_ERR_OOM.
 */
gb_status equal_budget_compare(budget_comparison *out, const findings *data,
                               const result_entry *base, const result_entry *entry, gb_error *err);

#endif
