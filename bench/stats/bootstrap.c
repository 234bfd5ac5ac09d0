#include "bench/stats/bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/parallel.h"
#include "bench/stats/resample.h"

struct bootstrap {
    bootstrap_location location;
    size_t n, resamples;
    double value, standard_error;
    double bias;         /* BCa's z0 */
    double acceleration; /* BCa's a */
    bool studentised;    /* pivots exist */
    bool of_two;         /* a difference of two samples: BCa's numbers are not known */
    double *values;      /* resampled locations, ascending */
    double *pivots;      /* |t*|, ascending */
};

/* ---- location and its standard error ---- */

size_t bootstrap_trimmed_count(size_t n, bootstrap_location location)
{
    return location == BOOTSTRAP_TRIMMED_MEAN ? n / 5 : 0;
}

double bootstrap_location_sorted(const double *x, size_t n, bootstrap_location location)
{
    if (location == BOOTSTRAP_MEDIAN) {
        return stats_quantile_sorted(x, n, 0.5);
    }
    size_t g = bootstrap_trimmed_count(n, location);
    return stats_mean(x + g, n - 2 * g);
}

double bootstrap_standard_error_sorted(const double *x, size_t n, bootstrap_location location)
{
    size_t g = bootstrap_trimmed_count(n, location), kept = n - 2 * g;
    if (location == BOOTSTRAP_MEDIAN || kept < 2) {
        return NAN;
    }
    /* Winsorised: what is cut off counts as the last value that is kept. */
    double low = x[g], high = x[n - g - 1], ends = (double)g;
    double mean = (ends * low + ends * high + stats_mean(x + g, kept) * (double)kept) / (double)n;
    double squares = ends * ((low - mean) * (low - mean) + (high - mean) * (high - mean));
    for (size_t i = g; i < n - g; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    double sd = sqrt(squares / (double)(n - 1));
    return sd * sqrt((double)n) / (double)kept; /* sd / ((1 - 2g/n) sqrt(n)) */
}

double bootstrap_yuen_error_sorted(const double *x, size_t n, bootstrap_location location)
{
    double kept = (double)(n - 2 * bootstrap_trimmed_count(n, location));
    double factor = sqrt((double)(n - 1) * kept / ((kept - 1) * (double)n));
    return factor * bootstrap_standard_error_sorted(x, n, location);
}

/* ---- resampling ---- */

/* How far off a resample is, in its own standard errors. */
static double pivot_of(const bootstrap *b, double value, double error)
{
    double shift = fabs(value - b->value);
    /* A resample without spread that lies elsewhere is as far off as can be; a finite number, so
     * that quantiles can be interpolated. */
    return error > 0 ? shift / error : shift > 0 ? 1e100 : 0;
}

/* A sample and where its draws come from. */
typedef struct drawn_sample {
    const resampler *sample; /* NULL: there is no second one */
    size_t n;
    resample_draws from;
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
        resample_location at = resampler_draw(w->x.sample, space, w->x.from, r);
        if (w->y.sample) {
            resample_location of_y = resampler_draw(w->y.sample, space, w->y.from, r);
            at.value -= of_y.value;
            at.error = hypot(resampler_yuen(w->x.sample, at.error),
                             resampler_yuen(w->y.sample, of_y.error));
        }
        b->values[r] = at.value;
        b->pivots[r] = b->studentised ? pivot_of(b, at.value, at.error) : 0;
    }
}

static void sort_share(void *user, int share)
{
    bootstrap *b = user;
    stats_sort(share == 0 ? b->values : b->pivots, b->resamples);
}

