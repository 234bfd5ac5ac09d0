/* facts.h: what the database holds of one suite, read in one go: one snapshot, which a run that
 * goes on meanwhile does not change. Nothing here is judged; what follows from the facts is
 * bench/analysis/.
 *
 * Strings belong to the facts and are never NULL. Numbers that the database does not have are NAN,
 * or 0 where they are whole. */
#ifndef GPTBENCH_BENCH_FACTS_H
#define GPTBENCH_BENCH_FACTS_H

#include "bench/plan/data_use.h"
#include "bench/read/row_reader.h"
#include "bench/stats/disturbance.h"
#include "model/config.h"

struct store;

typedef struct machine_facts {
    int64_t machine_id;
    const char *hostname, *os, *cpu, *device, *driver;
    int64_t cpu_count, memory_bytes;
} machine_facts;

typedef struct config_facts {
    int64_t config_id;
    const char *name;
    bool is_baseline;
    int64_t n_params;
    double flops_per_token; /* exact */
    const char *settings_json;
    bool model_known; /* false: settings_json describes no model that can be (a damaged file), or
                         lacks a key and n_params contradicts its default */
    gpt_config model; /* of settings_json; keys that it lacks have their default */
} config_facts;

typedef struct step_facts {
    char tag; /* first letter of step.tag: w, t, p, e, c */
    double step_ms;
} step_facts;

typedef struct eval_facts {
    int64_t step; /* optimiser steps done before it */
    double val_loss, train_time_ms, eval_ms;
    int64_t val_tokens;
} eval_facts;

/* One op of the profiled steps, per step; never of phase `eval`. */
typedef struct op_facts {
    const char *phase, *op;
    int64_t layer; /* -1 outside the blocks */
    double calls, time_ms, flops;
    double thread_mean_ms, thread_max_ms; /* NAN: not known */
} op_facts;

/* One op of one profiled step, times since its first op. */
typedef struct span_facts {
    const char *phase, *op;
    int64_t layer;
    double begin_ms, end_ms;
} span_facts;

/* A GPU kernel of the profiled steps, per step, over the layers; most time first. */
typedef struct kernel_facts {
    const char *name, *phase, *op, *grid, *block;
    int64_t registers, shared_bytes;
    double calls, time_ms;
} kernel_facts;

/* Of what computed: the GPU where one was seen, else the CPU. */
typedef struct sample_facts {
    double at_s; /* since the run started */
    double clock_mhz, power_w, temperature_c;
    double busy, steal; /* fractions of the CPU time */
} sample_facts;

typedef struct stretch_facts {
    double start_s, end_s;
    unsigned mask; /* DISTURBANCE_* */
} stretch_facts;

/* What was watched beside a run. */
typedef struct sensor_facts {
    const char *started_at, *missing;
    bool of_gpu;
    sample_facts *samples;
    int64_t n_samples;
    stretch_facts *stretches; /* marked steps, joined where they follow each other */
    int64_t n_stretches;
    double end_s;        /* of the last step */
    int64_t timed_known; /* timed steps that were watched, and of these the marked ones */
    int64_t timed_marked;
    int64_t timed_by[DISTURBANCE_KINDS]; /* for DISTURBANCE_INDEX_* */
    double energy_j;                     /* of the timed steps of the last segment */
} sensor_facts;

/* A stretch of a run that one process did, of which there were several: a row of table `session`.
 */
typedef struct segment_facts {
    int64_t segment; /* from 1 */
    const char *started_at;
    int64_t first_step, steps, warmup_steps, timed_steps;
    double step_avg_ms; /* NAN: it has no timed step */
} segment_facts;

/* An attempt at a run that the suite's current text asks for. */
typedef struct run_facts {
    int64_t run_id, config_id, machine_id, replicate, attempt;
    int config;  /* index into configs; -1 in a damaged file */
    int machine; /* index into machines, -1 when unknown */
    const char *status, *message, *identity;
    const char *backend, *precision, *isa, *precision_note, *libraries;
    const char *program_version, *program_commit, *compiler;
    const char *train_data, *val_data, *train_data_hash, *val_data_hash;
    const char *val_stretch_hash; /* of the tokens that validations read; empty: not known */
    const char
        *profile_note; /* what the op rows lack, what the profiler took; empty: nothing to say */
    int64_t threads, seed, batch_size, sequence_length, grad_accumulation_steps, tokens_per_step;
    int64_t num_iterations, steps_done, warmup_steps;
    double entropy_rate_nats, peak_memory_bytes, gemm_peak_flops_per_s, copy_bytes_per_s;
    double gemm_sustained_flops_per_s; /* NAN: not told from the peak */
    double planned_memory_bytes, process_memory_bytes;
    double resumed_step; /* the step of the checkpoint that it went on from; NAN: from the start */
    int64_t val_tokens;  /* of a validation; 0: not known */
    double clock_median_mhz; /* of what computed, over its samples; NAN: not read */
    double lr_scale;         /* below 1: at a learning rate that was halved after a NaN */
    double grad_clip;        /* as its config asks; NAN: not known */
    /* Where a run that is nan stopped being finite (view run_divergence); NAN: not known. */
    const char *nan_in;
    double nan_step, last_good_step, last_good_loss, last_good_grad_norm, nan_learning_rate;
    /* Details, not with FACTS_SUMMARY. */
    step_facts *steps;
    int64_t n_steps;
    double *timed_ms; /* of the timed steps, in order */
    int64_t n_timed;
    int64_t n_timed_last; /* of its last segment */
    eval_facts *evals;
    int64_t n_evals;
    segment_facts *segments; /* none where there was only one */
    int64_t n_segments;
    op_facts *ops;
    int64_t n_ops;
    kernel_facts *kernels;
    int64_t n_kernels;
    span_facts *spans; /* of one profiled step, in the order in which they ran */
    int64_t n_spans;
    sensor_facts sensors;
    /* Filled by bench/analysis/run_numbers.h; with FACTS_SUMMARY as view run_summary has them. */
    double step_avg_ms, step_median_ms; /* over timed_ms; NAN when there are none */
    double final_val_loss, best_val_loss;
    double first_val_loss; /* before the first step; NAN: it was not validated then */
    double uniform_nats;   /* ln(vocab_size); NAN: its config is not known */
} run_facts;

