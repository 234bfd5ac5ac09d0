#include "bench/bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

typedef struct indexed_value {
    double value;
    uint32_t index;
} indexed_value;

static int compare_indexed(const void *a, const void *b)
{
    double x = ((const indexed_value *)a)->value, y = ((const indexed_value *)b)->value;
    return (x > y) - (x < y);
}

/* What resampling needs beside the result. */
typedef struct workspace {
    double *sorted;   /* the sample, ascending */
    double *resample; /* one resample, ascending */
    uint32_t *rank;   /* rank[i]: place of x[i] in sorted */
    uint32_t *times;  /* how often each place was drawn */
    indexed_value *order;
} workspace;

static void workspace_free(workspace *w)
{
    free(w->sorted);
    free(w->resample);
    free(w->rank);
    free(w->times);
    free(w->order);
}

static gb_status workspace_create(workspace *w, const double *x, size_t n, gb_error *err)
{
    *w = (workspace){malloc(n * sizeof(double)), malloc(n * sizeof(double)),
                     malloc(n * sizeof(uint32_t)), calloc(n, sizeof(uint32_t)),
                     malloc(n * sizeof(indexed_value))};
    if (!w->sorted || !w->resample || !w->rank || !w->times || !w->order) {
        workspace_free(w);
        return gb_fail(err, GB_ERR_OOM, "no memory for a bootstrap of %zu values", n);
    }
    for (size_t i = 0; i < n; i++) {
        w->order[i] = (indexed_value){x[i], (uint32_t)i};
    }
    qsort(w->order, n, sizeof *w->order, compare_indexed);
    for (size_t place = 0; place < n; place++) {
        w->sorted[place] = w->order[place].value;
        w->rank[w->order[place].index] = (uint32_t)place;
    }
    return GB_OK;
}

/* w->times to the resample in ascending order: counting takes the place of sorting. */
static void resample_expand(workspace *w, size_t n)
{
    size_t filled = 0;
    for (size_t place = 0; place < n; place++) {
        for (uint32_t k = w->times[place]; k > 0; k--) {
            w->resample[filled++] = w->sorted[place];
        }
        w->times[place] = 0;
    }
}

/* How far off a resample is, in its own standard errors. */
static double pivot_of(const bootstrap *b, double value, double error)
{
    double shift = fabs(value - b->value);
    /* A resample without spread that lies elsewhere is as far off as can be; a finite number, so
     * that quantiles can be interpolated. */
    return error > 0 ? shift / error : shift > 0 ? 1e100 : 0;
}

/* Row r of the draws: given ones, or made from the seed. */
typedef struct draws {
    const uint32_t *indices;
    uint64_t seed;
} draws;

/* Resample r of n values into w->resample. */
static gb_status resample_one(workspace *w, size_t n, draws from, size_t r, gb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = r * n + i;
        size_t index = from.indices ? from.indices[at] : stats_random_below(from.seed, at, n);
        if (index >= n) {
            return gb_fail(err, GB_ERR_INTERNAL, "bootstrap: index %zu of %zu values", index, n);
        }
        w->times[w->rank[index]]++;
    }
    resample_expand(w, n);
    return GB_OK;
}

