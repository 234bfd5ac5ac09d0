/* drift.h: what all configs of a session had in common: the trend of the machine, and its ups and
 * downs from block to block. */
#ifndef GPTBENCH_BENCH_DRIFT_H
#define GPTBENCH_BENCH_DRIFT_H

#include "bench/stats/stats.h"

typedef struct drift {
    size_t n_blocks;         /* with at least one burst and a time */
    stats_interval per_hour; /* trend of the step time, change per hour (0.02: 2 % slower each
                                hour), 95 %; NAN below 3 blocks or without time between them */
    stats_interval total;    /* the same over the session, first block to last */
    double hours;            /* first block to last */
    double effect_sd;        /* of the block effects around the trend, as log ratios */
    double lag1;             /* autocorrelation of those from block to block; NAN below 4 blocks */
} drift;

/* A session's bursts; borrowed. */
typedef struct drift_bursts {
    size_t n_arms, n_blocks;
    const double *ms;    /* (n_arms, n_blocks) step time of a burst; NAN where there is none */
    const double *hours; /* (n_blocks) when the block was, on any clock; in the order of running */
} drift_bursts;

/* The effect of a block is
 * the median over its arms of log ms minus the arm's own median, so that neither a slow config nor
 * one bad burst bends it. The trend is Theil and Sen's slope with Kendall's interval (Sen 1968).
 * Neighbouring blocks resemble each other and so say less than independent ones: the interval is
 * widened by sqrt((1 + r) / (1 - r)), and by Student's t over the normal quantile with
 * n (1 - r) / (1 + r) - 2 degrees of freedom (at least 2). r is lag1 + (2 + 4 lag1) / n, between 0
 * and 0.9, because residuals around a fitted line show too little autocorrelation.
 * Beyond DRIFT_MAX_BLOCKS blocks every second, third, ... one enters the slope. effects (n_blocks
 * places, may be NULL) receives the block effects, NAN where there is none. GB_ERR_OOM. */
gb_status drift_measure(drift *out, const drift_bursts *bursts, double *effects, gb_error *err);

enum { DRIFT_MAX_BLOCKS = 2000 };

/* Theil and Sen's slope of y over x: the median of the slopes of all pairs with different x, with
 * its interval from the normal approximation of Kendall's statistic, ties counted; as SciPy's
 * theilslopes. NAN where no two x differ. Takes n^2 / 2 doubles. GB_ERR_OOM. */
gb_status drift_theil_sen(stats_interval *out, const double *x, const double *y, size_t n,
                          double level, gb_error *err);

/* Autocorrelation of x from one value to the next, about the mean; NAN if n < 4 or all are equal.
 */
double drift_lag1(const double *x, size_t n);

#endif
