/* front.h: the Pareto front of speed and loss, and how sure it is. There is one of those entries
 * that compare with each other (bench/analysis/peers.h); the others have no place on any. */
#ifndef GPTBENCH_BENCH_FRONT_H
#define GPTBENCH_BENCH_FRONT_H

#include "bench/analysis/findings.h"

/* Fills on_front of every entry; paces and peers must be known. */
void entries_set_off(findings *data);
/* Fills front_probability of every entry; paces and peers must be known. GB_ERR_OOM. */
gb_status front_make(findings *data, gb_error *err);

#endif
