/* train_spec.h: how a GPT is trained: the keys of a suite's [train] and [data] sections. */
#ifndef GPTBENCH_MODEL_TRAIN_SPEC_H
#define GPTBENCH_MODEL_TRAIN_SPEC_H

#include "model/config.h"

/* Plain values: copy freely. -1 in a field marked "auto" means: train_spec_resolve decides. */
typedef struct train_spec {
    int64_t batch_size;              /* B, sequences per micro-batch */
    int64_t sequence_length;         /* T, tokens per sequence */
    int64_t grad_accumulation_steps; /* micro-batches per step */
    int64_t num_iterations;          /* steps */
    int64_t val_loss_every;          /* steps between validations; auto: num_iterations / 20 */
    int64_t val_tokens;              /* tokens per validation; auto: 80 sequences */
    double learning_rate;
    int64_t warmup_iters;   /* auto: num_iterations / 8, at most 256 */
    int64_t warmdown_iters; /* auto: num_iterations / 2 */
    double weight_decay;
    double grad_clip;           /* global norm; 0 = no clipping */
    int64_t precision;          /* gb_precision: fp32, bf16 */
    bool recompute_activations; /* less memory, the same numbers, a little more time */
    int64_t seed;
    char train_data[256]; /* glob of .bin shards, or synth:vocab=256,seed=1 */
    char val_data[256];
} train_spec;

/* Keys of [train], then `train` and `val` of [data], each its own table. */
const gb_key *train_spec_keys(void);
const gb_key *train_spec_data_keys(void);

train_spec train_spec_default(void);
/* Fills every auto field, rounds val_tokens down to whole sequences (at least one). No field that
 * says what is validated follows from batch_size. */
void train_spec_resolve(train_spec *spec);
/* Puts what cannot change a run to one value, of a resolved spec: a warm-up or warm-down of one
 * step has the peak rate in it and is none; validations further apart than the run is long are
 * those before and after it alone. */
void train_spec_reduce(train_spec *spec);
/* GB_ERR_USAGE with the reason: warm-up and warm-down longer than the run, no data given, ... */
gb_status train_spec_validate(const train_spec *spec, gb_error *err);

/* Learning rate at step i of 0..num_iterations-1 (MODEL: linear warm-up lr*(i+1)/warmup, constant,
 * linear down lr*(n-i)/warmdown). */
double train_spec_learning_rate(const train_spec *spec, int64_t step);
/* B * T * grad_accumulation_steps. */
int64_t train_spec_tokens_per_step(const train_spec *spec);

#endif
