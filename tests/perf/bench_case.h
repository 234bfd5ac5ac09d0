/* bench_case.h: the models that `make bench` and `make bench-peers` time, and one training step of
 * them, from random weights on random tokens. tests/perf/peers/pytorch_model.py is the same model.
 *
 *   bench_case c;
 *   bench_run run = {0};
 *   GB_TRY(bench_case_find(&c, "small", GB_FP32, err));
 *   status = bench_run_open(&run, &c, 0, err);
 *   ... bench_run_step(&run, &c, &ms, err) ...
 *   bench_run_close(&run);   also after a failure
 */
#ifndef GPTBENCH_TESTS_BENCH_CASE_H
#define GPTBENCH_TESTS_BENCH_CASE_H

#include <stdlib.h>
#include <string.h>

#include "kernels/clock.h"
#include "model/flops.h"
#include "model/gpt.h"

typedef struct bench_case {
    const char *name;
    gpt_config config;
    int64_t B, T;
    gb_precision precision;
} bench_case;

typedef struct bench_run {
    const gb_backend *be;
    gb_device *dev;
    gpt *model;
    int32_t *tokens; /* (B*T + 1) */
    int64_t step;
    double last_loss;
} bench_run;

/* small: L 4, H 4, C 256, V 512, B 8, T 256; d12: L 12, H 12, C 768, B 4, T 256, and a vocabulary
 * of 50304, which is GPT-2's rounded up to a multiple of 128, as who cares for speed has it. */
static inline gb_status bench_case_find(bench_case *out, const char *name, gb_precision precision,
                                        gb_error *err)
{
    gpt_config config = gpt_config_default();
    if (strcmp(name, "small") == 0) {
        config.n_layer = 4;
        config.n_head = 4;
        config.n_embd = 256;
        config.vocab_size = 512;
        *out = (bench_case){"small", config, 8, 256, precision};
        return GB_OK;
    }
    if (strcmp(name, "d12") == 0) {
        config.vocab_size = 50304;
        *out = (bench_case){"d12", config, 4, 256, precision};
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_USAGE, "there is no model '%s' to time; there are small and d12",
                   name);
}

/* Opens the CPU backend with so many threads (0: every usable CPU), and the model on it. */
static inline gb_status bench_run_open(bench_run *run, const bench_case *c, int threads,
                                       gb_error *err)
{
    run->be = &gb_backend_cpu;
    gb_options options = {.precision = c->precision,
                          .threads = threads,
                          .device_index = -1,
                          .shape = gpt_config_shape(&c->config, c->B, c->T)};
    GB_TRY(run->be->open(&options, &run->dev, err));
    gpt_options model = {.batch_size = c->B, .sequence_length = c->T, .training = true};
    GB_TRY(gpt_create(&run->model, &c->config, &model, run->be, run->dev, err));
    GB_TRY(gpt_init_weights(run->model, 1, 0, err));
    run->tokens = malloc((size_t)(c->B * c->T + 1) * sizeof *run->tokens);
    if (run->tokens == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    uint64_t state = 1;
    for (int64_t i = 0; i <= c->B * c->T; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        run->tokens[i] = (int32_t)((state >> 33) % (uint64_t)c->config.vocab_size);
    }
    return GB_OK;
}

static inline void bench_run_close(bench_run *run)
{
    free(run->tokens);
    gpt_destroy(run->model);
    if (run->be != NULL) {
        run->be->close(run->dev);
    }
}

/* Forward, backward and AdamW. */
static inline gb_status bench_run_step(bench_run *run, const bench_case *c, double *ms,
                                       gb_error *err)
{
    double start = gb_monotonic_ms(), loss = 0;
    GB_TRY(gpt_loss_and_grad(run->model, run->tokens, run->tokens + 1, 1.0 / (double)(c->B * c->T),
                             true, &loss, err));
    run->last_loss = loss;
    const gpt_update_options update = {1e-4, 0.1, .grad_clip = 0, .step = ++run->step};
    GB_TRY(gpt_update(run->model, &update, err));
    *ms = gb_monotonic_ms() - start;
    return GB_OK;
}

#endif
