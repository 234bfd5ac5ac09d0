/* One cell while a suite is read: made, filled from its settings, validated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"
#include "model/trainer.h"

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
