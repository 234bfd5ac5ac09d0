/* comparison.h: the difference between two configs in one metric, with an interval and the name of
 * the method that gave it. */
#ifndef GPTBENCH_BENCH_COMPARISON_H
#define GPTBENCH_BENCH_COMPARISON_H

#include "bench/analysis/pair.h"
#include "bench/suite/metric.h"

typedef struct comparison {
    metric_id metric;
    double base, new_value; /* as in the report's tables */
    /* new / base - 1 with a 95 % interval; low and high are NAN where there is none. */
    stats_interval change;
    bool in_nats; /* of losses near their floor: `change` is that of the perplexity, whose
                     logarithm is their difference in nats (runs_pair.h) */
    bool exact;   /* a property of the model: the interval is the value itself */
    bool refused; /* does not compare: no change, and `method` says why */
    bool base_diverged, new_diverged; /* of losses (divergence_of_side) */
    loss_terms terms;                 /* of losses: what they should not be read without */
    means_check means; /* of times from sessions: `change` is by the medians of bursts */
    char method[256];
} comparison;

/* By pair_estimate_make. Where that has no interval for a time because there are too few
 * replicates, over the timed steps of the runs (Welch for the mean, bootstrap for the median),
 * which `method` calls too narrow; not of findings that were read as a summary. Else no interval,
 * and `method` says why. `base` and `new_value` are over all that each side has: the steps of its
 * session, or its runs. GB_ERR_OOM. */
gb_status comparison_of_pair(comparison *out, const pair_side *base, const pair_side *new_side,
                             metric_id metric, gb_error *err);

/* What must not be compared (bench/analysis/comparability.h) has no change, and the method says
 * why, behind these words. */
#define COMPARISON_REFUSED "not compared: "
void comparison_withdraw(comparison *c, const char *why);

/* The same of the runs of two entries of one suite, without interleaved timing; withdrawn where the
 * two do not compare. */
gb_status comparison_make(comparison *out, const findings *data, const result_entry *base,
                          const result_entry *new_entry, metric_id metric, gb_error *err);
/* Of the speeds of their runs: the change of step_avg, or of the time per token where their steps
 * hold other numbers of tokens (*per_token). */
gb_status comparison_of_speed(comparison *out, bool *per_token, const findings *data,
                              const result_entry *base, const result_entry *new_entry,
                              gb_error *err);

#endif
