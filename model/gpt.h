/* gpt.h: the model, written once against the op table of kernels/backend.h: weights, gradients,
 * optimiser state and activations on one device; forward, backward and update. The maths is
 * docs/MODEL.md. Not thread-safe; two models on two devices do not share anything. */
#ifndef GPTBENCH_MODEL_GPT_H
#define GPTBENCH_MODEL_GPT_H

#include "model/layout.h"

typedef struct gpt gpt;

typedef struct gpt_options {
    int64_t batch_size, sequence_length; /* B, T of every call */
    bool training; /* false: no gradients and no optimiser state; gpt_loss only */
} gpt_options;

/* Bytes per group that gpt_create allocates, from the same table, workspace left at 0 (that is
 * the backend's). act_bytes and wide_bytes as gb_description has them. */
void gpt_plan_memory(const gpt_config *config, const gpt_options *options, int act_bytes,
                     int wide_bytes, int64_t bytes[GB_MEM_GROUPS]);

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

/* inputs, targets: host, (B*T). *loss_sum: sum of cross-entropies in nats over the B*T positions.
 */
gb_status gpt_loss(gpt *model, const int32_t *inputs, const int32_t *targets, double *loss_sum,
                   gb_error *err);
/* The same, and the gradient of loss_sum * grad_scale: overwrites all weight gradients with
 * `first`, else adds to them. */
gb_status gpt_loss_and_grad(gpt *model, const int32_t *inputs, const int32_t *targets,
                            double grad_scale, bool first, double *loss_sum, gb_error *err);
/* Global L2 norm of all weight gradients. */
gb_status gpt_grad_norm(gpt *model, double *norm, gb_error *err);
/* One AdamW step (beta 0.9, 0.95, eps 1e-8); step counts from 1. */
gb_status gpt_update(gpt *model, double learning_rate, double weight_decay, double grad_scale,
                     int64_t step, gb_error *err);

#endif
