/* run_numbers.h: what one run comes to: its averages, its rates, its energy. The formulas stand
 * here and nowhere else. */
#ifndef GPTBENCH_BENCH_RUN_NUMBERS_H
#define GPTBENCH_BENCH_RUN_NUMBERS_H

#include "bench/read/facts.h"
#include "bench/stats/stats.h"

/* Fills the averages of every run that was read with its steps. GB_ERR_OOM. */
gb_status run_numbers_make(facts *f, gb_error *err);

/* step_avg with its 95 % t interval over the timed steps; too narrow, since neighbouring steps
 * resemble each other. No interval where steps were not read. */
stats_interval run_step_avg(const run_facts *run);

/* tokens_per_step in step_ms milliseconds. */
double run_tokens_per_s(int64_t tokens_per_step, double step_ms);
/* The same of a step_avg with its interval; of one that reaches below 0 there is no upper end. */
stats_interval run_tokens_interval(int64_t tokens_per_step, stats_interval step_ms);
/* Exact FLOPs at that rate over the measured rate of a large product; NAN where that is unknown. */
double run_mfu(double flops_per_token, double tokens_per_second, double gemm_peak_flops_per_s);

/* Energy of the timed steps over their tokens, of the last segment of a run that was resumed. NAN:
 * not known. */
double run_energy_per_token_j(const run_facts *run);

#endif
