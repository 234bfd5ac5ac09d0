/* cost_estimate.h: what running a suite would take, before anything runs: parameters, FLOPs,
 * memory, tokens, and an estimate of time. */
#ifndef GPTBENCH_BENCH_COST_ESTIMATE_H
#define GPTBENCH_BENCH_COST_ESTIMATE_H

#include "bench/plan/data_use.h"
#include "bench/plan/memory_fit.h"
#include "bench/suite/suite.h"
#include "kernels/backend.h"

/* Share of the large-GEMM rate that a training step is assumed to reach: an estimate is right
 * within a factor of two or so for the models that this program is for. */
#define COST_ASSUMED_EFFICIENCY 0.4

/* A rate that training has reached on this machine with this backend and as many threads. */
typedef struct cost_rate {
    int64_t precision;     /* gb_precision */
    double flops_per_step; /* exact, of an optimiser step */
    double flops_per_s;    /* of the average step */
    const char *config, *source;
} cost_rate;
/* A cell is like a config with at most so many times, and at least one so-many-th of its FLOPs per
 * step: the share of the peak that a step reaches grows with its size, from 1 % to 80 %. */
#define COST_LIKE_FACTOR 8.0

typedef struct cost_options {
    const char *only;          /* glob on cell names; NULL = all */
    const gb_backend *backend; /* plans the memory */
    int threads;               /* CPU; 0 = all */
    int64_t process_bytes;     /* of a worker before it opens anything; 0: not counted */
    int64_t device_bytes;      /* memory of the GPU; 0: not known */
    const data_shards *train;  /* the training data; NULL: not known */
    /* Large-GEMM rate by gb_precision, FLOP/s; <= 0: unknown, and so is the time. */
    double gemm_flops_per_s[2];
    /* Where one is like a cell, the nearest is its rate, whatever the large-GEMM rate. */
    const cost_rate *reached;
    int n_reached;
} cost_options;

typedef struct cost_row {
    const suite_cell *cell;
    int64_t n_params;
    double flops_per_token; /* exact, at the cell's sequence_length */
    double vs_baseline;     /* flops_per_token / baseline's - 1 */
    int64_t memory_bytes;   /* predicted, of the whole process where it computes on the host */
    memory_fit fit;         /* whether that is there */
    double run_tokens;      /* trained on, in one run */
    double passes;          /* over the training data, in one run; NAN: endless or not known */
    double run_flops;       /* training, and a third per token of every validation */
    const cost_rate
        *like;          /* whose rate it is assumed to reach; NULL: a share of the large GEMM's */
    double flops_per_s; /* that rate; 0: none is known */
    double run_ms;      /* estimated; NAN where no rate is known */
} cost_row;

typedef struct cost_estimate {
    const suite *suite; /* borrowed */
    cost_row *rows;     /* the selected cells, in the suite's order */
    int n_rows;
    cost_row baseline;   /* of the suite's baseline, selected or not */
    int64_t n_runs;      /* rows * replicates */
    double total_tokens; /* of all runs */
    double total_ms;     /* NAN as run_ms */
    int timing_arms;     /* what takes turns, the control included; 0: no interleaved timing */
    double timing_ms;    /* estimated, of `blocks` blocks; NAN as run_ms */
} cost_estimate;

/* *out is owned by the caller (cost_estimate_free) and must not outlive the suite. GB_ERR_USAGE
 * when `only` matches no cell. Pure: opens no device and no file. */
gb_status cost_estimate_make(cost_estimate **out, const suite *suite, const cost_options *options,
                             gb_error *err);
void cost_estimate_free(cost_estimate *p); /* NULL is fine */

/* The rate reached that is nearest to the cell's FLOPs per step, of its precision; NULL: none is
 * like it. */
const cost_rate *cost_rate_like(const suite_cell *cell, const cost_options *options);

/* What is known of a claim before any run. */
typedef enum cost_claim_basis {
    COST_CLAIM_EXACT,  /* parameters and FLOPs: `percent` is the truth */
    COST_CLAIM_FLOPS,  /* speed: what equal FLOP/s would give */
    COST_CLAIM_MEMORY, /* from the memory plan */
    COST_CLAIM_UNKNOWN /* losses: NAN */
} cost_claim_basis;

/* What arithmetic knows of a config; NAN: not known. */
typedef struct cost_quantities {
    double n_params, flops_per_token, tokens_per_step, memory_bytes;
} cost_quantities;
cost_quantities cost_row_quantities(const cost_row *row);

/* The percentage that the claim's `expect` compares, as far as arithmetic tells; NAN where a
 * quantity that it needs is not known. */
cost_claim_basis cost_claim_predict(const cost_quantities *config, const cost_quantities *baseline,
                                    const suite_expect *expect, double *percent);
/* The row of any cell of the suite. */
cost_row cost_row_make(const suite *suite, int cell, const cost_options *options);

#endif
