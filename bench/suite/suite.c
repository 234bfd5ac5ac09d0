/* Reads a suite: sections into settings, settings into cells, cells into a checked suite. */
#include "bench/suite/suite.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"
#include "kernels/process_limits.h"
#include "model/near_file.h"

static const gb_key suite_keys[] = {
    {"replicates", GB_KEY_INT, offsetof(suite, replicates), 1, SUITE_MAX_REPLICATES, NULL,
     "runs of every cell, each with its own seed and place in the data"},
    {"profile_steps", GB_KEY_INT, offsetof(suite, profile_steps), 0, 1000, NULL,
     "steps of each run's per-op window"},
    {NULL, GB_KEY_INT, 0, 0, 0, NULL, NULL}};

static gb_status read_suite_section(suite_reader *reader)
{
    const suite_ini_section *section = reader->suite_section;
    suite *target = reader->suite;
    if (!section) {
        return suite_fail(reader, 1, "no [suite] section: start with [suite] and 'name = NAME'");
    }
    GB_TRY(suite_section_check(reader, section, "suite", suite_section_names));
    const suite_ini_entry *name = suite_entry_find(section, "name");
    if (!name) {
        return suite_fail(reader, section->line, "[suite] has no name: add 'name = NAME'");
    }
    GB_TRY(suite_name_copy(reader, target->name, sizeof target->name, name->value, "suite",
                           name->line));
    uint32_t given;
    GB_TRY(suite_keys_read(reader, section, suite_keys, target, &given));
    target->replicates_given = given & 1;
    target->profile_steps_given = given >> 1 & 1;
    return suite_checkpoint_read(reader);
}

static gb_status read_data(suite_reader *reader)
{
    static const char *const names[] = {"train", "val", NULL};
    const suite_ini_section *section = reader->data;
    if (!section) {
        return suite_fail(reader, 1,
                          "no [data] section: add [data] with train and val, each a glob of .bin "
                          "shards or synth:vocab=256,seed=1");
    }
    GB_TRY(suite_section_check(reader, section, "data", names));
    for (const gb_key *key = train_spec_data_keys(); key->name; key++) {
        const suite_ini_entry *entry = suite_entry_find(section, key->name);
        if (!entry) {
            return suite_fail(reader, section->line,
                              "[data] has no %s: add a glob of .bin shards, or "
                              "synth:vocab=256,seed=1",
                              key->name);
        }
        if (strpbrk(entry->value, "\n")) {
            return suite_fail(reader, entry->part_lines[1], "%s is one path: write it in one line",
                              key->name);
        }
        if (strstr(entry->value, " #")) {
            return suite_fail(reader, entry->line,
                              "%s = %.80s: '#' opens a comment only at the start of a line; after "
                              "a value write ';'",
                              key->name, entry->value);
        }
        reader->suite->data_lines[key - train_spec_data_keys()] = entry->line;
        if (gb_key_set(&reader->data_spec, key, entry->value, reader->err) != GB_OK) {
            return gb_error_prefix(reader->err, "%s:%d", reader->path, entry->line);
        }
    }
    return GB_OK;
}

/* One key = one value, tried; for [train], [model] and [config]. */
static gb_status read_setting(suite_reader *reader, const suite_ini_entry *entry, int takes,
                              const char *title, suite_setting *out)
{
    GB_TRY(suite_key_find(reader, &out->key, entry->name, takes, title, entry->line));
    out->text = entry->value;
    out->line = entry->line;
    gpt_config config;
    train_spec spec;
    config = gpt_config_default();
    spec = train_spec_default();
    if (strpbrk(entry->value, ",\n") || strstr(entry->value, "..")) {
        return suite_fail(reader, entry->line,
                          "%s = %.64s: [%s] takes one value; lists and ranges belong in [matrix]",
                          entry->name, entry->value, title);
    }
    if (suite_key_apply(&out->key, entry->value, &config, &spec, reader->err) != GB_OK) {
        return gb_error_prefix(reader->err, "%s:%d", reader->path, entry->line);
    }
    return GB_OK;
}

