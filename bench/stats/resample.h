/* resample.h: where a resample of a sample lies, and its standard error, without sorting it.
 *
 * The sample is sorted once. A resample is then how often each place was drawn, and its trimmed
 * mean and winsorised variance are sums over the places. What is summed are distances from the
 * sample's own location, so that a resample that draws every value once lies exactly there. */
#ifndef GPTBENCH_BENCH_RESAMPLE_H
#define GPTBENCH_BENCH_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "bench/stats/stats.h"
#include "kernels/status.h"

typedef struct resampler resampler;

/* Of the x.n >= 1 values, which are not kept. GB_ERR_OOM. */
gb_status resampler_create(resampler **out, stats_sample x, gb_error *err);
void resampler_free(resampler *s); /* NULL is fine */

double resampler_value(const resampler *s); /* trimmed_mean_sorted of the sample */
double resampler_error(const resampler *s); /* trimmed_mean_error_sorted */

/* What drawing needs beside the sample; one for each thread. */
typedef struct resample_space resample_space;
/* Room for samples of up to n values, n >= 1. NULL: no memory. */
resample_space *resample_space_create(size_t n);
void resample_space_free(resample_space *space); /* NULL is fine */

typedef struct resample_location {
    double value, error; /* as resampler_value and resampler_error */
} resample_location;

/* Resample number r: the values x[stats_random_below(seed, r * n + i, n)], i < n. */
resample_location resampler_draw(const resampler *s, resample_space *space, uint64_t seed,
                                 size_t r);
/* An error, of the sample or of a resample, times trimmed_mean_yuen_factor. */
double resampler_yuen(const resampler *s, double error);

#endif
