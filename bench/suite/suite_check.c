/* What only all cells together show: equal cells, equal names, settings without effect. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"
#include "model/step_trace.h"

/* A cell's place in an order by `key`, ties by position. */
typedef struct ranked_cell {
    const char *key;
    int index;
} ranked_cell;

static int ranked_compare(const void *a, const void *b)
{
    const ranked_cell *left = a, *right = b;
    int order = strcmp(left->key, right->key);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

/* ---- equal cells ---- */

/* The one axis in which two cells of the product differ; -1: none or several. */
static int axis_between(const suite_reader *reader, int a, int b)
{
    const suite_draft *left = &reader->drafts[a], *right = &reader->drafts[b];
    int found = -1;
    if (left->section >= 0 || right->section >= 0) {
        return -1;
    }
    for (int i = 0; i < reader->n_axes; i++) {
        if (left->values[i] != right->values[i]) {
            if (found >= 0) {
                return -1;
            }
            found = i;
        }
    }
    return found;
}

static void value_write(const suite_axis *axis, int value, char *out, size_t out_size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int k = 0; k < axis->n_keys && used < out_size - 1; k++) {
        snprintf(out + used, out_size - used, "%s%s", k ? "+" : "",
                 axis->texts[value * axis->n_keys + k]);
        used = strlen(out);
    }
}

static gb_status axis_without_effect(suite_reader *reader, int a, int first, int second)
{
    const suite_axis *axis = &reader->axes[a];
    const suite_cell *cells = reader->suite->cells;
    int value = reader->drafts[second].values[a];
    char one[96], other[96];
    value_write(axis, reader->drafts[first].values[a], one, sizeof one);
    value_write(axis, value, other, sizeof other);
    for (int k = 0; k < axis->n_keys; k++) {
        const char *why;
        if (axis->keys[k].kind == SUITE_KEY_CONFIG &&
            !gpt_config_key_matters(&cells[second].config, axis->keys[k].name, &why)) {
            return suite_fail(reader, axis->lines[value],
                              "%s = %s and %s make no difference between cells '%s' and '%s': %s",
                              axis->written, one, other, cells[first].name, cells[second].name,
                              why);
        }
    }
    const gpt_config *config = &cells[second].config;
    if (config->n_kv_head == config->n_head && strstr(axis->written, "attention_type")) {
        return suite_fail(reader, axis->lines[value],
                          "%s = %s and %s are the same in cells '%s' and '%s': n_kv_head is %lld, "
                          "as many as n_head, so each head has keys and values of its own either "
                          "way; set n_kv_head to a smaller divisor of %lld",
                          axis->written, one, other, cells[first].name, cells[second].name,
                          (long long)config->n_kv_head, (long long)config->n_head);
    }
    step_trace trace;
    GB_TRY(step_trace_make(&trace, &cells[second].config, &cells[second].spec, false, reader->err));
    return suite_fail(reader, axis->lines[value],
                      "%s = %s and %s change nothing between cells '%s' and '%s': the same "
                      "parameters, the same %lld calls with the same arguments in a step, the same "
                      "schedule; keep one of the values",
                      axis->written, one, other, cells[first].name, cells[second].name,
                      (long long)trace.n_calls);
}

/* The cells ranked[0..n-1] do the same. Where two of them are neighbours, that axis is to blame. */
static gb_status equal_cells_refuse(suite_reader *reader, const ranked_cell *ranked, int n)
{
    const suite_cell *cells = reader->suite->cells;
    for (int second = 1; second < n; second++) {
        for (int first = second - 1; first >= 0; first--) {
            int axis = axis_between(reader, ranked[first].index, ranked[second].index);
            if (axis >= 0) {
                return axis_without_effect(reader, axis, ranked[first].index, ranked[second].index);
            }
        }
    }
    return suite_fail(reader, cells[ranked[1].index].line,
                      "cells '%s' and '%s' are the same model and training: remove one of them",
                      cells[ranked[0].index].name, cells[ranked[1].index].name);
}

static gb_status check_equal_cells(suite_reader *reader, const ranked_cell *ranked)
{
    const int n = reader->suite->n_cells;
    for (int i = 0; i < n;) {
        int end = i + 1;
        while (end < n && strcmp(ranked[i].key, ranked[end].key) == 0) {
            end++;
        }
        if (end - i > 1) {
            return equal_cells_refuse(reader, ranked + i, end - i);
        }
        i = end;
    }
    return GB_OK;
}

static gb_status check_equal_names(suite_reader *reader, const ranked_cell *ranked)
{
    const suite_cell *cells = reader->suite->cells;
    for (int i = 1; i < reader->suite->n_cells; i++) {
        int first = ranked[i - 1].index, second = ranked[i].index;
        if (strcmp(ranked[i - 1].key, ranked[i].key) == 0) {
            return suite_fail(reader, cells[second].line,
                              "two cells are named '%s' (the other: line %d): give one of them "
                              "another name",
                              cells[second].name, cells[first].line);
        }
    }
    return GB_OK;
}

