/* suite_internal.h: what the files of the suite reader (suite_*.c) share. Not for others. */
#ifndef GPTBENCH_BENCH_SUITE_INTERNAL_H
#define GPTBENCH_BENCH_SUITE_INTERNAL_H

#include "bench/suite/suite.h"
#include "bench/suite/suite_ini.h"

enum {
    SUITE_MAX_KEYS = 40,   /* distinct keys of a cell: the two tables and `model` */
    SUITE_MAX_COUPLED = 8, /* keys that move together in one axis */
    SUITE_MAX_VALUES = SUITE_MAX_CELLS
};

typedef enum suite_key_kind {
    SUITE_KEY_PRESET, /* `model` */
    SUITE_KEY_CONFIG, /* of gpt_config_keys */
    SUITE_KEY_SPEC    /* of train_spec_keys */
} suite_key_kind;

typedef struct suite_key {
    suite_key_kind kind;
    const char *name;  /* static */
    const gb_key *key; /* NULL for SUITE_KEY_PRESET */
} suite_key;

/* One key with one value. */
typedef struct suite_setting {
    suite_key key;
    const char *text; /* borrowed from the suite_list that holds it */
    int line;
} suite_setting;

/* The comma-separated items of one value, each trimmed, ranges not yet expanded. */
typedef struct suite_list {
    char *storage; /* the items' texts, each NUL-terminated */
    char **items;
    int *lines;
    int count;
} suite_list;

/* One line of [matrix]: one key, or several that move together. A constant is an axis with one
 * value. */
typedef struct suite_axis {
    int line;
    const char *written; /* the keys as written: "n_embd+n_head"; borrowed */
    suite_key keys[SUITE_MAX_COUPLED];
    int n_keys;
    char **texts; /* n_values * n_keys, value by value; owned */
    int *lines;   /* of each value; owned */
    int n_values;
} suite_axis;

/* What is known of a cell while the suite is read; parallel to suite.cells. */
typedef struct suite_draft {
    int section;                /* index of its [config] in the file; -1: of the product */
    int values[SUITE_MAX_KEYS]; /* product: the value index on each axis */
    char preset[64];            /* "" where no `model` is given */
} suite_draft;

/* The state of one reading. Everything it points to lives until suite_parse returns. */
typedef struct suite_reader {
    const char *path;
    suite_ini ini;
    gb_error *err;
    suite *suite;
    suite_draft *drafts;
    int cell_capacity;

    const suite_ini_section *suite_section, *data, *train, *model, *matrix, *timing,
        *limits;                          /* NULL: not there */
    suite_setting common[SUITE_MAX_KEYS]; /* [model], then [train] */
    int n_common;
    train_spec data_spec; /* defaults with [data] */
    suite_axis axes[SUITE_MAX_KEYS];
    int n_axes;
    const char *ignored_key; /* suite_parse_ignoring */
} suite_reader;

/* ---- suite_sections.c ---- */

/* Fills the reader's section pointers; unknown, repeated and misnamed sections are refused. */
gb_status suite_sections_sort(suite_reader *reader);
/* The name in a title such as "config d12", for kind "config"; NULL when it is of another kind. */
const char *suite_title_name(const char *title, const char *kind);
/* NULL when the section is NULL or has no such key. */
const suite_ini_entry *suite_entry_find(const suite_ini_section *section, const char *name);
/* Refuses a key that is not in the NULL-terminated `names`. section may be NULL. */
gb_status suite_section_check(suite_reader *reader, const suite_ini_section *section,
                              const char *title, const char *const *names);
/* The keys of [suite], NULL-terminated. */
extern const char *const suite_section_names[];
/* Sets the fields of `object` whose keys stand in the section, which may be NULL; bit i of *given:
 * keys[i] stands there. */
gb_status suite_keys_read(suite_reader *reader, const suite_ini_section *section,
                          const gb_key *keys, void *object, uint32_t *given);
/* Copies a name that is fit for files and plots; refuses any other. `what` is for the message. */
gb_status suite_name_copy(suite_reader *reader, char *out, size_t out_size, const char *name,
                          const char *what, int line);

/* ---- suite_timing.c ---- */

/* [timing] into suite->timing; without the section its defaults. */
gb_status suite_timing_read(suite_reader *reader);

/* ---- suite_checkpoint.c ---- */

/* checkpoint_every of [suite], or its default, into the suite. */
gb_status suite_checkpoint_read(suite_reader *reader);

/* ---- suite_limits.c ---- */

