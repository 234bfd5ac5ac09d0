/* front.h: how sure the Pareto front of speed and loss is. */
#ifndef GPTBENCH_BENCH_FRONT_H
#define GPTBENCH_BENCH_FRONT_H

#include "bench/analysis/findings.h"

/* Fills front_probability of every entry; paces must be known. GB_ERR_OOM. */
gb_status front_make(findings *data, gb_error *err);

#endif
