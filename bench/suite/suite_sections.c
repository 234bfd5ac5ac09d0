/* Sections of a suite: which there are, in what order, with which keys and names. */
#include <stdio.h>
#include <string.h>

#include "bench/suite/suite_internal.h"

/* Letters, digits, '-', '_' and '.', starting with a letter or digit: good as a file name and as an
 * argument. */
static bool name_is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return name[0] && !strchr("-._", name[0]) && name[strspn(name, plain)] == '\0';
}

gb_status suite_name_copy(suite_reader *reader, char *out, size_t out_size, const char *name,
                          const char *what, int line)
{
    if (!name_is_plain(name)) {
        return suite_fail(reader, line,
                          "%s '%.80s': a name is made of letters, digits, '-', '_' and '.', and "
                          "starts with a letter or digit",
                          what, name);
    }
    if (strlen(name) >= out_size) {
        return suite_fail(reader, line, "%s '%.40s...': a name has at most %zu bytes", what, name,
                          out_size - 1);
    }
    strcpy(out, name);
    return GB_OK;
}

/* ---- sections ---- */

/* The name after "config " or "claim "; NULL when the title is not of this kind. */
const char *suite_title_name(const char *title, const char *kind)
{
    size_t length = strlen(kind);
    if (strncmp(title, kind, length) != 0 || (title[length] && !strchr(" \t", title[length]))) {
        return NULL;
    }
    return title + length + strspn(title + length, " \t");
}

static gb_status section_unknown(suite_reader *reader, const suite_ini_section *section)
{
    static const char *const kinds[] = {"suite",  "data",    "train", "model",  "timing", "matrix",
                                        "config", "exclude", "claim", "limits", NULL};
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(section->title, " \t"), section->title);
    const char *near = gb_nearest_name(word, kinds);
    bool named = near && (strcmp(near, "config") == 0 || strcmp(near, "claim") == 0);
    if (near && strcmp(near, word) == 0) {
        return suite_fail(reader, section->line, "[%s]: this section takes no name, write [%s]",
                          section->title, near);
    }
    if (near) {
        return suite_fail(reader, section->line, "unknown section [%s], did you mean [%s%s]?",
                          section->title, near, named ? " NAME" : "");
    }
    return suite_fail(reader, section->line,
                      "unknown section [%s]; it is one of [suite], [data], [train], [model], "
                      "[timing], [limits], [matrix], [exclude], [config NAME], [claim NAME]",
                      section->title);
}

gb_status suite_sections_sort(suite_reader *reader)
{
    const suite_ini_section **slots[] = {&reader->suite_section, &reader->data,   &reader->train,
                                         &reader->model,         &reader->matrix, &reader->timing,
                                         &reader->limits};
    static const char *const titles[] = {"suite",  "data",   "train", "model",
                                         "matrix", "timing", "limits"};
    for (int s = 0; s < reader->ini.n_sections; s++) {
        const suite_ini_section *section = &reader->ini.sections[s];
        const char *config = suite_title_name(section->title, "config");
        const char *claim = suite_title_name(section->title, "claim");
        bool known = config || claim || strcmp(section->title, "exclude") == 0;
        if ((config && !*config) || (claim && !*claim)) {
            return suite_fail(reader, section->line, "[%s] needs a name: [%s NAME]", section->title,
                              config ? "config" : "claim");
        }
        for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
            if (strcmp(section->title, titles[i]) == 0) {
                if (*slots[i]) {
                    return suite_fail(reader, section->line,
                                      "[%s] is already there on line %d: join the two",
                                      section->title, (*slots[i])->line);
                }
                *slots[i] = section;
                known = true;
            }
        }
        if (!known) {
            return section_unknown(reader, section);
        }
        if (strcmp(section->title, "exclude") == 0 && !reader->matrix) {
            return suite_fail(reader, section->line,
                              "[exclude] takes cells out of [matrix]: it comes after [matrix]");
        }
    }
    return GB_OK;
}

const suite_ini_entry *suite_entry_find(const suite_ini_section *section, const char *name)
{
    for (int i = 0; section && i < section->n_entries; i++) {
        if (strcmp(section->entries[i].name, name) == 0) {
            return &section->entries[i];
        }
    }
    return NULL;
}

/* Refuses keys of a section that are not in `names`. */
static gb_status key_unknown(suite_reader *reader, const suite_ini_entry *entry, const char *title,
                             const char *const *names)
{
    const char *near = gb_nearest_name(entry->name, names);
    const char *home = suite_key_home(entry->name);
    if (near) {
        return suite_fail(reader, entry->line, "unknown key '%s' in [%s], did you mean %s?",
                          entry->name, title, near);
    }
    if (home) {
        return suite_fail(reader, entry->line, "'%s' does not belong in [%s]: put it in %s",
                          entry->name, title, home);
    }
    char all[256] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    return suite_fail(reader, entry->line, "unknown key '%s' in [%s]; it takes %s", entry->name,
                      title, all);
}

const char *const suite_section_names[] = {"name",          "baseline",         "replicates",
                                           "profile_steps", "checkpoint_every", NULL};

gb_status suite_keys_read(suite_reader *reader, const suite_ini_section *section,
                          const gb_key *keys, void *object, uint32_t *given)
{
    *given = 0;
    for (int i = 0; keys[i].name; i++) {
        const suite_ini_entry *entry = suite_entry_find(section, keys[i].name);
        *given |= (uint32_t)(entry != NULL) << i;
        if (entry && gb_key_set(object, &keys[i], entry->value, reader->err) != GB_OK) {
            return gb_error_prefix(reader->err, "%s:%d", reader->path, entry->line);
        }
    }
    return GB_OK;
}

gb_status suite_section_check(suite_reader *reader, const suite_ini_section *section,
                              const char *title, const char *const *names)
{
    for (int i = 0; section && i < section->n_entries; i++) {
        const suite_ini_entry *entry = &section->entries[i];
        bool known = false;
        for (int n = 0; names[n]; n++) {
            known = known || strcmp(names[n], entry->name) == 0;
        }
        if (!known) {
            return key_unknown(reader, entry, title, names);
        }
    }
    return GB_OK;
}
