/* budget.h: losses of two configs at equal budgets, and the budget that one needs to come as low as
 * the other. Pure functions of validation curves; nothing here knows a database.
 *
 * Between two validations a curve is read off linearly in the logarithm of the budget. A loss falls
 * roughly with the logarithm of what was spent, so that this bends with the curve where a straight
 * line over steps would lie above it; it never leaves the two values that it joins; and since
 * steps, tokens, FLOPs and seconds differ by constant factors within a run, it gives the same loss
 * by any of them. From step 0, whose logarithm does not exist, to the first validation after it the
 * line is straight over steps. Beyond its ends a curve is not continued: NAN.
 *
 * A curve ends before its first loss that is not finite. */
#ifndef GPTBENCH_BENCH_BUDGET_H
#define GPTBENCH_BENCH_BUDGET_H

#include "bench/stats/stats.h"

typedef enum budget_kind {
    BUDGET_STEPS,
    BUDGET_TOKENS,
    BUDGET_FLOPS,
    BUDGET_SECONDS,
    BUDGET_KINDS
} budget_kind;

/* "steps", "tokens", "FLOPs", "seconds". */
const char *budget_kind_name(budget_kind kind);

typedef struct budget_eval {
    double steps; /* optimiser steps done; ascending, may start at 0 */
    double val_loss;
} budget_eval;

/* One run. Validations take none of its budget. */
typedef struct budget_run {
    int64_t replicate; /* runs of one replicate are compared with each other */
    const budget_eval *evals;
    int n_evals;
    double tokens_per_step;
    double flops_per_token;
    double seconds_per_step; /* NAN: unknown, and so is everything by seconds */
} budget_run;

/* What the run had taken at its last usable validation; NAN without one. */
double budget_end(const budget_run *run, budget_kind kind);
/* The loss after a budget; NAN outside of the curve. */
double budget_loss_at(const budget_run *run, budget_kind kind, double budget);
/* The budget at which the curve is for the first time at or below a loss; NAN: never. */
double budget_to_reach(const budget_run *run, budget_kind kind, double loss);

/* Losses at one budget: the smallest end of all runs of the pairs, so that all of them reached it.
 */
typedef struct budget_equal {
    double budget;
    int n_pairs;               /* replicates whose two curves both have a value there */
    double base, config;       /* mean losses */
    stats_interval difference; /* config - base over the pairs, paired t, 95 %; no ends with one */
} budget_equal;

/* The budget until a loss as low as the baseline's last one of the same replicate. */
typedef struct budget_reach {
    int n_pairs, n_reached;
    double base,
        config;           /* mean budgets: until its own last loss for the first time; to reach it.
                           * NAN unless all reached it: the mean of those that did would be too good */
    stats_interval ratio; /* config / base: t interval of the mean log ratio, taken back by exp */
} budget_reach;

typedef struct budget_comparison {
    int n_shared; /* replicates that both sides have; all that follows is over these */
    budget_equal equal[BUDGET_KINDS];
    budget_reach reach[BUDGET_KINDS];
} budget_comparison;

/* Replicates on one side only are left out; of two runs of one replicate the first counts.
 * GB_ERR_OOM. */
gb_status budget_compare(budget_comparison *out, const budget_run *config, int n_config,
                         const budget_run *base, int n_base, gb_error *err);

#endif
