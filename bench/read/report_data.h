/* report_data.h: what a report or a comparison needs of one suite, read from the database in one
 * go, and its runs gathered into entries (one line of the result table each). */
#ifndef GPTBENCH_BENCH_REPORT_DATA_H
#define GPTBENCH_BENCH_REPORT_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/stats/disturbance.h"
#include "bench/stats/stats.h"
#include "kernels/status.h"

struct store;

/* Strings point into the report_data that holds them and are never NULL; numbers that the database
 * does not have are NAN. */

typedef struct report_machine {
    int64_t machine_id;
    const char *hostname, *os, *cpu, *device, *driver;
    int64_t cpu_count, memory_bytes;
} report_machine;

typedef struct report_config {
    int64_t config_id;
    const char *name;
    bool is_baseline;
    const char *attention_type;
    int64_t n_layer, n_head, n_embd, n_params;
    double flops_per_token; /* exact */
    int64_t vocab_size, head_dim, n_kv_head, mlp_hidden;
    int64_t window_size; /* 0: full causal */
    int64_t n_latent;    /* 0 unless latent */
    bool use_swiglu_mlp, post_norm, qk_norm;
} report_config;

typedef struct report_step {
    char tag; /* first letter of step.tag: w, t, p, e, c */
    double step_ms;
} report_step;

typedef struct report_eval {
    int64_t step; /* optimiser steps done before it */
    double val_loss, train_time_ms;
    int64_t val_tokens;
} report_eval;

/* One row of the ledger of profiled steps, per step; never of phase `eval`. */
typedef struct report_op {
    const char *phase, *op;
    int64_t layer; /* -1 outside the blocks */
    double calls, time_ms, flops;
    double thread_mean_ms, thread_max_ms; /* NAN: not known */
} report_op;

/* One op of one profiled step, times since its first op. */
typedef struct report_span {
    const char *phase, *op;
    int64_t layer;
    double begin_ms, end_ms;
} report_span;

/* A GPU kernel of the profiled steps, per step, over the layers; most time first. */
typedef struct report_kernel {
    const char *name, *phase, *op, *grid, *block;
    int64_t registers, shared_bytes;
    double calls, time_ms;
} report_kernel;

/* Of what computed; the sensors beside a run (bench/read/report_sensors.h). */
typedef struct report_sample {
    double at_s; /* since the run started */
    double clock_mhz, power_w, temperature_c;
    double busy, steal; /* fractions of the CPU time */
} report_sample;

typedef struct report_stretch {
    double start_s, end_s;
    unsigned mask; /* DISTURBANCE_* */
} report_stretch;

typedef struct report_sensors {
    const char *started_at, *missing;
    bool of_gpu;
    report_sample *samples;
    int64_t n_samples;
    report_stretch *stretches; /* marked steps, joined where they follow each other */
    int64_t n_stretches;
    double end_s;        /* of the last step */
    int64_t timed_known; /* timed steps that were watched, and of these the marked ones */
    int64_t timed_marked;
    int64_t timed_by[DISTURBANCE_KINDS]; /* for DISTURBANCE_INDEX_* */
    double energy_per_token_j;
} report_sensors;

/* A process that worked at a run, of which there were several (bench/read/report_resumed.h). */
typedef struct report_session {
    int64_t session; /* from 1 */
    const char *started_at;
    int64_t first_step, steps, warmup_steps, timed_steps;
    double step_avg_ms; /* NAN: it has no timed step */
} report_session;

typedef struct report_run {
    int64_t run_id, replicate, attempt;
    int config;  /* index into configs */
    int machine; /* index into machines, -1 when unknown */
    const char *status, *message;
    const char *backend, *precision, *isa, *precision_note, *libraries;
    const char *program_version, *program_commit, *compiler;
    const char *train_data, *val_data, *train_data_hash, *val_data_hash;
    const char
        *profile_note; /* what the ledger lacks, what the profiler took; empty: nothing to say */
    int64_t threads, seed, batch_size, sequence_length, grad_accumulation_steps, tokens_per_step;
    int64_t num_iterations, steps_done, warmup_steps;
    double entropy_rate_nats, peak_memory_bytes, gemm_peak_flops_per_s, copy_bytes_per_s;
    double planned_memory_bytes;
    double lr_scale; /* below 1: at a learning rate that was halved after a NaN */
    /* Where a run that is nan stopped being finite (view run_divergence); NAN: not known. */
    const char *nan_in;
    double nan_step, last_good_step, last_good_loss, last_good_grad_norm, nan_learning_rate;
    report_step *steps;
    int64_t n_steps;
    double *timed_ms; /* of the timed steps, in order */
    int64_t n_timed;
    report_eval *evals;
    int64_t n_evals;
    report_session *sessions; /* none where there was only one */
    int64_t n_sessions;
    report_op *ops;
    int64_t n_ops;
    report_kernel *kernels;
    int64_t n_kernels;
    report_span *spans; /* of one profiled step, in the order in which they ran */
    int64_t n_spans;
    report_sensors sensors;
    double step_avg_ms, step_median_ms; /* over timed_ms; NAN when there are none */
    double final_val_loss, best_val_loss;
} report_run;

