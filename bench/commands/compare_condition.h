/* compare_condition.h: `compare --fail-on 'slower>2%'`: a change that lies beyond a limit with its
 * whole 95 % interval; and `--fail-on unclear`: a change of which the interval does not decide. */
#ifndef GPTBENCH_BENCH_COMPARE_CONDITION_H
#define GPTBENCH_BENCH_COMPARE_CONDITION_H

#include "bench/analysis/comparison.h"

typedef struct compare_condition {
    const char *text; /* as given; not copied */
    metric_id metric;
    int sign;     /* +1: the change must lie above the limit, -1: below minus the limit */
    double limit; /* fraction */
    bool unclear; /* `unclear`; `sign` and `limit` say nothing then */
} compare_condition;

/* `WORD>N%`, WORD one of
 *   slower, faster             step_avg; step_median or tokens_per_s (the time per token) where
 *                              `asked` is that
 *   worse, better              val_loss; best_val_loss where `asked` is that
 *   larger, smaller            peak_memory; n_params or flops where `asked` is that
 *   more_memory, less_memory   peak_memory
 * or `unclear`, about `asked`, and step_avg where nothing was asked for.
 * GB_ERR_USAGE names the nearest word, and refuses larger and smaller of a metric that they are not
 * about. METRIC_COUNT: nothing special was asked for. */
gb_status compare_condition_parse(compare_condition *out, const char *text, metric_id asked,
                                  gb_error *err);

/* An `unclear` beside other conditions is about those: it takes the metric of the first of them. */
void compare_conditions_relate(compare_condition *conditions, int n);

/* WORD number i of those above, NULL behind the last. */
const char *compare_condition_word(int i);

typedef enum compare_outcome {
    COMPARE_MET,              /* the whole interval lies beyond the limit */
    COMPARE_NOT_MET,          /* it lies on this side */
    COMPARE_REACHES,          /* it reaches the limit: not met */
    COMPARE_UNDECIDED,        /* there is no interval: not met */
    COMPARE_CONTRADICTED,     /* means of bursts say otherwise than medians: not met */
    COMPARE_MET_DIVERGED,     /* worse: the new side diverged, the base did not */
    COMPARE_NOT_MET_DIVERGED, /* better: the same */
    COMPARE_UNCLEAR,          /* of `unclear`: met */
    COMPARE_CLEAR,            /* of `unclear`: not met */
    COMPARE_OUTCOME_COUNT
} compare_outcome;

/* Of step_avg also by the interval of the bursts' means, where that contradicts the medians'
 * (bench/analysis/means_check.h): what the two do not agree on is undecided. Losses of sides that
 * diverged have no interval: the one that did is worse, by more than any limit.
 * `unclear` alone: the interval holds 0 and is not all within the band of practical equality (for a
 * loss it is enough that it holds 0), or there is none, or the means of bursts contradict it (not
 * of step_median). */
compare_outcome compare_condition_check(const compare_condition *condition, const comparison *c);

/* Of all of them, each with its comparison in made[metric]. `unclear` beside other conditions is
 * about those: one of them is neither met nor surely not met. */
void compare_conditions_check(compare_outcome *out, const compare_condition *conditions, int n,
                              const comparison *made);
/* A condition other than `unclear` is met. */
bool compare_outcome_fails(compare_outcome outcome);
bool compare_outcome_is_met(compare_outcome outcome);
const char *compare_outcome_words(compare_outcome outcome);

#endif
