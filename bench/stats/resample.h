/* resample.h: where a resample of a sample lies, and its standard error, without sorting it.
 *
 * The sample is sorted once. A resample is then how often each place was drawn, and its trimmed
 * mean and winsorised variance are sums over the places. What is summed are distances from the
 * sample's own location, so that a resample that draws every value once lies exactly there. */
#ifndef GPTBENCH_BENCH_RESAMPLE_H
#define GPTBENCH_BENCH_RESAMPLE_H

#include "bench/stats/bootstrap.h"

typedef struct resampler resampler;

/* Of the n >= 1 finite values of x, which are not kept. GB_ERR_OOM. */
gb_status resampler_create(resampler **out, const double *x, size_t n, bootstrap_location location,
                           gb_error *err);
void resampler_free(resampler *s); /* NULL is fine */

double resampler_value(const resampler *s);      /* bootstrap_location_sorted of the sample */
double resampler_error(const resampler *s);      /* bootstrap_standard_error_sorted */
double resampler_yuen_error(const resampler *s); /* bootstrap_yuen_error_sorted */

/* The values in ascending order; n of them. Lives as long as s. */
const double *resampler_sorted(const resampler *s);

/* What drawing needs beside the sample; one for each thread. */
typedef struct resample_space resample_space;
/* Room for samples of up to n values, n >= 1. NULL: no memory. */
resample_space *resample_space_create(size_t n);
void resample_space_free(resample_space *space); /* NULL is fine */

/* Where the draws come from: resample r consists of the values indices[r * n + i], i < n, each
 * index < n; indices NULL: of the counter-based generator of stats.h. */
typedef struct resample_draws {
    const uint32_t *indices;
    uint64_t seed;
} resample_draws;

typedef struct resample_location {
    double value, error; /* error: as resampler_error; NAN for a median */
} resample_location;

resample_location resampler_draw(const resampler *s, resample_space *space, resample_draws from,
                                 size_t r);
/* Yuen's error for an error of a resample. */
double resampler_yuen(const resampler *s, double error);

#endif
