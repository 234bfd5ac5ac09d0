#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const attention_names[] = {"standard",       "gqa",    "mqa",
                                              "sliding_window", "latent", NULL};

const char *gpt_attention_name(gpt_attention type)
{
    return attention_names[type];
}

#define FIELD(name) offsetof(gpt_config, name)

/* The ranges keep every product of sizes far inside int64_t: V * C < 2^40, L * C * C < 2^50. */
static const gb_key config_keys[] = {
    {"vocab_size", GB_KEY_INT, FIELD(vocab_size), 2, 1 << 20, NULL,
     "tokens in the vocabulary, rows of the tied embedding"},
    {"n_layer", GB_KEY_INT, FIELD(n_layer), 1, 1024, NULL, "transformer blocks"},
    {"n_head", GB_KEY_INT, FIELD(n_head), 1, 1024, NULL, "query heads"},
    {"n_embd", GB_KEY_INT, FIELD(n_embd), 2, 1 << 16, NULL, "width of the residual stream"},
    {"attention_type", GB_KEY_ENUM, FIELD(attention_type), 0, 0, attention_names,
     "kind of attention"},
    {"n_kv_head", GB_KEY_INT, FIELD(n_kv_head), 1, 1024, NULL, "key/value heads (gqa)"},
    {"window_size", GB_KEY_INT, FIELD(window_size), 1, 1 << 24, NULL,
     "keys before the query that it sees, in tokens (sliding_window)"},
    {"n_latent", GB_KEY_INT, FIELD(n_latent), 2, 1 << 16, NULL,
     "width in which q, k and v live (latent)"},
    {"mlp_expansion_factor", GB_KEY_REAL, FIELD(mlp_expansion_factor), 1.0 / 64, 64, NULL,
     "MLP hidden size over n_embd; may be a fraction such as 8/3"},
    {"mlp_hidden_multiple_of", GB_KEY_INT, FIELD(mlp_hidden_multiple_of), 0, 4096, NULL,
     "round the MLP hidden size up to a multiple of this; 0 = no rounding"},
    {"use_swiglu_mlp", GB_KEY_BOOL, FIELD(use_swiglu_mlp), 0, 0, NULL,
     "SwiGLU with three matrices instead of GELU with two"},
    {"post_norm", GB_KEY_BOOL, FIELD(post_norm), 0, 0, NULL,
     "norm the output of attention and MLP before it joins the residual"},
    {"qk_norm", GB_KEY_BOOL, FIELD(qk_norm), 0, 0, NULL,
     "norm each head's query and key before the rotation"},
    {NULL, GB_KEY_INT, 0, 0, 0, NULL, NULL}};

const gb_key *gpt_config_keys(void)
{
    return config_keys;
}

gpt_config gpt_config_default(void)
{
    return (gpt_config){.vocab_size = 50257,
                        .n_layer = 12,
                        .n_head = 12,
                        .n_embd = 768,
                        .attention_type = GPT_ATTENTION_STANDARD,
                        .n_kv_head = 4,
                        .window_size = 64,
                        .n_latent = 384,
                        .mlp_expansion_factor = 4,
                        .mlp_hidden_multiple_of = 0};
}

/* Presets as text in the keys' own language; every preset starts from the defaults (d12). */
#define PRESETS(X)                                                                                 \
    X("d12", "")                                                                                   \
    X("d24", "n_layer=24 n_embd=1024 n_head=16")                                                   \
    X("d36", "n_layer=36 n_embd=1280 n_head=20")                                                   \
    X("d48", "n_layer=48 n_embd=1600 n_head=25")                                                   \
    X("d12_mlp3x", "n_embd=832 n_head=13 mlp_expansion_factor=3 post_norm=true qk_norm=true")      \
    X("d12_mlp3x_gqa", "mlp_expansion_factor=3 attention_type=gqa n_kv_head=4 post_norm=true "     \
                       "qk_norm=true")                                                             \
    X("d12_mlp3x_swiglu", "n_embd=832 n_head=13 mlp_expansion_factor=3 use_swiglu_mlp=true "       \
                          "post_norm=true qk_norm=true")                                           \
    X("custom_mlp2x", "n_embd=900 n_head=12 mlp_expansion_factor=2 post_norm=true qk_norm=true")   \
    X("d12_post_norm", "post_norm=true")                                                           \
    X("d12_post_norm_qk_norm", "post_norm=true qk_norm=true")                                      \
    X("d12_gqa", "attention_type=gqa")                                                             \
    X("d12_mqa", "attention_type=mqa")                                                             \
    X("d12_swiglu", "use_swiglu_mlp=true")                                                         \
    X("d12_window", "attention_type=sliding_window")                                               \
    X("d12_mla", "n_embd=1280 n_head=20 attention_type=latent n_latent=320")

const char *const *gpt_config_preset_names(void)
{
    static const char *const names[] = {
#define X(name, settings) name,
        PRESETS(X)
#undef X
            NULL};
    return names;
}

