/* planted_rows.h: a suite, a config and a run as the plan writes them, for tests of the store. */
#ifndef GPTBENCH_TESTS_PLANTED_ROWS_H
#define GPTBENCH_TESTS_PLANTED_ROWS_H

#include <math.h>

#include "bench/store/store.h"

static const gpt_config MODEL = {
    .vocab_size = 256, .n_layer = 2, .n_head = 2, .n_embd = 64, .mlp_expansion_factor = 4};
static const train_spec SPEC = {.batch_size = 4,
                                .sequence_length = 25,
                                .grad_accumulation_steps = 1,
                                .num_iterations = 4,
                                .val_tokens = 400,
                                .learning_rate = 1e-3,
                                .precision = GB_FP32,
                                .seed = 1337,
                                .train_data = "t",
                                .val_data = "v"};

static store_config config_row(const char *name, int64_t position)
{
    return (store_config){.name = name,
                          .position = position,
                          .is_baseline = position == 0,
                          .model = &MODEL,
                          .sequence_length = SPEC.sequence_length,
                          .settings_json = "{}"};
}

static store_run run_row(int64_t config_id, int64_t replicate, const char *identity)
{
    return (store_run){.config_id = config_id,
                       .replicate = replicate,
                       .identity = identity,
                       .spec = &SPEC,
                       .backend = "cpu",
                       .threads = 2,
                       .program_version = "test",
                       .program_commit = "test",
                       .compiler = "test",
                       .train_data_hash = "th",
                       .val_data_hash = "vh",
                       .entropy_rate_nats = NAN};
}

static const store_suite SUITE = {"s", "s.ini", "[suite]\n", "base", 2, NULL};

#endif
