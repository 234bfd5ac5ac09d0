#include "bench/stats/block_count.h"

#include <math.h>

block_spread block_spread_of(const estimate *e)
{
    double df = e->kind == ESTIMATE_BOOTSTRAP ? BLOCK_COUNT_DF_SHARE * e->df : e->df;
    return (block_spread){e->kind, e->standard_error * sqrt((double)e->n), df};
}

/* ---- power ---- */

/* Density of u, u^2 chi-squared with df degrees of freedom over df. */
static double spread_density(double u, double df)
{
    double log_density =
        log(2.0) + df / 2 * log(df / 2) - lgamma(df / 2) + (df - 1) * log(u) - df / 2 * u * u;
    return exp(log_density);
}

/* E[Phi(reach * u - t)] over u as above, by Simpson's rule. */
static double power_of(double reach, double t, double df)
{
    if (!(df < 1e4)) {
        return stats_normal_cdf(reach - t);
    }
    enum { PIECES = 200 };
    double top = 1 + 8 / sqrt(df), sum = 0;
    for (int i = 1; i <= PIECES; i++) { /* the density vanishes at 0, or for df = 1 Phi is small */
        double u = top * i / PIECES;
        double weight = i == PIECES ? 1 : i % 2 ? 4 : 2;
        sum += weight * spread_density(u, df) * stats_normal_cdf(reach * u - t);
    }
    return sum * top / PIECES / 3;
}

/* Student's quantile for the interval of n blocks. */
static double interval_t(estimate_kind kind, double n, double alpha)
{
    return stats_t_quantile(1 - alpha / 2, fmax(estimate_df(kind, (size_t)n), 1));
}

static bool usable(block_spread spread, double alpha, double power)
{
    return isfinite(spread.sd) && spread.sd >= 0 && spread.df >= 1 && alpha > 0 && alpha < 1 &&
           power > 0 && power < 1;
}

static bool suffices(block_spread spread, double distance, double n, double alpha, double power)
{
    double t = interval_t(spread.kind, n, alpha);
    return power_of(distance * sqrt(n) / spread.sd, t, spread.df) >= power;
}

double block_count_needed(block_spread spread, double distance, double alpha, double power)
{
    if (!usable(spread, alpha, power) || isnan(distance)) {
        return NAN;
    }
    if (!(distance > 0)) {
        return INFINITY;
    }
    double low = spread.kind == ESTIMATE_BOOTSTRAP ? ESTIMATE_MIN_BLOCKS : 2, high = low;
    if (!(spread.sd > 0) || suffices(spread, distance, low, alpha, power)) {
        return low;
    }
    while (!suffices(spread, distance, high, alpha, power)) {
        low = high;
        high *= 2;
        if (high > 1e6) {
            return INFINITY;
        }
    }
    while (high - low > 1) {
        double middle = floor((low + high) / 2);
        *(suffices(spread, distance, middle, alpha, power) ? &high : &low) = middle;
    }
    return high;
}

double block_count_to_find(block_spread spread, double change, double band, double alpha, size_t m,
                           double power)
{
    double edge = change < 0 ? -log1p(-band) : log1p(band);
    double distance = fabs(log1p(change)) - edge;
    return block_count_needed(spread, distance, alpha / (double)(m ? m : 1), power);
}

double block_count_to_settle(block_spread spread, double value, double band, double alpha,
                             double power)
{
    double low = log1p(-band), high = log1p(band);
    if (value > high || value < low) {
        return block_count_needed(spread, value > high ? value - high : low - value, alpha, power);
    }
    /* Inside, the interval may fail on either side: each gets half of the chance to miss. */
    double distance = fmin(value - low, high - value);
    return block_count_needed(spread, distance, alpha, (1 + power) / 2);
}

double block_count_detectable(block_spread spread, double n, double band, double alpha,
                              double power)
{
    if (!usable(spread, alpha, power) || !(n >= 2)) {
        return NAN;
    }
    double reach = interval_t(spread.kind, n, alpha) + stats_t_quantile(power, spread.df);
    return expm1(log1p(band) + reach * spread.sd / sqrt(n));
}

/* ---- stopping ---- */

size_t block_count_next_look(size_t n_blocks)
{
    size_t look = BLOCK_COUNT_FIRST_LOOK;
    while (look <= n_blocks) {
        look += (look + 3) / 4;
    }
    return look;
}

bool block_count_is_look(size_t n_blocks)
{
    return n_blocks > 0 && block_count_next_look(n_blocks - 1) == n_blocks;
}

double block_count_precision(const estimate *const *estimates, size_t m)
{
    double widest = m ? 0 : NAN;
    for (size_t i = 0; i < m; i++) {
        stats_interval change = estimate_change(estimates[i], 0.95);
        double half = fmax(change.high - change.value, change.value - change.low);
        if (isnan(change.low)) {
            return NAN;
        }
        widest = fmax(widest, half);
    }
    return widest;
}

bool block_count_may_stop(const estimate *const *estimates, size_t m, size_t n_blocks,
                          double precision)
{
    return block_count_is_look(n_blocks) && block_count_precision(estimates, m) <= precision;
}
