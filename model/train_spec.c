#include "model/train_spec.h"

#include <stddef.h>
#include <string.h>

#define FIELD(name) offsetof(train_spec, name)

static const char *const precision_names[] = {"fp32", "bf16", NULL};

static const gb_key spec_keys[] = {
    {"batch_size", GB_KEY_INT, FIELD(batch_size), 1, 1 << 16, NULL, "sequences per micro-batch"},
    {"sequence_length", GB_KEY_INT, FIELD(sequence_length), 1, 1 << 20, NULL,
     "tokens per sequence"},
    {"grad_accumulation_steps", GB_KEY_INT, FIELD(grad_accumulation_steps), 1, 1 << 16, NULL,
     "micro-batches per step"},
    {"num_iterations", GB_KEY_INT, FIELD(num_iterations), 1, 100000000, NULL, "optimiser steps"},
    {"val_loss_every", GB_KEY_INT, FIELD(val_loss_every), 1, 100000000, NULL,
     "steps between validations"},
    {"val_tokens", GB_KEY_INT, FIELD(val_tokens), 1, 1e12, NULL,
     "tokens per validation, in whole sequences"},
    {"learning_rate", GB_KEY_REAL, FIELD(learning_rate), 0, 100, NULL, "peak learning rate"},
    {"warmup_iters", GB_KEY_INT, FIELD(warmup_iters), 0, 100000000, NULL,
     "steps of linear warm-up"},
    {"warmdown_iters", GB_KEY_INT, FIELD(warmdown_iters), 0, 100000000, NULL,
     "steps of linear warm-down at the end"},
    {"weight_decay", GB_KEY_REAL, FIELD(weight_decay), 0, 100, NULL, "decoupled weight decay"},
    {"grad_clip", GB_KEY_REAL, FIELD(grad_clip), 0, 1e9, NULL,
     "largest global gradient norm; 0 = no clipping"},
    {"precision", GB_KEY_ENUM, FIELD(precision), 0, 0, precision_names,
     "type of activations and GEMM operands"},
    {"recompute_activations", GB_KEY_BOOL, FIELD(recompute_activations), 0, 0, NULL,
     "compute the MLP's activation again in the backward pass instead of keeping it"},
    {"seed", GB_KEY_INT, FIELD(seed), 0, 9e15, NULL, "seed of the initial weights"},
    {NULL, GB_KEY_INT, 0, 0, 0, NULL, NULL}};

static const gb_key data_keys[] = {{"train", GB_KEY_TEXT, FIELD(train_data), 0, 0, NULL,
                                    "training tokens: a glob of .bin shards, or synth:..."},
                                   {"val", GB_KEY_TEXT, FIELD(val_data), 0, 0, NULL,
                                    "validation tokens: a glob of .bin shards, or synth:..."},
                                   {NULL, GB_KEY_INT, 0, 0, 0, NULL, NULL}};

const gb_key *train_spec_keys(void)
{
    return spec_keys;
}

const gb_key *train_spec_data_keys(void)
{
    return data_keys;
}

train_spec train_spec_default(void)
{
    return (train_spec){.batch_size = 4,
                        .sequence_length = 512,
                        .grad_accumulation_steps = 1,
                        .num_iterations = 1000,
                        .val_loss_every = -1,
                        .val_tokens = -1,
                        .learning_rate = 0.0018,
                        .warmup_iters = -1,
                        .warmdown_iters = -1,
                        .weight_decay = 0.1,
                        .grad_clip = 0,
                        .precision = GB_FP32,
                        .seed = 1337};
}

static int64_t at_least_one(int64_t value)
{
    return value > 0 ? value : 1;
}

void train_spec_resolve(train_spec *spec)
{
    int64_t n = spec->num_iterations;
    const int64_t T = spec->sequence_length;
    if (spec->val_loss_every < 0) {
        spec->val_loss_every = at_least_one(n / 20);
    }
    if (spec->val_tokens < 0) {
        spec->val_tokens = 80 * T;
    }
    spec->val_tokens = at_least_one(spec->val_tokens / T) * T;
    if (spec->warmup_iters < 0) {
        spec->warmup_iters = n / 8 < 256 ? n / 8 : 256;
    }
    if (spec->warmdown_iters < 0) {
        spec->warmdown_iters = n / 2;
    }
}

void train_spec_reduce(train_spec *spec)
{
    spec->warmup_iters = spec->warmup_iters == 1 ? 0 : spec->warmup_iters;
    spec->warmdown_iters = spec->warmdown_iters == 1 ? 0 : spec->warmdown_iters;
    if (spec->val_loss_every > spec->num_iterations) {
        spec->val_loss_every = spec->num_iterations;
    }
}

gb_status train_spec_validate(const train_spec *spec, gb_error *err)
{
    if (spec->warmup_iters + spec->warmdown_iters > spec->num_iterations) {
        return gb_fail(err, GB_ERR_USAGE,
                       "warmup_iters + warmdown_iters = %lld + %lld is more than num_iterations = "
                       "%lld; shorten one of them or train longer",
                       (long long)spec->warmup_iters, (long long)spec->warmdown_iters,
                       (long long)spec->num_iterations);
    }
    if (spec->batch_size * spec->sequence_length > (int64_t)1 << 30) {
        return gb_fail(err, GB_ERR_USAGE,
                       "batch_size * sequence_length = %lld tokens: more than 2^30 in one "
                       "micro-batch; use grad_accumulation_steps",
                       (long long)(spec->batch_size * spec->sequence_length));
    }
    if (!spec->train_data[0] || !spec->val_data[0]) {
        return gb_fail(err, GB_ERR_USAGE,
                       "no %s data: give a glob of .bin shards, or synth:vocab=256,seed=1",
                       spec->train_data[0] ? "val" : "train");
    }
    return GB_OK;
}

double train_spec_learning_rate(const train_spec *spec, int64_t step)
{
    double lr = spec->learning_rate;
    int64_t n = spec->num_iterations;
    if (step < spec->warmup_iters) {
        return lr * (double)(step + 1) / (double)spec->warmup_iters;
    }
    if (step < n - spec->warmdown_iters) {
        return lr;
    }
    return lr * (double)(n - step) / (double)spec->warmdown_iters;
}

int64_t train_spec_tokens_per_step(const train_spec *spec)
{
    return spec->batch_size * spec->sequence_length * spec->grad_accumulation_steps;
}
