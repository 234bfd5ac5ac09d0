/* noise.h: what the measurement itself looks like: the A/A control, the drift of the machine, and
 * outliers. Nothing here decides about a config, and nothing is ever removed. */
#ifndef GPTBENCH_BENCH_NOISE_H
#define GPTBENCH_BENCH_NOISE_H

#include "bench/verdict.h"

/* ---- A/A: the baseline against itself ---- */

typedef struct noise_control {
    size_t n;                /* blocks */
    stats_interval change;   /* apparent difference, ratio - 1, plain 95 % interval */
    double floor;            /* its size, for verdict_rule.floor; 0 when there is none */
    size_t subsets;          /* half subsets that were judged; 0: too few blocks */
    double false_alarm_rate; /* share of them that would be called FASTER or SLOWER; NAN: none */
} noise_control;

/* From the paired log ratios of the control over the baseline, block by block. `subsets` random
 * halves (floor(n / 2) blocks without replacement, seeded) are judged by the rule without Holm and
 * without its floor. Halves overlap, so the rate describes these blocks and is no fresh experiment;
 * about 0 is what should be seen. Halves below ESTIMATE_MIN_BLOCKS are not judged. GB_ERR_OOM. */
gb_status noise_control_measure(noise_control *out, const double *log_ratios, size_t n,
                                const verdict_rule *rule, size_t subsets, uint64_t seed,
                                gb_error *err);

/* ---- drift: what all configs had in common over the session ---- */

typedef struct noise_drift {
    size_t n_blocks;         /* with at least one burst and a time */
    stats_interval per_hour; /* trend of the step time, change per hour (0.02: 2 % slower per
                                hour), 95 % */
    stats_interval total;    /* the same over the whole session, first block to last */
    double hours;            /* first block to last */
    double block_effect_sd;  /* of the block effects around the trend, as a fraction */
    double lag1;             /* autocorrelation of those from block to block; NAN below 3 */
} noise_drift;

/* ms[arm * n_blocks + block]: mean step time of a burst, NAN where there is none. hours[block]:
 * when the block was, on any clock. The effect of a block is the median over its arms of log ms
 * minus the arm's own median, so a slow config or one bad burst does not bend it; the trend is
 * Theil and Sen's with Kendall's interval (Sen 1968), widened by sqrt((1 + lag1) / (1 - lag1))
 * where lag1 > 0, since neighbouring blocks share their weather. effects (n_blocks places, may be
 * NULL) receives the effects as log ratios, NAN where there is none. GB_ERR_OOM. */
gb_status noise_drift_measure(noise_drift *out, const double *ms, size_t n_arms, size_t n_blocks,
                              const double *hours, double *effects, gb_error *err);

/* Theil and Sen's slope of y over x, the median of the slopes of all pairs with different x, and
 * its interval from the normal approximation of Kendall's statistic, with ties, as SciPy's
 * theilslopes. NAN where fewer than two x differ; n <= 4000. GB_ERR_OOM. */
gb_status noise_theil_sen(stats_interval *out, const double *x, const double *y, size_t n,
                          double level, gb_error *err);

/* ---- outliers, counted and kept ---- */

typedef struct noise_outliers {
    size_t n, above, below; /* values; beyond the limit on each side */
    double median;
    double scaled_mad; /* 1.4826 * median |x - median|: the sd, were the values normal */
} noise_outliers;

/* Counts values more than 5 scaled MADs from the median. Where more than half of the values are
 * equal the MAD is 0; then 1.2533 times the mean absolute deviation stands in. GB_ERR_OOM. */
gb_status noise_outliers_count(noise_outliers *out, const double *x, size_t n, gb_error *err);

#endif
