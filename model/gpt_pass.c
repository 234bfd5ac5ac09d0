/* Forward and backward of one batch that lies on the device. */
#include "model/gpt_internal.h"

/* Layer l of a per-layer buffer. */
#define AT(field, l) (g->buf.field + (l)*g->buf.field##_stride)

static void *weight_of(const gpt *g, gpt_role role, int layer)
{
    return g->weights + gpt_layout_offset(&g->layout, role, layer) * g->act_bytes;
}

static void *grad_of(const gpt *g, gpt_role role, int layer)
{
    return g->grad + gpt_layout_offset(&g->layout, role, layer) * g->wide_bytes;
}

static int64_t qkv_width(const gpt *g)
{
    return (g->H + 2 * g->K) * g->D;
}

static int64_t up_width(const gpt *g)
{
    return g->config.use_swiglu_mlp ? 2 * g->F : g->F;
}

/* ---- forward ---- */

/* x <- x + s * n(y) of the branch before, and h1 <- norm(x); layer L is the final norm. */
static gb_status forward_norm_before(gpt *g, int l, gb_error *err)
{
    bool post = g->config.post_norm && l > 0;
    bool last = l == g->config.n_layer;
    void *y = l == 0 ? NULL : post ? AT(mlp_out, l - 1) : g->buf.y;
    OP(g,
       add_norm_forward(g->dev, g->buf.x, last ? g->buf.h_final : AT(h1, l),
                        last ? g->buf.inv_rms_final : AT(inv_rms1, l),
                        post ? AT(inv_rms_mlp, l - 1) : NULL, g->buf.x, y, 1.0, post, g->N, g->C));
    return GB_OK;
}

static gb_status forward_attention(gpt *g, gb_phase phase, int l, gb_error *err)
{
    bool post = g->config.post_norm;
    void *y = post ? AT(attn_out, l) : g->buf.y;
    void *inv_rms_qk = g->config.qk_norm ? AT(inv_rms_qk, l) : NULL;
    gpt_set_scope(g, phase, l, GB_OP_LINEAR_QKV);
    GB_TRY(forward_norm_before(g, l, err));
    OP(g, linear_forward(g->dev, AT(qkv, l), AT(h1, l), weight_of(g, GPT_ROLE_QKV, l), g->N, g->C,
                         qkv_width(g)));
    OP(g, qk_rope_forward(g->dev, AT(qkv, l), inv_rms_qk, g->config.qk_norm, g->B, g->T, g->H, g->K,
                          g->D));
    OP(g, attention_forward(g->dev, AT(attn, l), AT(lse, l), AT(qkv, l), g->B, g->T, g->H, g->K,
                            g->D, g->window));
    gpt_set_scope(g, phase, l, GB_OP_LINEAR_ATTN_OUT);
    OP(g, linear_forward(g->dev, y, AT(attn, l), weight_of(g, GPT_ROLE_ATTN_OUT, l), g->N,
                         g->H * g->D, g->C));
    OP(g, add_norm_forward(g->dev, g->buf.x, AT(h2, l), AT(inv_rms2, l),
                           post ? AT(inv_rms_attn, l) : NULL, g->buf.x, y, g->attn_scale, post,
                           g->N, g->C));
    return GB_OK;
}

static gb_status mlp_activation(gpt *g, int l, gb_error *err)
{
    if (g->config.use_swiglu_mlp) {
        OP(g, swiglu_forward(g->dev, AT(act, l), AT(up, l), g->N, g->F));
    } else {
        OP(g, gelu_forward(g->dev, AT(act, l), AT(up, l), g->N * g->F));
    }
    return GB_OK;
}

