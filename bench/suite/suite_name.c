/* Names for the cells of the product: what sets a cell apart, in a form that is good for file
 * names, plots and shells. docs/SUITES.md describes the scheme.
 *
 * A new key of model or training needs nothing here: its name stands in full with its value, as
 * "n_foo8", "use_foo" or "no-use_foo", and of an enum the value alone. key_short_names only has
 * shorter words for common keys. */
#include <stdio.h>
#include <string.h>

#include "bench/suite/suite_internal.h"

/* What stands for a key in a name: a prefix of the number, or the two words of a switch. */
static const struct {
    const char *key, *text, *off_text;
} key_short_names[] = {{"vocab_size", "v", NULL},
                       {"n_layer", "l", NULL},
                       {"n_head", "h", NULL},
                       {"n_embd", "c", NULL},
                       {"n_kv_head", "kv", NULL},
                       {"window_size", "w", NULL},
                       {"n_latent", "lat", NULL},
                       {"mlp_expansion_factor", "e", NULL},
                       {"mlp_hidden_multiple_of", "round", NULL},
                       {"use_swiglu_mlp", "swiglu", "gelu"},
                       {"post_norm", "postnorm", "prenorm"},
                       {"qk_norm", "qknorm", "noqknorm"},
                       {"batch_size", "b", NULL},
                       {"sequence_length", "t", NULL},
                       {"grad_accumulation_steps", "acc", NULL},
                       {"num_iterations", "steps", NULL},
                       {"learning_rate", "lr", NULL},
                       {"warmup_iters", "warmup", NULL},
                       {"warmdown_iters", "warmdown", NULL},
                       {"weight_decay", "decay", NULL},
                       {"grad_clip", "clip", NULL},
                       {"recompute_activations", "recompute", "keep"},
                       {"seed", "seed", NULL}};

typedef struct name_buffer {
    char text[128];
    size_t length;
    bool cut;
} name_buffer;

static void name_append(name_buffer *name, const char *text)
{
    for (; *text; text++) {
        if (name->length + 1 >= sizeof name->text) {
            name->cut = true;
            return;
        }
        name->text[name->length++] = *text;
        name->text[name->length] = '\0';
    }
}

/* A number as the user wrote it, with 8/3 as 8over3: a slash has no place in a file name. */
static void name_append_number(name_buffer *name, const char *text)
{
    for (; *text; text++) {
        char one[2] = {*text, '\0'};
        if (*text == '/') {
            name_append(name, "over");
        } else if (strchr("0123456789.-eE", *text)) {
            name_append(name, one);
        }
    }
}

static void name_append_key(name_buffer *name, const gb_key *key, const char *written,
                            const char *value)
{
    const char *text = key->name, *off_text = NULL;
    for (size_t i = 0; i < sizeof key_short_names / sizeof key_short_names[0]; i++) {
        if (strcmp(key_short_names[i].key, key->name) == 0) {
            text = key_short_names[i].text;
            off_text = key_short_names[i].off_text;
        }
    }
    switch (key->type) {
    case GB_KEY_ENUM:
        name_append(name, value);
        break;
    case GB_KEY_BOOL:
        if (strcmp(value, "true") != 0 && !off_text) {
            name_append(name, "no-");
        }
        name_append(name, strcmp(value, "true") != 0 && off_text ? off_text : text);
        break;
    case GB_KEY_INT:
        name_append(name, text);
        name_append(name, value);
        break;
    default:
        name_append(name, text);
        name_append_number(name, written);
    }
}

static bool key_is_number(const gb_key *key)
{
    return key->type == GB_KEY_INT || key->type == GB_KEY_REAL;
}

/* What the axes' values are held against: the cell as it would be without the axes in `named`. */
static gb_status name_base(suite_reader *reader, int index, const bool *named, suite_cell *base)
{
    suite_cell *cell = &reader->suite->cells[index];
    suite_cell saved = *cell;
    suite_setting own[SUITE_MAX_KEYS], kept[SUITE_MAX_KEYS];
    int n_own = suite_cell_settings(reader, index, own), n_kept = 0, i = 0;
    for (int a = 0; a < reader->n_axes; a++) {
        for (int k = 0; k < reader->axes[a].n_keys && i < n_own; k++, i++) {
            if (!named[a] || own[i].key.kind == SUITE_KEY_PRESET) {
                kept[n_kept++] = own[i];
            }
        }
    }
    gb_status status = suite_cell_apply(reader, index, kept, n_kept);
    *base = *cell;
    *cell = saved;
    return status;
}

