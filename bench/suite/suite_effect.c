/* What a cell does, as text to compare: the step that the model code issues for it, and how the
 * trainer goes about the steps. Nothing here knows what a key means: all of them come from the
 * key tables, and one that the model reads and does not use changes nothing in the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"
#include "model/flops.h"
#include "model/step_trace.h"

/* All that a step can depend on; cells with equal ones share a trace. */
typedef struct step_key {
    char text[1024];
    int index;
} step_key;

static void text_add(char *out, size_t size, const void *object, const gb_key *key)
{
    size_t used = strlen(out);
    if (used < size - 1) {
        gb_key_format(object, key, out + used, size - 1 - used);
        used += strlen(out + used);
        snprintf(out + used, size - used, "|");
    }
}

/* The cell as model and trainer see it. */
static void cell_seen(const suite_reader *reader, const suite_cell *cell, gpt_config *config,
                      train_spec *spec)
{
    const gpt_config plain_config = gpt_config_default();
    const train_spec plain_spec = train_spec_default();
    const char *ignored = reader->ignored_key ? reader->ignored_key : "";
    char text[64];
    *config = cell->config;
    *spec = cell->spec;
    for (const gb_key *key = gpt_config_keys(); key->name; key++) {
        if (strcmp(key->name, ignored) == 0) {
            gb_key_format(&plain_config, key, text, sizeof text);
            (void)gb_key_set(config, key, text, NULL); /* a default is always valid */
        }
    }
    for (const gb_key *key = train_spec_keys(); key->name; key++) {
        if (strcmp(key->name, ignored) == 0) {
            size_t size = key->type == GB_KEY_BOOL ? sizeof(bool) : sizeof(int64_t);
            memcpy((char *)spec + key->offset, (const char *)&plain_spec + key->offset, size);
            train_spec_resolve(spec);
        }
    }
    train_spec_reduce(spec);
}

static int key_compare(const void *a, const void *b)
{
    const step_key *left = a, *right = b;
    int order = strcmp(left->text, right->text);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

static void key_make(step_key *out, const gpt_config *config, const train_spec *spec)
{
    out->text[0] = '\0';
    for (const gb_key *key = gpt_config_keys(); key->name; key++) {
        text_add(out->text, sizeof out->text, config, key);
    }
    for (const gb_key *key = train_spec_keys(); key->name; key++) {
        if (step_trace_shows(key->name)) {
            text_add(out->text, sizeof out->text, spec, key);
        }
    }
    size_t used = strlen(out->text);
    snprintf(out->text + used, sizeof out->text - used, "%.17g", train_spec_learning_rate(spec, 0));
}

/* Whether a key of the spec has the value that it would have if it were left out, or is left out.
 * Such a value follows from others (80 sequences' worth of val_tokens from sequence_length): it is
 * no effect of its own, and must not hide that the others have none. */
static bool is_automatic(const train_spec *spec, const gb_key *key, bool given)
{
    const train_spec plain = train_spec_default();
    train_spec other = *spec;
    char one[64], two[64];
    memcpy((char *)&other + key->offset, (const char *)&plain + key->offset, sizeof(int64_t));
    train_spec_resolve(&other);
    train_spec_reduce(&other);
    gb_key_format(spec, key, one, sizeof one);
    gb_key_format(&other, key, two, sizeof two);
    return !given || strcmp(one, two) == 0;
}

/* Of what acts around the step the trainer reads the value itself. */
static void effect_write(suite_effect *out, const step_trace *trace, int64_t n_params,
                         const train_spec *spec, uint32_t given)
{
    snprintf(out->text, sizeof out->text, "%016llx|%lld|", (unsigned long long)trace->hash,
             (long long)n_params);
    for (int i = 0; train_spec_keys()[i].name; i++) {
        const gb_key *key = &train_spec_keys()[i]; /* those around the step are whole numbers */
        if (step_trace_shows(key->name)) {
            continue;
        }
        if (is_automatic(spec, key, given >> i & 1)) {
            size_t used = strlen(out->text);
            snprintf(out->text + used, sizeof out->text - used, "|");
        } else {
            text_add(out->text, sizeof out->text, spec, key);
        }
    }
}

gb_status suite_effects_make(suite_reader *reader, suite_effect *out)
{
    const suite *target = reader->suite;
    const size_t n = (size_t)target->n_cells;
    step_key *keys = calloc(n, sizeof *keys);
    if (!keys) {
        return suite_no_memory(reader);
    }
    gpt_config config;
    train_spec spec;
    for (size_t i = 0; i < n; i++) {
        cell_seen(reader, &target->cells[i], &config, &spec);
        key_make(&keys[i], &config, &spec);
        keys[i].index = (int)i;
    }
    qsort(keys, n, sizeof *keys, key_compare);
    gb_status status = GB_OK;
    step_trace trace = {0};
    for (size_t i = 0; i < n && status == GB_OK; i++) {
        cell_seen(reader, &target->cells[keys[i].index], &config, &spec);
        if (i == 0 || strcmp(keys[i].text, keys[i - 1].text) != 0) {
            status = step_trace_make(&trace, &config, &spec, false, reader->err);
        }
        effect_write(&out[keys[i].index], &trace, gpt_count_params(&config), &spec,
                     target->cells[keys[i].index].spec_given);
    }
    free(keys);
    return status;
}
