#include "model/gpt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpt_memory.h"
#include "model/random.h"

struct gpt {
    gpt_config config;
    gpt_options options;
    gpt_layout layout;
    const gb_backend *be;
    gb_device *dev;
    int act_bytes, wide_bytes;
    int64_t B, T, N, C, H, K, D, F, window;
    double attn_scale; /* s = 1/sqrt(2L), of the attention branch */
    /* slabs; element i of tensor t is at offset t.offset + i */
    char *weights; /* act: what the GEMMs read; equal to master where the types agree */
    char *master, *grad, *m, *v; /* wide */
    char *activations;
    int32_t *tokens; /* inputs (N), then targets (N) */
    gpt_buffers buf;
};

/* Ops tell why they failed through the device. */
#define OP(model, call)                                                                            \
    do {                                                                                           \
        gb_status op_status_ = (model)->be->call;                                                  \
        if (op_status_ != GB_OK) {                                                                 \
            return gb_fail(err, op_status_, "%s", (model)->be->last_error((model)->dev));          \
        }                                                                                          \
    } while (0)

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

/* ---- life ---- */

static gb_status gpt_alloc(gpt *g, gb_error *err)
{
    int64_t bytes[GB_MEM_GROUPS];
    void *p;
    gpt_plan_memory(&g->config, &g->options, g->act_bytes, g->wide_bytes, bytes);
    OP(g, alloc(g->dev, GB_MEM_MASTER, bytes[GB_MEM_MASTER], &p));
    g->master = p;
    OP(g, zero(g->dev, p, bytes[GB_MEM_MASTER]));
    g->weights = g->master;
    if (bytes[GB_MEM_WEIGHTS] > 0) {
        OP(g, alloc(g->dev, GB_MEM_WEIGHTS, bytes[GB_MEM_WEIGHTS], &p));
        g->weights = p;
        OP(g, zero(g->dev, p, bytes[GB_MEM_WEIGHTS]));
    }
    if (g->options.training) {
        int64_t slab = bytes[GB_MEM_GRADIENTS];
        OP(g, alloc(g->dev, GB_MEM_GRADIENTS, slab, &p));
        g->grad = p;
        OP(g, zero(g->dev, p, slab)); /* the gaps between groups are read by update and norm */
        OP(g, alloc(g->dev, GB_MEM_OPTIMIZER, 2 * slab, &p));
        g->m = p;
        g->v = g->m + slab;
        OP(g, zero(g->dev, p, 2 * slab));
    }
    OP(g, alloc(g->dev, GB_MEM_ACTIVATIONS, bytes[GB_MEM_ACTIVATIONS], &p));
    g->activations = p;
    gpt_buffers_carve(&g->buf, g->activations, &g->config, &g->options, g->act_bytes,
                      g->wide_bytes);
    OP(g, alloc(g->dev, GB_MEM_DATA, bytes[GB_MEM_DATA], &p));
    g->tokens = p;
    return GB_OK;
}

gb_status gpt_create(gpt **out, const gpt_config *config, const gpt_options *options,
                     const gb_backend *backend, gb_device *dev, gb_error *err)
{
    gb_description about;
    *out = NULL;
    gpt *g = calloc(1, sizeof *g);
    if (!g) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the model's own record");
    }
    backend->describe(dev, &about);
    g->config = *config;
    g->options = *options;
    g->be = backend;
    g->dev = dev;
    g->act_bytes = about.act_bytes;
    g->wide_bytes = about.wide_bytes;
    g->B = options->batch_size;
    g->T = options->sequence_length;
    g->N = g->B * g->T;
    g->C = config->n_embd;
    g->H = config->n_head;
    g->K = gpt_config_kv_heads(config);
    g->D = gpt_config_head_dim(config);
    g->F = gpt_config_mlp_hidden(config);
    g->window = gpt_config_window(config);
    g->attn_scale = 1.0 / sqrt(2.0 * (double)config->n_layer);
    gpt_layout_init(&g->layout, config);
    gb_status status = gpt_alloc(g, err);
    if (status != GB_OK) {
        gpt_destroy(g);
        return status;
    }
    *out = g;
    return GB_OK;
}

void gpt_destroy(gpt *g)
{
    if (!g) {
        return;
    }
    void *owned[] = {g->master,      g->weights == g->master ? NULL : g->weights,
                     g->grad,        g->m,
                     g->activations, g->tokens};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (owned[i]) {
            g->be->free(g->dev, owned[i]);
        }
    }
    free(g);
}

const gpt_layout *gpt_get_layout(const gpt *g)
{
    return &g->layout;
}

/* ---- weights ---- */

