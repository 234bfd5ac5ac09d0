/* simulated_blocks.h: what a session of interleaved timing blocks could have measured, made up with
 * a seed, for tests of the statistics. Nothing is timed.
 *
 * THE NOISE MODEL. A session has n_blocks blocks; a block visits every arm once in an order drawn
 * anew; a visit is a burst of STEPS steps. Time runs in bursts: visit v of block b is burst
 * number b * n_arms + v. The logarithm of a step's time is the sum of
 *   the arm              log of its true time (arm 0 is the baseline, the last arm its A/A double)
 *   linear drift         `drift` over the whole session, the same for every arm
 *   wave                 a sine of amplitude `wave` with `waves` periods, phase drawn per session
 *   block weather        AR(1) from block to block, coefficient `ar`, stationary sd `ar_sd`; by
 *                        `ar_inside` also between the bursts of a block (a random walk's step
 * there) burst                normal, sd `burst_sd`, independent for each burst step log of a gamma
 * variate with mean 1 and coefficient of variation `step_cv`, independent for each step: skewed, as
 * step times are outliers             with chance `outlier`, the whole burst takes 1 +
 * `outlier_size` * E times as long, E exponential with mean 1: another process in between, always
 * slower clocks               two states, the slow one `clock_gap` slower; after each *step* the
 * state flips with chance 1 / `clock_dwell`, so it also flips inside bursts A burst's statistic is
 * the mean of its steps; a clock with a coarse `tick` rounds it. */
#ifndef GPTBENCH_TESTS_SIMULATED_BLOCKS_H
#define GPTBENCH_TESTS_SIMULATED_BLOCKS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/stats/stats.h"

typedef struct noise_model {
    const char *name;
    double drift, wave, waves;
    double ar, ar_sd, ar_inside;
    double burst_sd, step_cv;
    double outlier, outlier_size;
    double clock_gap, clock_dwell; /* dwell in steps; 0: one clock */
    double tick; /* what bursts are rounded to, of arm 0's true time; 0: nothing */
} noise_model;

enum { SIM_STEPS = 8, SIM_MAX_ARMS = 8, SIM_MAX_BLOCKS = 600 };

typedef struct sim_random {
    uint64_t seed, counter;
} sim_random;

static inline double sim_uniform(sim_random *r) /* in (0, 1) */
{
    return ((double)(stats_random_u64(r->seed, r->counter++) >> 11) + 0.5) * 0x1p-53;
}

