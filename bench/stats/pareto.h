/* pareto.h: how sure it is that a config is on the front of speed against loss, on which no other
 * is at least as fast and as low in loss, and better in one of the two. Pure functions. */
#ifndef GPTBENCH_BENCH_PARETO_H
#define GPTBENCH_BENCH_PARETO_H

#include "bench/stats/stats.h"

typedef struct pareto_config {
    double log_speed;       /* NAN: not measured; the config takes no part */
    double log_speed_error; /* its standard error; NAN: unknown, taken as it is */
    const double *losses;   /* one for each replicate, finite; with one no noise is known, and the
                             * loss is taken as it is */
    const int64_t *replicates;
    int n_losses; /* 0: the config takes no part */
} pareto_config;

enum { PARETO_DRAWS = 20000 };

/* A share as text: "84 %", and at the ends "<1 %", ">99 %": draws prove neither 0 nor 1. */
typedef struct pareto_text {
    char text[16];
} pareto_text;
pareto_text pareto_share_text(double share); /* "-" for NAN */

/* Writes the share of `draws` in which each config is on the front; NAN for those that take no
 * part. In each draw a log speed is normal about its estimate. A mean loss over n replicates is
 * drawn from its t distribution with n - 1 degrees of freedom, such that configs with the same
 * replicates move together as their replicates did: each replicate is drawn a weight, which the
 * deviations of all configs there are multiplied with. So the part of the losses that all
 * configs share through a seed does not blur their order. The same seed gives the same shares on
 * every machine, up to the last digit of log and cos. GB_ERR_OOM. */
gb_status pareto_probabilities(const pareto_config *configs, int n, int draws, uint64_t seed,
                               double *out, gb_error *err);

#endif
