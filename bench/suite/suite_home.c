/* Where a key belongs, for messages about one that stands elsewhere. */
#include <string.h>

#include "bench/suite/limits.h"
#include "bench/suite/suite_internal.h"

const char *const suite_section_names[] = {"name",          "baseline",         "replicates",
                                           "profile_steps", "checkpoint_every", NULL};

static bool name_in(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *suite_key_home(const char *name)
{
    if (strcmp(name, "model") == 0) {
        return "[matrix] or [config NAME]";
    }
    if (gb_key_find(gpt_config_keys(), name)) {
        return "[model], [matrix] or [config NAME]";
    }
    if (gb_key_find(train_spec_keys(), name)) {
        return "[train], [matrix] or [config NAME]";
    }
    if (gb_key_find(train_spec_data_keys(), name)) {
        return "[data]";
    }
    for (const limits_key *key = limits_keys(); key->name; key++) {
        if (strcmp(key->name, name) == 0) {
            return "[limits]";
        }
    }
    return name_in(name, suite_section_names) ? "[suite]" : NULL;
}