static inline double sim_normal(sim_random *r) /* Box and Muller, the cosine half */
{
    double u = sim_uniform(r), v = sim_uniform(r);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Gamma with mean 1 and this coefficient of variation, by Wilson and Hilferty's cube: close enough
 * for coefficients far below 1, and what matters here is the skew. */
static inline double sim_gamma(sim_random *r, double cv)
{
    double root = 1 - cv * cv / 9 + cv / 3 * sim_normal(r);
    return root > 0.1 ? root * root * root : 0.001;
}

/* A session that goes on: blocks come one after the other, so that a rule may stop it. */
typedef struct session {
    const noise_model *model;
    sim_random random;
    size_t n_arms, planned_blocks, block;
    double phase, weather;
    bool slow;
} session;

static inline session session_begin(const noise_model *model, size_t n_arms, size_t planned_blocks,
                                    uint64_t seed)
{
    session s = {
        .model = model, .random = {seed, 0}, .n_arms = n_arms, .planned_blocks = planned_blocks};
    s.phase = 2 * M_PI * sim_uniform(&s.random);
    s.weather = model->ar_sd * sim_normal(&s.random);
    s.slow = sim_uniform(&s.random) < 0.5;
    return s;
}

/* Mean step time of one burst of an arm whose true time is 1, at `when` (0: begin, 1: planned end).
 */
static inline double session_burst(session *s, double when)
{
    const noise_model *m = s->model;
    double level = m->drift * when + m->wave * sin(2 * M_PI * m->waves * when + s->phase) +
                   s->weather + m->burst_sd * sim_normal(&s->random);
    double sum = 0;
    for (int step = 0; step < SIM_STEPS; step++) {
        double ms = sim_gamma(&s->random, m->step_cv);
        sum += s->slow ? ms * (1 + m->clock_gap) : ms;
        if (m->clock_dwell > 0 && sim_uniform(&s->random) < 1 / m->clock_dwell) {
            s->slow = !s->slow;
        }
    }
    double stretch = 1;
    if (sim_uniform(&s->random) < m->outlier) {
        stretch = 1 - m->outlier_size * log(sim_uniform(&s->random));
    }
    return exp(level) * sum / SIM_STEPS * stretch;
}

/* The next block: ms[arm] = the arm's burst, for true times true_ms[arm]. */
static inline void session_block(session *s, const double *true_ms, double *ms)
{
    size_t order[SIM_MAX_ARMS] = {0};
    for (size_t i = 0; i < s->n_arms; i++) {
        size_t j = (size_t)stats_random_below(s->random.seed, s->random.counter++, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    const noise_model *m = s->model;
    for (size_t visit = 0; visit < s->n_arms; visit++) {
        double bursts = (double)(s->block * s->n_arms + visit);
        double when = bursts / (double)(s->planned_blocks * s->n_arms);
        double *burst = &ms[order[visit]], tick = m->tick * true_ms[0];
        *burst = true_ms[order[visit]] * session_burst(s, when);
        *burst = tick > 0 ? tick * nearbyint(*burst / tick) : *burst;
        s->weather += m->ar_inside * sim_normal(&s->random);
    }
    s->weather = m->ar * s->weather + m->ar_sd * sqrt(1 - m->ar * m->ar) * sim_normal(&s->random);
    s->block++;
}

/* "calm" is a quiet machine, "all at once" the sum of the others; the ordinary ones come first. */
enum { SIM_MODELS = 11, SIM_ORDINARY = 9 };
static const noise_model sim_models[SIM_MODELS] = {
    {.name = "calm", .burst_sd = 0.002, .step_cv = 0.01},
    {.name = "drift",
     .drift = 0.05,
     .wave = 0.02,
     .waves = 2.5,
     .burst_sd = 0.003,
     .step_cv = 0.01},
    {.name = "weather",
     .ar = 0.7,
     .ar_sd = 0.02,
     .ar_inside = 0.002,
     .burst_sd = 0.003,
     .step_cv = 0.02},
    {.name = "skewed steps", .burst_sd = 0.002, .step_cv = 0.03},
    {.name = "outliers 3 %",
     .burst_sd = 0.004,
     .step_cv = 0.02,
     .outlier = 0.03,
     .outlier_size = 1},
    {.name = "outliers 5 %",
     .burst_sd = 0.004,
     .step_cv = 0.02,
     .outlier = 0.05,
     .outlier_size = 2},
    {.name = "two clocks",
     .burst_sd = 0.002,
     .step_cv = 0.01,
     .clock_gap = 0.03,
     .clock_dwell = 200},
    {.name = "fast clocks",
     .burst_sd = 0.002,
     .step_cv = 0.01,
     .clock_gap = 0.03,
     .clock_dwell = 30},
    {.name = "all at once",
     .drift = 0.03,
     .wave = 0.01,
     .waves = 2.5,
     .ar = 0.5,
     .ar_sd = 0.01,
     .ar_inside = 0.001,
     .burst_sd = 0.003,
     .step_cv = 0.02,
     .outlier = 0.03,
     .outlier_size = 1,
     .clock_gap = 0.03,
     .clock_dwell = 300},
    /* Beyond what should be measured on: the ratios of a pair come in three clumps. */
    {.name = "wild clocks",
     .burst_sd = 0.002,
     .step_cv = 0.01,
     .clock_gap = 0.08,
     .clock_dwell = 30},
    /* Steps of 100 ticks: bursts repeat two or three values. */
    {.name = "coarse clock", .burst_sd = 0.002, .step_cv = 0.01, .tick = 0.01},
};

#endif
