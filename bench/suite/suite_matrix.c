/* The product of the axes, and what [exclude] takes out of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"
#include "model/trainer.h"

/* ---- cells ---- */

gb_status suite_cell_add(suite_reader *reader, int line, int section, int *index)
{
    suite *target = reader->suite;
    if (target->n_cells == reader->cell_capacity) {
        size_t capacity = reader->cell_capacity ? 2 * (size_t)reader->cell_capacity : 16;
        suite_cell *cells = realloc(target->cells, capacity * sizeof *cells);
        if (!cells) {
            return suite_no_memory(reader);
        }
        target->cells = cells;
        suite_draft *drafts = realloc(reader->drafts, capacity * sizeof *drafts);
        if (!drafts) {
            return suite_no_memory(reader);
        }
        reader->drafts = drafts;
        reader->cell_capacity = (int)capacity;
    }
    *index = target->n_cells++;
    memset(&target->cells[*index], 0, sizeof target->cells[*index]);
    target->cells[*index].line = line;
    reader->drafts[*index] = (suite_draft){.section = section};
    return GB_OK;
}

gb_status suite_cell_apply(suite_reader *reader, int index, const suite_setting *own, int n_own)
{
    suite_cell *cell = &reader->suite->cells[index];
    suite_draft *draft = &reader->drafts[index];
    cell->config = gpt_config_default();
    cell->spec = reader->data_spec;
    cell->spec_given = 0;
    for (int i = 0; i < n_own; i++) {
        if (own[i].key.kind == SUITE_KEY_PRESET) {
            GB_TRY(gpt_config_preset(&cell->config, own[i].text, reader->err));
            snprintf(draft->preset, sizeof draft->preset, "%s", own[i].text);
        }
    }
    for (int i = 0; i < reader->n_common + n_own; i++) {
        const suite_setting *setting =
            i < reader->n_common ? &reader->common[i] : &own[i - reader->n_common];
        if (setting->key.kind == SUITE_KEY_SPEC) {
            cell->spec_given |= (uint32_t)1 << (setting->key.key - train_spec_keys());
        }
        if (setting->key.kind != SUITE_KEY_PRESET) {
            GB_TRY(suite_key_apply(&setting->key, setting->text, &cell->config, &cell->spec,
                                   reader->err));
        }
    }
    return GB_OK;
}

/* The line of the setting whose key stands first in `message`; `line` where none does. */
static int line_of_complaint(const suite_reader *reader, const char *message,
                             const suite_setting *own, int n_own, int line)
{
    const char *first = NULL;
    for (int i = 0; i < n_own + reader->n_common; i++) {
        const suite_setting *setting = i < n_own ? &own[i] : &reader->common[i - n_own];
        const char *at = strstr(message, setting->key.name);
        if (at && (!first || at < first)) {
            first = at;
            line = setting->line;
        }
    }
    return line;
}

/* Training such a model is fine; comparing it as if its attention were another is not. */
static gb_status window_validate(const suite_cell *cell, gb_error *err)
{
    const int64_t window = gpt_config_window(&cell->config), T = cell->spec.sequence_length;
    if (window == 0 || window < T - 1) {
        return GB_OK;
    }
    char most[80] = "take attention_type = standard";
    if (T > 2) {
        snprintf(most, sizeof most, "window_size may be at most %lld", (long long)(T - 2));
    }
    return gb_fail(err, GB_ERR_USAGE,
                   "window_size = %lld with sequence_length = %lld: every query sees all tokens "
                   "before it, which is standard attention; %s",
                   (long long)window, (long long)T, most);
}

gb_status suite_cell_validate(suite_reader *reader, int index, const suite_setting *own, int n_own)
{
    suite_cell *cell = &reader->suite->cells[index];
    gb_error *err = reader->err;
    gb_status status = gpt_config_validate(&cell->config, err);
    if (status == GB_OK) {
        train_spec_resolve(&cell->spec);
        status = train_spec_validate(&cell->spec, err);
    }
    if (status == GB_OK) {
        gpt_options options = trainer_model_options(&cell->spec);
        status = gpt_validate_memory(&cell->config, &options, err);
    }
    if (status == GB_OK) {
        status = window_validate(cell, err);
    }
    if (status != GB_OK) {
        int line = line_of_complaint(reader, err->message, own, n_own, cell->line);
        gb_error_prefix(err, "%s:%d: cell '%s'", reader->path, line, cell->name);
    }
    return status;
}

int suite_cell_settings(const suite_reader *reader, int cell, suite_setting own[SUITE_MAX_KEYS])
{
    const suite_draft *draft = &reader->drafts[cell];
    int n = 0;
    for (int a = 0; a < reader->n_axes; a++) {
        const suite_axis *axis = &reader->axes[a];
        int v = draft->values[a];
        for (int k = 0; k < axis->n_keys && n < SUITE_MAX_KEYS; k++) {
            own[n++] =
                (suite_setting){axis->keys[k], axis->texts[v * axis->n_keys + k], axis->lines[v]};
        }
    }
    return n;
}