static gb_status read_common(suite_reader *reader, const suite_ini_section *section, int takes,
                             const char *title)
{
    for (int i = 0; section && i < section->n_entries; i++) {
        /* each key at most once, so the two tables bound the number */
        suite_setting *setting = &reader->common[reader->n_common];
        GB_TRY(read_setting(reader, &section->entries[i], takes, title, setting));
        reader->n_common++;
    }
    return GB_OK;
}

/* ---- cells ---- */

static gb_status read_config(suite_reader *reader, int s, const char *name)
{
    const suite_ini_section *section = &reader->ini.sections[s];
    suite_setting own[SUITE_MAX_KEYS];
    int n_own = 0, index;
    GB_TRY(suite_cell_add(reader, section->line, s, &index));
    char *cell_name = reader->suite->cells[index].name;
    GB_TRY(suite_name_copy(reader, cell_name, sizeof reader->suite->cells[index].name, name,
                           "config", section->line));
    if (section->n_entries == 0) {
        return suite_fail(reader, section->line, "[config %s] has no keys: add 'model = d12'",
                          name);
    }
    for (int i = 0; i < section->n_entries; i++, n_own++) {
        GB_TRY(read_setting(reader, &section->entries[i],
                            SUITE_TAKES_MODEL | SUITE_TAKES_CONFIG | SUITE_TAKES_SPEC,
                            section->title, &own[n_own]));
    }
    GB_TRY(suite_cell_apply(reader, index, own, n_own));
    return suite_cell_validate(reader, index, own, n_own);
}

static gb_status read_cells(suite_reader *reader)
{
    if (reader->matrix) {
        GB_TRY(suite_matrix_expand(reader));
    }
    for (int s = 0; s < reader->ini.n_sections; s++) {
        const char *name = suite_title_name(reader->ini.sections[s].title, "config");
        if (name) {
            GB_TRY(read_config(reader, s, name));
        }
    }
    if (reader->suite->n_cells == 0) {
        return suite_fail(reader, reader->suite_section->line,
                          "the suite has nothing to run: add [matrix] or [config NAME]");
    }
    return suite_check_cells(reader);
}

static gb_status cell_reference(suite_reader *reader, const char *name, const char *what, int line,
                                int *index)
{
    *index = suite_cell_find(reader->suite, name);
    if (*index >= 0) {
        return GB_OK;
    }
    const char *near = suite_nearest_cell(reader, name);
    if (near) {
        return suite_fail(reader, line, "%s = %.127s: no such cell, did you mean %s?", what, name,
                          near);
    }
    return suite_fail(reader, line, "%s = %.127s: no such cell; %s", what, name,
                      suite_cells_listed(reader->suite).text);
}

static gb_status read_baseline(suite_reader *reader)
{
    suite *target = reader->suite;
    const suite_ini_entry *entry = suite_entry_find(reader->suite_section, "baseline");
    if (entry) {
        GB_TRY(cell_reference(reader, entry->value, "baseline", entry->line, &target->baseline));
    }
    target->cells[target->baseline].is_baseline = true;
    return GB_OK;
}

/* ---- claims ---- */

static gb_status claim_text(suite_reader *reader, const suite_ini_section *section,
                            const char *name, char *out, size_t out_size, int *line)
{
    const suite_ini_entry *entry = suite_entry_find(section, name);
    *line = entry ? entry->line : section->line;
    if (!entry) {
        return GB_OK;
    }
    if (strlen(entry->value) >= out_size) {
        return suite_fail(reader, entry->line, "%s has more than %zu bytes: say it shorter", name,
                          out_size - 1);
    }
    strcpy(out, entry->value);
    for (char *c = out; (c = strchr(c, '\n')) != NULL;) {
        *c = ' ';
    }
    return GB_OK;
}

