/* runs_pair.h: what the finished runs of two entries say of how they differ in one metric. The one
 * place where losses of two configs are held against each other: verdicts, `compare` and claims
 * read it. */
#ifndef GPTBENCH_BENCH_RUNS_PAIR_H
#define GPTBENCH_BENCH_RUNS_PAIR_H

#include "bench/analysis/findings.h"
#include "bench/stats/estimate.h"
#include "bench/suite/metric.h"

typedef struct runs_pair {
    /* log(config / base) of the metric; of losses that are judged in nats, config - base.
     * ESTIMATE_NONE: no value. It owns nothing. */
    estimate ratio;
    bool in_nats;
    bool paired;               /* by replicate; else all runs of each, by Welch */
    stats_interval difference; /* config - base in the metric's unit, 95 % */
    /* What base and config come to over the pairs, where one of them has runs without a partner;
     * else NAN. */
    double over_pairs[2];
    char method[256]; /* in words */
} runs_pair;

/* Losses, memory and run times are paired by replicate where the two trained on the same data with
 * the same seed (runs_are_pairs), else compared by Welch's t. Times and memory are paired in one
 * database only (`same_database`) and where each run has a partner. The change is that of
 * the two values in the tables; of a loss of which some replicates have no partner it is that of
 * the pairs. Both entries have a run. GB_ERR_OOM. */
gb_status runs_pair_make(runs_pair *out, const result_entry *base, const result_entry *config,
                         metric_id metric, bool same_database, gb_error *err);

/* Whether replicates of one number are pairs: they had the same seed, training data and validation.
 */
bool runs_are_pairs(const result_entry *base, const result_entry *config);

/* Whether the two are judged by the difference of their losses in nats, the logarithm of the ratio
 * of perplexities, and not by the ratio of the losses: where one of them lies below 1 nat, or less
 * than 0.1 nats above the entropy of the validation source where both know the same. There a per
 * cent of the loss says little: 0.001 nats are 91 % of 0.0011, and 0.03 % of 3.001 when no model
 * can reach less than 3. At 1 nat a per cent of the loss and one of the perplexity are the same. Of
 * all metrics but losses false. */
bool losses_are_in_nats(const result_entry *base, const result_entry *config, metric_id metric);

/* What two runs of this config that differ in nothing but the seed typically differ by in final
 * validation loss: the standard deviation of such a difference, which is sqrt(2) times that of the
 * losses over the replicates: in nats, or of their logarithms (a fraction). NAN below two
 * replicates. */
double entry_seed_noise(const result_entry *entry, bool in_nats);

#endif
