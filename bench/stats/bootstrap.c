#include "bench/stats/bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench/base/parallel.h"
#include "bench/stats/resample.h"

struct bootstrap {
    size_t n, resamples;
    double value, standard_error;
    double resolution;  /* of one value, the same error in all; 0: none */
    double least, most; /* of the values, where they bound intervals; else infinite */
    bool has_interval;  /* there is a standard error, and so there are pivots */
    double *pivots;     /* |t*|, ascending */
};

/* ---- resampling ---- */

/* How far off a resample is, in its own standard errors. */
static double pivot_of(const bootstrap *b, double value, double error)
{
    double shift = fabs(value - b->value);
    /* A resample without spread that lies elsewhere is as far off as can be; a finite number, so
     * that quantiles can be interpolated. */
    return error > 0 ? shift / error : shift > 0 ? 1e100 : 0;
}

/* A sample and the seed of its draws. */
typedef struct drawn_sample {
    const resampler *sample; /* NULL: there is no second one */
    size_t n;
    uint64_t seed;
} drawn_sample;

/* All resamples, cut into shares. */
typedef struct resampling {
    bootstrap *b;
    drawn_sample x, y; /* with y the location is the difference */
    int shares;
    resample_space **spaces; /* (shares) */
} resampling;

static void resample_share(void *user, int share)
{
    const resampling *w = user;
    bootstrap *b = w->b;
    resample_space *space = w->spaces[share];
    const size_t end = parallel_first(b->resamples, share + 1, w->shares);
    for (size_t r = parallel_first(b->resamples, share, w->shares); r < end; r++) {
        resample_location at = resampler_draw(w->x.sample, space, w->x.seed, r);
        if (w->y.sample) {
            resample_location of_y = resampler_draw(w->y.sample, space, w->y.seed, r);
            at.value -= of_y.value;
            at.error = hypot(resampler_yuen(w->x.sample, at.error),
                             resampler_yuen(w->y.sample, of_y.error));
        }
        b->pivots[r] = b->has_interval ? pivot_of(b, at.value, hypot(at.error, b->resolution)) : 0;
    }
}

static gb_status resample_all(bootstrap *b, drawn_sample x, drawn_sample y, gb_error *err)
{
    enum { DRAWS_WORTH = 200000 }; /* some ms */
    const size_t largest = x.n > y.n ? x.n : y.n;
    resampling w = {b, x, y, parallel_shares(b->resamples * (x.n + y.n), DRAWS_WORTH), NULL};
    bool enough = (w.spaces = calloc((size_t)w.shares, sizeof(resample_space *))) != NULL;
    for (int i = 0; enough && i < w.shares; i++) {
        enough = (w.spaces[i] = resample_space_create(largest)) != NULL;
    }
    if (enough) {
        parallel_run(w.shares, resample_share, &w);
    }
    for (int i = 0; w.spaces && i < w.shares; i++) {
        resample_space_free(w.spaces[i]);
    }
    free(w.spaces);
    if (!enough) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", largest);
    }
    stats_sort(b->pivots, b->resamples);
    return GB_OK;
}

/* ---- life ---- */

void bootstrap_free(bootstrap *b)
{
    if (b) {
        free(b->pivots);
        free(b);
    }
}

static gb_status bootstrap_allocate(bootstrap **out, size_t n, size_t resamples, gb_error *err)
{
    bootstrap *b = calloc(1, sizeof *b);
    if (b) {
        *b = (bootstrap){.n = n, .resamples = resamples, .least = -INFINITY, .most = INFINITY};
        b->pivots = calloc(resamples, sizeof *b->pivots);
    }
    if (!b || !b->pivots) {
        bootstrap_free(b);
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu resamples", resamples);
    }
    *out = b;
    return GB_OK;
}

/* Takes ownership of what bootstrap_allocate gave: it is kept in *out, or freed. */
static gb_status bootstrap_fill(bootstrap **out, bootstrap *b, drawn_sample x, drawn_sample y,
                                gb_error *err)
{
    b->value = resampler_value(x.sample);
    b->standard_error = resampler_error(x.sample);
    if (y.sample) {
        b->value -= resampler_value(y.sample);
        b->standard_error = hypot(resampler_yuen(x.sample, resampler_error(x.sample)),
                                  resampler_yuen(y.sample, resampler_error(y.sample)));
    }
    b->has_interval = isfinite(b->standard_error);
    b->standard_error = hypot(b->standard_error, b->resolution);
    gb_status status = resample_all(b, x, y, err);
    if (status != GB_OK) {
        bootstrap_free(b);
        return status;
    }
    *out = b;
    return GB_OK;
}

static gb_status sample_check(stats_sample x, size_t resamples, gb_error *err)
{
    if (x.n == 0 || x.n > INT32_MAX || resamples == 0) {
        return gb_fail(err, GB_ERR_INTERNAL, "a bootstrap of %zu values with %zu resamples", x.n,
                       resamples);
    }
    for (size_t i = 0; i < x.n; i++) {
        if (!isfinite(x.values[i])) {
            return gb_fail(err, GB_ERR_INTERNAL, "a bootstrap of a value that is not finite");
        }
    }
    return GB_OK;
}

