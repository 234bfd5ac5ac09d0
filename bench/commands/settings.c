#include "bench/commands/settings.h"

#include <stdio.h>
#include <string.h>

#include "model/trainer.h"

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

/* Of two values one would be dropped without a word. */
static gb_status refuse_twice(const cli_list *settings, gb_error *err)
{
    for (int i = 0; i < settings->count; i++) {
        size_t length = strcspn(settings->items[i], "=");
        for (int earlier = 0; earlier < i; earlier++) {
            if (strncmp(settings->items[earlier], settings->items[i], length) == 0 &&
                settings->items[earlier][length] == '=') {
                return gb_fail(
                    err, GB_ERR_USAGE, "--set: %.*s is given twice, %.64s and %.64s; give it once",
                    (int)length, settings->items[i], settings->items[earlier], settings->items[i]);
            }
        }
    }
    return GB_OK;
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
    GB_TRY(refuse_twice(settings, err));
    GB_TRY(refuse_idle_keys(config, settings, err));
    train_spec_resolve(spec);
    GB_TRY(gpt_config_validate(config, err));
    GB_TRY(train_spec_validate(spec, err));
    gpt_options options = trainer_model_options(spec);
    return gpt_validate_memory(config, &options, err);
}

/* The first backend of this program that counts devices, or NULL. */
static const gb_backend *backend_with_devices(void)
{
    const gb_backend *const *b = gb_backends();
    while (*b && !(*b)->list_devices) {
        b++;
    }
    return *b;
}

static gb_status backend_by_name(const gb_backend **out, const char *name, gb_precision precision,
                                 bool with_device, gb_error *err)
{
    bool devices_asked = with_device && strcmp(name, "auto") == 0;
    *out = devices_asked ? backend_with_devices() : gb_backend_find(name, precision);
    if (*out) {
        return GB_OK;
    }
    if (devices_asked) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--device: chooses a GPU, and this program was built without CUDA; leave "
                       "it out to use the CPU");
    }
    char all[128] = "auto";
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, ", %s", (*b)->name);
    }
    return gb_fail(err, GB_ERR_USAGE, "--backend %.32s: not built into this program; it has %s",
                   name, all);
}

/* NULL when device `index` of the backend can be used, else what to print; *status says whether
 * the number is wrong or the machine. */
static const char *device_why_not(const gb_backend *backend, gb_precision precision, int64_t index,
                                  gb_status *status, char *room, size_t size)
{
    enum { ROWS = 64 };
    gb_device_entry rows[ROWS];
    int count = backend->list_devices(rows, ROWS);
    *status = GB_ERR_ENV;
    if (count == 0) {
        return backend->unavailable(precision);
    }
    if (index >= count) {
        *status = GB_ERR_USAGE;
        snprintf(room, size, count == 1 ? "the one visible device is 0" : "they are 0 to %d",
                 count - 1);
        return room;
    }
    bool listed = index < ROWS && precision <= GB_BF16;
    return listed ? rows[index].unavailable[precision] : backend->unavailable(precision);
}

gb_status settings_backend(const gb_backend **out, const char *name, gb_precision precision,
                           int64_t device_index, gb_error *err)
{
    GB_TRY(backend_by_name(out, name, precision, device_index >= 0, err));
    if (device_index < 0) {
        const char *why_not = (*out)->unavailable(precision);
        return !why_not ? GB_OK
                        : gb_fail(err, GB_ERR_ENV, "backend %s cannot run %s here: %s",
                                  (*out)->name, gb_precision_name(precision), why_not);
    }
    if (!(*out)->list_devices) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--device %lld: chooses a GPU, and backend %s has none; leave one of the "
                       "two out",
                       (long long)device_index, (*out)->name);
    }
    char room[64];
    gb_status status = GB_OK;
    const char *why_not = device_why_not(*out, precision, device_index, &status, room, sizeof room);
    if (!why_not) {
        return GB_OK;
    }
    return status == GB_ERR_USAGE
               ? gb_fail(err, status,
                         "--device %lld: no such device is visible; %s (`gptbench "
                         "doctor` lists them)",
                         (long long)device_index, why_not)
               : gb_fail(err, status, "backend %s cannot run %s on device %lld: %s", (*out)->name,
                         gb_precision_name(precision), (long long)device_index, why_not);
}