static gb_status forward_mlp(gpt *g, gb_phase phase, int l, gb_error *err)
{
    void *y = g->config.post_norm ? AT(mlp_out, l) : g->buf.y;
    gpt_set_scope(g, phase, l, GB_OP_LINEAR_MLP_UP);
    OP(g, linear_forward(g->dev, AT(up, l), AT(h2, l), weight_of(g, GPT_ROLE_MLP_UP, l), g->N, g->C,
                         up_width(g)));
    GB_TRY(mlp_activation(g, l, err));
    gpt_set_scope(g, phase, l, GB_OP_LINEAR_MLP_DOWN);
    OP(g,
       linear_forward(g->dev, y, AT(act, l), weight_of(g, GPT_ROLE_MLP_DOWN, l), g->N, g->F, g->C));
    return GB_OK;
}

static gb_status forward(gpt *g, gb_phase phase, gb_error *err)
{
    gpt_set_scope(g, phase, -1, GB_OP_EMBED);
    OP(g, embed_forward(g->dev, g->buf.x, g->inputs, weight_of(g, GPT_ROLE_WTE, 0), g->N, g->C));
    for (int l = 0; l < g->config.n_layer; l++) {
        GB_TRY(forward_attention(g, phase, l, err));
        GB_TRY(forward_mlp(g, phase, l, err));
    }
    gpt_set_scope(g, phase, -1, GB_OP_CLASSIFIER);
    return forward_norm_before(g, (int)g->config.n_layer, err);
}

gb_status gpt_forward_only(gpt *g, bool first, gb_error *err)
{
    GB_TRY(forward(g, GB_PHASE_EVAL, err));
    OP(g, classifier(g->dev, &g->results[GPT_RESULT_LOSS], NULL, NULL, g->buf.h_final,
                     weight_of(g, GPT_ROLE_WTE, 0), g->targets, 1.0, first, g->N, g->C,
                     g->config.vocab_size));
    return GB_OK;
}

/* ---- backward ---- */

/* The linear map y = x . w^T of `role`: dw from dy and x, dx from dy and w. */
static gb_status backward_linear(gpt *g, gpt_role role, int l, gb_op op, void *dx, const void *dy,
                                 const void *x, bool first, int64_t in, int64_t out, gb_error *err)
{
    gpt_set_scope(g, GB_PHASE_BACKWARD, l, op);
    OP(g, linear_backward_weight(g->dev, grad_of(g, role, l), dy, x, first, g->N, in, out));
    OP(g, linear_backward_input(g->dev, dx, dy, weight_of(g, role, l), g->N, in, out));
    return GB_OK;
}

/* Backward of x_out = x + scale * n(y), h = norm(x_out). On return *dy is the gradient of y: the
 * buffer dh, or dx itself where the branch joins unscaled and unnormed. */
static gb_status backward_add_norm(gpt *g, const void *h, const void *inv_rms, const void *y,
                                   const void *inv_rms_y, double scale, bool first, bool has_branch,
                                   void **dy, gb_error *err)
{
    bool post = g->config.post_norm;
    bool same = !post && scale == 1.0;
    *dy = same ? g->buf.dx : g->buf.dh;
    OP(g, add_norm_backward(g->dev, g->buf.dx, same || !has_branch ? NULL : g->buf.dh, g->buf.dh, h,
                            inv_rms, y, inv_rms_y, scale, post && has_branch, first, g->N, g->C));
    return GB_OK;
}

static gb_status backward_mlp(gpt *g, int l, bool first, void *dy, gb_error *err)
{
    bool swiglu = g->config.use_swiglu_mlp;
    char *dact = g->buf.dwide;
    char *dup = swiglu ? AT(up, l) : dact;
    if (g->options.recompute && l < g->config.n_layer - 1) { /* the last layer's is still there */
        gpt_set_scope(g, GB_PHASE_BACKWARD, l, GB_OP_MLP_ACT);
        GB_TRY(mlp_activation(g, l, err));
    }
    GB_TRY(backward_linear(g, GPT_ROLE_MLP_DOWN, l, GB_OP_LINEAR_MLP_DOWN, dact, dy, AT(act, l),
                           first, g->F, g->C, err));
    if (swiglu) {
        OP(g, swiglu_backward(g->dev, dup, dact, AT(up, l), g->N, g->F));
    } else {
        OP(g, gelu_backward(g->dev, dup, dact, AT(up, l), g->N * g->F));
    }
    return backward_linear(g, GPT_ROLE_MLP_UP, l, GB_OP_LINEAR_MLP_UP, g->buf.dh, dup, AT(h2, l),
                           first, g->C, up_width(g), err);
}

