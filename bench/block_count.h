/* block_count.h: how many blocks it takes. Questions of a planner, of a runner that stops when a
 * precision is reached, and of a verdict that is not clear.
 *
 * The arithmetic is Stein's (1945): with a spread known only from n blocks so far, both the
 * interval and the chance to miss are taken from Student's t with those degrees of freedom, so the
 * power holds although the spread itself is an estimate. */
#ifndef GPTBENCH_BENCH_BLOCK_COUNT_H
#define GPTBENCH_BENCH_BLOCK_COUNT_H

#include <stdbool.h>

#include "bench/estimate.h"

/* Spread of one block's log ratio, such that standard error = spread / sqrt(n). */
typedef struct block_spread {
    double sd;
    double df; /* of the pilot that it comes from; INFINITY when it is known */
} block_spread;

/* From an estimate that has a standard error; sd NAN else. */
block_spread block_spread_of(const estimate *e);
/* From n pilot log ratios directly. GB_ERR_OOM. */
gb_status block_spread_from(block_spread *out, const double *log_ratios, size_t n, gb_error *err);

/* Blocks so that a two-sided interval at level 1 - alpha clears a distance (in log ratios) from the
 * true value with the given power: the least n with (t_alpha/2 + t_power)^2 sd^2 / distance^2 <= n.
 * At least BLOCK_COUNT_MIN. NAN where a number is not usable; INFINITY for no distance. */
double block_count_needed(block_spread spread, double distance, double alpha, double power);

/* The planner's question: blocks to find a true `change` (0.01: 1 %, either sign) LESS or MORE
 * against `band`, as one of m configs (alpha / m, Holm's worst case). NAN or INFINITY as above;
 * INFINITY when the change lies within the band. */
double block_count_to_find(block_spread spread, double change, double band, double alpha, size_t m,
                           double power);

/* Blocks, all told, after which an interval around `value` (log ratio, taken as true) would lie
 * beyond or inside the band, whichever side of its edge the value is on. */
double block_count_to_settle(block_spread spread, double value, double band, double alpha,
                             double power);

/* The least true |change| that n blocks would find beyond the band with this power, of the two
 * signs the larger one; NAN where it cannot be said. */
double block_count_detectable(block_spread spread, double n, double band, double alpha,
                              double power);

enum { BLOCK_COUNT_MIN = 8 };

/* ---- `stop = precision 1%` ----
 *
 * A run may stop when every config is known precisely enough, by the half width of its plain 95 %
 * interval. That is stopping by precision, never by significance: the rule does not look at where
 * the interval lies, only at how wide it is, so it does not fish for a verdict. What little it does
 * to coverage (a spread that happens to look small stops too early) is held down by three things:
 * at least BLOCK_COUNT_FIRST_LOOK blocks, looks only at a few block counts that grow by a quarter,
 * and the widest interval of all configs decides. The simulation has the coverage that is left. */

enum { BLOCK_COUNT_FIRST_LOOK = 10 };

/* Whether the rule looks after this many whole blocks: 10, 13, 17, 22, 28, ... (each a quarter
 * more, rounded up). */
bool block_count_is_look(size_t n_blocks);
/* The next look after more than n_blocks. */
size_t block_count_next_look(size_t n_blocks);
/* Half width of the widest plain 95 % interval, as a fraction (the larger of its two sides as
 * change); NAN when one of the estimates has no interval. */
double block_count_precision(const estimate *const *estimates, size_t m);
/* All of it: whether to stop now. `precision` as a fraction: 0.01. */
bool block_count_may_stop(const estimate *const *estimates, size_t m, size_t n_blocks,
                          double precision);

#endif
