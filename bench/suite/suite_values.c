/* Keys and values of a suite: which key belongs where, lists, ranges and coupled axes. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite_internal.h"

gb_status suite_fail(suite_reader *reader, int line, const char *format, ...)
{
    char message[sizeof reader->err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return gb_fail(reader->err, GB_ERR_USAGE, "%s:%d: %s", reader->path, line, message);
}

gb_status suite_no_memory(suite_reader *reader)
{
    return gb_fail(reader->err, GB_ERR_OOM, "%s: no memory left for the suite", reader->path);
}

/* ---- keys ---- */

static int names_add(const char **names, int count, const gb_key *table)
{
    for (; table->name && count < SUITE_MAX_KEYS; table++) {
        names[count++] = table->name;
    }
    return count;
}

static gb_status key_unknown(suite_reader *reader, const char *name, int takes, const char *section,
                             int line)
{
    const char *home = suite_key_home(name);
    if (home) {
        return suite_fail(reader, line, "'%s' does not belong in [%s]: put it in %s", name, section,
                          home);
    }
    const char *names[SUITE_MAX_KEYS + 1];
    int count = 0;
    if (takes & SUITE_TAKES_MODEL) {
        names[count++] = "model";
    }
    if (takes & SUITE_TAKES_CONFIG) {
        count = names_add(names, count, gpt_config_keys());
    }
    if (takes & SUITE_TAKES_SPEC) {
        count = names_add(names, count, train_spec_keys());
    }
    names[count] = NULL;
    const char *near = gb_nearest_name(name, names);
    if (near) {
        return suite_fail(reader, line, "unknown key '%s' in [%s], did you mean %s?", name, section,
                          near);
    }
    return suite_fail(reader, line, "unknown key '%s' in [%s]: docs/SUITES.md lists the keys", name,
                      section);
}

gb_status suite_key_find(suite_reader *reader, suite_key *out, const char *name, int takes,
                         const char *section, int line)
{
    const gb_key *config = gb_key_find(gpt_config_keys(), name);
    const gb_key *spec = gb_key_find(train_spec_keys(), name);
    if ((takes & SUITE_TAKES_MODEL) && strcmp(name, "model") == 0) {
        *out = (suite_key){SUITE_KEY_PRESET, "model", NULL};
        return GB_OK;
    }
    if ((takes & SUITE_TAKES_CONFIG) && config) {
        *out = (suite_key){SUITE_KEY_CONFIG, config->name, config};
        return GB_OK;
    }
    if ((takes & SUITE_TAKES_SPEC) && spec) {
        *out = (suite_key){SUITE_KEY_SPEC, spec->name, spec};
        return GB_OK;
    }
    return key_unknown(reader, name, takes, section, line);
}

gb_status suite_key_apply(const suite_key *key, const char *text, gpt_config *config,
                          train_spec *spec, gb_error *err)
{
    switch (key->kind) {
    case SUITE_KEY_PRESET:
        return gpt_config_preset(config, text, err);
    case SUITE_KEY_CONFIG:
        return gb_key_set(config, key->key, text, err);
    case SUITE_KEY_SPEC:
        return gb_key_set(spec, key->key, text, err);
    }
    return gb_fail(err, GB_ERR_INTERNAL, "key %s has no kind", key->name);
}

/* "2, 3, 4" of "2 3 4" or "2; 3; 4"; false where there is one word only. */
static bool words_with_commas(const char *item, char *out, size_t size)
{
    static const char between[] = " \t;";
    int count = 0;
    size_t used = 0;
    out[0] = '\0';
    for (item += strspn(item, between); *item && used < size; count++) {
        const size_t length = strcspn(item, between);
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", count ? ", " : "", (int)length,
                                 item);
        item += length + strspn(item + length, between);
    }
    return count > 1;
}

gb_status suite_item_apply(suite_reader *reader, const suite_key *key, const char *item, int line,
                           gpt_config *config, train_spec *spec)
{
    char words[96];
    gb_status status = suite_key_apply(key, item, config, spec, reader->err);
    if (status != GB_ERR_USAGE || !words_with_commas(item, words, sizeof words)) {
        return status == GB_OK ? status : gb_error_prefix(reader->err, "%s:%d", reader->path, line);
    }
    return suite_fail(reader, line, "%s = %.64s: values need commas between them: %s", key->name,
                      item, words);
}

