/* random.h: seeded numbers for tests; the same on every machine. */
#ifndef GPTBENCH_TESTS_REF_RANDOM_H
#define GPTBENCH_TESTS_REF_RANDOM_H

#include <stdint.h>

typedef struct test_random {
    uint64_t state;
} test_random;

/* Uniform 64 bits (SplitMix64: Steele, Lea and Flood 2014). */
uint64_t test_random_bits(test_random *rng);
/* Uniform in [lo, hi]. */
int64_t test_random_int(test_random *rng, int64_t lo, int64_t hi);
/* Standard normal (Box and Muller 1958). */
double test_random_normal(test_random *rng);
void test_random_fill(test_random *rng, double *x, int64_t n, double scale);

#endif