static gb_status preset_apply(gpt_config *config, const char *settings, gb_error *err)
{
    char text[256];
    snprintf(text, sizeof text, "%s", settings);
    char *rest = text;
    for (char *item; (item = strsep(&rest, " ")) != NULL;) {
        char *equals = strchr(item, '=');
        if (!equals) {
            continue;
        }
        *equals = '\0';
        const gb_key *key = gb_key_find(config_keys, item);
        if (!key) {
            return gb_fail(err, GB_ERR_INTERNAL, "preset names an unknown key %s", item);
        }
        GB_TRY(gb_key_set(config, key, equals + 1, err));
    }
    return GB_OK;
}

gb_status gpt_config_preset(gpt_config *out, const char *name, gb_error *err)
{
    static const char *const settings[] = {
#define X(preset_name, preset_settings) preset_settings,
        PRESETS(X)
#undef X
    };
    const char *const *names = gpt_config_preset_names();
    char all[512] = "";
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = gpt_config_default();
            return preset_apply(out, settings[i], err);
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = gb_nearest_name(name, names);
    return gb_fail(err, GB_ERR_USAGE, "model = %.64s: no such preset%s%s; it is one of %s", name,
                   near ? ", did you mean " : "", near ? near : "", all);
}

int64_t gpt_config_kv_heads(const gpt_config *config)
{
    switch (config->attention_type) {
    case GPT_ATTENTION_GQA:
        return config->n_kv_head;
    case GPT_ATTENTION_MQA:
        return 1;
    default:
        return config->n_head;
    }
}

static int64_t attention_width(const gpt_config *config)
{
    return config->attention_type == GPT_ATTENTION_LATENT ? config->n_latent : config->n_embd;
}

int64_t gpt_config_head_dim(const gpt_config *config)
{
    return attention_width(config) / config->n_head;
}

/* e * C before rounding. 8/3 is not a double: a product within 1e-9 of a whole number is it. */
static double hidden_exact(const gpt_config *config)
{
    double hidden = config->mlp_expansion_factor * (double)config->n_embd;
    double whole = round(hidden);
    return fabs(hidden - whole) < 1e-9 * whole ? whole : hidden;
}

int64_t gpt_config_mlp_hidden(const gpt_config *config)
{
    int64_t hidden = (int64_t)ceil(hidden_exact(config));
    int64_t multiple = config->mlp_hidden_multiple_of;
    return multiple > 0 ? (hidden + multiple - 1) / multiple * multiple : hidden;
}

int64_t gpt_config_window(const gpt_config *config)
{
    return config->attention_type == GPT_ATTENTION_SLIDING_WINDOW ? config->window_size : 0;
}

/* head_dim that is suggested: less than 16 only where the heads stay as many as were asked for. */
enum { HEAD_DIM_SMALLEST_KEPT = 8, HEAD_DIM_LARGEST = 256 };

/* "96 or 120": the widths beside `width` that this many heads divide into even parts; "" where
 * they would be too small or too large. */
static void widths_of_heads(char *out, size_t size, int64_t width, int64_t heads)
{
    const int64_t unit = 2 * heads, below = width / unit * unit;
    int used = 0;
    out[0] = '\0';
    for (int64_t w = below; w <= below + unit; w += unit) {
        int64_t head_dim = w / heads;
        if (head_dim >= HEAD_DIM_SMALLEST_KEPT && head_dim <= HEAD_DIM_LARGEST) {
            used += snprintf(out + used, size - (size_t)used, "%s%lld", used ? " or " : "",
                             (long long)w);
        }
    }
}

static gb_status refuse_latent_width(const gpt_config *c, const char *what, gb_error *err)
{
    char widths[64];
    widths_of_heads(widths, sizeof widths, c->n_latent, c->n_head);
    bool too_wide = c->n_latent > HEAD_DIM_LARGEST * c->n_head;
    if (!widths[0]) {
        int64_t head_dim = too_wide ? HEAD_DIM_LARGEST : HEAD_DIM_SMALLEST_KEPT;
        snprintf(widths, sizeof widths, "%lld", (long long)(head_dim * c->n_head));
    }
    return gb_fail(err, GB_ERR_USAGE,
                   "n_latent = %lld with n_head = %lld: %s; the nearest valid n_latent is %s",
                   (long long)c->n_latent, (long long)c->n_head, what, widths);
}

/* The widths with as many heads, and those with heads of a usual size; first what is nearer to what
 * was meant. */
static gb_status refuse_width(const gpt_config *c, const char *what, gb_error *err)
{
    if (c->attention_type == GPT_ATTENTION_LATENT) {
        return refuse_latent_width(c, what, err);
    }
    const int64_t width = c->n_embd, heads = c->n_head;
    int64_t unit = width >= 512 ? 64 : width >= 128 ? 32 : 16;
    int64_t low = width >= unit ? width / unit * unit : unit, high = low + unit;
    char kept[64], usual[128];
    widths_of_heads(kept, sizeof kept, width, heads);
    snprintf(usual, sizeof usual, "%lld with %lld head%s and %lld with %lld heads (head_dim %lld)",
             (long long)low, (long long)(low / unit), low == unit ? "" : "s", (long long)high,
             (long long)(high / unit), (long long)unit);
    if (kept[0] && width / heads < 16) {
        return gb_fail(err, GB_ERR_USAGE,
                       "n_embd = %lld with n_head = %lld: %s; the nearest valid widths are %s with "
                       "%lld heads; with other heads, %s",
                       (long long)width, (long long)heads, what, kept, (long long)heads, usual);
    }
    return gb_fail(err, GB_ERR_USAGE,
                   "n_embd = %lld with n_head = %lld: %s; the nearest valid widths are %s%s%s",
                   (long long)width, (long long)heads, what, usual,
                   kept[0] ? "; with the heads "
                             "as they are, "
                           : "",
                   kept);
}