static void sort_resamples(bootstrap *b)
{
    enum { WORTH = 10000 }; /* a thread takes some 20 us to make, they some 200 us to sort */
    const int shares = parallel_shares(2 * b->resamples, WORTH);
    if (shares > 1) {
        parallel_run(2, sort_share, b);
    } else {
        sort_share(b, 0);
        sort_share(b, 1);
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
    return enough ? GB_OK
                  : gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", largest);
}

/* Given draws are looked at before they are used. */
static gb_status indices_check(const uint32_t *indices, size_t resamples, size_t n, gb_error *err)
{
    for (size_t i = 0; indices && i < resamples * n; i++) {
        if (indices[i] >= n) {
            return gb_fail(err, GB_ERR_INTERNAL, "bootstrap: index %zu of %zu values",
                           (size_t)indices[i], n);
        }
    }
    return GB_OK;
}

/* ---- BCa's two numbers ---- */

/* How far the sample's own location is from the middle of the resampled ones, in normal scores;
 * resamples that hit it exactly count half. */
static double bias_of(const bootstrap *b)
{
    size_t below = 0, equal = 0;
    for (size_t r = 0; r < b->resamples; r++) {
        below += b->values[r] < b->value;
        equal += b->values[r] == b->value;
    }
    return stats_normal_quantile(((double)below + (double)equal / 2) / (double)b->resamples);
}

/* Skewness of the jackknife values; `scratch` has n places. */
static double acceleration_of(const bootstrap *b, const double *sorted, double *scratch,
                              double *left_out)
{
    for (size_t skip = 0; skip < b->n; skip++) {
        memcpy(scratch, sorted, skip * sizeof *sorted);
        memcpy(scratch + skip, sorted + skip + 1, (b->n - skip - 1) * sizeof *sorted);
        left_out[skip] = bootstrap_location_sorted(scratch, b->n - 1, b->location);
    }
    double mean = stats_mean(left_out, b->n), squares = 0, cubes = 0;
    for (size_t i = 0; i < b->n; i++) {
        double d = mean - left_out[i];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0;
}

/* ---- life ---- */

void bootstrap_free(bootstrap *b)
{
    if (b) {
        free(b->values);
        free(b->pivots);
        free(b);
    }
}

static gb_status bootstrap_allocate(bootstrap **out, size_t n, bootstrap_location location,
                                    size_t resamples, gb_error *err)
{
    bootstrap *b = calloc(1, sizeof *b);
    if (b) {
        *b = (bootstrap){.location = location, .n = n, .resamples = resamples};
        b->values = calloc(resamples, sizeof *b->values);
        b->pivots = calloc(resamples, sizeof *b->pivots);
    }
    if (!b || !b->values || !b->pivots) {
        bootstrap_free(b);
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu resamples", resamples);
    }
    *out = b;
    return GB_OK;
}

static gb_status bootstrap_fill(bootstrap *b, const resampler *sample, resample_draws from,
                                gb_error *err)
{
    b->value = resampler_value(sample);
    b->standard_error = resampler_error(sample);
    b->studentised = isfinite(b->standard_error);
    double *scratch = malloc(2 * b->n * sizeof *scratch);
    if (!scratch) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a jackknife of %zu values", b->n);
    }
    gb_status status = resample_all(b, (drawn_sample){sample, b->n, from}, (drawn_sample){0}, err);
    if (status == GB_OK) {
        b->bias = bias_of(b);
        b->acceleration =
            b->n > 1 ? acceleration_of(b, resampler_sorted(sample), scratch, scratch + b->n) : 0;
        if (b->location == BOOTSTRAP_MEDIAN) {
            b->standard_error = stats_sd(b->values, b->resamples);
        }
        sort_resamples(b);
    }
    free(scratch);
    return status;
}

static gb_status sample_check(const double *x, size_t n, size_t resamples, gb_error *err)
{
    if (n == 0 || n > INT32_MAX || resamples == 0) {
        return gb_fail(err, GB_ERR_INTERNAL, "a bootstrap of %zu values with %zu resamples", n,
                       resamples);
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return gb_fail(err, GB_ERR_INTERNAL, "a bootstrap of a value that is not finite");
        }
    }
    return GB_OK;
}

static gb_status create(bootstrap **out, const double *x, size_t n, bootstrap_location location,
                        size_t resamples, resample_draws from, gb_error *err)
{
    GB_TRY(sample_check(x, n, resamples, err));
    GB_TRY(indices_check(from.indices, resamples, n, err));
    resampler *sample = NULL;
    GB_TRY(resampler_create(&sample, x, n, location, err));
    bootstrap *b = NULL;
    gb_status status = bootstrap_allocate(&b, n, location, resamples, err);
    status = status == GB_OK ? bootstrap_fill(b, sample, from, err) : status;
    resampler_free(sample);
    if (status != GB_OK) {
        bootstrap_free(b);
        return status;
    }
    *out = b;
    return GB_OK;
}

gb_status bootstrap_create(bootstrap **out, const double *x, size_t n, bootstrap_location location,
                           size_t resamples, uint64_t seed, gb_error *err)
{
    return create(out, x, n, location, resamples, (resample_draws){NULL, seed}, err);
}

gb_status bootstrap_create_from(bootstrap **out, const double *x, size_t n,
                                bootstrap_location location, const uint32_t *indices,
                                size_t resamples, gb_error *err)
{
    return create(out, x, n, location, resamples, (resample_draws){indices, 0}, err);
}

/* ---- two samples ---- */

static gb_status fill_two(bootstrap *b, drawn_sample x, drawn_sample y, gb_error *err)
{
    b->of_two = true;
    b->value = resampler_value(x.sample) - resampler_value(y.sample);
    b->standard_error = hypot(resampler_yuen_error(x.sample), resampler_yuen_error(y.sample));
    b->studentised = isfinite(b->standard_error);
    GB_TRY(resample_all(b, x, y, err));
    sort_resamples(b);
    return GB_OK;
}

