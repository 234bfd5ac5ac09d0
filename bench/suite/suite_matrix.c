/* The product of the axes, and what [exclude] takes out of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"

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
    GB_TRY(suite_item_apply(reader, key, item, line, &config, &spec));
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
