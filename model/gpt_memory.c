#include "model/gpt_memory.h"

#include "kernels/checked.h"

static int64_t element_bytes(gpt_element element, int act_bytes, int wide_bytes)
{
    return element == GPT_ACT ? act_bytes : element == GPT_WIDE ? wide_bytes : 4;
}

static int64_t align_up(int64_t bytes)
{
    return gb_round_up(bytes, GPT_BUFFER_ALIGN_BYTES);
}

int64_t gpt_data_token_bytes(int64_t N)
{
    return align_up(N * (int64_t)sizeof(int32_t));
}

int64_t gpt_dattn_offset(int64_t dqkv_elements)
{
    return align_up(dqkv_elements);
}

int64_t gpt_buffers_carve(gpt_buffers *out, char *base, const gpt_config *config,
                          const gpt_options *options, int act_bytes, int wide_bytes)
{
    const int64_t N = options->batch_size * options->sequence_length;
    const int64_t C = config->n_embd, H = config->n_head, K = gpt_config_kv_heads(config);
    const int64_t D = gpt_config_head_dim(config), Q = H * D, R = (H + 2 * K) * D;
    const int64_t F = gpt_config_mlp_hidden(config), U = config->use_swiglu_mlp ? 2 * F : F;
    const bool training = options->training;
    const int64_t attention_scratch = gpt_dattn_offset(N * R) + N * Q;
    const int64_t wide_scratch = attention_scratch > N * F ? attention_scratch : N * F;
    const int64_t layers = training ? config->n_layer : 1;
    int64_t used = 0;
    *out = (gpt_buffers){0};
#define X(field, element, count, per_layer, present)                                               \
    if (present) {                                                                                 \
        int64_t one = align_up(gb_times((count), element_bytes(element, act_bytes, wide_bytes)));  \
        out->field = base ? base + used : NULL;                                                    \
        out->field##_stride = (per_layer) && training ? one : 0;                                   \
        used = gb_plus(used, (per_layer) ? gb_times(one, layers) : one);                           \
    }
    GPT_ACTIVATIONS(X)
#undef X
    return used;
}

void gpt_plan_memory(const gpt_config *config, const gpt_options *options, int act_bytes,
                     int wide_bytes, int64_t bytes[GB_MEM_GROUPS])
{
    gpt_layout layout;
    gpt_buffers buffers;
    gpt_layout_init(&layout, config);
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        bytes[group] = 0;
    }
    int64_t wide_slab = gb_times(layout.slab_size, wide_bytes);
    bytes[GB_MEM_MASTER] = wide_slab;
    bytes[GB_MEM_WEIGHTS] = act_bytes == wide_bytes ? 0 : gb_times(layout.slab_size, act_bytes);
    bytes[GB_MEM_GRADIENTS] = options->training ? wide_slab : 0;
    bytes[GB_MEM_OPTIMIZER] = options->training ? gb_times(2, wide_slab) : 0;
    bytes[GB_MEM_ACTIVATIONS] =
        gpt_buffers_carve(&buffers, NULL, config, options, act_bytes, wide_bytes);
    bytes[GB_MEM_DATA] =
        GPT_DATA_TOKENS + 2 * gpt_data_token_bytes(options->batch_size * options->sequence_length);
}

gb_status gpt_validate_memory(const gpt_config *config, const gpt_options *options, gb_error *err)
{
    int64_t bytes[GB_MEM_GROUPS], total = 0;
    gpt_plan_memory(config, options, 8, 8, bytes); /* the widest elements that a backend has */
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        total = gb_plus(total, bytes[group]);
    }
    if (total < INT64_MAX) {
        return GB_OK;
    }
    return gb_fail(
        err, GB_ERR_USAGE,
        "batch_size * sequence_length = %lld tokens with n_embd = %lld and n_layer = "
        "%lld: more than 2^63 bytes, and no machine has as many; make one of them smaller",
        (long long)(options->batch_size * options->sequence_length), (long long)config->n_embd,
        (long long)config->n_layer);
}
