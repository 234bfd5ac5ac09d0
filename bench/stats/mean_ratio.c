#include "bench/stats/mean_ratio.h"

#include <float.h>
#include <math.h>

static const estimate nothing = {ESTIMATE_NONE, 0, NAN, NAN, NAN, NAN, NULL};

/* Sums of a sample: Welford's mean and sum of squares, so that equal values have none. */
typedef struct moments {
    size_t n;
    double mean, squares;
} moments;

static void moments_add(moments *m, double x)
{
    double step = x - m->mean;
    m->n++;
    m->mean += step / (double)m->n;
    m->squares += step * (x - m->mean);
}

static double moments_sd(const moments *m)
{
    return m->n < 2 ? NAN : sqrt(m->squares / (double)(m->n - 1));
}

static bool is_pair(double config, double base)
{
    return isfinite(config) && isfinite(base);
}

/* What two values differ by, and what each side's errors are counted in. */
typedef struct scaled {
    bool exists;
    double value, x_unit, y_unit;
} scaled;

static scaled scaled_make(mean_scale scale, double config, double base)
{
    if (scale == MEAN_DIFFERENCE) {
        return (scaled){isfinite(config) && isfinite(base), config - base, 1, 1};
    }
    bool exists = config > 0 && base > 0;
    return (scaled){exists, exists ? log(config / base) : NAN, config, base};
}

/* Both samples of n pairs, those where both are finite. */
static void pairs_measure(const double *config, const double *base, size_t n, moments *x,
                          moments *y)
{
    *x = *y = (moments){.n = 0};
    for (size_t i = 0; i < n; i++) {
        if (is_pair(config[i], base[i])) {
            moments_add(x, config[i]);
            moments_add(y, base[i]);
        }
    }
}

/* The standard deviation of the pairs' differences, each side in its unit. */
static double pairs_sd(const double *config, const double *base, size_t n, scaled units)
{
    moments d = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        if (is_pair(config[i], base[i])) {
            moments_add(&d, config[i] / units.x_unit - base[i] / units.y_unit);
        }
    }
    return moments_sd(&d);
}

estimate mean_ratio_paired(mean_scale scale, const double *config, const double *base, size_t n)
{
    moments x, y;
    pairs_measure(config, base, n, &x, &y);
    scaled of = scaled_make(scale, x.mean, y.mean);
    if (x.n == 0 || !of.exists) {
        return nothing;
    }
    estimate e = nothing;
    e.kind = ESTIMATE_STUDENT;
    e.n = x.n;
    e.value = of.value;
    e.standard_error = pairs_sd(config, base, n, of) / sqrt((double)x.n);
    e.df = x.n < 2 ? NAN : (double)(x.n - 1);
    return e;
}

estimate extreme_ratio_paired(mean_scale scale, mean_extremes of, const double *config,
                              const double *base, size_t n)
{
    estimate e = mean_ratio_paired(scale, config, base, n);
    scaled extremes = scaled_make(scale, of.config, of.base);
    if (e.kind == ESTIMATE_NONE || !extremes.exists) {
        return nothing;
    }
    e.value = extremes.value;
    e.standard_error *= sqrt((double)e.n);
    return e;
}

static moments sample_measure(stats_sample sample)
{
    moments m = {.n = 0};
    for (size_t i = 0; i < sample.n; i++) {
        if (isfinite(sample.values[i])) {
            moments_add(&m, sample.values[i]);
        }
    }
    return m;
}

/* Welch and Satterthwaite: of two independent errors. */
static double df_of_two(double v_x, double df_x, double v_y, double df_y)
{
    double v = v_x + v_y;
    return v > 0 ? v * v / (v_x * v_x / df_x + v_y * v_y / df_y) : df_x + df_y;
}

estimate mean_ratio_of_two(mean_scale scale, stats_sample config, stats_sample base)
{
    moments x = sample_measure(config), y = sample_measure(base);
    scaled of = scaled_make(scale, x.mean, y.mean);
    if (x.n == 0 || y.n == 0 || !of.exists) {
        return nothing;
    }
    double e_x = moments_sd(&x) / of.x_unit, e_y = moments_sd(&y) / of.y_unit;
    double v_x = e_x * e_x / (double)x.n, v_y = e_y * e_y / (double)y.n;
    estimate e = nothing;
    e.kind = ESTIMATE_STUDENT;
    e.n = x.n < y.n ? x.n : y.n;
    e.value = of.value;
    e.standard_error = sqrt(v_x + v_y);
    e.df = df_of_two(v_x, (double)x.n - 1, v_y, (double)y.n - 1);
    return e;
}

estimate extreme_ratio_of_two(mean_scale scale, mean_extremes of, stats_sample config,
                              stats_sample base)
{
    moments x = sample_measure(config), y = sample_measure(base);
    scaled means = scaled_make(scale, x.mean, y.mean);
    scaled extremes = scaled_make(scale, of.config, of.base);
    if (x.n == 0 || y.n == 0 || !means.exists || !extremes.exists) {
        return nothing;
    }
    double e_x = moments_sd(&x) / means.x_unit, e_y = moments_sd(&y) / means.y_unit;
    estimate e = nothing;
    e.kind = ESTIMATE_STUDENT;
    e.n = x.n < y.n ? x.n : y.n;
    e.value = extremes.value;
    e.standard_error = hypot(e_x, e_y);
    e.df = df_of_two(e_x * e_x, (double)x.n - 1, e_y * e_y, (double)y.n - 1);
    return e;
}

/* ---- rounding ---- */

static bool counts(double x)
{
    return isfinite(x) && x != 0;
}

/* A double holds 3.2784 with an error of 1e-16 of it: a multiple is one to 1e-9 of a step. */
static bool sample_is_on_grid(stats_sample sample, double per_unit)
{
    for (size_t i = 0; i < sample.n; i++) {
        double steps = sample.values[i] * per_unit;
        if (counts(sample.values[i]) && fabs(steps - nearbyint(steps)) > 1e-9 * fmax(1, steps)) {
            return false;
        }
    }
    return true;
}

static double sample_largest(stats_sample sample)
{
    double largest = 0;
    for (size_t i = 0; i < sample.n; i++) {
        largest = counts(sample.values[i]) ? fmax(largest, fabs(sample.values[i])) : largest;
    }
    return largest;
}

double mean_value_step(stats_sample config, stats_sample base)
{
    double largest = fmax(sample_largest(config), sample_largest(base));
    double per_unit = 100;
    for (int digits = 2; largest > 0 && digits <= 6; digits++, per_unit *= 10) {
        if (sample_is_on_grid(config, per_unit) && sample_is_on_grid(base, per_unit)) {
            return 1 / per_unit;
        }
    }
    return FLT_EPSILON * fmax(1, largest);
}

void mean_ratio_floor_error(estimate *e, double step, double level)
{
    double least = step / sqrt(6) / level;
    if (isfinite(e->standard_error) && e->standard_error < least) {
        e->standard_error = least;
    }
}
