/* verdict.h: what may be said of a difference. One rule for speeds (paired blocks) and for losses
 * (paired replicates): the interval of the ratio is held against a band of practical equality.
 *
 *   LESS     the whole interval lies below the band: FASTER, or BETTER for a loss
 *   MORE     the whole interval lies above the band: SLOWER, or WORSE
 *   SAME     the whole interval lies inside the band
 *   UNCLEAR  anything else: the data do not say
 *
 * LESS and MORE also need an estimate larger than `floor`, the difference that the A/A control
 * (the baseline twice, under two names) shows between equals.
 *
 * SEVERAL CONFIGS AGAINST ONE BASELINE. Each comparison at 95 % would be wrong once in twenty, so
 * ten comparisons often give a false alarm. Verdicts are therefore corrected by Holm's step-down
 * rule, once for LESS or MORE and once for SAME. For the first: p of a config is the smallest alpha
 * whose interval at level 1 - alpha lies wholly beyond the band (1 if none does). The smallest of m
 * values p is held against alpha / m, the next against alpha / (m - 1), and so on; the first one
 * that is larger stops the rule, and it and all further ones are undecided. So the chance that
 * *any* config of the suite that is truly inside the band is called LESS or MORE is at most alpha =
 * 5 %, and for SAME likewise with p the smallest alpha whose interval lies wholly inside. In terms
 * of intervals: the config of rank k (k = 0 the surest) is judged by its interval at level 1 -
 * alpha / (m - k), and those at and behind the stop by the level of the stop. Both the plain 95 %
 * interval, which speaks of this one config, and the corrected one, which the verdict follows from,
 * are given.
 *
 * With m = 1 the two are the same. */
#ifndef GPTBENCH_BENCH_VERDICT_H
#define GPTBENCH_BENCH_VERDICT_H

#include "bench/stats/estimate.h"

typedef enum verdict_kind {
    VERDICT_UNCLEAR,
    VERDICT_LESS,
    VERDICT_MORE,
    VERDICT_SAME
} verdict_kind;

/* Why UNCLEAR. Also set (VERDICT_CORRECTION) when the plain interval alone would have decided. */
typedef enum verdict_doubt {
    VERDICT_NO_DOUBT,
    VERDICT_NO_VALUE,    /* one of the two has no number */
    VERDICT_NO_INTERVAL, /* too few blocks or replicates */
    VERDICT_WIDE,        /* the interval reaches across an edge of the band */
    VERDICT_CORRECTION,  /* it would decide alone, but not as one of m */
    VERDICT_FLOOR        /* beyond the band, but no larger than what two equal configs differ by */
} verdict_doubt;

typedef struct verdict {
    verdict_kind kind;
    verdict_doubt doubt;
    size_t n;                 /* blocks or replicates */
    size_t comparisons;       /* that the correction is for: Holm's m */
    stats_interval change;    /* ratio - 1, plain 95 % interval */
    stats_interval corrected; /* at `level` */
    double level;             /* of `corrected`: 1 - alpha / (m - k) */
    double p_beyond;          /* smallest alpha that puts the interval beyond the band; NAN: none */
    double p_within;          /* ... inside the band */
    double band;              /* as used */
    double floor;             /* as used; 0 when there was no control */
    double further;           /* blocks or replicates that would settle an UNCLEAR with 90 % power:
                                 > 0; INFINITY: more than `further_cap` (the estimate lies too near
                                 an edge of the band); NAN: cannot be said, or settled */
    double detectable; /* smallest true |change| that would be found LESS or MORE with 90 % power at
                          the present n; NAN without interval */
} verdict;

typedef struct verdict_rule {
    double alpha;       /* 0.05 */
    double band;        /* 0.005: half of a per cent either way is the same in practice */
    double floor;       /* |change| of the A/A control, 0 for none */
    double power;       /* 0.9, for `further` and `detectable` */
    double further_cap; /* 10000 */
    double resolution;  /* of the control's log ratios, as bootstrap_create_coarse; 0: none */
} verdict_rule;

verdict_rule verdict_rule_default(void);

/* Verdicts of m configs against one baseline, out[i] from estimates[i]; m >= 0. Estimates without
 * an interval are UNCLEAR and do not count in m. GB_ERR_OOM. */
gb_status verdict_judge(verdict *out, const estimate *const *estimates, size_t m,
                        const verdict_rule *rule, gb_error *err);

/* Resamples per config that let Holm's smallest level be read with twenty resamples beyond it:
 * 400 m, at least 4000, at most 40000. */
size_t verdict_resamples(size_t m);

/* "FASTER", "SLOWER", "SAME", "UNCLEAR"; "BETTER", "WORSE" for a loss. Tokens/s are judged as
 * times: by the ratio of the times. */
const char *verdict_speed_name(verdict_kind kind);
const char *verdict_loss_name(verdict_kind kind);

/* Holm's rule by itself: level_alpha[i] is what p[i] is held against (alpha / (m - k), k the rank,
 * or that of the stop) and decided[i] whether p[i] passed. NAN in p counts as 1. GB_ERR_OOM. */
gb_status verdict_holm(const double *p, size_t m, double alpha, double *level_alpha, bool *decided,
                       gb_error *err);

#endif