static gb_status read_claim(suite_reader *reader, const suite_ini_section *section,
                            const char *name, suite_claim *claim)
{
    static const char *const names[] = {"config", "baseline", "expect", "source", NULL};
    suite *target = reader->suite;
    int line, config, baseline = target->baseline;
    claim->line = section->line;
    GB_TRY(suite_name_copy(reader, claim->name, sizeof claim->name, name, "claim", section->line));
    for (int i = 0; i < target->n_claims; i++) {
        if (strcmp(target->claims[i].name, claim->name) == 0) {
            return suite_fail(reader, section->line, "[claim %s] is already there on line %d", name,
                              target->claims[i].line);
        }
    }
    GB_TRY(suite_section_check(reader, section, section->title, names));
    GB_TRY(claim_text(reader, section, "config", claim->config, sizeof claim->config, &line));
    if (!claim->config[0]) {
        return suite_fail(reader, line, "[claim %s] has no config: name the cell it is about",
                          name);
    }
    GB_TRY(cell_reference(reader, claim->config, "config", line, &config));
    strcpy(claim->baseline, target->cells[baseline].name);
    GB_TRY(claim_text(reader, section, "baseline", claim->baseline, sizeof claim->baseline, &line));
    GB_TRY(cell_reference(reader, claim->baseline, "baseline", line, &baseline));
    if (config == baseline) {
        return suite_fail(reader, line, "[claim %s] compares '%s' with itself: name another cell",
                          name, claim->config);
    }
    GB_TRY(claim_text(reader, section, "expect", claim->expect, sizeof claim->expect, &line));
    if (!claim->expect[0]) {
        return suite_fail(reader, line,
                          "[claim %s] has no expect: add one, as 'step_avg speedup >= 15%%'", name);
    }
    if (suite_expect_parse(&claim->expectation, claim->expect, reader->err) != GB_OK) {
        return gb_error_prefix(reader->err, "%s:%d: expect = %s", reader->path, line,
                               claim->expect);
    }
    return claim_text(reader, section, "source", claim->source, sizeof claim->source, &line);
}

static gb_status read_claims(suite_reader *reader)
{
    suite *target = reader->suite;
    int count = 0;
    for (int s = 0; s < reader->ini.n_sections; s++) {
        count += suite_title_name(reader->ini.sections[s].title, "claim") != NULL;
    }
    target->claims = calloc((size_t)count + 1, sizeof *target->claims);
    if (!target->claims) {
        return suite_no_memory(reader);
    }
    for (int s = 0; s < reader->ini.n_sections; s++) {
        const suite_ini_section *section = &reader->ini.sections[s];
        const char *name = suite_title_name(section->title, "claim");
        if (name) {
            GB_TRY(read_claim(reader, section, name, &target->claims[target->n_claims]));
            target->n_claims++;
        }
    }
    return GB_OK;
}

/* ---- the whole ---- */

static gb_status read_all(suite_reader *reader, const char *text)
{
    GB_TRY(suite_ini_parse(&reader->ini, reader->path, text, reader->err));
    GB_TRY(suite_sections_sort(reader));
    GB_TRY(read_suite_section(reader));
    GB_TRY(suite_timing_read(reader));
    GB_TRY(suite_limits_read(reader));
    GB_TRY(read_data(reader));
    GB_TRY(read_common(reader, reader->model, SUITE_TAKES_CONFIG, "model"));
    GB_TRY(read_common(reader, reader->train, SUITE_TAKES_SPEC, "train"));
    GB_TRY(read_cells(reader));
    GB_TRY(suite_axes_keep(reader));
    GB_TRY(read_baseline(reader));
    return read_claims(reader);
}

gb_status suite_parse(suite **out, const char *path, const char *text, gb_error *err)
{
    return suite_parse_ignoring(out, path, text, NULL, err);
}

gb_status suite_parse_ignoring(suite **out, const char *path, const char *text,
                               const char *ignored_key, gb_error *err)
{
    *out = NULL;
    gb_error unused = {.message = ""};
    suite_reader reader = {.path = path, .err = err ? err : &unused, .ignored_key = ignored_key};
    reader.data_spec = train_spec_default();
    suite *target = reader.suite = calloc(1, sizeof *target);
    if (!target || !(target->path = strdup(path)) || !(target->text = strdup(text))) {
        suite_free(target);
        return suite_no_memory(&reader);
    }
    target->replicates = 3;
    target->profile_steps = 3;
    gb_status status = read_all(&reader, text);
    for (int a = 0; a < reader.n_axes; a++) {
        suite_axis_clear(&reader.axes[a]);
    }
    free(reader.drafts);
    suite_ini_clear(&reader.ini);
    if (status != GB_OK) {
        suite_free(target);
        return status;
    }
    *out = target;
    return GB_OK;
}

