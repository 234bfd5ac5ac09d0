/* gpt.h: the model, written once against the op table of kernels/backend.h: weights, gradients,
 * optimiser state and activations on one device; forward, backward and update. The maths is
 * docs/MODEL.md. Not thread-safe; two models on two devices do not share anything. */
#ifndef GPTBENCH_MODEL_GPT_H
#define GPTBENCH_MODEL_GPT_H

#include "model/layout.h"

typedef struct gpt gpt;

typedef struct gpt_options {
    int64_t batch_size, sequence_length; /* B, T of every call */
    bool training;  /* false: no gradients and no optimiser state; gpt_loss only */
    bool recompute; /* the output of GELU or SwiGLU is not kept but computed again: bit-equal */
    gb_nvtx *nvtx;  /* phases and layers get ranges there (kernels/nvtx.h); not owned; NULL: none */
} gpt_options;

/* Bytes per group that gpt_create allocates, from the same table, workspace left at 0 (that is
 * the backend's). act_bytes and wide_bytes as gb_description has them. */
void gpt_plan_memory(const gpt_config *config, const gpt_options *options, int act_bytes,
                     int wide_bytes, int64_t bytes[GB_MEM_GROUPS]);

/* GB_ERR_USAGE when the plan is beyond int64_t, which the ranges of the keys alone allow. What fits
 * there may still be more than any machine has. */
gb_status gpt_validate_memory(const gpt_config *config, const gpt_options *options, gb_error *err);

/* `config` must be valid; `dev` was opened with gpt_config_shape and stays the caller's, outliving
 * the model. Weights are zero until initialised or loaded. GB_ERR_OOM names the group. */
gb_status gpt_create(gpt **out, const gpt_config *config, const gpt_options *options,
                     const gb_backend *backend, gb_device *dev, gb_error *err);
void gpt_destroy(gpt *model); /* NULL is fine */

const gpt_layout *gpt_get_layout(const gpt *model);

/* Uniform in +-1/sqrt(cols), keyed by (seed, tensor name, replicate); see model/random.h. */
gb_status gpt_init_weights(gpt *model, uint64_t seed, uint32_t replicate, gb_error *err);

/* One tensor of the layout from or to host doubles (rows * cols). After the last
 * gpt_write_weight call gpt_refresh_weights. */
gb_status gpt_write_weight(gpt *model, int tensor, const double *values, gb_error *err);
gb_status gpt_read_weight(gpt *model, int tensor, double *values, gb_error *err);
gb_status gpt_read_grad(gpt *model, int tensor, double *values, gb_error *err);
gb_status gpt_refresh_weights(gpt *model, gb_error *err);

/* ---- what training leaves behind, raw ---- */

typedef enum gpt_slab { GPT_SLAB_MASTER, GPT_SLAB_M, GPT_SLAB_V, GPT_SLABS } gpt_slab;

/* sizeof(wide), the type of the three slabs. */
int gpt_wide_bytes(const gpt *model);
/* n elements from `offset` on, as gpt_tensor.offset counts, bit for bit, from or to host memory;
 * blocking. After the last write call gpt_refresh_weights. */
gb_status gpt_read_slab(gpt *model, gpt_slab slab, int64_t offset, int64_t n, void *bytes,
                        gb_error *err);
gb_status gpt_write_slab(gpt *model, gpt_slab slab, int64_t offset, int64_t n, const void *bytes,
                         gb_error *err);

/* ---- one batch, waited for: for checks ---- */

/* inputs, targets: host, (B*T). *loss_sum: sum of cross-entropies in nats over the B*T positions.
 */
gb_status gpt_loss(gpt *model, const int32_t *inputs, const int32_t *targets, double *loss_sum,
                   gb_error *err);
/* The same, and the gradient of the batch's loss * grad_scale: overwrites all weight gradients with
 * `first`, else adds to them; *loss_sum is over all batches since the last `first`. */
gb_status gpt_loss_and_grad(gpt *model, const int32_t *inputs, const int32_t *targets,
                            double grad_scale, bool first, double *loss_sum, gb_error *err);

/* ---- a training step, which waits for nothing ----
 *   gpt_stage_batch, gpt_accumulate   for each micro-batch, the first with `first`
 *   gpt_update, gpt_results_post
 *   gpt_results_take                  now, or some steps later (gb_description.steps_ahead)
 * Where the backend records, each of accumulate and update is recorded after two plain runs, and
 * replayed from then on, with the same bits as result. */

/* inputs, targets: host, (B*T); may be used again at once. */
gb_status gpt_stage_batch(gpt *model, const int32_t *inputs, const int32_t *targets, gb_error *err);
/* The same for gpt_evaluate: in the ledger it is part of the validation, not of a step. */
gb_status gpt_stage_eval_batch(gpt *model, const int32_t *inputs, const int32_t *targets,
                               gb_error *err);
/* Gradient of the staged batch's loss * grad_scale, overwriting or added as above, and its loss,
 * likewise. */
gb_status gpt_accumulate(gpt *model, double grad_scale, bool first, gb_error *err);
/* Loss alone, of the first `sequences` (1..B) of the staged batch; after gpt_results_post loss_sum
 * is over all since `first`. */
gb_status gpt_evaluate(gpt *model, int64_t sequences, bool first, gb_error *err);

typedef struct gpt_update_options {
    double learning_rate, weight_decay;
    double grad_clip; /* global norm that the gradient is scaled down to; 0: none, nor a norm */
    int64_t step;     /* counts from 1 */
} gpt_update_options;

/* One AdamW step (beta 0.9, 0.95, eps 1e-8). Changes nothing where the loss is not finite. */
gb_status gpt_update(gpt *model, const gpt_update_options *options, gb_error *err);

typedef struct gpt_results {
    double loss_sum;   /* nats, since the last `first` */
    double grad_norm;  /* global L2 norm before clipping; NAN without grad_clip */
    double elapsed_ms; /* since the post before, or gpt_clock_start */
} gpt_results;

/* As clock_start, results_post and results_take of kernels/backend.h. */
gb_status gpt_clock_start(gpt *model, gb_error *err);
gb_status gpt_results_post(gpt *model, gb_error *err);
gb_status gpt_results_take(gpt *model, gpt_results *out, gb_error *err);

/* Off: ops run one by one, so that the backend's timers see each. On again: as the backend likes
 * it. */
void gpt_set_recording(gpt *model, bool on);

#endif
