/* claim_judge.h: what a measurement says of a [claim]. */
#ifndef GPTBENCH_BENCH_CLAIM_JUDGE_H
#define GPTBENCH_BENCH_CLAIM_JUDGE_H

#include "bench/stats/estimate.h"
#include "bench/suite/suite.h"

typedef enum claim_outcome {
    CLAIM_UNSETTLED, /* the interval holds both what would fulfil the claim and what would not */
    CLAIM_SUPPORTED, /* the whole interval fulfils it */
    CLAIM_REFUTED    /* no part of the interval fulfils it */
} claim_outcome;

typedef struct claim_test {
    claim_outcome outcome;
    /* In the claim's own terms, per cent (suite_expect_percent); for `within` the size of the
     * change, whose interval starts at 0 when the change may be of either sign. 95 %. low and high
     * NAN: no interval, and the claim is unsettled. */
    stats_interval percent;
    /* One-sided: how likely data at least this favourable to the claim are if it just fails (at the
     * threshold). Small supports it, near 1 speaks against it. For `within`: the larger p of the
     * two one-sided tests (TOST). NAN without interval; 0 or 1 when exact. */
    double p;
    bool exact;
    double further; /* blocks or replicates that would settle it with 90 % power: as in verdict */
} claim_test;

/* `e` estimates log(config / baseline) of the claim's metric itself: for tokens_per_s the rate,
 * whose log ratios are those of the tokens per step minus those of the time. */
claim_test claim_test_judge(const suite_expect *expect, const estimate *e);

/* "supported", "refuted", "unsettled". */
const char *claim_outcome_name(claim_outcome outcome);

/* The threshold(s) as log ratios between which, or beyond which, the claim holds: it holds for log
 * ratios in [low, high]; an end may be infinite. */
typedef struct claim_region {
    double low, high;
} claim_region;
claim_region claim_region_of(const suite_expect *expect);

#endif