void suite_key_format(const suite_key *key, const gpt_config *config, const train_spec *spec,
                      char *out, size_t out_size)
{
    out[0] = '\0';
    if (key->kind == SUITE_KEY_CONFIG) {
        gb_key_format(config, key->key, out, out_size);
    } else if (key->kind == SUITE_KEY_SPEC) {
        gb_key_format(spec, key->key, out, out_size);
    }
}

bool suite_key_equal(const suite_key *a, const suite_key *b)
{
    return a->kind == b->kind && a->key == b->key;
}

/* ---- lists ---- */

static char *trim(char *start, char *end)
{
    while (start < end && isspace((unsigned char)*start)) {
        start++;
    }
    while (end > start && isspace((unsigned char)end[-1])) {
        end--;
    }
    *end = '\0';
    return start;
}

gb_status suite_list_split(suite_reader *reader, const suite_ini_entry *entry, suite_list *out)
{
    size_t capacity = 1;
    for (const char *c = entry->value; *c; c++) {
        capacity += *c == ',';
    }
    *out = (suite_list){.storage = strdup(entry->value),
                        .items = calloc(capacity, sizeof *out->items),
                        .lines = calloc(capacity, sizeof *out->lines)};
    if (!out->storage || !out->items || !out->lines) {
        suite_list_clear(out);
        return suite_no_memory(reader);
    }
    char *start = out->storage;
    for (bool more = true; more;) {
        char *end = start + strcspn(start, ",");
        more = *end == ',';
        char *item = trim(start, end);
        int line = suite_ini_line(entry, (size_t)(item - out->storage));
        if (*item == '\0') {
            suite_list_clear(out);
            return suite_fail(reader, line, "%s: an empty item in the list: a comma too many",
                              entry->name);
        }
        out->items[out->count] = item;
        out->lines[out->count++] = line;
        start = end + 1;
    }
    return GB_OK;
}

void suite_list_clear(suite_list *list)
{
    free(list->storage);
    free(list->items);
    free(list->lines);
    *list = (suite_list){0};
}

/* ---- axes ---- */

static gb_status axis_too_long(suite_reader *reader, const suite_axis *axis, int line)
{
    return suite_fail(reader, line, "%s: more than %d values", axis->written, SUITE_MAX_VALUES);
}

/* Appends one value of n_keys texts, trying each on its key. texts are copied. */
static gb_status axis_add(suite_reader *reader, suite_axis *axis, char *const *texts, int line)
{
    gpt_config config = gpt_config_default();
    train_spec spec = train_spec_default();
    for (int k = 0; k < axis->n_keys; k++) {
        GB_TRY(suite_item_apply(reader, &axis->keys[k], texts[k], line, &config, &spec));
    }
    if (axis->n_values == SUITE_MAX_VALUES) {
        return axis_too_long(reader, axis, line);
    }
    if ((axis->n_values & (axis->n_values - 1)) == 0) { /* full at powers of two */
        size_t capacity = axis->n_values == 0 ? 1 : 2 * (size_t)axis->n_values;
        char **all = realloc(axis->texts, capacity * (size_t)axis->n_keys * sizeof *all);
        axis->texts = all ? all : axis->texts;
        int *lines = realloc(axis->lines, capacity * sizeof *lines);
        axis->lines = lines ? lines : axis->lines;
        if (!all || !lines) {
            return suite_no_memory(reader);
        }
    }
    char **value = axis->texts + (size_t)axis->n_values * (size_t)axis->n_keys;
    memset(value, 0, (size_t)axis->n_keys * sizeof *value);
    axis->lines[axis->n_values++] = line;
    for (int k = 0; k < axis->n_keys; k++) {
        if (!(value[k] = strdup(texts[k]))) {
            return suite_no_memory(reader);
        }
    }
    return GB_OK;
}

/* A whole number that ends at `end`; ranges may run over negative ones as far as the key goes. */
static bool range_number(const char *text, const char *end, long long *out)
{
    char *stop;
    errno = 0;
    *out = strtoll(text, &stop, 10);
    return stop != text && stop == end && errno == 0;
}

