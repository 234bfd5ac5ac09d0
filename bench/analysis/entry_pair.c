#include "bench/analysis/entry_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

#include "bench/analysis/entry.h"

gb_status entry_name_unknown(const findings *data, const char *name, gb_error *err)
{
    const char **names = calloc((size_t)data->facts->n_configs + 1, sizeof *names);
    if (!names) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d names", data->facts->n_configs);
    }
    bool known = false;
    char list[512] = "";
    for (int i = 0, used = 0; i < data->facts->n_configs; i++) {
        names[i] = data->facts->configs[i].name;
        known |= strcmp(names[i], name) == 0;
        if (used < (int)sizeof list) {
            used +=
                snprintf(list + used, sizeof list - (size_t)used, "%s%s", i ? ", " : "", names[i]);
        }
    }
    const char *nearest = gb_nearest_name(name, names);
    free(names);
    if (known) {
        return gb_fail(err, GB_ERR_FAILED, "%s: `%s` has no finished run in suite `%s` yet",
                       data->facts->db_path, name, data->facts->suite_name);
    }
    return gb_fail(err, GB_ERR_USAGE, "%s: suite `%s` has no config `%s`%s%s%s It has: %s",
                   data->facts->db_path, data->facts->suite_name, name,
                   nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : ".",
                   list);
}

const result_entry *entry_beside(const findings *data, const result_entry *base,
                                 const result_entry *like)
{
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *candidate = &data->entries[i];
        if (candidate->config == base->config && candidate->machine == like->machine &&
            strcmp(candidate->backend, like->backend) == 0 &&
            strcmp(candidate->precision, like->precision) == 0) {
            return candidate;
        }
    }
    return base;
}

gb_status entry_pair_find(const findings *data, const char *const names[2],
                          const result_entry **base, const result_entry **new_entry, gb_error *err)
{
    int found[2];
    for (int i = 0; i < 2; i++) {
        found[i] = findings_find_entry(data, names[i]);
        if (found[i] < 0) {
            return entry_name_unknown(data, names[i], err);
        }
    }
    *base = &data->entries[found[0]];
    *new_entry = &data->entries[found[1]];
    if (strcmp((*base)->label, names[0]) != 0) {
        *base = entry_beside(data, *base, *new_entry);
    }
    return GB_OK;
}