/* [limits] into suite->limits; without the section its defaults. */
gb_status suite_limits_read(suite_reader *reader);

/* ---- suite_values.c: keys and values ---- */

/* Fails with "path:line: message". reader->err is never NULL. */
gb_status suite_fail(suite_reader *reader, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
gb_status suite_no_memory(suite_reader *reader);

/* Which keys a section takes, for suite_key_find and its error. */
enum { SUITE_TAKES_MODEL = 1, SUITE_TAKES_CONFIG = 2, SUITE_TAKES_SPEC = 4 };

/* The key `name` among those that `takes` allows; else "path:line: ...", with the nearest name or
 * the section where the key belongs. */
gb_status suite_key_find(suite_reader *reader, suite_key *out, const char *name, int takes,
                         const char *section, int line);
/* The sections where `name` belongs, to print; NULL when no section has such a key. */
const char *suite_key_home(const char *name);
/* Sets one key of a cell. SUITE_KEY_PRESET replaces the whole config. The message has no place. */
gb_status suite_key_apply(const suite_key *key, const char *text, gpt_config *config,
                          train_spec *spec, gb_error *err);
/* Tries an item of a list of values on its key, and sets it. The message has the place, and where
 * several values stand in the item it says what goes between them. */
gb_status suite_item_apply(suite_reader *reader, const suite_key *key, const char *item, int line,
                           gpt_config *config, train_spec *spec);
/* The key's value as canonical text; of a preset nothing. */
void suite_key_format(const suite_key *key, const gpt_config *config, const train_spec *spec,
                      char *out, size_t out_size);
bool suite_key_equal(const suite_key *a, const suite_key *b);

/* Splits an entry's value at its commas. GB_ERR_USAGE for an empty item. */
gb_status suite_list_split(suite_reader *reader, const suite_ini_entry *entry, suite_list *out);
void suite_list_clear(suite_list *list);

/* Reads one line of [matrix]: couples, lists and ranges; every value is tried on its key. */
gb_status suite_axis_read(suite_reader *reader, suite_axis *axis, const suite_ini_entry *entry);
void suite_axis_clear(suite_axis *axis);

/* ---- suite_cell.c ---- */

/* Makes room for one more cell with the given section index (-1: of the product). */
gb_status suite_cell_add(suite_reader *reader, int line, int section, int *index);
/* Fills the cell's config and spec: preset (given among `own`), then the common settings, then
 * the rest of `own`. Values were tried before, so a failure has no place. */
gb_status suite_cell_apply(suite_reader *reader, int cell, const suite_setting *own, int n_own);
/* Resolves and validates. The message names the cell and the line, among own and common settings,
 * that the complaint is about. */
gb_status suite_cell_validate(suite_reader *reader, int cell, const suite_setting *own, int n_own);
/* The settings that the axes give to a cell of the product; returns their number. */
int suite_cell_settings(const suite_reader *reader, int cell, suite_setting own[SUITE_MAX_KEYS]);

/* ---- suite_matrix.c: the product and its exclusions ---- */

/* Appends the product's cells to the suite, named, applied and validated; [exclude] sections are
 * applied before validation, so that they can take out shapes that do not fit. */
gb_status suite_matrix_expand(suite_reader *reader);
/* Copies the axes and every cell's place on them into the suite. */
gb_status suite_axes_keep(suite_reader *reader);

/* ---- suite_name.c ---- */

/* Names the product's cells, 0 .. n_cells-1; docs/SUITES.md has the scheme. */
gb_status suite_matrix_name(suite_reader *reader);

/* ---- suite_check.c: what only all cells together show ---- */

/* Unique names, no two equal cells, no axis or key without effect. */
gb_status suite_check_cells(suite_reader *reader);

/* ---- suite_effect.c: what a cell does ---- */

/* Equal text: the same parameters, the same step, the same schedule, whatever the keys say. */
typedef struct suite_effect {
    char text[320];
} suite_effect;

/* One for each cell of the suite. The step is the one that the model code issues
 * (model/step_trace.h), of equal configurations once. */
gb_status suite_effects_make(suite_reader *reader, suite_effect *out);

/* As suite_parse, of a program whose model and trainer would take the key's default whatever value
 * they are given: so that tests can plant that fault. NULL: none. */
gb_status suite_parse_ignoring(suite **out, const char *path, const char *text,
                               const char *ignored_key, gb_error *err);

/* The nearest cell name to `name`, or NULL. */
const char *suite_nearest_cell(const suite_reader *reader, const char *name);

#endif
