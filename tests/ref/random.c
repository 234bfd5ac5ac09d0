#include "tests/ref/random.h"

#include <math.h>

uint64_t test_random_bits(test_random *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t test_random_int(test_random *rng, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(test_random_bits(rng) % (uint64_t)(hi - lo + 1));
}

/* Uniform in (0, 1]. */
static double random_unit(test_random *rng)
{
    return ((double)(test_random_bits(rng) >> 11) + 1) / 9007199254740992.0;
}

double test_random_normal(test_random *rng)
{
    double radius = sqrt(-2 * log(random_unit(rng)));
    return radius * cos(2 * 3.14159265358979323846 * random_unit(rng));
}

void test_random_fill(test_random *rng, double *x, int64_t n, double scale)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = scale * test_random_normal(rng);
    }
}