/* `from..to` or `from..to..step`, both ends included. */
static gb_status axis_add_range(suite_reader *reader, suite_axis *axis, const char *item, int line)
{
    if (axis->n_keys > 1 || !axis->keys[0].key || axis->keys[0].key->type != GB_KEY_INT) {
        return suite_fail(reader, line, "%s = %.64s: ranges are for single keys with whole numbers",
                          axis->written, item);
    }
    const char *to_text = strstr(item, "..") + 2;
    const char *step_text = strstr(to_text, "..");
    const char *to_end = step_text ? step_text : to_text + strlen(to_text);
    long long from, to, step = 1;
    bool good = range_number(item, to_text - 2, &from) && range_number(to_text, to_end, &to);
    if (good && step_text) {
        good = range_number(step_text + 2, step_text + 2 + strlen(step_text + 2), &step);
    }
    if (!good) {
        return suite_fail(reader, line, "%s = %.64s: a range is written from..to or from..to..step",
                          axis->written, item);
    }
    if (from > to || step < 1) {
        return suite_fail(reader, line,
                          "%s = %.64s: a range runs upwards, with a step of 1 or more",
                          axis->written, item);
    }
    for (long long value = from;; value += step) {
        char text[32], *texts[] = {text};
        snprintf(text, sizeof text, "%lld", value);
        GB_TRY(axis_add(reader, axis, texts, line));
        if (step > to || value > to - step) {
            return GB_OK;
        }
    }
}

/* "768+12" for n_embd+n_head. */
static gb_status axis_add_couple(suite_reader *reader, suite_axis *axis, char *item, int line)
{
    char *texts[SUITE_MAX_COUPLED];
    char whole[96];
    snprintf(whole, sizeof whole, "%s", item);
    int count = 0;
    for (bool more = true; more; count++) {
        char *end = item + strcspn(item, "+");
        more = *end == '+';
        if (count < SUITE_MAX_COUPLED) {
            texts[count] = trim(item, end);
        }
        item = end + 1;
    }
    if (count != axis->n_keys) {
        char words[96];
        const bool several = words_with_commas(whole, words, sizeof words);
        return suite_fail(reader, line, "%s = %s: %d value%s for %d keys%s%s", axis->written, whole,
                          count, count == 1 ? "" : "s", axis->n_keys,
                          several ? "; values need commas between them: " : "",
                          several ? words : "");
    }
    return axis_add(reader, axis, texts, line);
}

static gb_status axis_read_keys(suite_reader *reader, suite_axis *axis,
                                const suite_ini_entry *entry)
{
    char names[256];
    if (snprintf(names, sizeof names, "%s", entry->name) >= (int)sizeof names) {
        return suite_fail(reader, entry->line, "a key of more than %zu bytes", sizeof names - 1);
    }
    char *start = names;
    for (bool more = true; more;) {
        char *end = start + strcspn(start, "+");
        more = *end == '+';
        char *name = trim(start, end);
        if (axis->n_keys == SUITE_MAX_COUPLED) {
            return suite_fail(reader, entry->line, "%s: more than %d keys coupled", entry->name,
                              SUITE_MAX_COUPLED);
        }
        suite_key *key = &axis->keys[axis->n_keys];
        GB_TRY(suite_key_find(reader, key, name,
                              SUITE_TAKES_MODEL | SUITE_TAKES_CONFIG | SUITE_TAKES_SPEC, "matrix",
                              entry->line));
        for (int k = 0; k < axis->n_keys; k++) {
            if (suite_key_equal(&axis->keys[k], key)) {
                return suite_fail(reader, entry->line, "'%s' twice in %s", key->name, entry->name);
            }
        }
        axis->n_keys++;
        start = end + 1;
    }
    return GB_OK;
}

gb_status suite_axis_read(suite_reader *reader, suite_axis *axis, const suite_ini_entry *entry)
{
    *axis = (suite_axis){.line = entry->line, .written = entry->name};
    GB_TRY(axis_read_keys(reader, axis, entry));
    suite_list list;
    GB_TRY(suite_list_split(reader, entry, &list));
    gb_status status = GB_OK;
    for (int i = 0; i < list.count && status == GB_OK; i++) {
        char *item = list.items[i];
        if (strstr(item, "..")) {
            status = axis_add_range(reader, axis, item, list.lines[i]);
        } else if (axis->n_keys > 1) {
            status = axis_add_couple(reader, axis, item, list.lines[i]);
        } else {
            status = axis_add(reader, axis, &item, list.lines[i]);
        }
    }
    suite_list_clear(&list);
    return status;
}

void suite_axis_clear(suite_axis *axis)
{
    for (int i = 0; i < axis->n_values * axis->n_keys; i++) {
        free(axis->texts[i]);
    }
    free(axis->texts);
    free(axis->lines);
    *axis = (suite_axis){0};
}