static void name_append_axis(suite_reader *reader, int index, int a, const suite_cell *base,
                             name_buffer *name)
{
    const suite_axis *axis = &reader->axes[a];
    const suite_cell *cell = &reader->suite->cells[index];
    char *const *texts = axis->texts + reader->drafts[index].values[a] * axis->n_keys;
    char value[SUITE_MAX_COUPLED][64];
    bool differs = false;
    for (int k = 0; k < axis->n_keys; k++) {
        char without[64];
        suite_key_format(&axis->keys[k], &cell->config, &cell->spec, value[k], sizeof value[k]);
        suite_key_format(&axis->keys[k], &base->config, &base->spec, without, sizeof without);
        differs = differs || strcmp(value[k], without) != 0;
    }
    const gb_key *last = NULL;
    for (int k = 0; k < axis->n_keys && differs; k++) {
        const gb_key *key = axis->keys[k].key;
        if (!key) {
            continue; /* the preset stands at the front */
        }
        bool joined = last && key_is_number(last) && key_is_number(key); /* c832h13 */
        if (name->length > 0 && !joined) {
            name_append(name, "-");
        }
        name_append_key(name, key, texts[k], value[k]);
        last = key;
    }
}

/* Puts everything that cannot change the model to one value, so that a preset that is written in
 * another way is still that preset: a window over the whole sequence is standard attention, mqa is
 * gqa with one head, and the hidden size alone says how wide the MLP is. Keys that do not matter
 * take their defaults by the key table, new ones too. */
static void config_reduce(gpt_config *config, int64_t sequence_length)
{
    gpt_config plain = gpt_config_default();
    if (config->attention_type == GPT_ATTENTION_SLIDING_WINDOW &&
        config->window_size >= sequence_length - 1) {
        config->attention_type = GPT_ATTENTION_STANDARD;
    }
    if (config->attention_type == GPT_ATTENTION_MQA) {
        config->attention_type = GPT_ATTENTION_GQA;
        config->n_kv_head = 1;
    }
    config->mlp_expansion_factor = (double)gpt_config_mlp_hidden(config) / (double)config->n_embd;
    config->mlp_hidden_multiple_of = 0;
    for (const gb_key *key = gpt_config_keys(); key->name; key++) {
        if (!gpt_config_key_matters(config, key->name, NULL)) {
            char text[256];
            gb_key_format(&plain, key, text, sizeof text);
            (void)gb_key_set(config, key, text, NULL); /* a default is always valid */
        }
    }
}

/* Whether the constants around `base` leave the preset as it is. */
static bool base_is_preset(const suite_cell *base, const char *name)
{
    gpt_config preset, config = base->config;
    if (gpt_config_preset(&preset, name, NULL) != GB_OK) {
        return false;
    }
    config_reduce(&preset, base->spec.sequence_length);
    config_reduce(&config, base->spec.sequence_length);
    return gpt_config_equal(&preset, &config);
}

/* The preset stands in front where it tells cells apart, and where it is correct: a product whose
 * constants change the model (fewer layers, say) is no d12 any more. */
static bool name_shows_preset(const suite_reader *reader, int index, const suite_cell *base)
{
    for (int a = 0; a < reader->n_axes; a++) {
        for (int k = 0; k < reader->axes[a].n_keys; k++) {
            if (reader->axes[a].keys[k].kind == SUITE_KEY_PRESET) {
                return reader->axes[a].n_values > 1 ||
                       base_is_preset(base, reader->drafts[index].preset);
            }
        }
    }
    return false;
}

gb_status suite_matrix_name(suite_reader *reader)
{
    bool named[SUITE_MAX_KEYS] = {false}, any = false;
    for (int a = 0; a < reader->n_axes; a++) {
        named[a] = reader->axes[a].n_values > 1;
        any = any || named[a];
    }
    for (int a = 0; a < reader->n_axes && !any; a++) {
        named[a] = true; /* constants alone: then they make the name */
    }
    for (int c = 0; c < reader->suite->n_cells; c++) {
        suite_cell *cell = &reader->suite->cells[c];
        suite_cell base;
        GB_TRY(name_base(reader, c, named, &base));
        name_buffer name = {.length = 0};
        if (name_shows_preset(reader, c, &base)) {
            name_append(&name, reader->drafts[c].preset);
        }
        for (int a = 0; a < reader->n_axes; a++) {
            if (named[a]) {
                name_append_axis(reader, c, a, &base, &name);
            }
        }
        if (name.length == 0) {
            name_append(&name, "base");
        }
        if (name.cut) {
            return suite_fail(reader, cell->line,
                              "the name '%.40s...' of a cell would be longer than %zu bytes: use "
                              "fewer axes, or name cells with [config NAME]",
                              name.text, sizeof name.text - 1);
        }
        memcpy(cell->name, name.text, sizeof cell->name);
    }
    return GB_OK;
}
