/* clock_grid.h: the steps of a clock. Times are multiples of what the clock resolves (CUDA events:
 * about half a microsecond), and where a step of training takes a hundred of these, bursts repeat
 * the same few values: their spread says nothing about how wrong all of them are alike. */
#ifndef GPTBENCH_BENCH_CLOCK_GRID_H
#define GPTBENCH_BENCH_CLOCK_GRID_H

#include <stddef.h>

/* The smallest difference between neighbours among 0 and the n times, which it sorts in place: no
 * less than the clock's step, and that wherever times are many. Differences below 1e-9 of the time
 * are the rounding of a sum. Values that are not finite or not above 0 do not count; 0 without any
 * others. */
double clock_grid_step(double *ms, size_t n);

/* Standard deviation that rounding to steps gives log(a / b), the two times in the step's unit:
 * step * sqrt(1/a^2 + 1/b^2) / sqrt(12), of two uniform errors. 0 where a or b is not above 0. */
double clock_grid_log_error(double step, double a, double b);

#endif
