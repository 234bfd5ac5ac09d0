/* pair.h: two configs that are held against each other, of one database or of two: what was
 * measured of each, whether that may be compared, and the estimate of their ratio. */
#ifndef GPTBENCH_BENCH_PAIR_H
#define GPTBENCH_BENCH_PAIR_H

#include "bench/analysis/comparability.h"
#include "bench/analysis/findings.h"
#include "bench/analysis/means_check.h"
#include "bench/analysis/speed.h"
#include "bench/stats/estimate.h"
#include "bench/suite/metric.h"

/* A config and what was measured of it; all pointers into `data`. */
typedef struct pair_side {
    const findings *data;
    int config;                   /* index into the configs of data */
    const result_entry *entry;    /* its finished runs; NULL: none */
    const speed_session *session; /* its newest interleaved timing; NULL, as is arm: none */
    const speed_arm *arm;         /* may have failed: arm->facts->status */
} pair_side;

/* Label of the entry, else name of the config. */
const char *pair_side_name(const pair_side *side);

/* By label of an entry or name of a config. GB_ERR_USAGE names the nearest; GB_ERR_FAILED when
 * nothing of it was measured. */
gb_status pair_side_find(pair_side *out, const findings *data, const char *name, gb_error *err);
pair_side pair_side_of_entry(const findings *data, const result_entry *entry);
/* Of a config by index, whatever was measured of it. */
pair_side pair_side_of(const findings *data, int config);
/* Brings both sides to what belongs together: the newest session that both were in, and, where
 * `base_by_name` fits several entries, the one that ran where the other did. A session that is of
 * another backend or precision than the runs is let go. */
void pair_align(pair_side *base, pair_side *config, const char *base_by_name);

/* Whether the metric of the two may be compared (bench/analysis/comparability.h): of what took
 * turns, where both did and the metric is one of time, else of their runs. GB_ERR_OOM. */
gb_status pair_comparability(comparability *out, const pair_side *base, const pair_side *config,
                             metric_id metric, gb_error *err);

/* ---- the estimate ---- */

/* Where an estimate comes from, the surest first. */
typedef enum pair_basis {
    PAIR_EXACT,      /* a property of the model */
    PAIR_BLOCKS,     /* ratios within the blocks of one session of interleaved timing */
    PAIR_SESSIONS,   /* bursts of two sessions, not paired: what changed between them is in it */
    PAIR_REPLICATES, /* runs, paired by replicate */
    PAIR_RUNS,       /* runs, not paired (Welch) */
    PAIR_NOTHING     /* no value: `method` says why */
} pair_basis;

const char *pair_basis_name(pair_basis basis); /* "exact", "blocks", "sessions", ... */

typedef struct pair_estimate {
    estimate ratio; /* log(config / base) of the metric itself; pair_estimate_free */
    bool in_nats;   /* of losses near their floor (runs_pair.h): config - base, nats */
    pair_basis basis;
    char method[256]; /* in words */
    /* Of times from sessions, as a check: the same by the means of bursts; else ESTIMATE_NONE. */
    estimate mean_ratio;
    means_check means;
} pair_estimate;

/* Step times (both by the medians of bursts, as verdicts are) and tokens/s from a session of both,
 * else from a session each; from runs (bench/analysis/runs_pair.h) only where one of them was never
 * timed in turn. A session in which an arm failed gives PAIR_NOTHING and the reason. GB_ERR_OOM. */
gb_status pair_estimate_make(pair_estimate *out, const pair_side *base, const pair_side *config,
                             metric_id metric, gb_error *err);
void pair_estimate_free(pair_estimate *p);

/* What a side's metric is, over all that it has; from the session when `timed` and for times. */
double pair_side_value(const pair_side *side, metric_id metric, bool timed);
/* Whether times of the two come from sessions. */
bool pair_is_timed(const pair_side *base, const pair_side *config);

#endif
