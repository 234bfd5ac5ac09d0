#include "tests/ref/plain_bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p) {
        abort();
    }
    return p;
}

uint32_t *plain_draws(size_t n, size_t resamples, uint64_t seed)
{
    uint32_t *draws = room(n * resamples, sizeof *draws);
    for (size_t i = 0; i < n * resamples; i++) {
        draws[i] = (uint32_t)stats_random_below(seed, i, n);
    }
    return draws;
}

/* The sd of x with the g lowest and highest values counted as the next one, over sqrt(n) and the
 * share of values that is kept. */
static double winsorised_error(const double *sorted, size_t n, size_t g)
{
    if (n < 2 * g + 2) {
        return NAN;
    }
    double *w = room(n, sizeof *w);
    for (size_t i = 0; i < n; i++) {
        w[i] = sorted[i < g ? g : i > n - 1 - g ? n - 1 - g : i];
    }
    double sd = stats_sd(w, n);
    free(w);
    return sd / ((1 - 2 * (double)g / (double)n) * sqrt((double)n));
}

double plain_location_of(const double *x, size_t n, plain_location location, double *error)
{
    double *sorted = room(n, sizeof *sorted), value;
    memcpy(sorted, x, n * sizeof *x);
    stats_sort(sorted, n);
    if (location == PLAIN_MEDIAN) {
        value = stats_quantile_sorted(sorted, n, 0.5);
        *error = NAN;
    } else {
        size_t g = location == PLAIN_TRIMMED_MEAN ? n / 5 : 0;
        value = stats_mean(sorted + g, n - 2 * g);
        *error = winsorised_error(sorted, n, g);
    }
    free(sorted);
    return value;
}

/* Resample r. */
static double drawn_location_of(const plain_sample *s, size_t r, plain_location location,
                                double *error)
{
    double *drawn = room(s->n, sizeof *drawn);
    for (size_t i = 0; i < s->n; i++) {
        drawn[i] = s->x[s->draws[r * s->n + i]];
    }
    double value = plain_location_of(drawn, s->n, location, error);
    free(drawn);
    return value;
}

static double pivot_of(const plain_bootstrap *b, double value, double error)
{
    double shift = fabs(value - b->value);
    return error > 0 ? shift / error : shift > 0 ? 1e100 : 0;
}

/* How far the sample's own location is from the middle of the resampled ones, in normal scores;
 * resamples that hit it exactly count half. */
static double bias_of(const plain_bootstrap *b)
{
    double below = 0;
    for (size_t r = 0; r < b->resamples; r++) {
        below += b->values[r] < b->value ? 1 : b->values[r] == b->value ? 0.5 : 0;
    }
    return stats_normal_quantile(below / (double)b->resamples);
}

/* Skewness of the jackknife values. */
static double acceleration_of(const plain_sample *s, plain_location location)
{
    double *rest = room(s->n, sizeof *rest), *left_out = room(s->n, sizeof *left_out), unused;
    for (size_t skip = 0; skip < s->n; skip++) {
        memcpy(rest, s->x, skip * sizeof *rest);
        memcpy(rest + skip, s->x + skip + 1, (s->n - skip - 1) * sizeof *rest);
        left_out[skip] = plain_location_of(rest, s->n - 1, location, &unused);
    }
    double mean = stats_mean(left_out, s->n), squares = 0, cubes = 0;
    for (size_t i = 0; i < s->n; i++) {
        double d = mean - left_out[i];
        squares += d * d;
        cubes += d * d * d;
    }
    free(rest);
    free(left_out);
    return squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0;
}

plain_bootstrap plain_bootstrap_make(const plain_sample *x, plain_location location,
                                     size_t resamples)
{
    plain_bootstrap b = {.n = x->n, .resamples = resamples};
    b.value = plain_location_of(x->x, x->n, location, &b.error);
    b.values = room(resamples, sizeof *b.values);
    b.pivots = location == PLAIN_MEDIAN ? NULL : room(resamples, sizeof *b.pivots);
    for (size_t r = 0; r < resamples; r++) {
        double error;
        b.values[r] = drawn_location_of(x, r, location, &error);
        if (b.pivots) {
            b.pivots[r] = pivot_of(&b, b.values[r], error);
        }
    }
    b.bias = bias_of(&b);
    b.acceleration = acceleration_of(x, location);
    stats_sort(b.values, resamples);
    if (b.pivots) {
        stats_sort(b.pivots, resamples);
    } else {
        b.error = stats_sd(b.values, resamples);
    }
    return b;
}

/* Yuen's factor on the error of a trimmed mean. */
static double yuen(size_t n)
{
    double kept = (double)(n - 2 * (n / 5));
    return sqrt(((double)n - 1) * kept / ((kept - 1) * (double)n));
}

plain_bootstrap plain_bootstrap_make_two(const plain_sample *x, const plain_sample *y,
                                         size_t resamples)
{
    plain_bootstrap b = {
        .n = x->n + y->n, .resamples = resamples, .bias = NAN, .acceleration = NAN};
    double e_x, e_y;
    b.value = plain_location_of(x->x, x->n, PLAIN_TRIMMED_MEAN, &e_x);
    b.value -= plain_location_of(y->x, y->n, PLAIN_TRIMMED_MEAN, &e_y);
    b.error = hypot(yuen(x->n) * e_x, yuen(y->n) * e_y);
    b.values = room(resamples, sizeof *b.values);
    b.pivots = room(resamples, sizeof *b.pivots);
    for (size_t r = 0; r < resamples; r++) {
        b.values[r] = drawn_location_of(x, r, PLAIN_TRIMMED_MEAN, &e_x);
        b.values[r] -= drawn_location_of(y, r, PLAIN_TRIMMED_MEAN, &e_y);
        b.pivots[r] = pivot_of(&b, b.values[r], hypot(yuen(x->n) * e_x, yuen(y->n) * e_y));
    }
    stats_sort(b.values, resamples);
    stats_sort(b.pivots, resamples);
    return b;
}

void plain_bootstrap_free(plain_bootstrap *b)
{
    free(b->values);
    free(b->pivots);
    *b = (plain_bootstrap){0};
}

/* The level that BCa takes instead of q. */
static double bca_level(const plain_bootstrap *b, double q)
{
    double z = b->bias + stats_normal_quantile(q);
    return stats_normal_cdf(b->bias + z / (1 - b->acceleration * z));
}

stats_interval plain_bootstrap_interval(const plain_bootstrap *b, plain_method method, double level)
{
    stats_interval out = {b->value, NAN, NAN};
    double low = (1 - level) / 2, high = (1 + level) / 2;
    if (method == PLAIN_STUDENTISED) {
        if (b->pivots) {
            double half = b->error * stats_quantile_sorted(b->pivots, b->resamples, level);
            out.low = b->value - half;
            out.high = b->value + half;
        }
        return out;
    }
    if (method == PLAIN_BCA) {
        if (isnan(b->acceleration)) {
            return out;
        }
        low = bca_level(b, low);
        high = bca_level(b, high);
        if (isnan(low) || isnan(high)) { /* no resample on one side: nothing to correct by */
            low = 0;
            high = 1;
        }
    }
    out.low = stats_quantile_sorted(b->values, b->resamples, low);
    out.high = stats_quantile_sorted(b->values, b->resamples, high);
    return out;
}