static gb_status resample_all(bootstrap *b, workspace *w, draws from, gb_error *err)
{
    for (size_t r = 0; r < b->resamples; r++) {
        GB_TRY(resample_one(w, b->n, from, r, err));
        b->values[r] = bootstrap_location_sorted(w->resample, b->n, b->location);
        double error = bootstrap_standard_error_sorted(w->resample, b->n, b->location);
        b->pivots[r] = b->studentised ? pivot_of(b, b->values[r], error) : 0;
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

static gb_status bootstrap_fill(bootstrap *b, const double *x, draws from, gb_error *err)
{
    workspace w;
    GB_TRY(workspace_create(&w, x, b->n, err));
    b->value = bootstrap_location_sorted(w.sorted, b->n, b->location);
    b->standard_error = bootstrap_standard_error_sorted(w.sorted, b->n, b->location);
    b->studentised = isfinite(b->standard_error);
    gb_status status = resample_all(b, &w, from, err);
    double *left_out = status == GB_OK ? malloc(b->n * sizeof *left_out) : NULL;
    if (status == GB_OK && !left_out) {
        status = gb_fail(err, GB_ERR_OOM, "no memory for a jackknife of %zu values", b->n);
    }
    if (status == GB_OK) {
        b->bias = bias_of(b);
        b->acceleration = b->n > 1 ? acceleration_of(b, w.sorted, w.resample, left_out) : 0;
        if (b->location == BOOTSTRAP_MEDIAN) {
            b->standard_error = stats_sd(b->values, b->resamples);
        }
        stats_sort(b->values, b->resamples);
        stats_sort(b->pivots, b->resamples);
    }
    free(left_out);
    workspace_free(&w);
    return status;
}

static gb_status sample_check(const double *x, size_t n, size_t resamples, gb_error *err)
{
    if (n == 0 || n > UINT32_MAX || resamples == 0) {
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
                        size_t resamples, draws from, gb_error *err)
{
    GB_TRY(sample_check(x, n, resamples, err));
    bootstrap *b = NULL;
    GB_TRY(bootstrap_allocate(&b, n, location, resamples, err));
    gb_status status = bootstrap_fill(b, x, from, err);
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
    return create(out, x, n, location, resamples, (draws){NULL, seed}, err);
}

gb_status bootstrap_create_from(bootstrap **out, const double *x, size_t n,
                                bootstrap_location location, const uint32_t *indices,
                                size_t resamples, gb_error *err)
{
    return create(out, x, n, location, resamples, (draws){indices, 0}, err);
}

/* ---- two samples ---- */

static gb_status resample_two(bootstrap *b, workspace *x, size_t n_x, draws from_x, workspace *y,
                              size_t n_y, draws from_y, gb_error *err)
{
    for (size_t r = 0; r < b->resamples; r++) {
        GB_TRY(resample_one(x, n_x, from_x, r, err));
        GB_TRY(resample_one(y, n_y, from_y, r, err));
        b->values[r] = bootstrap_location_sorted(x->resample, n_x, b->location) -
                       bootstrap_location_sorted(y->resample, n_y, b->location);
        double error = hypot(bootstrap_yuen_error_sorted(x->resample, n_x, b->location),
                             bootstrap_yuen_error_sorted(y->resample, n_y, b->location));
        b->pivots[r] = b->studentised ? pivot_of(b, b->values[r], error) : 0;
    }
    stats_sort(b->values, b->resamples);
    stats_sort(b->pivots, b->resamples);
    return GB_OK;
}

static gb_status create_two(bootstrap **out, const bootstrap_sample *x, draws from_x,
                            const bootstrap_sample *y, draws from_y, bootstrap_location location,
                            size_t resamples, gb_error *err)
{
    GB_TRY(sample_check(x->values, x->n, resamples, err));
    GB_TRY(sample_check(y->values, y->n, resamples, err));
    workspace w_x, w_y;
    GB_TRY(workspace_create(&w_x, x->values, x->n, err));
    gb_status status = workspace_create(&w_y, y->values, y->n, err);
    if (status != GB_OK) {
        workspace_free(&w_x);
        return status;
    }
    bootstrap *b = NULL;
    status = bootstrap_allocate(&b, x->n + y->n, location, resamples, err);
    if (status == GB_OK) {
        b->of_two = true;
        b->value = bootstrap_location_sorted(w_x.sorted, x->n, location) -
                   bootstrap_location_sorted(w_y.sorted, y->n, location);
        b->standard_error = hypot(bootstrap_yuen_error_sorted(w_x.sorted, x->n, location),
                                  bootstrap_yuen_error_sorted(w_y.sorted, y->n, location));
        b->studentised = isfinite(b->standard_error);
        status = resample_two(b, &w_x, x->n, from_x, &w_y, y->n, from_y, err);
    }
    workspace_free(&w_x);
    workspace_free(&w_y);
    if (status != GB_OK) {
        bootstrap_free(b);
        return status;
    }
    *out = b;
    return GB_OK;
}

gb_status bootstrap_create_two(bootstrap **out, const bootstrap_sample *x,
                               const bootstrap_sample *y, bootstrap_location location,
                               size_t resamples, uint64_t seed, gb_error *err)
{
    draws from_x = {x->draws, stats_random_u64(seed, 0)};
    draws from_y = {y->draws, stats_random_u64(seed, 1)};
    return create_two(out, x, from_x, y, from_y, location, resamples, err);
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
