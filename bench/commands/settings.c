#include "bench/commands/settings.h"

#include <stdio.h>
#include <string.h>

#include "bench/base/terminal.h"
#include "kernels/cpu/cpu_threads.h"
#include "model/synth.h"
#include "model/trainer.h"
#include "model/weights.h"

enum { TABLES = 3, SETTINGS_MAX = SETTINGS_KEYS + 64 };

/* The tables of keys, in the order of settings_args.values. */
static const gb_key *key_table(int t)
{
    return t == 0 ? gpt_config_keys() : t == 1 ? train_spec_keys() : train_spec_data_keys();
}

/* ---- options ---- */

/* "N", "X", "true|false", "fp32|bf16". */
static void value_name_make(char *out, size_t size, const gb_key *key)
{
    const char *plain = key->type == GB_KEY_INT    ? "N"
                        : key->type == GB_KEY_REAL ? "X"
                        : key->type == GB_KEY_BOOL ? "true|false"
                                                   : "GLOB";
    size_t used = (size_t)snprintf(out, size, "%s", key->type == GB_KEY_ENUM ? "" : plain);
    for (int i = 0; key->type == GB_KEY_ENUM && key->enum_names[i] && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "|" : "", key->enum_names[i]);
    }
}

static const cli_option heading = {
    .name = "", .type = CLI_HEADING, .help = "keys of the model and its training, as in a suite:"};

settings_args settings_args_default(void)
{
    return (settings_args){.backend = "auto", .device = -1};
}

static int rows_add(settings_options *out, int n, const cli_option *rows)
{
    for (; rows->name; rows++) {
        out->rows[n++] = *rows;
    }
    return n;
}

void settings_options_make(settings_options *out, const cli_option *own, bool data_keys,
                           settings_args *args)
{
    const cli_option of_model[] = {
        {"--model", NULL, CLI_TEXT, &args->preset, "PRESET", "preset to start from (d12)", 0, 0},
        {"--set", NULL, CLI_LIST, &args->set, "KEY=VALUE",
         "a key of the model or its training, as --KEY VALUE below; may be repeated", 0, 0},
        {.name = NULL}};
    const cli_option of_device[] = {
        {"--backend", NULL, CLI_TEXT, &args->backend, "NAME", "auto, cuda or cpu", 0, 0},
        {"--threads", NULL, CLI_INT, &args->threads, "N", "CPU threads (all)", 0, CPU_THREADS_MAX},
        {"--device", NULL, CLI_INT, &args->device, "N",
         "GPU to use, of the visible ones (the first)", 0, 1023},
        {.name = NULL}};
    int k = 0, n = rows_add(out, rows_add(out, rows_add(out, 0, of_model), own), of_device);
    out->rows[n++] = heading;
    for (int t = 0; t < (data_keys ? TABLES : TABLES - 1); t++) {
        for (const gb_key *key = key_table(t); key->name; key++, k++) {
            snprintf(out->names[k], sizeof out->names[k], "--%s", key->name);
            value_name_make(out->value_names[k], sizeof out->value_names[k], key);
            out->rows[n++] = (cli_option){.name = out->names[k],
                                          .type = CLI_TEXT,
                                          .target = &args->values[k],
                                          .value_name = out->value_names[k],
                                          .help = key->help};
        }
    }
    out->rows[n] = (cli_option){.name = NULL};
}

/* ---- what was given ---- */

typedef struct setting {
    const gb_key *key;
    bool of_model;
    const char *value;
    char typed[128]; /* "--set n_layer=2", "--n_layer 2" */
} setting;

typedef struct setting_list {
    setting items[SETTINGS_MAX];
    int n;
} setting_list;

static gb_status unknown_key(const char *name, gb_error *err)
{
    const char *names[SETTINGS_KEYS];
    int n = 0;
    for (int t = 0; t < TABLES; t++) {
        for (const gb_key *key = key_table(t); key->name && n < SETTINGS_KEYS - 1; key++) {
            names[n++] = key->name;
        }
    }
    names[n] = NULL;
    const char *near = gb_nearest_name(name, names);
    return gb_fail(err, GB_ERR_USAGE, "--set %.64s: no such key%s%s", name,
                   near ? ", did you mean " : "", near ? near : "");
}