gb_status gpt_write_weight(gpt *g, int tensor, const double *values, gb_error *err)
{
    gpt_tensor t = gpt_layout_tensor(&g->layout, tensor);
    OP(g, upload_wide(g->dev, g->master + t.offset * g->wide_bytes, values, t.rows * t.cols));
    return GB_OK;
}

gb_status gpt_read_weight(gpt *g, int tensor, double *values, gb_error *err)
{
    gpt_tensor t = gpt_layout_tensor(&g->layout, tensor);
    OP(g, download_wide(g->dev, values, g->master + t.offset * g->wide_bytes, t.rows * t.cols));
    return GB_OK;
}

gb_status gpt_read_grad(gpt *g, int tensor, double *values, gb_error *err)
{
    gpt_tensor t = gpt_layout_tensor(&g->layout, tensor);
    OP(g, download_wide(g->dev, values, g->grad + t.offset * g->wide_bytes, t.rows * t.cols));
    return GB_OK;
}

gb_status gpt_refresh_weights(gpt *g, gb_error *err)
{
    OP(g, weights_refresh(g->dev, g->weights, g->master, g->layout.slab_size));
    return GB_OK;
}

gb_status gpt_init_weights(gpt *g, uint64_t seed, uint32_t replicate, gb_error *err)
{
    enum { CHUNK = 1 << 16 };
    double *values = malloc(CHUNK * sizeof *values);
    if (!values) {
        return gb_fail(err, GB_ERR_OOM, "no memory for initial weights");
    }
    gb_status status = GB_OK;
    for (int i = 0; i < g->layout.n_tensors && status == GB_OK; i++) {
        gpt_tensor t = gpt_layout_tensor(&g->layout, i);
        random_stream stream = random_stream_open(t.name, seed, replicate);
        double bound = 1.0 / sqrt((double)t.cols);
        int64_t count = t.rows * t.cols;
        for (int64_t at = 0; at < count && status == GB_OK; at += CHUNK) {
            int64_t n = count - at < CHUNK ? count - at : CHUNK;
            random_fill_uniform(&stream, values, at, n, bound);
            status =
                g->be->upload_wide(g->dev, g->master + (t.offset + at) * g->wide_bytes, values, n);
        }
    }
    free(values);
    if (status != GB_OK) {
        return gb_fail(err, status, "%s", g->be->last_error(g->dev));
    }
    return gpt_refresh_weights(g, err);
}

/* ---- forward ---- */

static gb_status upload_tokens(gpt *g, const int32_t *inputs, const int32_t *targets, gb_error *err)
{
    OP(g, upload(g->dev, g->tokens, inputs, g->N * 4));
    OP(g, upload(g->dev, g->tokens + g->N, targets, g->N * 4));
    return GB_OK;
}

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
    g->be->set_scope(g->dev, phase, l, GB_OP_LINEAR_QKV);
    GB_TRY(forward_norm_before(g, l, err));
    OP(g, linear_forward(g->dev, AT(qkv, l), AT(h1, l), weight_of(g, GPT_ROLE_QKV, l), g->N, g->C,
                         qkv_width(g)));
    OP(g, qk_rope_forward(g->dev, AT(qkv, l), inv_rms_qk, g->config.qk_norm, g->B, g->T, g->H, g->K,
                          g->D));
    OP(g, attention_forward(g->dev, AT(attn, l), AT(lse, l), AT(qkv, l), g->B, g->T, g->H, g->K,
                            g->D, g->window));
    g->be->set_scope(g->dev, phase, l, GB_OP_LINEAR_ATTN_OUT);
    OP(g, linear_forward(g->dev, y, AT(attn, l), weight_of(g, GPT_ROLE_ATTN_OUT, l), g->N,
                         g->H * g->D, g->C));
    OP(g, add_norm_forward(g->dev, g->buf.x, AT(h2, l), AT(inv_rms2, l),
                           post ? AT(inv_rms_attn, l) : NULL, g->buf.x, y, g->attn_scale, post,
                           g->N, g->C));
    return GB_OK;
}

static gb_status forward_mlp(gpt *g, gb_phase phase, int l, gb_error *err)
{
    void *y = g->config.post_norm ? AT(mlp_out, l) : g->buf.y;
    g->be->set_scope(g->dev, phase, l, GB_OP_LINEAR_MLP_UP);
    OP(g, linear_forward(g->dev, AT(up, l), AT(h2, l), weight_of(g, GPT_ROLE_MLP_UP, l), g->N, g->C,
                         up_width(g)));
    if (g->config.use_swiglu_mlp) {
        OP(g, swiglu_forward(g->dev, AT(act, l), AT(up, l), g->N, g->F));
    } else {
        OP(g, gelu_forward(g->dev, AT(act, l), AT(up, l), g->N * g->F));
    }
    g->be->set_scope(g->dev, phase, l, GB_OP_LINEAR_MLP_DOWN);
    OP(g,
       linear_forward(g->dev, y, AT(act, l), weight_of(g, GPT_ROLE_MLP_DOWN, l), g->N, g->F, g->C));
    return GB_OK;
}