gb_status bootstrap_create(bootstrap **out, stats_sample x, size_t resamples, uint64_t seed,
                           gb_error *err)
{
    return bootstrap_create_coarse(out, x, 0, resamples, seed, err);
}

gb_status bootstrap_create_coarse(bootstrap **out, stats_sample x, double resolution,
                                  size_t resamples, uint64_t seed, gb_error *err)
{
    GB_TRY(sample_check(x, resamples, err));
    drawn_sample drawn = {NULL, x.n, seed};
    resampler *sample = NULL;
    GB_TRY(resampler_create(&sample, x, err));
    bootstrap *b = NULL;
    gb_status status = bootstrap_allocate(&b, x.n, resamples, err);
    if (status == GB_OK) {
        b->resolution = resolution;
        drawn.sample = sample;
        status = bootstrap_fill(out, b, drawn, (drawn_sample){0}, err);
    }
    resampler_free(sample);
    return status;
}

gb_status bootstrap_create_two(bootstrap **out, stats_sample x, stats_sample y, double resolution,
                               size_t resamples, uint64_t seed, gb_error *err)
{
    GB_TRY(sample_check(x, resamples, err));
    GB_TRY(sample_check(y, resamples, err));
    drawn_sample of_x = {NULL, x.n, stats_random_u64(seed, 0)};
    drawn_sample of_y = {NULL, y.n, stats_random_u64(seed, 1)};
    resampler *sample_x = NULL, *sample_y = NULL;
    bootstrap *b = NULL;
    gb_status status = resampler_create(&sample_x, x, err);
    if (status == GB_OK) {
        status = resampler_create(&sample_y, y, err);
    }
    if (status == GB_OK) {
        status = bootstrap_allocate(&b, x.n + y.n, resamples, err);
    }
    if (status == GB_OK) {
        b->resolution = resolution;
        of_x.sample = sample_x;
        of_y.sample = sample_y;
        status = bootstrap_fill(out, b, of_x, of_y, err);
    }
    resampler_free(sample_x);
    resampler_free(sample_y);
    return status;
}

void bootstrap_shift(bootstrap *b, double by)
{
    b->value += by; /* pivots are distances from it */
    b->least += by;
    b->most += by;
}

void bootstrap_widen(bootstrap *b, double factor)
{
    b->standard_error *= factor; /* pivots are in its units */
}

void bootstrap_bound(bootstrap *b, double least, double most)
{
    b->least = least;
    b->most = most;
}

/* The alpha of the interval from the smallest to the largest value. */
static double range_alpha(const bootstrap *b)
{
    return exp2(1 - (double)b->n);
}

double bootstrap_value(const bootstrap *b)
{
    return b->value;
}

double bootstrap_standard_error(const bootstrap *b)
{
    return b->standard_error;
}

/* ---- reading it ---- */

/* Of the normal distribution: Student's for as many degrees of freedom as make no difference. */
static double normal_quantile(double p)
{
    return stats_t_quantile(p, 1e9);
}

stats_interval bootstrap_interval(const bootstrap *b, double level)
{
    stats_interval out = {b->value, NAN, NAN};
    if (b->n >= 2 && level > 0 && level < 1 && b->has_interval) {
        double half = b->standard_error * stats_quantile_sorted(b->pivots, b->resamples, level);
        out.low = b->value - half;
        out.high = b->value + half;
        if (1 - level >= range_alpha(b)) {
            out.low = fmax(out.low, b->least);
            out.high = fmin(out.high, b->most);
        }
        if (b->resolution > 0) {
            double coarse = b->resolution * normal_quantile((1 + level) / 2);
            out.low = fmin(out.low, b->value - coarse);
            out.high = fmax(out.high, b->value + coarse);
        }
    }
    return out;
}

/* The level whose quantile of the pivots is t: the inverse of stats_quantile_sorted. */
static double pivot_level(const bootstrap *b, double t)
{
    const double *x = b->pivots;
    size_t last = b->resamples - 1;
    if (t >= x[last] || last == 0) {
        return t >= x[last] ? 1 : 0;
    }
    if (t < x[0]) {
        return 0;
    }
    size_t low = 0, high = last; /* x[low] <= t < x[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(x[middle] <= t ? &low : &high) = middle;
    }
    return ((double)low + (t - x[low]) / (x[high] - x[low])) / (double)last;
}

double bootstrap_p_above(const bootstrap *b, double threshold)
{
    if (!b->has_interval || b->n < 2) {
        return NAN;
    }
    double distance = b->value - threshold, least = 1 / (double)(b->resamples + 1);
    double t = b->standard_error > 0 ? fabs(distance) / b->standard_error
               : distance == 0       ? 0
                                     : INFINITY;
    double both = fmax(1 - pivot_level(b, t), least);
    if (threshold < b->least || threshold > b->most) {
        both = fmin(both, fmax(range_alpha(b), least));
    }
    if (b->resolution > 0) {
        both = fmax(both, erfc(fabs(distance) / b->resolution / M_SQRT2));
    }
    return distance >= 0 ? both / 2 : 1 - both / 2;
}
