/* estimate.h: an estimated logarithm of a ratio, config over baseline, with all that is known of
 * its uncertainty, whichever method that came from. Verdicts and claims read speeds, losses and
 * exact quantities through this one type.
 *
 * Logarithms because ratios are what is compared: a slower block and an equally much faster one
 * weigh the same, and no interval reaches -100 %. */
#ifndef GPTBENCH_BENCH_ESTIMATE_H
#define GPTBENCH_BENCH_ESTIMATE_H

#include <stdbool.h>

#include "bench/stats/bootstrap.h"

typedef enum estimate_kind {
    ESTIMATE_NONE,     /* no value at all: everything is NAN */
    ESTIMATE_EXACT,    /* a property of the model: the interval is the value */
    ESTIMATE_STUDENT,  /* mean of n values or Welch's difference of two, t interval */
    ESTIMATE_BOOTSTRAP /* trimmed mean over n blocks or a difference of two, studentised bootstrap
                        */
} estimate_kind;

typedef struct estimate {
    estimate_kind kind;
    size_t n;              /* pairs that went in; of two samples the smaller */
    double value;          /* log ratio */
    double ratio;          /* of ESTIMATE_EXACT, to the last bit; else NAN */
    double standard_error; /* NAN where there is none */
    double df;             /* degrees of freedom of the standard error */
    bootstrap *resampled;  /* of ESTIMATE_BOOTSTRAP; owned */
} estimate;

/* An exact ratio, > 0; ESTIMATE_NONE when it is not. */
estimate estimate_exact(double ratio);
/* The mean of n log ratios and its t interval. */
estimate estimate_student(const double *log_ratios, size_t n);
/* The 20 % trimmed mean of n log ratios and its bootstrap, whose intervals reach no further than
 * the ratios themselves (bootstrap_bound). Below ESTIMATE_MIN_BLOCKS there is a
 * value without interval. Free with estimate_free. GB_ERR_OOM. */
gb_status estimate_bootstrap(estimate *out, const double *log_ratios, size_t n, size_t resamples,
                             uint64_t seed, gb_error *err);
/* The same of times that a clock rounded, see bootstrap_create_coarse. */
gb_status estimate_bootstrap_coarse(estimate *out, stats_sample log_ratios, double resolution,
                                    size_t resamples, uint64_t seed, gb_error *err);
void estimate_free(estimate *e); /* what it owns */

/* Two samples of logarithms that do not belong together in pairs, config and base: the difference
 * of their means, with Welch's interval. Below two values on a side there is a value without
 * interval. */
estimate estimate_welch(stats_sample config, stats_sample base);
/* The difference of their 20 % trimmed means, by the bootstrap of both. The values stand in the
 * order in which they were measured: where neighbours resemble each other (slow changes of the
 * machine, which pairs would have cancelled) the standard error of a sample is widened by
 * estimate_dependence. Below ESTIMATE_MIN_BLOCKS on a side there is a value without interval.
 * `resolution`: the error that the clocks give the difference, as bootstrap_create_coarse; 0: none.
 * GB_ERR_OOM. */
gb_status estimate_bootstrap_two(estimate *out, stats_sample config, stats_sample base,
                                 double resolution, size_t resamples, uint64_t seed, gb_error *err);
/* How much wider an interval must be because neighbours resemble each other: sqrt((1 + r) / (1 -
 * r)), since n values are then worth n (1 - r) / (1 + r) independent ones, times Student's 97.5 %
 * quantile for that many over the one for n. r is the autocorrelation of neighbours, lag1 + (1 + 4
 * lag1) / n, since the values' own mean hides some of it (Marriott and Pope 1954), between 0 and
 * 0.9; over values whose lowest and highest fifth count as the next one, so that an outlier does
 * not hide it. 1 below 4 values. GB_ERR_OOM. */
gb_status estimate_dependence(double *factor, const double *x, size_t n, gb_error *err);
/* Adds a constant to the log ratio; not to ESTIMATE_EXACT or ESTIMATE_NONE. */
void estimate_shift(estimate *e, double by);

/* Fewer blocks than this have a value and no interval: a resample of fewer is too often without any
 * spread, and its distance in standard errors without bounds. */
enum { ESTIMATE_MIN_BLOCKS = 8 };

/* Degrees of freedom that an estimate of this kind has from n pairs; may be < 1. */
double estimate_df(estimate_kind kind, size_t n);

/* config[b] / base[b] as logarithms, for the b < n where both are finite and > 0; returns how many
 * were written to `out` (n places). */
size_t estimate_log_ratios(const double *config, const double *base, size_t n, double *out);

bool estimate_has_interval(const estimate *e);
/* In log ratios; low and high NAN where there is none. */
stats_interval estimate_interval(const estimate *e, double level);
/* The same as ratio minus 1: 0.074 is 7.4 % more. */
stats_interval estimate_change(const estimate *e, double level);
/* One-sided p values: of "true log ratio <= threshold" and of ">= threshold". 0 or 1 for an exact
 * one; NAN without interval. */
double estimate_p_above(const estimate *e, double threshold);
double estimate_p_below(const estimate *e, double threshold);

#endif
