#include "bench/stats/pareto.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Places of the normals of one draw in the generator's sequence. */
enum { PLACE_REPLICATE = 0, PLACE_SPREAD = 1 << 16, PLACE_SPEED = 1 << 17, PLACES = 1 << 20 };

typedef struct drawn {
    double speed, loss;
    int config;
} drawn;

pareto_text pareto_share_text(double share)
{
    pareto_text out = {"-"};
    if (isfinite(share)) {
        const char *side = share < 0.01 ? "<" : share > 0.99 ? ">" : "";
        snprintf(out.text, sizeof out.text, "%s%.0f %%", side, fmin(99, fmax(1, 100 * share)));
    }
    return out;
}

static double uniform_above_0(uint64_t seed, uint64_t counter)
{
    return ((double)(stats_random_u64(seed, counter) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller's transform of two of the generator's numbers. */
static double normal(uint64_t seed, int draw, int64_t place)
{
    uint64_t counter = 2 * ((uint64_t)draw * PLACES + (uint64_t)place % PLACES);
    double radius = sqrt(-2 * log(uniform_above_0(seed, counter)));
    return radius * cos(6.283185307179586 * uniform_above_0(seed, counter + 1));
}

static bool takes_part(const pareto_config *c)
{
    return isfinite(c->log_speed) && c->n_losses > 0;
}

/* sum_r z_r (x_r - mean) / sqrt(n (n - 1)) is normal with the variance of the mean; over the root
 * of a chi-squared by its degrees of freedom it is t. `spread` holds that root for n - 1 of them.
 */
static double loss_draw(const pareto_config *c, uint64_t seed, int draw, const double *spread)
{
    const int n = c->n_losses;
    double mean = stats_mean(c->losses, (size_t)n), sum = 0;
    if (n < 2) {
        return mean;
    }
    for (int r = 0; r < n; r++) {
        int64_t place = PLACE_REPLICATE + (c->replicates[r] & (PLACE_SPREAD - 1));
        sum += normal(seed, draw, place) * (c->losses[r] - mean);
    }
    return mean + sum / sqrt((double)n * (n - 1)) / spread[n - 1];
}

static int faster_first(const void *a, const void *b)
{
    const drawn *x = a, *y = b;
    return (x->speed < y->speed) - (x->speed > y->speed);
}

/* Adds 1 to the count of those on the front. */
static void front_count(drawn *points, int n, double *count)
{
    double lowest = INFINITY; /* among the faster ones */
    qsort(points, (size_t)n, sizeof *points, faster_first);
    for (int i = 0; i < n;) {
        int end = i;
        double best = INFINITY; /* among equally fast ones */
        for (; end < n && points[end].speed == points[i].speed; end++) {
            best = fmin(best, points[end].loss);
        }
        for (; i < end; i++) {
            count[points[i].config] += points[i].loss == best && best < lowest;
        }
        lowest = fmin(lowest, best);
    }
}

static void spread_draw(double *spread, int most, uint64_t seed, int draw)
{
    double sum = 0;
    for (int df = 1; df <= most; df++) {
        double z = normal(seed, draw, PLACE_SPREAD + df);
        sum += z * z;
        spread[df] = sqrt(sum / df);
    }
}

gb_status pareto_probabilities(const pareto_config *configs, int n, int draws, uint64_t seed,
                               double *out, gb_error *err)
{
    int most = 0, n_points = 0;
    for (int i = 0; i < n; i++) {
        most = configs[i].n_losses > most ? configs[i].n_losses : most;
        out[i] = takes_part(&configs[i]) ? 0 : NAN;
    }
    drawn *points = calloc((size_t)n + 1, sizeof *points);
    double *spread = calloc((size_t)most + 1, sizeof *spread);
    gb_status status = GB_OK;
    if (!points || !spread) {
        status = gb_fail(err, GB_ERR_OOM, "no memory for the front of %d configs", n);
        draws = 0;
    }
    for (int draw = 0; draw < draws; draw++) {
        n_points = 0;
        spread_draw(spread, most - 1, seed, draw);
        for (int i = 0; i < n; i++) {
            const pareto_config *c = &configs[i];
            if (takes_part(c)) {
                double error = isfinite(c->log_speed_error) ? c->log_speed_error : 0;
                double z = error > 0 ? normal(seed, draw, PLACE_SPEED + (int64_t)i) : 0;
                points[n_points++] =
                    (drawn){c->log_speed + error * z, loss_draw(c, seed, draw, spread), i};
            }
        }
        front_count(points, n_points, out);
    }
    for (int i = 0; i < n && draws > 0; i++) {
        out[i] /= draws;
    }
    free(points);
    free(spread);
    return status;
}
