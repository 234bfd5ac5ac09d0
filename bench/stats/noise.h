/* noise.h: what the measurement itself looks like: the A/A control and outliers. Nothing here
 * decides about a config, and nothing is ever removed. The drift of the machine is in drift.h. */
#ifndef GPTBENCH_BENCH_NOISE_H
#define GPTBENCH_BENCH_NOISE_H

#include "bench/stats/verdict.h"

/* ---- A/A: the baseline against itself ---- */

typedef struct noise_control {
    size_t n;                /* blocks */
    stats_interval change;   /* apparent difference, ratio - 1, plain 95 % interval */
    double floor;            /* its size, for verdict_rule.floor; 0 when there is none */
    size_t subsets;          /* half subsets that were judged; 0: too few blocks */
    double false_alarm_rate; /* share of them that would be called FASTER or SLOWER; NAN: none */
} noise_control;

/* From the paired log ratios of the control over the baseline, block by block. `subsets` random
 * halves of the blocks (without replacement, seeded; at least ESTIMATE_MIN_BLOCKS blocks each) are
 * judged by the rule without Holm and without its floor. Subsets overlap, so the rate describes
 * these blocks and is no new experiment; it should be about 0. None are judged below
 * NOISE_MIN_SUBSET_BLOCKS blocks, where they would be nearly the same. GB_ERR_OOM. */
gb_status noise_control_measure(noise_control *out, stats_sample log_ratios,
                                const verdict_rule *rule, size_t subsets, uint64_t seed,
                                gb_error *err);

enum { NOISE_MIN_SUBSET_BLOCKS = 12 };

/* ---- outliers, counted and kept ---- */

/* What makes a MAD the sd of a normal distribution: 1 over its quantile 0.75. */
#define NOISE_MAD_SCALE 1.482602218505602

typedef struct noise_outliers {
    size_t n, above, below; /* values; beyond the limit on each side */
    double median;
    double scaled_mad; /* 1.4826 * median |x - median|: the sd, were the values normal */
} noise_outliers;

/* Counts values more than 5 scaled MADs from the median. Where more than half of the values are
 * equal the MAD is 0; then 1.2533 times the mean absolute deviation stands in. GB_ERR_OOM. */
gb_status noise_outliers_count(noise_outliers *out, const double *x, size_t n, gb_error *err);

#endif