/* Of two values one would be dropped without a word. */
static gb_status setting_add(setting_list *list, const setting *s, gb_error *err)
{
    for (int i = 0; i < list->n; i++) {
        if (list->items[i].key == s->key) {
            return gb_fail(err, GB_ERR_USAGE, "%s is given twice, %s and %s; give it once",
                           s->key->name, list->items[i].typed, s->typed);
        }
    }
    list->items[list->n++] = *s;
    return GB_OK;
}

/* One KEY=VALUE of --set. */
static gb_status setting_parse(setting_list *list, const char *text, gb_error *err)
{
    char name[64];
    setting s = {.key = NULL};
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || equals - text >= (int)sizeof name) {
        return gb_fail(err, GB_ERR_USAGE, "--set %.64s: expected key=value", text);
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    for (int t = 0; t < TABLES && !s.key; t++) {
        s = (setting){.key = gb_key_find(key_table(t), name), .of_model = t == 0};
    }
    if (!s.key) {
        return unknown_key(name, err);
    }
    s.value = equals + 1;
    snprintf(s.typed, sizeof s.typed, "--set %.100s", text);
    return setting_add(list, &s, err);
}

static gb_status settings_collect(setting_list *list, const settings_args *args, gb_error *err)
{
    int k = 0;
    list->n = 0;
    for (int i = 0; i < args->set.count; i++) {
        GB_TRY(setting_parse(list, args->set.items[i], err));
    }
    for (int t = 0; t < TABLES; t++) {
        for (const gb_key *key = key_table(t); key->name; key++, k++) {
            setting s = {.key = key, .of_model = t == 0, .value = args->values[k]};
            if (s.value) {
                snprintf(s.typed, sizeof s.typed, "--%s %.80s", key->name, s.value);
                GB_TRY(setting_add(list, &s, err));
            }
        }
    }
    return GB_OK;
}

const char *settings_value(const settings_args *args, const char *key)
{
    setting_list list;
    const char *value = NULL;
    if (settings_collect(&list, args, NULL) != GB_OK) {
        return NULL;
    }
    for (int i = 0; i < list.n; i++) {
        value = strcmp(list.items[i].key->name, key) == 0 ? list.items[i].value : value;
    }
    return value;
}

void settings_say_idle(const settings_args *args, const char *const *names, const char *why)
{
    char given[256] = "";
    size_t used = 0;
    for (; *names && used < sizeof given; names++) {
        if (settings_value(args, *names)) {
            used += (size_t)snprintf(given + used, sizeof given - used, "%s%s", used ? ", " : "",
                                     *names);
        }
    }
    if (used > 0) {
        terminal_say(stderr, 2, "%s: no effect here: %s\n", given, why);
    }
}

void settings_say_synthetic(const char *given, const train_spec *spec, const char *how)
{
    if (!given) {
        terminal_say(stderr, 2, "no data given: synthetic tokens, %s (yours: %s)\n",
                     spec->train_data, how);
    }
}

/* ---- the model of a file ---- */

/* Whether `key` has the same value in both. */
static bool key_agrees(const gpt_config *a, const gpt_config *b, const gb_key *key)
{
    char left[64], right[64];
    gb_key_format(a, key, left, sizeof left);
    gb_key_format(b, key, right, sizeof right);
    return strcmp(left, right) == 0;
}

static const setting *setting_of(const setting_list *list, const gb_key *key)
{
    for (int i = 0; i < list->n; i++) {
        if (list->items[i].key == key) {
            return &list->items[i];
        }
    }
    return NULL;
}

