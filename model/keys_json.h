/* keys_json.h: an object that a key table describes (model/config.h), as JSON and back. */
#ifndef GPTBENCH_MODEL_KEYS_JSON_H
#define GPTBENCH_MODEL_KEYS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "model/config.h"

/* An object with every key of the table. NULL without memory. */
json_t *keys_to_json(const void *object, const gb_key *keys);

/* Which keys of the table the object has: bit i for the i-th of the first 64. */
uint64_t keys_in_json(const gb_key *keys, const json_t *json);

/* The keys that the object has; the others are left alone. GB_ERR_FORMAT: it has one that is not in
 * the table, or of the wrong type; GB_ERR_USAGE: out of its range. */
gb_status keys_from_part(void *object, const gb_key *keys, json_t *json, gb_error *err);

/* Every key of the table from a JSON object. GB_ERR_FORMAT: one is missing or of the wrong type;
 * GB_ERR_USAGE: out of its range. */
gb_status keys_from_json(void *object, const gb_key *keys, const json_t *json, gb_error *err);

/* From config.settings_json: the keys that it has; the others are left alone, as it may be of a
 * version that did not have them. False when it is no object, has none of the keys, or one that
 * cannot be. */
bool keys_from_settings(void *object, const gb_key *keys, const char *settings_json);
/* Whether it says anything of a key. */
bool keys_settings_have(const char *settings_json, const char *key);

#endif
