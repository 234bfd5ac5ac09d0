#include "model/gemm_shape.h"

#include <string.h>

#include "kernels/checked.h"

/* Width in and out of a linear map; false for other ops. */
static bool linear_widths(const gb_shape *s, gb_op op, int64_t *in, int64_t *out)
{
    switch (op) {
    case GB_OP_LINEAR_QKV:
        *in = s->n_embd;
        *out = (s->n_head + 2 * s->n_kv_head) * s->head_dim;
        return true;
    case GB_OP_LINEAR_ATTN_OUT:
        *in = s->n_head * s->head_dim;
        *out = s->n_embd;
        return true;
    case GB_OP_LINEAR_MLP_UP:
        *in = s->n_embd;
        *out = (s->swiglu ? 2 : 1) * s->mlp_hidden;
        return true;
    case GB_OP_LINEAR_MLP_DOWN:
        *in = s->mlp_hidden;
        *out = s->n_embd;
        return true;
    case GB_OP_CLASSIFIER:
        *in = s->n_embd;
        *out = s->vocab_size;
        return true;
    default:
        return false;
    }
}

int gpt_op_gemms(const gb_shape *shape, gb_op op, bool forward, bool backward,
                 gpt_gemm out[GPT_GEMMS_MAX])
{
    int64_t in, width, tokens = gb_times(shape->batch_size, shape->sequence_length);
    int n = 0;
    if (!linear_widths(shape, op, &in, &width)) {
        return 0;
    }
    if (op == GB_OP_CLASSIFIER) {
        backward = forward;
    }
    if (forward) {
        out[n++] = (gpt_gemm){"y", tokens, width, in};
    }
    if (backward) {
        out[n++] = (gpt_gemm){"dx", tokens, in, width};
        out[n++] = (gpt_gemm){"dw", width, in, tokens};
    }
    return n;
}

gb_op gpt_op_find(const char *name)
{
    int op = 0;
    while (op < GB_OP_COUNT && strcmp(gb_op_name((gb_op)op), name) != 0) {
        op++;
    }
    return (gb_op)op;
}
