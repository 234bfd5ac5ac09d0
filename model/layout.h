/* layout.h: the one table of a model's weights. Names, shapes and places in the slab come from
 * here, for allocation, initial weights, weight files, parameter and FLOP counts alike.
 *
 * The slab holds every tensor as (rows, cols) = (out, in), row-major. Matrices that one GEMM reads
 * together lie without a gap: q, k, v projections; gate and value projections. Each such group
 * starts at a multiple of GPT_LAYOUT_ALIGN elements, and behind the tied matrix there are rows up
 * to a multiple of GB_VOCABULARY_STEP; the gaps are zero and stay zero. */
#ifndef GPTBENCH_MODEL_LAYOUT_H
#define GPTBENCH_MODEL_LAYOUT_H

#include "model/config.h"

enum { GPT_LAYOUT_ALIGN = 64 };

/* Tensors of one block, by role. With standard, sliding_window and latent attention q, k and v
 * are one tensor (QKV); K_PROJ and V_PROJ are then absent. */
typedef enum gpt_role {
    GPT_ROLE_WTE,
    GPT_ROLE_QKV, /* or q_proj */
    GPT_ROLE_K_PROJ,
    GPT_ROLE_V_PROJ,
    GPT_ROLE_ATTN_OUT,
    GPT_ROLE_MLP_UP, /* c_fc, or gate_proj */
    GPT_ROLE_MLP_VALUE,
    GPT_ROLE_MLP_DOWN,
    GPT_ROLE_COUNT
} gpt_role;

typedef struct gpt_tensor {
    char name[64]; /* PyTorch's: transformer.h.0.attn.c_attn.weight */
    gpt_role role;
    int layer; /* -1 for the tied matrix */
    int64_t rows, cols;
    int64_t offset; /* elements from the start of the slab */
} gpt_tensor;

typedef struct gpt_layout {
    gpt_config config;
    int tensors_per_layer;
    int n_tensors;                       /* 1 + n_layer * tensors_per_layer */
    int64_t layer_stride;                /* elements from one block's tensors to the next block's */
    int64_t slab_size;                   /* elements, gaps included */
    int64_t n_params;                    /* elements, gaps left out */
    int64_t role_offset[GPT_ROLE_COUNT]; /* within a block (WTE: in the slab); -1 if absent */
} gpt_layout;

/* From a valid config. No allocation: tensors are computed on demand. */
void gpt_layout_init(gpt_layout *layout, const gpt_config *config);
/* Tensor i of 0..n_tensors-1, in slab order. */
gpt_tensor gpt_layout_tensor(const gpt_layout *layout, int i);
/* Slab offset of a role in a block (layer is ignored for WTE). */
int64_t gpt_layout_offset(const gpt_layout *layout, gpt_role role, int layer);

#endif
