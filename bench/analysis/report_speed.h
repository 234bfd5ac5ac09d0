/* report_speed.h: what interleaved timing (docs/MEASURING.md) says of a suite's speeds: sessions
 * and their bursts as the database has them, and what follows from them: estimates of ratios,
 * verdicts, the noise floor, the drift. */
#ifndef GPTBENCH_BENCH_REPORT_SPEED_H
#define GPTBENCH_BENCH_REPORT_SPEED_H

#include "bench/read/report_reader.h"
#include "bench/stats/drift.h"
#include "bench/stats/noise.h"
#include "bench/stats/verdict.h"

/* One arm of a session. Per-burst arrays have an entry per block, NAN where there was no burst. */
typedef struct speed_arm {
    int config; /* index into configs of the report_data; -1: it has left the plan */
    bool is_control, is_baseline;
    const char *status, *message, *backend, *precision, *isa;
    int64_t threads, tokens_per_step, processes;
    double *median_ms, *mean_ms; /* of each burst's timed steps */
    double *timed_ms;            /* every timed step, in order */
    size_t n_timed;
    int64_t warmup_steps; /* all that were not timed, lead steps of bursts too */
    int64_t marked;       /* timed steps that the machine disturbed */

    double step_avg_ms, step_median_ms; /* over timed_ms */
    stats_interval burst_ms;            /* typical burst: trimmed mean of log medians, taken back;
                                           95 %. Carries the machine's drift, unlike the ratios */
    noise_outliers outliers;
    /* log(arm / baseline of the session) over paired blocks. By the bursts' medians, which verdicts
     * use, and by their means, as a check: they differ where slow steps are the config's own. */
    estimate ratio;
    stats_interval mean_change; /* ratio - 1 by the bursts' means, 95 % */
    verdict verdict; /* not of the baseline and the control, and not of failed arms: UNCLEAR then */
} speed_arm;

typedef struct speed_session {
    int64_t timing_id, seed, blocks, min_blocks, max_blocks, process_blocks;
    int64_t lead_steps, timed_steps; /* of a burst */
    double stop_precision;           /* NAN: none was asked for */
    bool precision_reached;
    const char *started_at, *ended_at, *program_version, *program_commit, *compiler;
    const char *sensors_missing;
    int64_t samples;                              /* of the machine, beside it */
    double clock_mean_mhz, clock_low, clock_high; /* of what computes; NAN: not read */
    double temperature_high_c, power_mean_w;      /* of the GPU; NAN: not read */
    int machine;                                  /* index into machines; -1 */
    speed_arm *arms;
    int n_arms;
    int baseline, control; /* indices into arms; control -1 when there is none */
    double *hours;         /* of each block, since the first */
    double *drift_effects; /* of each block, as a log ratio */
    noise_control aa;      /* n = 0: no control */
    drift drift;
    double needed_blocks; /* to find a true 1 % with 90 % power, one of the session's configs */
} speed_session;

typedef struct speed_report {
    speed_session *sessions; /* the newest first; only those that are the newest for some config */
    int n_sessions;
} speed_report; /* newest for a config on its machine, backend and precision */

/* Reads the finished sessions of the suite that `data` is being read for, whose configs must have
 * been read; r->db is open. GB_ERR_OOM, GB_ERR_FORMAT. *out is the caller's. */
gb_status speed_report_read(speed_report **out, report_reader *r, int64_t suite_id);
void speed_report_free(speed_report *speeds); /* NULL is fine */

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
/* log(config / base) over the blocks that both have; by medians, or by means. estimate_free. */
gb_status speed_pair_estimate(estimate *out, const speed_session *session, const speed_arm *base,
                              const speed_arm *config, bool by_means, gb_error *err);

#endif
