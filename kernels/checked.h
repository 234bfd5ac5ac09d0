/* checked.h: sizes that come from outside, multiplied and added without overflow: what does not fit
 * is INT64_MAX, which no memory, file or count reaches, and stays it through further sums. All
 * arguments are at least 0. */
#ifndef GPTBENCH_KERNELS_CHECKED_H
#define GPTBENCH_KERNELS_CHECKED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline int64_t gb_times(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static inline int64_t gb_plus(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The next multiple of `unit`, or INT64_MAX. */
static inline int64_t gb_round_up(int64_t size, int64_t unit)
{
    int64_t padded = gb_plus(size, unit - 1);
    return padded == INT64_MAX ? INT64_MAX : padded / unit * unit;
}

#ifdef __cplusplus
}
#endif
#endif
