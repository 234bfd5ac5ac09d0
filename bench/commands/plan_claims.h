/* plan_claims.h: what arithmetic alone gives for the claims of a suite, for `plan`. */
#ifndef GPTBENCH_BENCH_PLAN_CLAIMS_H
#define GPTBENCH_BENCH_PLAN_CLAIMS_H

#include "bench/plan/cost_estimate.h"

/* A table with a row per claim; beneath it those whose two sides do not compare
 * (bench/analysis/comparability.h), with the reason. Nothing where the suite makes no claims.
 * GB_ERR_OOM. */
gb_status plan_claims_print(const suite *s, const cost_options *options, gb_error *err);

#endif