/* ---- axes and their product ---- */

static gb_status axes_read(suite_reader *reader)
{
    const suite_ini_section *matrix = reader->matrix;
    if (matrix->n_entries == 0) {
        return suite_fail(reader, matrix->line,
                          "[matrix] has no keys: give it an axis such as "
                          "'mlp_expansion_factor = 2, 3, 4'");
    }
    for (int i = 0; i < matrix->n_entries; i++) {
        suite_axis *axis = &reader->axes[reader->n_axes];
        if (reader->n_axes == SUITE_MAX_KEYS) {
            return suite_fail(reader, matrix->line, "[matrix] has more than %d axes",
                              SUITE_MAX_KEYS);
        }
        reader->n_axes++;
        GB_TRY(suite_axis_read(reader, axis, &matrix->entries[i]));
        for (int other = 0; other < reader->n_axes - 1; other++) {
            for (int k = 0; k < axis->n_keys * reader->axes[other].n_keys; k++) {
                const suite_key *key = &axis->keys[k % axis->n_keys];
                if (suite_key_equal(key, &reader->axes[other].keys[k / axis->n_keys])) {
                    return suite_fail(reader, axis->line, "'%s' is already an axis on line %d",
                                      key->name, reader->axes[other].line);
                }
            }
        }
    }
    return GB_OK;
}

static gb_status product_size(suite_reader *reader, int *size)
{
    *size = 1;
    for (int a = 0; a < reader->n_axes; a++) {
        if (reader->axes[a].n_values > SUITE_MAX_CELLS / *size) {
            return suite_fail(reader, reader->axes[a].line,
                              "the product of the axes up to %s has more than %d cells: take out "
                              "values or couple axes with '+'",
                              reader->axes[a].written, SUITE_MAX_CELLS);
        }
        *size *= reader->axes[a].n_values;
    }
    return GB_OK;
}

/* All cells of the product, the last axis running fastest. */
static gb_status product_build(suite_reader *reader)
{
    int size;
    GB_TRY(product_size(reader, &size));
    for (int i = 0; i < size; i++) {
        int index = 0;
        GB_TRY(suite_cell_add(reader, reader->matrix->line, -1, &index));
        int rest = i;
        for (int a = reader->n_axes - 1; a >= 0; a--) {
            reader->drafts[index].values[a] = rest % reader->axes[a].n_values;
            rest /= reader->axes[a].n_values;
        }
        suite_setting own[SUITE_MAX_KEYS];
        int n_own = suite_cell_settings(reader, index, own);
        GB_TRY(suite_cell_apply(reader, index, own, n_own));
    }
    return GB_OK;
}

/* ---- [exclude] ---- */

static void cell_value(const suite_reader *reader, int index, const suite_key *key, char *out,
                       size_t out_size)
{
    const suite_cell *cell = &reader->suite->cells[index];
    if (key->kind == SUITE_KEY_PRESET) {
        snprintf(out, out_size, "%s", reader->drafts[index].preset);
    } else {
        suite_key_format(key, &cell->config, &cell->spec, out, out_size);
    }
}

/* Turns an item into the canonical text that cell_value gives. */
static gb_status exclude_item(suite_reader *reader, const suite_key *key, const char *item,
                              int line, char *out, size_t out_size)
{
    gpt_config config = gpt_config_default();
    train_spec spec = train_spec_default();
    if (suite_key_apply(key, item, &config, &spec, reader->err) != GB_OK) {
        return gb_error_prefix(reader->err, "%s:%d", reader->path, line);
    }
    snprintf(out, out_size, "%s", item);
    if (key->kind != SUITE_KEY_PRESET) {
        suite_key_format(key, &config, &spec, out, out_size);
    }
    return GB_OK;
}

/* Clears matches[cell] where no item of the entry is the cell's value. */
static gb_status exclude_entry(suite_reader *reader, const suite_ini_entry *entry, bool *matches)
{
    suite_key key;
    GB_TRY(suite_key_find(reader, &key, entry->name,
                          SUITE_TAKES_MODEL | SUITE_TAKES_CONFIG | SUITE_TAKES_SPEC, "exclude",
                          entry->line));
    int n_cells = reader->suite->n_cells;
    bool *kept = calloc((size_t)n_cells, sizeof *kept);
    if (!kept) {
        return suite_no_memory(reader);
    }
    suite_list list = {0};
    gb_status status = suite_list_split(reader, entry, &list);
    for (int i = 0; i < list.count && status == GB_OK; i++) {
        char wanted[256], value[256];
        status = exclude_item(reader, &key, list.items[i], list.lines[i], wanted, sizeof wanted);
        bool found = status != GB_OK;
        for (int c = 0; c < n_cells && status == GB_OK; c++) {
            cell_value(reader, c, &key, value, sizeof value);
            bool same = strcmp(value, wanted) == 0;
            found = found || same;
            kept[c] = kept[c] || same;
        }
        if (!found) {
            status = suite_fail(reader, list.lines[i],
                                "%s = %.64s excludes nothing: no cell of [matrix] has this value",
                                key.name, list.items[i]);
        }
    }
    for (int c = 0; c < n_cells; c++) {
        matches[c] = matches[c] && kept[c];
    }
    suite_list_clear(&list);
    free(kept);
    return status;
}