static gb_status validate_heads(const gpt_config *c, gb_error *err)
{
    int64_t width = attention_width(c);
    char what[160];
    if (width % c->n_head != 0) {
        snprintf(what, sizeof what, "%lld is not a multiple of %lld heads", (long long)width,
                 (long long)c->n_head);
        return refuse_width(c, what, err);
    }
    int64_t head_dim = width / c->n_head;
    if (head_dim % 2 != 0) {
        snprintf(what, sizeof what,
                 "head_dim would be %lld, which is odd, and the rotary embedding splits a head "
                 "into two halves",
                 (long long)head_dim);
        return refuse_width(c, what, err);
    }
    if (head_dim > HEAD_DIM_LARGEST) {
        snprintf(what, sizeof what, "head_dim would be %lld, more than the largest supported, 256",
                 (long long)head_dim);
        return refuse_width(c, what, err);
    }
    if (c->attention_type == GPT_ATTENTION_GQA && c->n_head % c->n_kv_head != 0) {
        int64_t low = c->n_kv_head < c->n_head ? c->n_kv_head : c->n_head, high = low + 1;
        while (c->n_head % low != 0) {
            low--;
        }
        while (high < c->n_head && c->n_head % high != 0) {
            high++;
        }
        return gb_fail(err, GB_ERR_USAGE,
                       "n_kv_head = %lld with n_head = %lld: query heads must divide evenly among "
                       "key/value heads; the nearest valid n_kv_head are %lld and %lld",
                       (long long)c->n_kv_head, (long long)c->n_head, (long long)low,
                       (long long)(high < c->n_head ? high : c->n_head));
    }
    return GB_OK;
}

gb_status gpt_config_validate(const gpt_config *c, gb_error *err)
{
    for (const gb_key *key = config_keys; key->name; key++) {
        if (key->type == GB_KEY_INT || key->type == GB_KEY_REAL) {
            char text[64];
            gpt_config scratch = *c;
            gb_key_format(c, key, text, sizeof text);
            GB_TRY(gb_key_set(&scratch, key, text, err));
        }
    }
    GB_TRY(validate_heads(c, err));
    double hidden = hidden_exact(c);
    if (hidden != floor(hidden) && c->mlp_hidden_multiple_of == 0) {
        int64_t rounded = ((int64_t)hidden + 63) / 64 * 64;
        return gb_fail(err, GB_ERR_USAGE,
                       "mlp_expansion_factor = %.6g with n_embd = %lld: the hidden size would be "
                       "%.2f; say how to round it, for example mlp_hidden_multiple_of = 64 "
                       "(hidden size %lld)",
                       c->mlp_expansion_factor, (long long)c->n_embd, hidden, (long long)rounded);
    }
    return GB_OK;
}

bool gpt_config_key_matters(const gpt_config *c, const char *key, const char **why)
{
    static const struct {
        const char *key;
        int64_t attention_type;
        const char *why;
    } rules[] = {
        {"n_kv_head", GPT_ATTENTION_GQA, "n_kv_head has an effect only with attention_type = gqa"},
        {"window_size", GPT_ATTENTION_SLIDING_WINDOW,
         "window_size has an effect only with attention_type = sliding_window"},
        {"n_latent", GPT_ATTENTION_LATENT,
         "n_latent has an effect only with attention_type = latent"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(key, rules[i].key) == 0 && c->attention_type != rules[i].attention_type) {
            if (why) {
                *why = rules[i].why;
            }
            return false;
        }
    }
    return true;
}

bool gpt_config_equal(const gpt_config *a, const gpt_config *b)
{
    for (const gb_key *key = config_keys; key->name; key++) {
        char left[64], right[64];
        gb_key_format(a, key, left, sizeof left);
        gb_key_format(b, key, right, sizeof right);
        if (strcmp(left, right) != 0) {
            return false;
        }
    }
    return true;
}

gb_shape gpt_config_shape(const gpt_config *config, int64_t batch_size, int64_t sequence_length)
{
    return (gb_shape){.batch_size = batch_size,
                      .sequence_length = sequence_length,
                      .n_embd = config->n_embd,
                      .n_head = config->n_head,
                      .n_kv_head = gpt_config_kv_heads(config),
                      .head_dim = gpt_config_head_dim(config),
                      .mlp_hidden = gpt_config_mlp_hidden(config),
                      .vocab_size = config->vocab_size,
                      .swiglu = config->use_swiglu_mlp};
}
