#include "model/keys_json.h"

#include <stdio.h>

static json_t *key_to_json(const void *object, const gb_key *key)
{
    const char *field = (const char *)object + key->offset;
    char text[320];
    switch (key->type) {
    case GB_KEY_INT:
        return json_integer(*(const int64_t *)(const void *)field);
    case GB_KEY_REAL:
        return json_real(*(const double *)(const void *)field);
    case GB_KEY_BOOL:
        return json_boolean(*(const bool *)(const void *)field);
    case GB_KEY_ENUM:
    case GB_KEY_TEXT:
        break;
    }
    gb_key_format(object, key, text, sizeof text);
    return json_string(text);
}

json_t *keys_to_json(const void *object, const gb_key *keys)
{
    json_t *json = json_object();
    for (; json && keys->name; keys++) {
        if (json_object_set_new(json, keys->name, key_to_json(object, keys)) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static gb_status key_from_json(void *object, const gb_key *key, const json_t *value, gb_error *err)
{
    char *field = (char *)object + key->offset;
    char text[40];
    if (key->type == GB_KEY_INT && json_is_integer(value)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        return gb_key_set(object, key, text, err);
    } else if (key->type == GB_KEY_REAL && json_is_number(value)) {
        snprintf(text, sizeof text, "%.17g", json_number_value(value));
        return gb_key_set(object, key, text, err);
    } else if (key->type == GB_KEY_BOOL && json_is_boolean(value)) {
        *(bool *)(void *)field = json_is_true(value);
    } else if ((key->type == GB_KEY_TEXT || key->type == GB_KEY_ENUM) && json_is_string(value)) {
        return gb_key_set(object, key, json_string_value(value), err);
    } else {
        return gb_fail(err, GB_ERR_FORMAT, "%s is missing or of the wrong type", key->name);
    }
    return GB_OK;
}

uint64_t keys_in_json(const gb_key *keys, const json_t *json)
{
    uint64_t there = 0;
    for (int i = 0; keys[i].name && i < 64; i++) {
        there |= (uint64_t)(json_object_get(json, keys[i].name) != NULL) << i;
    }
    return there;
}

gb_status keys_from_json(void *object, const gb_key *keys, const json_t *json, gb_error *err)
{
    for (; keys->name; keys++) {
        GB_TRY(key_from_json(object, keys, json_object_get(json, keys->name), err));
    }
    return GB_OK;
}

gb_status keys_from_part(void *object, const gb_key *keys, json_t *json, gb_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        const gb_key *key = gb_key_find(keys, name);
        if (!key) {
            return gb_fail(err, GB_ERR_FORMAT, "%.64s: no such key", name);
        }
        GB_TRY(key_from_json(object, key, value, err));
    }
    return GB_OK;
}

bool keys_from_settings(void *object, const gb_key *keys, const char *settings_json)
{
    int found = 0;
    bool good = true;
    json_t *json = json_loads(settings_json, 0, NULL);
    for (; keys->name && good; keys++) {
        const json_t *value = json_object_get(json, keys->name);
        if (value) {
            found++;
            good = key_from_json(object, keys, value, NULL) == GB_OK;
        }
    }
    json_decref(json);
    return good && found > 0;
}

bool keys_settings_have(const char *settings_json, const char *key)
{
    json_t *json = json_loads(settings_json, 0, NULL);
    bool have = json_object_get(json, key) != NULL;
    json_decref(json);
    return have;
}
