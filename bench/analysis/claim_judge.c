#include "bench/analysis/claim_judge.h"

#include <math.h>

#include "bench/stats/block_count.h"

const char *claim_outcome_name(claim_outcome outcome)
{
    return outcome == CLAIM_SUPPORTED ? "supported"
           : outcome == CLAIM_REFUTED ? "refuted"
                                      : "unsettled";
}

/* Whether the claim's percentage grows with the log ratio. */
static bool grows(const suite_expect *expect)
{
    if (expect->relation == SUITE_SPEEDUP) {
        return metric_is_rate(expect->metric);
    }
    return expect->relation != SUITE_REDUCTION;
}

static double log_or_none(double ratio)
{
    return ratio > 0 ? log(ratio) : -INFINITY;
}

claim_region claim_region_of(const suite_expect *expect)
{
    double fraction = expect->percent / 100, edge;
    if (expect->relation == SUITE_WITHIN) {
        return (claim_region){log_or_none(1 - fraction), log1p(fraction)};
    }
    if (expect->relation == SUITE_REDUCTION) {
        edge = log_or_none(1 - fraction);
    } else {
        edge = grows(expect) ? log1p(fraction) : -log1p(fraction);
    }
    bool at_least = expect->comparison == SUITE_GE || expect->comparison == SUITE_GT;
    return at_least == grows(expect) ? (claim_region){edge, INFINITY}
                                     : (claim_region){-INFINITY, edge};
}

static double percent_of(const suite_expect *expect, double log_ratio)
{
    return suite_expect_percent(expect, exp(log_ratio), 1);
}

/* An interval of log ratios in the claim's terms. */
static stats_interval percent_interval(const suite_expect *expect, stats_interval logs)
{
    double a = percent_of(expect, logs.low), b = percent_of(expect, logs.high);
    stats_interval out = {percent_of(expect, logs.value), fmin(a, b), fmax(a, b)};
    if (isnan(logs.low)) {
        out.low = out.high = NAN;
    } else if (expect->relation == SUITE_WITHIN && logs.low <= 0 && logs.high >= 0) {
        out.low = 0; /* no change at all is among what is possible */
    }
    return out;
}

/* The p of "the claim fails". */
static double claim_p(const claim_region *region, const estimate *e)
{
    double p = isfinite(region->low) ? estimate_p_above(e, region->low) : 0;
    if (isfinite(region->high)) {
        p = fmax(p, estimate_p_below(e, region->high));
    }
    return region->high == -INFINITY || region->low == INFINITY ? 1 : p;
}

/* Blocks beyond those that there are, until an interval around the estimate clears the nearer edge
 * of what the claim allows. */
static double claim_further(const claim_region *region, const estimate *e)
{
    double distance = fmin(fabs(e->value - region->low), fabs(e->value - region->high));
    double all = block_count_needed(block_spread_of(e), distance, 0.05, 0.9);
    return fmax(all - (double)e->n, 1);
}

/* By the value itself, the threshold included or not as the claim says. */
static claim_test judge_exact(const suite_expect *expect, double ratio)
{
    double percent = suite_expect_percent(expect, ratio, 1);
    bool holds = suite_expect_holds(expect, percent);
    return (claim_test){.outcome = holds ? CLAIM_SUPPORTED : CLAIM_REFUTED,
                        .percent = {percent, percent, percent},
                        .p = holds ? 0 : 1,
                        .exact = true,
                        .further = NAN};
}

claim_test claim_test_judge(const suite_expect *expect, const estimate *e)
{
    claim_test out = {CLAIM_UNSETTLED, {percent_of(expect, e->value), NAN, NAN}, NAN, false, NAN};
    if (e->kind == ESTIMATE_EXACT) {
        return judge_exact(expect, e->ratio);
    }
    if (!estimate_has_interval(e)) {
        return out;
    }
    stats_interval logs = estimate_interval(e, 0.95);
    claim_region region = claim_region_of(expect);
    out.percent = percent_interval(expect, logs);
    out.p = claim_p(&region, e);
    if (logs.low >= region.low && logs.high <= region.high) {
        out.outcome = CLAIM_SUPPORTED;
    } else if (logs.high < region.low || logs.low > region.high) {
        out.outcome = CLAIM_REFUTED;
    } else {
        out.further = claim_further(&region, e);
    }
    return out;
}
