#include "model/layout.h"

#include <stdio.h>

typedef struct role_shape {
    int64_t rows, cols; /* rows == 0: the config has no such tensor */
    bool starts_group;
    const char *name; /* in the module tree, below transformer.h.{i} */
} role_shape;

static role_shape shape_of_role(const gpt_config *c, gpt_role role)
{
    int64_t C = c->n_embd, F = gpt_config_mlp_hidden(c);
    int64_t D = gpt_config_head_dim(c), K = gpt_config_kv_heads(c);
    int64_t q_width = c->n_head * D;
    bool grouped = c->attention_type == GPT_ATTENTION_GQA || c->attention_type == GPT_ATTENTION_MQA;
    bool latent = c->attention_type == GPT_ATTENTION_LATENT;
    switch (role) {
    case GPT_ROLE_WTE:
        return (role_shape){c->vocab_size, C, true, "transformer.wte"};
    case GPT_ROLE_QKV:
        return (role_shape){grouped ? q_width : 3 * q_width, C, true,
                            grouped  ? "attn.q_proj"
                            : latent ? "attn.c_attn_fused"
                                     : "attn.c_attn"};
    case GPT_ROLE_K_PROJ:
        return (role_shape){grouped ? K * D : 0, C, false, "attn.k_proj"};
    case GPT_ROLE_V_PROJ:
        return (role_shape){grouped ? K * D : 0, C, false, "attn.v_proj"};
    case GPT_ROLE_ATTN_OUT:
        return (role_shape){C, q_width, true,
                            grouped  ? "attn.o_proj"
                            : latent ? "attn.out_proj_fused"
                                     : "attn.c_proj"};
    case GPT_ROLE_MLP_UP:
        return (role_shape){F, C, true, c->use_swiglu_mlp ? "mlp.gate_proj" : "mlp.c_fc"};
    case GPT_ROLE_MLP_VALUE:
        return (role_shape){c->use_swiglu_mlp ? F : 0, C, false, "mlp.value_proj"};
    case GPT_ROLE_MLP_DOWN:
        return (role_shape){C, F, true, "mlp.c_proj"};
    case GPT_ROLE_COUNT:
        break;
    }
    return (role_shape){0, 0, false, ""};
}

static int64_t align_up(int64_t offset)
{
    return (offset + GPT_LAYOUT_ALIGN - 1) / GPT_LAYOUT_ALIGN * GPT_LAYOUT_ALIGN;
}

/* Elements of the tied matrix with the rows of zeros behind it that the classifier asks for. */
static int64_t wte_size(const gpt_config *c)
{
    int64_t rows =
        (c->vocab_size + GB_VOCABULARY_STEP - 1) / GB_VOCABULARY_STEP * GB_VOCABULARY_STEP;
    return align_up(rows * c->n_embd);
}

void gpt_layout_init(gpt_layout *layout, const gpt_config *config)
{
    *layout = (gpt_layout){.config = *config};
    role_shape wte = shape_of_role(config, GPT_ROLE_WTE);
    int64_t offset = 0, per_layer = 0;
    for (gpt_role role = GPT_ROLE_QKV; role < GPT_ROLE_COUNT; role++) {
        role_shape shape = shape_of_role(config, role);
        layout->role_offset[role] = -1;
        if (shape.rows > 0) {
            offset = shape.starts_group ? align_up(offset) : offset;
            layout->role_offset[role] = offset;
            offset += shape.rows * shape.cols;
            per_layer += shape.rows * shape.cols;
            layout->tensors_per_layer++;
        }
    }
    layout->layer_stride = align_up(offset);
    layout->n_tensors = 1 + (int)config->n_layer * layout->tensors_per_layer;
    layout->slab_size = wte_size(config) + config->n_layer * layout->layer_stride;
    layout->n_params = wte.rows * wte.cols + config->n_layer * per_layer;
}

int64_t gpt_layout_offset(const gpt_layout *layout, gpt_role role, int layer)
{
    if (role == GPT_ROLE_WTE) {
        return 0;
    }
    return wte_size(&layout->config) + layer * layout->layer_stride + layout->role_offset[role];
}

gpt_tensor gpt_layout_tensor(const gpt_layout *layout, int i)
{
    gpt_tensor tensor = {.role = GPT_ROLE_WTE, .layer = -1};
    if (i > 0) {
        tensor.layer = (i - 1) / layout->tensors_per_layer;
        int nth = (i - 1) % layout->tensors_per_layer;
        for (tensor.role = GPT_ROLE_QKV;; tensor.role++) {
            if (layout->role_offset[tensor.role] >= 0 && nth-- == 0) {
                break;
            }
        }
    }
    role_shape shape = shape_of_role(&layout->config, tensor.role);
    tensor.rows = shape.rows;
    tensor.cols = shape.cols;
    tensor.offset = gpt_layout_offset(layout, tensor.role, tensor.layer);
    if (tensor.layer < 0) {
        snprintf(tensor.name, sizeof tensor.name, "%s.weight", shape.name);
    } else {
        snprintf(tensor.name, sizeof tensor.name, "transformer.h.%d.%s.weight", tensor.layer,
                 shape.name);
    }
    return tensor;
}
