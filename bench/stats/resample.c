#include "bench/stats/resample.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/trimmed_mean.h"

struct resampler {
    size_t n, cut; /* values cut off at each end */
    double value, error;
    double n_kept;       /* n - 2 cut */
    double error_factor; /* standard error over the root of the winsorised squares */
    double yuen_factor;
    double own;       /* the sample's distance from itself: what rounding leaves of 0 */
    double *sorted;   /* (n) ascending */
    double *distance; /* (n) from `value` */
    uint32_t *rank;   /* rank[i]: place of x[i] in sorted */
};

struct resample_space {
    uint32_t *times; /* how often each place was drawn; all 0 between draws */
    double *kept;    /* those of them that are not cut off */
};

/* ---- life ---- */

typedef struct indexed_value {
    double value;
    uint32_t index;
} indexed_value;

static int compare_indexed(const void *a, const void *b)
{
    double x = ((const indexed_value *)a)->value, y = ((const indexed_value *)b)->value;
    return (x > y) - (x < y);
}

void resampler_free(resampler *s)
{
    if (s) {
        free(s->sorted);
        free(s->distance);
        free(s->rank);
        free(s);
    }
}

resample_space *resample_space_create(size_t n)
{
    resample_space *space = n > 0 ? calloc(1, sizeof *space) : NULL;
    if (space) {
        space->times = calloc(n, sizeof *space->times);
        space->kept = malloc(n * sizeof *space->kept);
    }
    if (!space || !space->times || !space->kept) {
        resample_space_free(space);
        return NULL;
    }
    return space;
}

void resample_space_free(resample_space *space)
{
    if (space) {
        free(space->times);
        free(space->kept);
        free(space);
    }
}

/* ---- one resample ---- */

static uint32_t clamp(uint32_t x, uint32_t low, uint32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Distance of the resample's location from the sample's, before `own` is taken off. */
static double distance_of(const resampler *s, resample_space *space, double *error)
{
    /* Without branches on what was drawn, which no processor can guess. */
    const size_t n = s->n;
    const uint32_t low_cut = (uint32_t)s->cut, high_cut = (uint32_t)(n - s->cut);
    const double *distance = s->distance;
    double *kept = space->kept;
    uint32_t seen = 0, before = low_cut;
    size_t first = 0, last = 0; /* places of the lowest and highest value kept */
    for (size_t place = 0; place < n; place++) {
        seen += space->times[place];
        uint32_t within = clamp(seen, low_cut, high_cut);
        kept[place] = (double)(int32_t)(within - before);
        before = within;
        first += seen <= low_cut;
        last += seen < high_cut;
    }
    double sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t place = 0; place < n; place++) {
        sum += kept[place] * distance[place];
    }
    /* Winsorised: what is cut off counts as the last value that is kept. */
    const double ends = (double)low_cut, low = distance[first], high = distance[last];
    const double mean = (ends * low + ends * high + sum) / (double)n;
#pragma omp simd reduction(+ : squares)
    for (size_t place = 0; place < n; place++) {
        double d = distance[place] - mean;
        squares += kept[place] * d * d;
    }
    squares += ends * ((low - mean) * (low - mean) + (high - mean) * (high - mean));
    *error = s->n_kept < 2 ? NAN : s->error_factor * sqrt(squares);
    return sum / s->n_kept;
}

resample_location resampler_draw(const resampler *s, resample_space *space, uint64_t seed, size_t r)
{
    const size_t n = s->n;
    for (size_t i = 0; i < n; i++) {
        space->times[s->rank[stats_random_below(seed, r * n + i, n)]]++;
    }
    resample_location out;
    out.value = s->value + (distance_of(s, space, &out.error) - s->own);
    for (size_t place = 0; place < n; place++) {
        space->times[place] = 0;
    }
    return out;
}

/* ---- the sample ---- */

static gb_status sort_and_rank(resampler *s, stats_sample x, gb_error *err)
{
    indexed_value *order = malloc(s->n * sizeof *order);
    if (!order) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", s->n);
    }
    for (size_t i = 0; i < s->n; i++) {
        order[i] = (indexed_value){x.values[i], (uint32_t)i};
    }
    qsort(order, s->n, sizeof *order, compare_indexed);
    for (size_t place = 0; place < s->n; place++) {
        s->sorted[place] = order[place].value;
        s->rank[order[place].index] = (uint32_t)place;
    }
    free(order);
    return GB_OK;
}

static gb_status measure_itself(resampler *s, gb_error *err)
{
    const double n = (double)s->n, kept = (double)(s->n - 2 * s->cut);
    s->n_kept = kept;
    s->error_factor = sqrt(n / (n - 1)) / kept; /* sd / ((1 - 2 cut / n) sqrt(n)) */
    s->value = trimmed_mean_sorted(s->sorted, s->n);
    s->error = trimmed_mean_error_sorted(s->sorted, s->n);
    s->yuen_factor = trimmed_mean_yuen_factor(s->n);
    for (size_t i = 0; i < s->n; i++) {
        s->distance[i] = s->sorted[i] - s->value;
    }
    resample_space *space = resample_space_create(s->n);
    if (!space) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", s->n);
    }
    for (size_t i = 0; i < s->n; i++) {
        space->times[i] = 1;
    }
    double error;
    s->own = distance_of(s, space, &error);
    resample_space_free(space);
    return GB_OK;
}

gb_status resampler_create(resampler **out, stats_sample x, gb_error *err)
{
    const size_t n = x.n;
    resampler *s = calloc(1, sizeof *s);
    if (s) {
        *s = (resampler){.n = n,
                         .cut = trimmed_mean_cut(n),
                         .sorted = malloc(n * sizeof(double)),
                         .distance = malloc(n * sizeof(double)),
                         .rank = malloc(n * sizeof(uint32_t))};
    }
    if (!s || !s->sorted || !s->distance || !s->rank) {
        resampler_free(s);
        return gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", n);
    }
    gb_status status = sort_and_rank(s, x, err);
    status = status == GB_OK ? measure_itself(s, err) : status;
    if (status != GB_OK) {
        resampler_free(s);
        return status;
    }
    *out = s;
    return GB_OK;
}

double resampler_value(const resampler *s)
{
    return s->value;
}

double resampler_error(const resampler *s)
{
    return s->error;
}

double resampler_yuen(const resampler *s, double error)
{
    return s->yuen_factor * error;
}
