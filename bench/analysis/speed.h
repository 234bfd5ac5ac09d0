/* speed.h: what interleaved timing (docs/MEASURING.md) says of a suite's speeds: estimates of
 * ratios, verdicts, the noise floor, the drift. */
#ifndef GPTBENCH_BENCH_SPEED_H
#define GPTBENCH_BENCH_SPEED_H

#include "bench/read/facts.h"
#include "bench/stats/drift.h"
#include "bench/stats/noise.h"
#include "bench/stats/verdict.h"

/* One arm of a session. */
typedef struct speed_arm {
    const timing_arm *facts;
    double step_avg_ms, step_median_ms; /* over timed_ms */
    stats_interval burst_ms;            /* typical burst: trimmed mean of log medians, taken back;
                                           95 %. Carries the machine's drift, unlike the ratios */
    noise_outliers outliers;
    /* Held against the session's baseline (bench/analysis/comparability.h). */
    bool per_token; /* their steps hold other numbers of tokens: all changes below are of the
                       time per token */
    char not_compared[256]; /* why it is not held against it; empty: it is */
    /* log(arm / baseline of the session) over paired blocks, of the time of a step or of a token.
     * By the bursts' medians, which verdicts
     * use, and by their means, as a check: they differ where slow steps are the config's own. */
    estimate ratio;
    stats_interval mean_change; /* ratio - 1 by the bursts' means, 95 % */
    verdict verdict; /* not of the baseline and the control, and not of arms that failed or are not
                        compared: UNCLEAR then */
} speed_arm;

typedef struct speed_session {
    const timing_facts *facts;
    speed_arm *arms; /* as those of the facts */
    int n_arms;
    double *hours;         /* of each block, since the first */
    double *drift_effects; /* of each block, as a log ratio */
    noise_control aa;      /* n = 0: no control */
    drift drift;
    double clock_step_ms; /* what the clock resolves (bench/stats/clock_grid.h) */
    double needed_blocks; /* to find a true 1 % with 90 % power, one of the session's configs */
} speed_session;

typedef struct speed_report {
    speed_session *sessions; /* the newest first; only those that are the newest for some config */
    int n_sessions;
} speed_report; /* newest for a config on its machine, backend and precision */

/* Of the sessions that were read. partial: only averages, since each pair that is compared makes an
 * estimate of its own. GB_ERR_OOM. *out is the caller's, and points into the facts. */
gb_status speed_report_make(speed_report **out, const facts *f, bool partial, gb_error *err);
void speed_report_free(speed_report *speeds); /* NULL is fine */

/* Whether it came through: an arm that failed has no speed. */
bool speed_arm_is_ok(const speed_arm *arm);
/* Whether a config is quoted with it: it came through, and has times. NULL has none. */
bool speed_arm_has_speed(const speed_arm *arm);

/* The newest measurement of a config, as a config (never as control): the arm, and its session;
 * NULL when there is none. */
const speed_arm *speed_report_find(const speed_report *speeds, int config,
                                   const speed_session **session);
/* The same, on this machine with this backend and precision. */
const speed_arm *speed_report_find_on(const speed_report *speeds, int config, int machine,
                                      const char *backend, const char *precision,
                                      const speed_session **session);
/* Two configs in one session: the newest in which both were measured; false when there is none. */
bool speed_report_pair(const speed_report *speeds, int base, int config,
                       const speed_session **session, const speed_arm **base_arm,
                       const speed_arm **config_arm);
/* log(config / base) of the step time over the blocks that both have; by medians, or by means.
 * estimate_free. */
gb_status speed_pair_estimate(estimate *out, const speed_session *session, const speed_arm *base,
                              const speed_arm *config, bool by_means, gb_error *err);
/* The same of the speed that is judged: of the time per token where steps hold other numbers of
 * tokens, else of the step time. */
gb_status speed_pair_judged(estimate *out, const speed_session *session, const speed_arm *base,
                            const speed_arm *config, bool by_means, gb_error *err);

#endif
