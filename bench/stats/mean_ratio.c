#include "bench/stats/mean_ratio.h"

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

static bool ratio_exists(double config, double base)
{
    return config > 0 && base > 0;
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

/* The standard deviation of config / x - base / y over the pairs. */
static double pairs_sd(const double *config, const double *base, size_t n, double x, double y)
{
    moments d = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        if (is_pair(config[i], base[i])) {
            moments_add(&d, config[i] / x - base[i] / y);
        }
    }
    return moments_sd(&d);
}

estimate mean_ratio_paired(const double *config, const double *base, size_t n)
{
    moments x, y;
    pairs_measure(config, base, n, &x, &y);
    if (x.n == 0 || !ratio_exists(x.mean, y.mean)) {
        return nothing;
    }
    estimate e = nothing;
    e.kind = ESTIMATE_STUDENT;
    e.n = x.n;
    e.value = log(x.mean / y.mean);
    e.standard_error = pairs_sd(config, base, n, x.mean, y.mean) / sqrt((double)x.n);
    e.df = x.n < 2 ? NAN : (double)(x.n - 1);
    return e;
}

estimate extreme_ratio_paired(double ratio, const double *config, const double *base, size_t n)
{
    estimate e = mean_ratio_paired(config, base, n);
    if (e.kind == ESTIMATE_NONE || !ratio_exists(ratio, 1)) {
        return nothing;
    }
    e.value = log(ratio);
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

/* `widen_x`, `widen_y`: what the squared errors of the means are multiplied by. */
static estimate of_two(const moments *x, const moments *y, double log_ratio, double widen_x,
                       double widen_y)
{
    double e_x = moments_sd(x) / x->mean, e_y = moments_sd(y) / y->mean;
    double v_x = widen_x * e_x * e_x / (double)x->n, v_y = widen_y * e_y * e_y / (double)y->n;
    estimate e = nothing;
    e.kind = ESTIMATE_STUDENT;
    e.n = x->n < y->n ? x->n : y->n;
    e.value = log_ratio;
    e.standard_error = sqrt(v_x + v_y);
    e.df = df_of_two(v_x, (double)x->n - 1, v_y, (double)y->n - 1);
    return e;
}

estimate mean_ratio_of_two(stats_sample config, stats_sample base)
{
    moments x = sample_measure(config), y = sample_measure(base);
    if (x.n == 0 || y.n == 0 || !ratio_exists(x.mean, y.mean)) {
        return nothing;
    }
    return of_two(&x, &y, log(x.mean / y.mean), 1, 1);
}

estimate extreme_ratio_of_two(double ratio, stats_sample config, stats_sample base)
{
    moments x = sample_measure(config), y = sample_measure(base);
    if (x.n == 0 || y.n == 0 || !ratio_exists(x.mean, y.mean) || !ratio_exists(ratio, 1)) {
        return nothing;
    }
    return of_two(&x, &y, log(ratio), (double)x.n, (double)y.n);
}