static gb_status exclude_section(suite_reader *reader, const suite_ini_section *section,
                                 bool *excluded)
{
    int n_cells = reader->suite->n_cells;
    if (section->n_entries == 0) {
        return suite_fail(reader, section->line,
                          "[exclude] has no keys: say which cells, as 'use_swiglu_mlp = true'");
    }
    bool *matches = malloc((size_t)n_cells * sizeof *matches);
    if (!matches) {
        return suite_no_memory(reader);
    }
    memset(matches, true, (size_t)n_cells * sizeof *matches);
    gb_status status = GB_OK;
    for (int i = 0; i < section->n_entries && status == GB_OK; i++) {
        status = exclude_entry(reader, &section->entries[i], matches);
    }
    bool any = false;
    for (int c = 0; c < n_cells; c++) {
        any = any || matches[c];
        excluded[c] = excluded[c] || matches[c];
    }
    free(matches);
    if (status == GB_OK && !any) {
        status = suite_fail(reader, section->line,
                            "[exclude] excludes nothing: no cell of [matrix] has all its values");
    }
    return status;
}

static gb_status excludes_apply(suite_reader *reader)
{
    suite *target = reader->suite;
    bool *excluded = calloc((size_t)target->n_cells, sizeof *excluded);
    if (!excluded) {
        return suite_no_memory(reader);
    }
    gb_status status = GB_OK;
    for (int s = 0; s < reader->ini.n_sections && status == GB_OK; s++) {
        if (strcmp(reader->ini.sections[s].title, "exclude") == 0) {
            status = exclude_section(reader, &reader->ini.sections[s], excluded);
        }
    }
    int kept = 0;
    for (int c = 0; c < target->n_cells; c++) {
        if (!excluded[c]) {
            target->cells[kept] = target->cells[c];
            reader->drafts[kept++] = reader->drafts[c];
        }
    }
    target->n_cells = kept;
    free(excluded);
    if (status == GB_OK && kept == 0) {
        status = suite_fail(reader, reader->matrix->line,
                            "[exclude] leaves no cell of [matrix]: exclude less");
    }
    return status;
}

gb_status suite_matrix_expand(suite_reader *reader)
{
    GB_TRY(axes_read(reader));
    GB_TRY(product_build(reader));
    GB_TRY(excludes_apply(reader));
    GB_TRY(suite_matrix_name(reader));
    for (int c = 0; c < reader->suite->n_cells; c++) {
        suite_setting own[SUITE_MAX_KEYS];
        int n_own = suite_cell_settings(reader, c, own);
        GB_TRY(suite_cell_validate(reader, c, own, n_own));
    }
    return GB_OK;
}

/* ---- for those who ask what an axis does ---- */

static char *value_join(const suite_axis *axis, int value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int k = 0; out && k < axis->n_keys; k++) {
        fprintf(out, "%s%s", k ? "+" : "", axis->texts[value * axis->n_keys + k]);
    }
    if (!out || fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static bool axis_keep(const suite_axis *axis, suite_matrix_axis *out)
{
    out->name = strdup(axis->written);
    out->values = calloc((size_t)axis->n_values, sizeof *out->values);
    bool ok = out->name && out->values;
    for (int v = 0; v < axis->n_values && ok; v++) {
        out->values[v] = value_join(axis, v);
        ok = out->values[v] != NULL;
        out->n_values += ok;
    }
    return ok;
}

gb_status suite_axes_keep(suite_reader *reader)
{
    suite *target = reader->suite;
    const size_t n = (size_t)reader->n_axes;
    if (n == 0) {
        return GB_OK;
    }
    target->axes = calloc(n, sizeof *target->axes);
    target->places = calloc((size_t)target->n_cells * n, sizeof *target->places);
    bool ok = target->axes && target->places;
    for (size_t a = 0; a < n && ok; a++) {
        target->n_axes++;
        ok = axis_keep(&reader->axes[a], &target->axes[a]);
    }
    for (int c = 0; c < target->n_cells && ok; c++) {
        const suite_draft *draft = &reader->drafts[c];
        for (size_t a = 0; a < n; a++) {
            target->places[(size_t)c * n + a] = draft->section >= 0 ? -1 : draft->values[a];
        }
    }
    return ok ? GB_OK : suite_no_memory(reader);
}