static gb_status two_samples_check(const bootstrap_sample *x, const bootstrap_sample *y,
                                   size_t resamples, gb_error *err)
{
    GB_TRY(sample_check(x->values, x->n, resamples, err));
    GB_TRY(sample_check(y->values, y->n, resamples, err));
    GB_TRY(indices_check(x->draws, resamples, x->n, err));
    return indices_check(y->draws, resamples, y->n, err);
}

gb_status bootstrap_create_two(bootstrap **out, const bootstrap_sample *x,
                               const bootstrap_sample *y, bootstrap_location location,
                               size_t resamples, uint64_t seed, gb_error *err)
{
    GB_TRY(two_samples_check(x, y, resamples, err));
    drawn_sample of_x = {NULL, x->n, {x->draws, stats_random_u64(seed, 0)}};
    drawn_sample of_y = {NULL, y->n, {y->draws, stats_random_u64(seed, 1)}};
    resampler *sample_x = NULL, *sample_y = NULL;
    bootstrap *b = NULL;
    gb_status status = resampler_create(&sample_x, x->values, x->n, location, err);
    if (status == GB_OK) {
        status = resampler_create(&sample_y, y->values, y->n, location, err);
    }
    if (status == GB_OK) {
        status = bootstrap_allocate(&b, x->n + y->n, location, resamples, err);
    }
    if (status == GB_OK) {
        of_x.sample = sample_x;
        of_y.sample = sample_y;
        status = fill_two(b, of_x, of_y, err);
    }
    resampler_free(sample_x);
    resampler_free(sample_y);
    if (status != GB_OK) {
        bootstrap_free(b);
        return status;
    }
    *out = b;
    return GB_OK;
}

void bootstrap_shift(bootstrap *b, double by)
{
    b->value += by;
    for (size_t r = 0; r < b->resamples; r++) {
        b->values[r] += by;
    }
}

void bootstrap_widen(bootstrap *b, double factor)
{
    b->standard_error *= factor;
    for (size_t r = 0; r < b->resamples; r++) {
        b->values[r] = b->value + factor * (b->values[r] - b->value);
    }
}

double bootstrap_value(const bootstrap *b)
{
    return b->value;
}

double bootstrap_standard_error(const bootstrap *b)
{
    return b->standard_error;
}

size_t bootstrap_count(const bootstrap *b)
{
    return b->n;
}

size_t bootstrap_resamples(const bootstrap *b)
{
    return b->resamples;
}

const double *bootstrap_sorted(const bootstrap *b)
{
    return b->values;
}

/* ---- reading it ---- */

/* The level that BCa takes instead of q. */
static double bca_level(const bootstrap *b, double q)
{
    double z = b->bias + stats_normal_quantile(q);
    return stats_normal_cdf(b->bias + z / (1 - b->acceleration * z));
}

stats_interval bootstrap_interval(const bootstrap *b, bootstrap_method method, double level)
{
    stats_interval out = {b->value, NAN, NAN};
    if (b->n < 2 || !(level > 0 && level < 1)) {
        return out;
    }
    double low = (1 - level) / 2, high = (1 + level) / 2;
    switch (method) {
    case BOOTSTRAP_BCA:
        if (b->of_two) {
            return out;
        }
        low = bca_level(b, low);
        high = bca_level(b, high);
        if (isnan(low) || isnan(high)) { /* no resample on one side: nothing to correct by */
            return (stats_interval){b->value, b->values[0], b->values[b->resamples - 1]};
        }
        break;
    case BOOTSTRAP_STUDENTISED:
        if (b->studentised) {
            double half = b->standard_error * stats_quantile_sorted(b->pivots, b->resamples, level);
            out.low = b->value - half;
            out.high = b->value + half;
        }
        return out;
    case BOOTSTRAP_PERCENTILE:
        break;
    }
    out.low = stats_quantile_sorted(b->values, b->resamples, low);
    out.high = stats_quantile_sorted(b->values, b->resamples, high);
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
    if (!b->studentised || b->n < 2) {
        return NAN;
    }
    double distance = b->value - threshold, least = 1 / (double)(b->resamples + 1);
    double t = b->standard_error > 0 ? fabs(distance) / b->standard_error
               : distance == 0       ? 0
                                     : INFINITY;
    double both = fmax(1 - pivot_level(b, t), least);
    return distance >= 0 ? both / 2 : 1 - both / 2;
}

double bootstrap_p_below(const bootstrap *b, double threshold)
{
    return 1 - bootstrap_p_above(b, threshold);
}
