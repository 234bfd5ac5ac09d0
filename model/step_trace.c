#include "model/step_trace.h"

#include <stdlib.h>
#include <string.h>

#include "model/gpt.h"

bool step_trace_shows(const char *spec_key)
{
    static const char *const around[] = {"num_iterations", "val_loss_every", "val_tokens",
                                         "warmup_iters",   "warmdown_iters", "seed"};
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        if (strcmp(spec_key, around[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* As the trainer issues it (model/trainer.c). */
static gb_status issue(gpt *model, const train_spec *spec, gb_error *err)
{
    const double grad_scale = 1.0 / (double)train_spec_tokens_per_step(spec);
    for (int64_t i = 0; i < spec->grad_accumulation_steps && i < 2; i++) {
        GB_TRY(gpt_stage_batch(model, NULL, NULL, err));
        GB_TRY(gpt_accumulate(model, grad_scale, i == 0, err));
    }
    const gpt_update_options update = {.learning_rate = train_spec_learning_rate(spec, 0),
                                       .weight_decay = spec->weight_decay,
                                       .grad_clip = spec->grad_clip,
                                       .step = 1};
    GB_TRY(gpt_update(model, &update, err));
    return gpt_results_post(model, err);
}

static gb_status calls_copy(step_trace *out, const gb_device *dev, gb_error *err)
{
    const op_trace_call *calls = op_trace_calls(dev);
    out->calls = malloc((size_t)out->n_calls * sizeof *out->calls);
    if (!calls || !out->calls) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the calls of a step");
    }
    memcpy(out->calls, calls, (size_t)out->n_calls * sizeof *calls);
    return GB_OK;
}

gb_status step_trace_make(step_trace *out, const gpt_config *config, const train_spec *spec,
                          bool list, gb_error *err)
{
    const gb_backend *be = &op_trace_backend;
    const gb_options device = {
        .precision = (gb_precision)spec->precision,
        .threads = 1,
        .device_index = -1,
        .shape = gpt_config_shape(config, spec->batch_size, spec->sequence_length)};
    const gpt_options options = {.batch_size = spec->batch_size,
                                 .sequence_length = spec->sequence_length,
                                 .training = true,
                                 .recompute = spec->recompute_activations};
    gb_device *dev = NULL;
    gpt *model = NULL;
    *out = (step_trace){0};
    gb_status status = be->open(&device, &dev, err);
    if (status == GB_OK) {
        status = gpt_create(&model, config, &options, be, dev, err);
    }
    if (status == GB_OK) {
        op_trace_begin(dev, list);
        status = issue(model, spec, err);
    }
    if (status == GB_OK) {
        out->n_calls = op_trace_count(dev);
        out->hash = op_trace_hash(dev) ^ ((uint64_t)spec->grad_accumulation_steps << 32);
        status = list ? calls_copy(out, dev, err) : GB_OK;
    }
    gpt_destroy(model);
    be->close(dev);
    if (status != GB_OK) {
        step_trace_clear(out);
    }
    return status;
}

void step_trace_clear(step_trace *trace)
{
    free(trace->calls);
    *trace = (step_trace){0};
}