/* What was asked for against what the file holds, key by key. */
static gb_status file_agrees(const settings_args *args, const setting_list *list,
                             const gpt_config *asked, const gpt_config *held, uint64_t known,
                             gb_error *err)
{
    const gb_key *keys = gpt_config_keys();
    for (int i = 0; keys[i].name; i++) {
        const setting *s = setting_of(list, &keys[i]);
        char value[64];
        gb_key_format(held, &keys[i], value, sizeof value);
        if ((s || args->preset) && (known >> i & 1) &&
            gpt_config_key_matters(held, keys[i].name, NULL) &&
            !key_agrees(asked, held, &keys[i])) {
            return gb_fail(err, GB_ERR_USAGE,
                           "%s%s: %.200s holds a model with %s = %s; leave %s out, the file says "
                           "what model it is",
                           s ? s->typed : "--model ", s ? "" : args->preset, args->weights,
                           keys[i].name, value, s ? "it" : "--model");
        }
    }
    return GB_OK;
}

static gb_status config_apply(gpt_config *config, const setting_list *list, gb_error *err)
{
    for (int i = 0; i < list->n; i++) {
        if (list->items[i].of_model) {
            GB_TRY(gb_key_set(config, list->items[i].key, list->items[i].value, err));
        }
    }
    return GB_OK;
}

/* The file's model where it says which; *found tells whether it did. */
static gb_status config_from_file(gpt_config *config, const settings_args *args,
                                  const setting_list *list, bool *found, gb_error *err)
{
    gpt_config held, asked;
    uint64_t known = 0;
    *found = false;
    if (args->weights) {
        GB_TRY(gpt_read_weights_config(args->weights, &held, &known, err));
    }
    if (known == 0) {
        return GB_OK;
    }
    asked = held;
    if (args->preset) {
        GB_TRY(gpt_config_preset(&asked, args->preset, err));
    }
    GB_TRY(config_apply(&asked, list, err));
    GB_TRY(file_agrees(args, list, &asked, &held, known, err));
    *config = held;
    *found = true;
    /* Keys of a later version than the file, which it cannot name. */
    for (int i = 0; i < list->n; i++) {
        const gb_key *key = list->items[i].key;
        if (list->items[i].of_model && !(known >> (key - gpt_config_keys()) & 1)) {
            GB_TRY(gb_key_set(config, key, list->items[i].value, err));
        }
    }
    return GB_OK;
}

/* ---- all of it ---- */

static gb_status refuse_idle_keys(const gpt_config *config, const setting_list *list, gb_error *err)
{
    for (int i = 0; i < list->n; i++) {
        const char *why = NULL;
        if (list->items[i].of_model &&
            !gpt_config_key_matters(config, list->items[i].key->name, &why)) {
            return gb_fail(err, GB_ERR_USAGE, "%s: %s", list->items[i].typed, why);
        }
    }
    return GB_OK;
}

/* Without any data, synthetic ones; a synthetic source serves for both, in two streams. */
static void data_fill(train_spec *spec, const gpt_config *config)
{
    const int64_t most = 65536; /* of synth_spec */
    int64_t vocab = config->vocab_size < most ? config->vocab_size : most;
    if (!spec->train_data[0] && !spec->val_data[0]) {
        snprintf(spec->train_data, sizeof spec->train_data, "synth:vocab=%lld,seed=1",
                 (long long)vocab);
    }
    if (!spec->val_data[0] && synth_spec_matches(spec->train_data)) {
        snprintf(spec->val_data, sizeof spec->val_data, "%s", spec->train_data);
    }
}

gb_status settings_read(gpt_config *config, train_spec *spec, const settings_args *args,
                        gb_error *err)
{
    setting_list list;
    bool of_file;
    GB_TRY(settings_collect(&list, args, err));
    GB_TRY(config_from_file(config, args, &list, &of_file, err));
    if (!of_file) {
        GB_TRY(gpt_config_preset(config, args->preset ? args->preset : "d12", err));
        GB_TRY(config_apply(config, &list, err));
    }
    for (int i = 0; i < list.n; i++) {
        if (!list.items[i].of_model) {
            GB_TRY(gb_key_set(spec, list.items[i].key, list.items[i].value, err));
        }
    }
    GB_TRY(refuse_idle_keys(config, &list, err));
    if (args->synthetic) {
        data_fill(spec, config);
    }
    train_spec_resolve(spec);
    GB_TRY(gpt_config_validate(config, err));
    GB_TRY(train_spec_validate(spec, err));
    gpt_options options = trainer_model_options(spec);
    return gpt_validate_memory(config, &options, err);
}