/* What there is under almost that name: beside it, or, of "quick", suites/quick.ini. */
static near_file near_suite(const char *path)
{
    char shipped[256];
    near_file near = near_file_find(path, ".ini");
    const size_t length = strlen(path);
    const bool ends = length > 4 && strcmp(path + length - 4, ".ini") == 0;
    if (!near.hint[0] && !strchr(path, '/') &&
        snprintf(shipped, sizeof shipped, "suites/%s%s", path, ends ? "" : ".ini") <
            (int)sizeof shipped) {
        near = near_file_find(shipped, ".ini");
    }
    return near;
}

/* The file's bytes and a final NUL; at most one byte more than a suite may have. */
static gb_status file_load(const char *path, char **text, size_t *length, gb_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return gb_fail(err, errno == ENOENT || errno == ENOTDIR ? GB_ERR_USAGE : GB_ERR_IO,
                       "%s: %s%s", path, gb_reason(errno), near_suite(path).hint);
    }
    gb_status status = GB_OK;
    *text = malloc(SUITE_INI_MAX_BYTES + 2);
    if (!*text) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory to read it", path);
    } else {
        errno = 0;
        *length = fread(*text, 1, SUITE_INI_MAX_BYTES + 1, file);
        (*text)[*length] = '\0';
        if (ferror(file)) {
            status = gb_fail(err, errno == EISDIR ? GB_ERR_USAGE : GB_ERR_IO, "%s: %s", path,
                             gb_reason(errno));
        }
    }
    fclose(file);
    return status;
}

gb_status suite_read(suite **out, const char *path, gb_error *err)
{
    char *text = NULL;
    size_t length = 0;
    *out = NULL;
    gb_status status = file_load(path, &text, &length, err);
    if (status == GB_OK && strlen(text) < length) {
        int line = 1;
        for (const char *c = text; *c; c++) {
            line += *c == '\n';
        }
        status = gb_fail(err, GB_ERR_USAGE, "%s:%d: a NUL byte: a suite is plain text", path, line);
    }
    if (status == GB_OK) {
        status = suite_parse(out, path, text, err);
    }
    free(text);
    return status;
}

void suite_free(suite *target)
{
    if (target) {
        free(target->path);
        free(target->text);
        free(target->cells);
        for (int a = 0; a < target->n_axes; a++) {
            free(target->axes[a].name);
            for (int v = 0; v < target->axes[a].n_values; v++) {
                free(target->axes[a].values[v]);
            }
            free(target->axes[a].values);
        }
        free(target->axes);
        free(target->places);
        free(target->claims);
        free(target);
    }
}

int suite_cell_find(const suite *target, const char *name)
{
    for (int i = 0; i < target->n_cells; i++) {
        if (strcmp(target->cells[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

suite_cells suite_cells_listed(const suite *of)
{
    enum { LISTED = 12 };
    suite_cells list;
    size_t used = (size_t)snprintf(list.text, sizeof list.text, "the cells are ");
    int i = 0;
    for (; i < of->n_cells && i < LISTED && used + sizeof of->cells->name + 32 < sizeof list.text;
         i++) {
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s", i ? ", " : "",
                                 of->cells[i].name);
    }
    if (i < of->n_cells) {
        snprintf(list.text + used, sizeof list.text - used, " and %d more", of->n_cells - i);
    }
    return list;
}

gb_status suite_override_data(suite *target, const char *train, const char *val, gb_error *err)
{
    const char *const texts[] = {train, val};
    const char *const options[] = {"--train", "--val"};
    for (int i = 0; i < 2; i++) {
        if (texts[i] &&
            (!texts[i][0] || strlen(texts[i]) >= sizeof target->cells->spec.train_data)) {
            return gb_fail(err, GB_ERR_USAGE, "%s: a path of 1 to %zu bytes is expected",
                           options[i], sizeof target->cells->spec.train_data - 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        target->data_lines[i] = texts[i] ? 0 : target->data_lines[i];
    }
    for (int i = 0; i < target->n_cells; i++) {
        if (train) {
            strcpy(target->cells[i].spec.train_data, train);
        }
        if (val) {
            strcpy(target->cells[i].spec.val_data, val);
        }
    }
    return GB_OK;
}