/* What took its turn in a session of interleaved timing. Per-burst arrays have an entry per block,
 * NAN where there was no burst. */
typedef struct timing_arm {
    int64_t config_id;
    int config; /* index into configs; -1: it has left the plan */
    bool is_control, is_baseline;
    const char *status, *message, *backend, *precision, *isa;
    int64_t threads, tokens_per_step, processes;
    double *median_ms, *mean_ms; /* of each burst's timed steps */
    double *timed_ms;            /* every timed step, in order */
    size_t n_timed;
    int64_t warmup_steps; /* all that were not timed, lead steps of bursts too */
    int64_t marked;       /* timed steps that the machine disturbed */
} timing_arm;

/* A finished session of interleaved timing (docs/MEASURING.md). */
typedef struct timing_facts {
    int64_t timing_id, machine_id, seed, blocks, min_blocks, max_blocks, process_blocks;
    int64_t lead_steps, timed_steps; /* of a burst */
    double stop_precision;           /* NAN: none was asked for */
    bool precision_reached;
    const char *started_at, *ended_at, *program_version, *program_commit, *compiler;
    const char *sensors_missing;
    int64_t samples;                              /* of the machine, beside it */
    double clock_mean_mhz, clock_low, clock_high; /* of what computes; NAN: not read */
    double gpu_clock_median_mhz, cpu_clock_median_mhz;
    double temperature_high_c, power_mean_w; /* of the GPU; NAN: not read */
    int machine;                             /* index into machines; -1 */
    timing_arm *arms;
    int n_arms;
    int baseline, control; /* indices into arms; -1: there is none */
    double *began_hours;   /* of each block's first burst, since the session started */
} timing_facts;

/* What somebody expects, as the suite that was last run has it. */
typedef struct claim_row {
    const char *name, *config, *baseline, *expect, *source;
} claim_row;

typedef enum facts_detail {
    FACTS_ALL,     /* everything */
    FACTS_SUMMARY, /* of runs only their rows, and averages as view run_summary has them */
} facts_detail;

typedef struct facts {
    const char *db_path;
    const char *suite_name, *suite_path, *suite_text, *baseline_name;
    int64_t replicates, suite_id;
    facts_detail detail;
    machine_facts *machines;
    int n_machines;
    config_facts *configs; /* in the order of the suite */
    int n_configs;
    run_facts *runs; /* by config, replicate, run_id */
    int n_runs;
    timing_facts *timings; /* the newest first; only those that are the newest for some config */
    int n_timings;
    claim_row *claims; /* by name */
    int n_claims;
    data_shard *train_shards, *val_shards; /* what the suite's data are made of */
    int n_train_shards, n_val_shards;      /* 0: runs from before version 10 */
    data_overlap *overlap;                 /* (n_overlap) */
    int n_overlap;                         /* 0: not looked for */
    row_texts texts;
} facts;

/* What to read. */
typedef struct facts_wanted {
    const char *suite; /* NULL: the only one there is */
    int64_t run_id;    /* not 0: of this run alone, whether or not its suite still asks for it;
                          `suite` is then NULL, and there are no timings */
    facts_detail detail;
    const char *const *names; /* NULL: all. Ended by NULL: only runs of these configs, and of the
                                 baseline, are read in full; a name is a config's, with or without
                                 what a label adds to it */
} facts_wanted;

/* Through an open store, in a transaction of its own where none is open. GB_ERR_USAGE lists the
 * suites or names the nearest, or says that there is no such run; GB_ERR_FORMAT, GB_ERR_IO,
 * GB_ERR_OOM. *out is the caller's: facts_free. */
gb_status facts_read(facts **out, struct store *s, const facts_wanted *wanted, gb_error *err);
void facts_free(facts *f); /* NULL is fine */

/* A printf-made string that lives as long as the facts; NULL without memory. */
char *facts_text(facts *f, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Indices by the database's numbers; -1. */
int facts_find_config(const facts *f, int64_t config_id);
int facts_find_machine(const facts *f, int64_t machine_id);

#endif