/* ---- settings without effect ---- */

/* Whether the cell sets the key itself, so that a common setting does not reach it. */
static bool cell_sets(const suite_reader *reader, int index, const suite_key *key)
{
    int section = reader->drafts[index].section;
    if (section >= 0) {
        const suite_ini_section *config = &reader->ini.sections[section];
        for (int i = 0; i < config->n_entries; i++) {
            if (strcmp(config->entries[i].name, key->name) == 0) {
                return true;
            }
        }
        return false;
    }
    for (int a = 0; a < reader->n_axes; a++) {
        for (int k = 0; k < reader->axes[a].n_keys; k++) {
            if (suite_key_equal(&reader->axes[a].keys[k], key)) {
                return true;
            }
        }
    }
    return false;
}

static bool cell_needs(const suite_reader *reader, int index, const suite_key *key,
                       const char **why)
{
    return key->kind != SUITE_KEY_CONFIG ||
           gpt_config_key_matters(&reader->suite->cells[index].config, key->name, why);
}

static gb_status check_common(suite_reader *reader)
{
    for (int i = 0; i < reader->n_common; i++) {
        const suite_setting *setting = &reader->common[i];
        const char *why = NULL;
        bool used = false;
        for (int c = 0; c < reader->suite->n_cells && !used; c++) {
            used =
                !cell_sets(reader, c, &setting->key) && cell_needs(reader, c, &setting->key, &why);
        }
        if (!used && why) {
            return suite_fail(reader, setting->line, "%s = %s has no effect in any cell: %s",
                              setting->key.name, setting->text, why);
        }
        if (!used) {
            return suite_fail(reader, setting->line,
                              "%s = %s has no effect: every cell sets its own %s; remove this line",
                              setting->key.name, setting->text, setting->key.name);
        }
    }
    return GB_OK;
}

static gb_status check_axes(suite_reader *reader)
{
    for (int a = 0; a < reader->n_axes; a++) {
        const suite_axis *axis = &reader->axes[a];
        for (int k = 0; k < axis->n_keys; k++) {
            const char *why = NULL;
            bool used = false;
            for (int c = 0; c < reader->suite->n_cells && !used; c++) {
                used = reader->drafts[c].section < 0 && cell_needs(reader, c, &axis->keys[k], &why);
            }
            if (!used) {
                return suite_fail(reader, axis->line,
                                  "%s has no effect in any cell of [matrix]: %s",
                                  axis->keys[k].name, why);
            }
        }
    }
    return GB_OK;
}

static gb_status check_configs(suite_reader *reader)
{
    for (int c = 0; c < reader->suite->n_cells; c++) {
        if (reader->drafts[c].section < 0) {
            continue;
        }
        const suite_ini_section *section = &reader->ini.sections[reader->drafts[c].section];
        for (int i = 0; i < section->n_entries; i++) {
            const char *why = NULL;
            if (!gpt_config_key_matters(&reader->suite->cells[c].config, section->entries[i].name,
                                        &why)) {
                return suite_fail(reader, section->entries[i].line,
                                  "%s has no effect in cell '%s': %s", section->entries[i].name,
                                  reader->suite->cells[c].name, why);
            }
        }
    }
    return GB_OK;
}

static gb_status check_ranked(suite_reader *reader, suite_effect *effects, ranked_cell *ranked)
{
    const suite *target = reader->suite;
    const int n = target->n_cells;
    GB_TRY(suite_effects_make(reader, effects));
    for (int i = 0; i < n; i++) {
        ranked[i] = (ranked_cell){effects[i].text, i};
    }
    qsort(ranked, (size_t)n, sizeof *ranked, ranked_compare);
    GB_TRY(check_equal_cells(reader, ranked));
    for (int i = 0; i < n; i++) {
        ranked[i] = (ranked_cell){target->cells[i].name, i};
    }
    qsort(ranked, (size_t)n, sizeof *ranked, ranked_compare);
    return check_equal_names(reader, ranked);
}

gb_status suite_check_cells(suite_reader *reader)
{
    size_t n = (size_t)reader->suite->n_cells;
    GB_TRY(check_configs(reader));
    GB_TRY(check_axes(reader));
    suite_effect *effects = calloc(n, sizeof *effects);
    ranked_cell *ranked = calloc(n, sizeof *ranked);
    gb_status status =
        effects && ranked ? check_ranked(reader, effects, ranked) : suite_no_memory(reader);
    free(ranked);
    free(effects);
    return status == GB_OK ? check_common(reader) : status;
}

const char *suite_nearest_cell(const suite_reader *reader, const char *name)
{
    int n = reader->suite->n_cells;
    const char **names = calloc((size_t)n + 1, sizeof *names);
    const char *near = NULL;
    if (names) {
        for (int i = 0; i < n; i++) {
            names[i] = reader->suite->cells[i].name;
        }
        near = gb_nearest_name(name, names);
        free(names);
    }
    return near;
}
