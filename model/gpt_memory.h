/* gpt_memory.h: the buffers of a model and the table they are carved from; private to gpt*.c. */
#ifndef GPTBENCH_MODEL_GPT_MEMORY_H
#define GPTBENCH_MODEL_GPT_MEMORY_H

#include "model/gpt.h"

enum { GPT_BUFFER_ALIGN_BYTES = 128 };

typedef enum gpt_element { GPT_ACT, GPT_WIDE, GPT_INT32 } gpt_element;

/* Every activation buffer: X(field, element type, elements, per layer?, present?).
 * Shapes use N, C, F, Q = H*D, R = (H+2K)*D, U = F or 2F, H, K. Per-layer buffers are what the
 * backward pass needs; a model that does not train keeps one layer's worth of each. The norms are
 * undone from their outputs, so the residual stream itself is never saved. */
#define GPT_ACTIVATIONS(X)                                                                         \
    X(x, GPT_ACT, N *C, false, true)       /* residual stream (N, C) */                            \
    X(y, GPT_ACT, N *C, false, true)       /* output of a sub-layer (N, C) */                      \
    X(h_final, GPT_ACT, N *C, false, true) /* input of the classifier (N, C) */                    \
    X(inv_rms_final, GPT_WIDE, N, false, true)                                                     \
    X(h1, GPT_ACT, N *C, true, true) /* input of attention (N, C) */                               \
    X(inv_rms1, GPT_WIDE, N, true, true)                                                           \
    X(qkv, GPT_ACT, N *R, true, true) /* after norm and rotation (N, R) */                         \
    X(inv_rms_qk, GPT_WIDE, N *(H + K), true, config->qk_norm)                                     \
    X(attn, GPT_ACT, N *Q, true, true)                  /* (N, Q) */                               \
    X(lse, GPT_WIDE, N *H, true, true)                  /* (B, H, T) */                            \
    X(attn_out, GPT_ACT, N *C, true, config->post_norm) /* y before its norm (N, C) */             \
    X(inv_rms_attn, GPT_WIDE, N, true, config->post_norm)                                          \
    X(h2, GPT_ACT, N *C, true, true) /* input of the MLP (N, C) */                                 \
    X(inv_rms2, GPT_WIDE, N, true, true)                                                           \
    X(up, GPT_ACT, N *U, true, true)                 /* before the activation (N, U) */            \
    X(act, GPT_ACT, N *F, !options->recompute, true) /* after it (N, F) */                         \
    X(mlp_out, GPT_ACT, N *C, true, config->post_norm)                                             \
    X(inv_rms_mlp, GPT_WIDE, N, true, config->post_norm)                                           \
    X(dx, GPT_ACT, N *C, false, training)            /* gradient of the residual stream */         \
    X(dh, GPT_ACT, N *C, false, training)            /* gradient of a norm's output, or of y */    \
    X(dwide, GPT_ACT, wide_scratch, false, training) /* dqkv and dattn; or the MLP's hidden */

/* One pointer per buffer; layer i of a per-layer one is at field + i * stride. */
typedef struct gpt_buffers {
#define X(field, element, count, per_layer, present) char *field;
    GPT_ACTIVATIONS(X)
#undef X
    /* Bytes from one layer to the next; 0 where there is one layer's worth. */
#define X(field, element, count, per_layer, present) int64_t field##_stride;
    GPT_ACTIVATIONS(X)
#undef X
} gpt_buffers;

/* The data block: offsets of the optimiser's numbers (gb_adamw), of the results (double) and of the
 * inputs, behind which the targets lie. */
enum { GPT_DATA_ADAMW = 0, GPT_DATA_RESULTS = 128, GPT_DATA_TOKENS = 256 };
/* Bytes from the inputs to the targets; N tokens each. */
int64_t gpt_data_token_bytes(int64_t N);

/* Elements from the start of `dwide`, where dqkv lies, to dattn behind it: aligned for any type. */
int64_t gpt_dattn_offset(int64_t dqkv_elements);

/* Lays the buffers out from `base` (which may be NULL, for planning); returns the bytes. */
int64_t gpt_buffers_carve(gpt_buffers *out, char *base, const gpt_config *config,
                          const gpt_options *options, int act_bytes, int wide_bytes);

#endif
