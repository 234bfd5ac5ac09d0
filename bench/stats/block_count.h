/* block_count.h: how many blocks a result needs. A planner asks it, a runner that stops when a
 * precision is reached, and a verdict that is not clear.
 *
 * The spread is itself an estimate, and one that comes out too small asks for too few blocks. So
 * the power asked for is an average over what the true spread may be, given the degrees of freedom
 * that it was estimated with: with sd = s from df degrees of freedom, n blocks find a distance d
 * with power E[Phi(d sqrt(n) / s * u - t)], where u^2 is chi-squared / df and t the quantile of
 * Student's distribution for the interval of n blocks. */
#ifndef GPTBENCH_BENCH_BLOCK_COUNT_H
#define GPTBENCH_BENCH_BLOCK_COUNT_H

#include <stdbool.h>

#include "bench/stats/estimate.h"

/* Spread of one block's (or replicate's) log ratio: standard error = sd / sqrt(n). */
typedef struct block_spread {
    estimate_kind kind; /* how the interval will be made: ESTIMATE_BOOTSTRAP or ESTIMATE_STUDENT */
    double sd;
    double df; /* of the pilot that sd comes from; INFINITY when it is known */
} block_spread;

/* A winsorised spread of blocks with outliers and clumps is less certain than one of normal values:
 * in the simulation (test_planner) the power asked for comes out when its degrees of freedom count
 * for this much. */
#define BLOCK_COUNT_DF_SHARE 0.7

/* From an estimate; sd NAN where it has no standard error. */
block_spread block_spread_of(const estimate *e);
/* Blocks, all told, after which a two-sided interval at level 1 - alpha around a true value ends
 * short of a point `distance` (in log ratios) away, with the given power. At least
 * ESTIMATE_MIN_BLOCKS for blocks and 2 for replicates. NAN where a number is not usable; INFINITY
 * for no distance, and above a million. */
double block_count_needed(block_spread spread, double distance, double alpha, double power);

/* The planner's question: blocks to find a true `change` (0.01: 1 %, either sign) beyond the band,
 * as one of m configs (alpha / m, the worst case of Holm's rule). As above; INFINITY when the
 * change lies inside the band. */
double block_count_to_find(block_spread spread, double change, double band, double alpha, size_t m,
                           double power);

/* Blocks, all told, after which an interval around `value` (log ratio, taken as true) would lie
 * beyond or inside the band, whichever side of its edge the value is on. */
double block_count_to_settle(block_spread spread, double value, double band, double alpha,
                             double power);

/* The least true |change| that n blocks would find beyond the band with this power, of the two
 * signs the larger; NAN where it cannot be said. */
double block_count_detectable(block_spread spread, double n, double band, double alpha,
                              double power);

/* ---- `stop = precision 1%` ----
 *
 * A run may stop when every config is known precisely enough, by the half width of its plain 95 %
 * interval. That is stopping by precision, not by significance: the rule looks at how wide the
 * interval is and not at where it lies, so it cannot favour a verdict. It does cost coverage: a
 * spread that happens to look small stops too early. Three things keep that cost low: at least
 * BLOCK_COUNT_FIRST_LOOK blocks; looks at few block counts only, each a quarter more than the last;
 * and the widest interval of all configs decides. The simulated coverage under this rule is in
 * docs/MEASURING.md. */

enum { BLOCK_COUNT_FIRST_LOOK = 10 };

/* Whether the rule looks after this many whole blocks: 10, 13, 17, 22, 28, 35, ... */
bool block_count_is_look(size_t n_blocks);
/* The first look after more than n_blocks. */
size_t block_count_next_look(size_t n_blocks);
/* Half width of the widest plain 95 % interval, as a fraction: the larger side of the change. NAN
 * when m is 0 or an estimate has no interval. */
double block_count_precision(const estimate *const *estimates, size_t m);
/* All of it: whether to stop now. `precision` as a fraction: 0.01. */
bool block_count_may_stop(const estimate *const *estimates, size_t m, size_t n_blocks,
                          double precision);

#endif