/* The speed to quote of an entry: from interleaved timing where it was timed so, else what its runs
 * took, one after the other. */
typedef struct report_pace {
    bool interleaved;
    stats_interval step_avg_ms; /* 95 %: interleaved, a t interval over its bursts' means */
    double step_median_ms;
    int64_t n_timed;
    stats_interval tokens_per_s;
    double mfu;
    double log_error; /* standard error of log(step_avg) by which it is set off from the others:
                         interleaved, that of its ratio to the baseline (0 for the baseline) */
} report_pace;

/* A config on one machine, backend and precision, over its finished replicates. */
typedef struct report_entry {
    const char
        *label; /* the config's name; backend, precision or machine added where it needs them */
    int config, machine;
    const char *backend, *precision;
    bool is_baseline;
    int baseline; /* index of the entry that this one is compared with; -1: none */
    const report_run *
        *runs; /* status ok, ascending replicate, the latest where there are several */
    int n_runs;
    int64_t n_timed; /* over all runs */

    report_pace pace;
    /* of its runs: */
    stats_interval step_avg_ms; /* 95 %: over replicates when n_runs >= 2, else over timed steps */
    double step_median_ms;      /* mean of the runs' medians */
    stats_interval tokens_per_s;
    double mfu;
    stats_interval val_loss; /* final; interval over replicates, none with one */
    double best_val_loss;
    double entropy_rate_nats;
    double peak_memory_bytes; /* the largest */
    double flops_fraction;    /* flops_per_token over the baseline's, minus 1 */
    bool on_front; /* no other entry is at least as fast and as low in loss, and better in one */
    double front_probability; /* that it is, for all that is known of the noise
                                 (bench/stats/pareto.h) */
} report_entry;

typedef struct report_data {
    const char *db_path;
    const char *suite_name, *suite_path, *suite_text, *baseline_name;
    int64_t replicates, suite_id;
    report_machine *machines;
    int n_machines;
    report_config *configs; /* in the order of the suite */
    int n_configs;
    report_run *runs; /* that the suite's current text asks for */
    int n_runs;
    struct speed_report *speeds; /* of interleaved timing (bench/analysis/report_speed.h) */
    report_entry *entries;       /* in the order of the suite */
    int n_entries;
    struct report_verdicts *verdicts; /* bench/analysis/report_verdicts.h */
    bool partial;                     /* read by report_data_read_configs */
    char **texts;                     /* every string above */
    int n_texts;
} report_data;

/* Reads a suite. With suite_name NULL the database must hold exactly one. GB_ERR_USAGE lists the
 * suites or names the nearest; other failures as store_open. *out is owned by the caller. */
gb_status report_data_read(report_data **out, const char *db_path, const char *suite_name,
                           gb_error *err);
void report_data_free(report_data *data); /* NULL is fine */

/* The same for a comparison of some configs: of the others there are rows of configs and runs, but
 * nothing that was measured in them, and nothing is judged (verdicts, Pareto front, the control and
 * the drift of timing sessions). A config is read when its name, with or without what a label adds,
 * is one of `names` (ended by NULL), or it is the suite's baseline. */
gb_status report_data_read_configs(report_data **out, const char *db_path, const char *suite_name,
                                   const char *const *names, gb_error *err);

/* Of a suite only its machines, configs and speeds, through an open store. GB_ERR_USAGE when there
 * is no such suite. */
gb_status report_data_read_speeds(report_data **out, struct store *s, const char *suite_name,
                                  gb_error *err);

/* Index of the entry with this label or config name (first match), or -1. */
int report_data_find_entry(const report_data *data, const char *name);

/* The entry's run of a replicate, or NULL. */
const report_run *report_entry_find_run(const report_entry *entry, int64_t replicate);

/* ---- shared with report_entry.c ---- */

/* Gathers data->runs into data->entries. */
gb_status report_data_make_entries(report_data *data, gb_error *err);
/* Fills front_probability (report_budget.c). */
gb_status report_data_make_front(report_data *data, gb_error *err);
/* A printf-made string that lives as long as `data`; NULL without memory. */
char *report_data_text(report_data *data, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
