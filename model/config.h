/* config.h: what a GPT is. One struct, one table of keys (names as users write them), presets,
 * and validation that names the nearest valid value. Sources: MODEL in docs/MODEL.md. */
#ifndef GPTBENCH_MODEL_CONFIG_H
#define GPTBENCH_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

typedef enum gpt_attention {
    GPT_ATTENTION_STANDARD,
    GPT_ATTENTION_GQA,
    GPT_ATTENTION_MQA,
    GPT_ATTENTION_SLIDING_WINDOW,
    GPT_ATTENTION_LATENT,
    GPT_ATTENTION_COUNT
} gpt_attention;

const char *gpt_attention_name(gpt_attention type);

/* Plain values: copy freely. */
typedef struct gpt_config {
    int64_t vocab_size;
    int64_t n_layer;
    int64_t n_head;
    int64_t n_embd;
    int64_t attention_type; /* gpt_attention */
    int64_t n_kv_head;      /* used by gqa only; see gpt_config_kv_heads */
    int64_t window_size;    /* used by sliding_window only */
    int64_t n_latent;       /* used by latent only */
    double mlp_expansion_factor;
    int64_t mlp_hidden_multiple_of; /* e*C is rounded up to a multiple of this; 0 = no rounding */
    bool use_swiglu_mlp;
    bool post_norm;
    bool qk_norm;
} gpt_config;

typedef enum gb_key_type {
    GB_KEY_INT,
    GB_KEY_REAL, /* also written as a fraction: 8/3 */
    GB_KEY_BOOL, /* true, false */
    GB_KEY_ENUM,
    GB_KEY_TEXT
} gb_key_type;

/* One settable key of gpt_config or train_spec; tables end with name == NULL. */
typedef struct gb_key {
    const char *name;
    gb_key_type type;
    size_t offset;                 /* of the field; INT and ENUM fields are int64_t, REAL double,
                                      BOOL bool, TEXT char[256] */
    double min, max;               /* INT and REAL, inclusive */
    const char *const *enum_names; /* ENUM: NULL-terminated */
    const char *help;              /* one line, with unit */
} gb_key;

const gb_key *gpt_config_keys(void);

/* Key by name in a table; NULL when there is none. */
const gb_key *gb_key_find(const gb_key *table, const char *name);
/* The name in the NULL-terminated list that `name` is likely to mean: the one that other trainers
 * call so ("lr"); else the nearest by edit distance, with one slip in up to 7 letters, two in up to
 * 11, three in more; else the only one that begins so, of 4 letters or more. NULL: none. */
const char *gb_nearest_name(const char *name, const char *const *names);

/* Parses `value` into the field of `object` that `key` describes.
 * GB_ERR_USAGE: "n_head = twelve: not a whole number", "... must be between 1 and 4096", or for
 * an ENUM the names there are and the nearest. */
gb_status gb_key_set(void *object, const gb_key *key, const char *value, gb_error *err);
/* Writes the field in its canonical text form (what gb_key_set reads back to the same value). */
void gb_key_format(const void *object, const gb_key *key, char *out, size_t out_size);

/* The defaults of the key table: the `d12` baseline. */
gpt_config gpt_config_default(void);
/* By preset name; GB_ERR_USAGE names the nearest preset. custom_mlp2x is found, and refused by
 * gpt_config_validate. */
gb_status gpt_config_preset(gpt_config *out, const char *name, gb_error *err);
/* NULL-terminated list of preset names. */
const char *const *gpt_config_preset_names(void);

/* Shapes that fit together: C % H, head_dim even and a multiple of 2, H % K, expansion giving a
 * whole hidden size, ... GB_ERR_USAGE with the reason and the nearest valid values. */
gb_status gpt_config_validate(const gpt_config *config, gb_error *err);
/* False when changing `key` alone cannot change the model (n_kv_head without gqa, ...); *why then
 * (if not NULL) points to a static sentence: "n_kv_head has an effect only with
 * attention_type = gqa". */
bool gpt_config_key_matters(const gpt_config *config, const char *key, const char **why);

int64_t gpt_config_kv_heads(const gpt_config *config);   /* K as attention sees it */
int64_t gpt_config_head_dim(const gpt_config *config);   /* D; n_latent / H with latent */
int64_t gpt_config_mlp_hidden(const gpt_config *config); /* F, after rounding */
int64_t gpt_config_window(const gpt_config *config);     /* 0 = full causal */
bool gpt_config_equal(const gpt_config *a, const gpt_config *b);

/* The shape that a backend is opened with. */
gb_shape gpt_config_shape(const gpt_config *config, int64_t batch_size, int64_t sequence_length);

#endif
