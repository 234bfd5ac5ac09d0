/* trimmed_mean.h: the 20 % trimmed mean, which is what verdicts take as the location of a sample,
 * and its standard error from the sample alone. All of samples that are sorted ascending. */
#ifndef GPTBENCH_BENCH_TRIMMED_MEAN_H
#define GPTBENCH_BENCH_TRIMMED_MEAN_H

#include <stddef.h>

/* Values cut off at each end: floor(n / 5). */
size_t trimmed_mean_cut(size_t n);
/* Mean of the values between the cuts; NAN if n == 0. */
double trimmed_mean_sorted(const double *x, size_t n);
/* Its standard error: the winsorised sd over (1 - 2g/n) sqrt(n) with g values cut off at each end
 * (Tukey and McLaughlin), with n - 2g - 1 degrees of freedom. NAN where fewer than two values are
 * left. */
double trimmed_mean_error_sorted(const double *x, size_t n);
/* Times this the error is what Yuen (1974) takes for the difference of two trimmed means, and
 * SciPy's trimmed t test too: a little larger for small n. */
double trimmed_mean_yuen_factor(size_t n);

#endif
