#include "bench/analysis/entry_floor.h"

#include <string.h>

#include "model/gemm_shape.h"

bool entry_model(const report_config *config, gpt_config *out)
{
    int type = 0;
    while (type < GPT_ATTENTION_COUNT &&
           strcmp(gpt_attention_name((gpt_attention)type), config->attention_type) != 0) {
        type++;
    }
    bool positive = config->vocab_size > 0 && config->n_layer > 0 && config->n_head > 0 &&
                    config->n_embd > 0 && config->mlp_hidden > 0;
    if (type == GPT_ATTENTION_COUNT || !positive) {
        return false;
    }
    *out = gpt_config_default();
    out->vocab_size = config->vocab_size;
    out->n_layer = config->n_layer;
    out->n_head = config->n_head;
    out->n_embd = config->n_embd;
    out->attention_type = type;
    out->n_kv_head = config->n_kv_head;
    out->window_size = config->window_size > 0 ? config->window_size : out->window_size;
    out->n_latent = config->n_latent > 0 ? config->n_latent : out->n_latent;
    /* mlp_hidden is stored as it came out of any rounding. */
    out->mlp_expansion_factor = (double)config->mlp_hidden / (double)config->n_embd;
    out->mlp_hidden_multiple_of = 0;
    out->use_swiglu_mlp = config->use_swiglu_mlp;
    out->post_norm = config->post_norm;
    out->qk_norm = config->qk_norm;
    return gpt_config_validate(out, NULL) == GB_OK;
}

static gb_phase phase_find(const char *name)
{
    int phase = 0;
    while (phase < GB_PHASE_COUNT && strcmp(gb_phase_name((gb_phase)phase), name) != 0) {
        phase++;
    }
    return (gb_phase)phase;
}

bool entry_work(const report_data *data, const report_entry *entry, gpt_config *model,
                op_floor_shape *shape)
{
    const report_run *run = entry->runs[0];
    *shape = (op_floor_shape){.batch_size = run->batch_size,
                              .sequence_length = run->sequence_length,
                              .act_bytes = strcmp(entry->precision, "bf16") == 0 ? 2 : 4};
    return run->batch_size > 0 && run->sequence_length > 0 &&
           entry_model(&data->configs[entry->config], model);
}

op_floor entry_op_floor(const report_data *data, const report_entry *entry, const char *phase,
                        const char *op)
{
    gpt_config model;
    op_floor_shape shape;
    gb_phase in = phase_find(phase);
    gb_op which = gpt_op_find(op);
    if (in == GB_PHASE_COUNT || which == GB_OP_COUNT || !entry_work(data, entry, &model, &shape)) {
        return (op_floor){0, 0};
    }
    return op_floor_of_batches(&model, &shape, entry->runs[0]->grad_accumulation_steps, in, which);
}

op_rates entry_rates(const report_entry *entry)
{
    const report_run *run = entry->runs[0];
    return (op_rates){run->gemm_peak_flops_per_s, run->copy_bytes_per_s};
}
