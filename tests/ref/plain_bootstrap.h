/* plain_bootstrap.h: the bootstrap as in a textbook, of several locations and with several
 * intervals. bench/stats/bootstrap.h has the one that verdicts take, made fast; this one says what
 * that must give, and lets the simulation show why it was taken (test_verdict_simulated.c).
 *
 * test_bootstrap.c and test_two_samples.c hold it against SciPy and NumPy on the same draws. */
#ifndef GPTBENCH_TESTS_REF_PLAIN_BOOTSTRAP_H
#define GPTBENCH_TESTS_REF_PLAIN_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "bench/stats/stats.h"

typedef enum plain_location {
    PLAIN_MEAN,
    PLAIN_TRIMMED_MEAN, /* floor(n / 5) values dropped at each end */
    PLAIN_MEDIAN
} plain_location;

typedef enum plain_method {
    PLAIN_PERCENTILE, /* quantiles of the resampled location */
    PLAIN_BCA,        /* the same at levels corrected for bias and skewness (Efron 1987) */
    PLAIN_STUDENTISED /* value -+ error * quantile of |t*|, t* = (v* - value) / error* */
} plain_method;

/* n finite values, and resample r as the values x[draws[r * n + i]], i < n. */
typedef struct plain_sample {
    const double *x;
    size_t n;
    const uint32_t *draws;
} plain_sample;

typedef struct plain_bootstrap {
    size_t n, resamples;
    double value;
    double error;              /* of the sample alone; of a median: sd of the resampled ones */
    double bias, acceleration; /* BCa's z0 and a; NAN of two samples */
    double *values;            /* (resamples) resampled locations, ascending */
    double *pivots;            /* (resamples) |t*|, ascending; NULL of a median */
} plain_bootstrap;

/* Draws of `resamples` resamples of n values by the counter-based generator, in the order in which
 * bench/stats/resample.h takes them. The caller frees them. */
uint32_t *plain_draws(size_t n, size_t resamples, uint64_t seed);

/* Location and standard error of x, not sorted: sd / sqrt(n) of a mean; of a trimmed mean the
 * winsorised sd over (1 - 2g/n) sqrt(n); NAN of a median. */
double plain_location_of(const double *x, size_t n, plain_location location, double *error);

/* Of one sample; aborts without memory. */
plain_bootstrap plain_bootstrap_make(const plain_sample *x, plain_location location,
                                     size_t resamples);
/* Trimmed mean of x minus trimmed mean of y, each resampled by itself, with Yuen's errors. */
plain_bootstrap plain_bootstrap_make_two(const plain_sample *x, const plain_sample *y,
                                         size_t resamples);
void plain_bootstrap_free(plain_bootstrap *b);

/* Two-sided; no ends where the method has none. */
stats_interval plain_bootstrap_interval(const plain_bootstrap *b, plain_method method,
                                        double level);

#endif
