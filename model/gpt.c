#include "model/gpt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpt_internal.h"
#include "model/random.h"

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
    g->data = p;
    OP(g, zero(g->dev, p, GPT_DATA_TOKENS));
    g->results = (double *)(void *)(g->data + GPT_DATA_RESULTS);
    g->inputs = (int32_t *)(g->data + GPT_DATA_TOKENS);
    g->targets = (int32_t *)(g->data + GPT_DATA_TOKENS + gpt_data_token_bytes(g->N));
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
    g->records = about.records;
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
    for (int i = 0; i < GPT_UNITS; i++) {
        if (g->units[i].recording) {
            g->be->recording_free(g->dev, g->units[i].recording);
        }
    }
    void *owned[] = {g->master,      g->weights == g->master ? NULL : g->weights,
                     g->grad,        g->m,
                     g->activations, g->data};
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

static char *slab_of(gpt *g, gpt_slab slab)
{
    return slab == GPT_SLAB_MASTER ? g->master : slab == GPT_SLAB_M ? g->m : g->v;
}

int gpt_wide_bytes(const gpt *g)
{
    return g->wide_bytes;
}

gb_status gpt_read_slab(gpt *g, gpt_slab slab, int64_t offset, int64_t n, void *bytes,
                        gb_error *err)
{
    OP(g, download(g->dev, bytes, slab_of(g, slab) + offset * g->wide_bytes, n * g->wide_bytes));
    return GB_OK;
}

gb_status gpt_write_slab(gpt *g, gpt_slab slab, int64_t offset, int64_t n, const void *bytes,
                         gb_error *err)
{
    OP(g, upload(g->dev, slab_of(g, slab) + offset * g->wide_bytes, bytes, n * g->wide_bytes));
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