static gb_status backward_attention(gpt *g, int l, bool first, void *dy, gb_error *err)
{
    char *dqkv = g->buf.dwide;
    char *dattn = dqkv + gpt_dattn_offset(g->N * qkv_width(g)) * g->act_bytes;
    void *inv_rms_qk = g->config.qk_norm ? AT(inv_rms_qk, l) : NULL;
    GB_TRY(backward_linear(g, GPT_ROLE_ATTN_OUT, l, GB_OP_LINEAR_ATTN_OUT, dattn, dy, AT(attn, l),
                           first, g->H * g->D, g->C, err));
    OP(g, attention_backward(g->dev, dqkv, dattn, AT(qkv, l), AT(attn, l), AT(lse, l), g->B, g->T,
                             g->H, g->K, g->D, g->window));
    OP(g, qk_rope_backward(g->dev, dqkv, AT(qkv, l), inv_rms_qk, g->config.qk_norm, g->B, g->T,
                           g->H, g->K, g->D));
    return backward_linear(g, GPT_ROLE_QKV, l, GB_OP_LINEAR_QKV, g->buf.dh, dqkv, AT(h1, l), first,
                           g->C, qkv_width(g), err);
}

static gb_status backward_layer(gpt *g, int l, bool first, void *dy, void **dy_before,
                                gb_error *err)
{
    bool post = g->config.post_norm;
    GB_TRY(backward_mlp(g, l, first, dy, err));
    GB_TRY(backward_add_norm(g, AT(h2, l), AT(inv_rms2, l), post ? AT(attn_out, l) : NULL,
                             post ? AT(inv_rms_attn, l) : NULL, g->attn_scale, false, true, &dy,
                             err));
    GB_TRY(backward_attention(g, l, first, dy, err));
    bool branch = l > 0;
    return backward_add_norm(
        g, AT(h1, l), AT(inv_rms1, l), branch && post ? AT(mlp_out, l - 1) : NULL,
        branch && post ? AT(inv_rms_mlp, l - 1) : NULL, 1.0, false, branch, dy_before, err);
}

gb_status gpt_forward_backward(gpt *g, double grad_scale, bool first, gb_error *err)
{
    int last = (int)g->config.n_layer - 1;
    bool post = g->config.post_norm;
    void *dwte = grad_of(g, GPT_ROLE_WTE, 0), *dy;
    GB_TRY(forward(g, GB_PHASE_FORWARD, err));
    OP(g, classifier(g->dev, &g->results[GPT_RESULT_LOSS], g->buf.dh, dwte, g->buf.h_final,
                     weight_of(g, GPT_ROLE_WTE, 0), g->targets, grad_scale, first, g->N, g->C,
                     g->config.vocab_size));
    gpt_set_scope(g, GB_PHASE_BACKWARD, -1, GB_OP_CLASSIFIER);
    GB_TRY(backward_add_norm(g, g->buf.h_final, g->buf.inv_rms_final,
                             post ? AT(mlp_out, last) : NULL, post ? AT(inv_rms_mlp, last) : NULL,
                             1.0, true, true, &dy, err));
    for (int l = last; l >= 0; l--) {
        GB_TRY(backward_layer(g, l, first, dy, &dy, err));
    }
    gpt_set_scope(g, GB_PHASE_BACKWARD, -1, GB_OP_EMBED);
    OP(g, embed_backward(g->dev, dwte, g->buf.dx, g->inputs, g->N, g->C, g->config.vocab_size));
    return GB_OK;
}
