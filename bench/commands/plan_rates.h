/* plan_rates.h: how fast this machine is, for `plan`: what runs in databases have reached, else the
 * large-GEMM rate that a database has, else one that is measured now. */
#ifndef GPTBENCH_BENCH_PLAN_RATES_H
#define GPTBENCH_BENCH_PLAN_RATES_H

#include <stdio.h>

#include "bench/plan/cost_estimate.h"

typedef struct plan_rates_asked {
    const suite *suite;
    const char *db;   /* NULL: all of results/ */
    const char *only; /* glob of the cells that matter; NULL: all */
    int64_t gflops;   /* > 0: the rate to assume, and nothing is looked up */
} plan_rates_asked;

typedef struct plan_rates {
    cost_rate *reached; /* texts are owned */
    int n_reached;
    double peaks[2];      /* stored; 0: none */
    char sources[2][256]; /* of the peaks */
    char words[512];      /* where the rates in cost_options.gemm_flops_per_s are from */
} plan_rates;

/* Fills gemm_flops_per_s, reached and n_reached of *options, whose backend and threads are given.
 * What `options` then points to lives as long as *rates: plan_rates_free, also after an error.
 * Databases that cannot be read count as absent, but for one that was named. */
gb_status plan_rates_find(plan_rates *rates, const plan_rates_asked *asked, cost_options *options,
                          gb_error *err);
void plan_rates_free(plan_rates *rates);

/* What the times of the plan are based on, as sentences. */
void plan_rates_say(const plan_rates *rates, const cost_estimate *estimate, FILE *out);

#endif