static gb_status forward(gpt *g, gb_phase phase, const int32_t *inputs, const int32_t *targets,
                         gb_error *err)
{
    g->be->set_scope(g->dev, phase, -1, GB_OP_EMBED);
    GB_TRY(upload_tokens(g, inputs, targets, err));
    OP(g, embed_forward(g->dev, g->buf.x, g->tokens, weight_of(g, GPT_ROLE_WTE, 0), g->N, g->C));
    for (int l = 0; l < g->config.n_layer; l++) {
        GB_TRY(forward_attention(g, phase, l, err));
        GB_TRY(forward_mlp(g, phase, l, err));
    }
    g->be->set_scope(g->dev, phase, -1, GB_OP_CLASSIFIER);
    return forward_norm_before(g, (int)g->config.n_layer, err);
}

gb_status gpt_loss(gpt *g, const int32_t *inputs, const int32_t *targets, double *loss_sum,
                   gb_error *err)
{
    GB_TRY(forward(g, GB_PHASE_EVAL, inputs, targets, err));
    OP(g, classifier(g->dev, loss_sum, NULL, NULL, g->buf.h_final, weight_of(g, GPT_ROLE_WTE, 0),
                     g->tokens + g->N, 1.0, false, g->N, g->C, g->config.vocab_size));
    return GB_OK;
}

/* ---- backward ---- */

/* The linear map y = x . w^T of `role`: dw from dy and x, dx from dy and w. */
static gb_status backward_linear(gpt *g, gpt_role role, int l, gb_op op, void *dx, const void *dy,
                                 const void *x, bool first, int64_t in, int64_t out, gb_error *err)
{
    g->be->set_scope(g->dev, GB_PHASE_BACKWARD, l, op);
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

gb_status gpt_loss_and_grad(gpt *g, const int32_t *inputs, const int32_t *targets,
                            double grad_scale, bool first, double *loss_sum, gb_error *err)
{
    int last = (int)g->config.n_layer - 1;
    bool post = g->config.post_norm;
    void *dwte = grad_of(g, GPT_ROLE_WTE, 0), *dy;
    if (!g->options.training) {
        return gb_fail(err, GB_ERR_INTERNAL, "gradient asked of a model that does not train");
    }
    GB_TRY(forward(g, GB_PHASE_FORWARD, inputs, targets, err));
    OP(g,
       classifier(g->dev, loss_sum, g->buf.dh, dwte, g->buf.h_final, weight_of(g, GPT_ROLE_WTE, 0),
                  g->tokens + g->N, grad_scale, first, g->N, g->C, g->config.vocab_size));
    g->be->set_scope(g->dev, GB_PHASE_BACKWARD, -1, GB_OP_CLASSIFIER);
    GB_TRY(backward_add_norm(g, g->buf.h_final, g->buf.inv_rms_final,
                             post ? AT(mlp_out, last) : NULL, post ? AT(inv_rms_mlp, last) : NULL,
                             1.0, true, true, &dy, err));
    for (int l = last; l >= 0; l--) {
        GB_TRY(backward_layer(g, l, first, dy, &dy, err));
    }
    g->be->set_scope(g->dev, GB_PHASE_BACKWARD, -1, GB_OP_EMBED);
    OP(g, embed_backward(g->dev, dwte, g->buf.dx, g->tokens, g->N, g->C, g->config.vocab_size));
    return GB_OK;
}

/* ---- update ---- */

gb_status gpt_grad_norm(gpt *g, double *norm, gb_error *err)
{
    double squares;
    g->be->set_scope(g->dev, GB_PHASE_UPDATE, -1, GB_OP_GRAD_NORM);
    OP(g, sum_squares(g->dev, &squares, g->grad, g->layout.slab_size));
    *norm = sqrt(squares);
    return GB_OK;
}

gb_status gpt_update(gpt *g, double learning_rate, double weight_decay, double grad_scale,
                     int64_t step, gb_error *err)
{
    gb_adamw params = {.learning_rate = learning_rate,
                       .beta1 = 0.9,
                       .beta2 = 0.95,
                       .eps = 1e-8,
                       .weight_decay = weight_decay,
                       .grad_scale = grad_scale,
                       .step = step};
    g->be->set_scope(g->dev, GB_PHASE_UPDATE, -1, GB_OP_ADAMW);
    OP(g, adamw(g->dev, g->weights, g->master, g->m, g->v, g->grad, g->layout.slab_size, &params));
    return GB_OK;
}
