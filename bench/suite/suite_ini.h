/* suite_ini.h: the outer layer of a suite file: sections and keys with exact line numbers, read
 * through inih. Knows nothing of what the keys mean. Private to the suite reader. */
#ifndef GPTBENCH_BENCH_SUITE_INI_H
#define GPTBENCH_BENCH_SUITE_INI_H

#include <stddef.h>

#include "kernels/status.h"

enum {
    SUITE_INI_MAX_BYTES = 1 << 20, /* of a file; a suite is a page of text */
    SUITE_INI_MAX_SECTIONS = 1000,
    SUITE_INI_MAX_ENTRIES = 100 /* of a section: more than there are keys */
};

/* One `name = value`. Lines of a value that goes on over several lines are joined by '\n'. */
typedef struct suite_ini_entry {
    char *name;
    char *value;
    int line;        /* of the name */
    int *part_lines; /* line of each '\n'-separated part of value */
    int n_parts;
} suite_ini_entry;

typedef struct suite_ini_section {
    char *title; /* what stands between the brackets, trimmed: "config d12" */
    int line;
    suite_ini_entry *entries;
    int n_entries;
} suite_ini_section;

typedef struct suite_ini {
    suite_ini_section *sections;
    int n_sections;
} suite_ini;

/* Splits `text` into sections. GB_ERR_USAGE "path:line: ..." for a line that is neither section,
 * key, continuation nor comment, for lines that inih would cut, control characters, keys outside
 * a section, keys given twice in one section and keys without a value. Whether sections may repeat
 * is the caller's business. *out is the caller's also on failure: suite_ini_clear. */
gb_status suite_ini_parse(suite_ini *out, const char *path, const char *text, gb_error *err);
void suite_ini_clear(suite_ini *ini);

/* The line on which the character at `offset` of entry->value stands in the file. */
int suite_ini_line(const suite_ini_entry *entry, size_t offset);

#endif
