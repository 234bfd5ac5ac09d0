#include "bench/settings.h"

#include <stdio.h>
#include <string.h>

enum { MAX_KEYS = 64 };

static gb_status unknown_key(const char *name, gb_error *err)
{
    const gb_key *tables[] = {gpt_config_keys(), train_spec_keys(), train_spec_data_keys()};
    const char *names[MAX_KEYS];
    int n = 0;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const gb_key *key = tables[t]; key->name && n < MAX_KEYS - 1; key++) {
            names[n++] = key->name;
        }
    }
    names[n] = NULL;
    const char *near = gb_nearest_name(name, names);
    return gb_fail(err, GB_ERR_USAGE, "--set %.64s: no such key%s%s", name,
                   near ? ", did you mean " : "", near ? near : "");
}

static gb_status apply_one(gpt_config *config, train_spec *spec, const char *text, gb_error *err)
{
    char name[64];
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || equals - text >= (int)sizeof name) {
        return gb_fail(err, GB_ERR_USAGE, "--set %.64s: expected key=value", text);
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    const gb_key *key = gb_key_find(gpt_config_keys(), name);
    if (key) {
        return gb_key_set(config, key, equals + 1, err);
    }
    key = gb_key_find(train_spec_keys(), name);
    key = key ? key : gb_key_find(train_spec_data_keys(), name);
    return key ? gb_key_set(spec, key, equals + 1, err) : unknown_key(name, err);
}

static gb_status refuse_idle_keys(const gpt_config *config, const cli_list *settings, gb_error *err)
{
    for (int i = 0; i < settings->count; i++) {
        char name[64];
        const char *why = NULL;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(settings->items[i], "="),
                 settings->items[i]);
        if (!gpt_config_key_matters(config, name, &why)) {
            return gb_fail(err, GB_ERR_USAGE, "--set %.64s: %s", settings->items[i], why);
        }
    }
    return GB_OK;
}

gb_status settings_read(gpt_config *config, train_spec *spec, const char *preset,
                        const cli_list *settings, gb_error *err)
{
    GB_TRY(gpt_config_preset(config, preset ? preset : "d12", err));
    for (int i = 0; i < settings->count; i++) {
        GB_TRY(apply_one(config, spec, settings->items[i], err));
    }
    GB_TRY(refuse_idle_keys(config, settings, err));
    train_spec_resolve(spec);
    GB_TRY(gpt_config_validate(config, err));
    return train_spec_validate(spec, err);
}

gb_status settings_backend(const gb_backend **out, const char *name, gb_precision precision,
                           gb_error *err)
{
    *out = gb_backend_find(name, precision);
    if (!*out) {
        char all[128] = "auto";
        for (const gb_backend *const *b = gb_backends(); *b; b++) {
            size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, ", %s", (*b)->name);
        }
        return gb_fail(err, GB_ERR_USAGE, "--backend %.32s: not built into this program; it has %s",
                       name, all);
    }
    const char *why_not = (*out)->unavailable(precision);
    if (why_not) {
        return gb_fail(err, GB_ERR_ENV, "backend %s cannot run %s here: %s", (*out)->name,
                       gb_precision_name(precision), why_not);
    }
    return GB_OK;
}
