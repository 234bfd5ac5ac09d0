/* findings.h: what follows from the facts of a suite (bench/read/facts.h): entries, speeds,
 * verdicts, the front. Made by load.h, in that order; whatever is shown is read off here, and
 * nowhere else computed. */
#ifndef GPTBENCH_BENCH_FINDINGS_H
#define GPTBENCH_BENCH_FINDINGS_H

#include "bench/read/facts.h"
#include "bench/stats/stats.h"

/* The speed to quote of a config, wherever one is quoted: from interleaved timing where it was
 * timed so, else what its runs took, one after the other. Numbers of the runs themselves that stand
 * beside it have `run_` in their names. tokens/s are the tokens of a step by step_avg, MFU is FLOPs
 * per token by tokens/s by the measured peak. */
typedef struct entry_pace {
    bool interleaved;
    stats_interval step_avg_ms; /* 95 %: interleaved, a t interval over its bursts' means */
    double step_median_ms;
    int64_t n_timed;
    stats_interval tokens_per_s;
    double mfu;
    double log_error; /* standard error of log(step_avg) by which it is set off from the others:
                         interleaved, that of its ratio to the baseline (0 for the baseline) */
} entry_pace;

/* A config on one machine, backend and precision, over its finished replicates. */
typedef struct result_entry {
    const char
        *label; /* the config's name; backend, precision or machine added where it needs them */
    int config, machine;
    const char *backend, *precision;
    bool is_baseline;
    int baseline;           /* index of the entry that this one is compared with; -1: none */
    const run_facts **runs; /* status ok, ascending replicate, the latest where there are several */
    int n_runs;
    int64_t n_timed; /* over all runs */

    entry_pace pace;
    /* of its runs: */
    stats_interval step_avg_ms;  /* 95 %: over replicates when n_runs >= 2, else over timed steps */
    double step_median_ms;       /* mean of the runs' medians */
    stats_interval tokens_per_s; /* the tokens of a step by step_avg */
    double mfu;
    double gemm_peak_flops_per_s; /* what MFU is a share of: mean of the runs' */
    stats_interval val_loss;      /* final; interval over replicates, none with one */
    double best_val_loss;
    double entropy_rate_nats;
    double peak_memory_bytes; /* the largest */
    double flops_fraction;    /* flops_per_token over the baseline's, minus 1 */
    /* Beside which entry it stands (bench/analysis/peers.h), and whether the two compare. */
    int beside;
    bool speed_compares, loss_compares;
    bool steps_compare; /* step by step, as its runs took them: for ledgers */
    bool on_front; /* of those that compare, none is at least as fast and as low in loss, and better
                      in one */
    double front_probability; /* that it is, for all that is known of the noise
                                 (bench/stats/pareto.h); NAN: has no place there */
} result_entry;

typedef struct findings {
    facts *facts;
    struct speed_report *speeds; /* of interleaved timing (bench/analysis/speed.h) */
    result_entry *entries;       /* in the order of the suite */
    int n_entries;
    struct config_verdicts *verdicts; /* of each config (bench/analysis/verdicts.h) */
    data_use data;                    /* how the suite's runs use their data */
    bool of_run;                      /* of one run (findings_read_run): nothing but its numbers */
    bool partial; /* of some configs (findings_read_configs): nothing is judged across configs */
} findings;

#endif
