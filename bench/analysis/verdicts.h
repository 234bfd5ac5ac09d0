/* verdicts.h: what may be said of each config of a suite: a verdict on its speed, from
 * interleaved timing, and one on its loss, from paired replicates; both against the baseline on the
 * same machine and backend. */
#ifndef GPTBENCH_BENCH_VERDICTS_H
#define GPTBENCH_BENCH_VERDICTS_H

#include "bench/analysis/comparability.h"
#include "bench/analysis/findings.h"
#include "bench/analysis/speed.h"

/* One line of the verdict table: an entry, or a config of which no run has finished. */
typedef struct config_verdict {
    const char *label;
    int config;
    int entry; /* -1: none */
    bool is_baseline;
    bool speed_judged;   /* else `speed` is UNCLEAR (bench/words/verdict_rows.h says why) */
    bool loss_judged;    /* else `loss` is */
    bool means_disagree; /* the intervals of `mean_change` and `speed` have nothing in common */
    /* Why the two do not compare (bench/analysis/comparability.h): "tokens per step 256 and 64".
     * NULL: they do, as far as is known. There is no verdict then, nor a change. */
    const char *speed_refused, *loss_refused;
    bool per_token;   /* `speed`, `mean_change` and `time_change` are of the time per token: steps
                         hold other numbers of tokens than the baseline's */
    loss_terms terms; /* what a verdict on loss should not be read without */

    /* Speed. The session is the newest that timed the config on the entry's machine, backend and
     * precision; NULL: there is none. */
    const speed_session *session;
    const speed_arm *arm;
    verdict speed;
    stats_interval mean_change; /* ratio - 1 by the bursts' means, 95 %: a check */

    /* What is quoted of the config: its entry's pace, or without a finished run its arm's. */
    entry_pace pace;

    /* Against the baseline. The time of a step, or of a token: as judged; without interleaved
     * timing of either, what the runs took (bench/analysis/comparison.h); NAN where neither
     * compares. */
    stats_interval time_change;
    double flops_change; /* as config_flops_change */

    /* Loss: ratio of the mean final validation losses over the replicates that both finished, or
     * over all of each where these are no pairs (runs_are_pairs). In nats (losses_are_in_nats): the
     * ratio of the perplexities, whose logarithm is the difference of the losses. */
    verdict loss;
    bool loss_in_nats;
    double pair_loss[2]; /* mean losses of the baseline and the config over these replicates, where
                            one of the two has others too; else NAN */
    stats_interval loss_difference; /* config - baseline, nats/token: paired t or Welch, 95 % */
    double seed_noise;              /* as entry_seed_noise of the baseline: a fraction, or nats */
} config_verdict;

typedef struct config_verdicts {
    config_verdict *rows; /* in the order of the suite */
    int n;
} config_verdicts;

/* Fills data->verdicts, whose losses are corrected by Holm's rule over all configs with the same
 * baseline, and the pace of each entry. Entries must have been made. GB_ERR_OOM. */
gb_status config_verdicts_make(findings *data, gb_error *err);
void config_verdicts_free(config_verdicts *verdicts); /* NULL is fine */

/* Exact FLOPs per token of a config over those of the suite's baseline, minus 1: of the configs
 * alone, whether or not anything of them has run. NAN: the suite has no baseline. */
double config_flops_change(const facts *f, int config);
double config_params_change(const facts *f, int config); /* the same of parameters */

/* Whether any row was judged by a session. */
bool speed_report_any(const findings *data);
/* The row of an entry. */
const config_verdict *config_verdict_of(const findings *data, int entry);

#endif
