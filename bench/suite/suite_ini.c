#include "bench/suite/suite_ini.h"

#include <ctype.h>
#include <ini.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What feeds inih line by line. The distribution's inih passes no line number to its handler, says
 * nothing of a section heading, and cuts section names at 49 bytes and lines at its own limit; so
 * lines are counted here, where each one is handed over, and headings are read here too. inih
 * handles a line completely before it asks for the next, so `line` is exact inside the handler. */
typedef struct ini_feed {
    const char *path;
    const char *next; /* start of the next line */
    int line;         /* of the line handed over last, from 1 */
    bool has_key;     /* a key came since the last heading: indented lines continue it */
    bool continuation;
    suite_ini *ini;
    gb_error *err;
    gb_status status; /* first failure; ends the feed */
} ini_feed;

static const char utf8_bom[] = "\xef\xbb\xbf";

static const char *skip_blanks(const char *s)
{
    while (isspace((unsigned char)*s)) {
        s++;
    }
    return s;
}

static char *copy_trimmed(const char *start, size_t length)
{
    while (length > 0 && isspace((unsigned char)*start)) {
        start++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)start[length - 1])) {
        length--;
    }
    return strndup(start, length);
}

static suite_ini_section *current_section(const suite_ini *ini)
{
    return ini->n_sections > 0 ? &ini->sections[ini->n_sections - 1] : NULL;
}

static gb_status out_of_memory(gb_error *err, const char *path)
{
    return gb_fail(err, GB_ERR_OOM, "%s: no memory left for the suite", path);
}

/* Makes room for one more element; arrays here only ever grow by one. */
static void *grow(void *array, int count, size_t element_bytes)
{
    if (count > 0 && (count & (count - 1)) != 0) {
        return array; /* capacity is the next power of two */
    }
    size_t capacity = count == 0 ? 1 : 2 * (size_t)count;
    return realloc(array, capacity * element_bytes);
}

static gb_status section_add(ini_feed *feed, const char *start)
{
    suite_ini *ini = feed->ini;
    const char *end = strchr(start, ']');
    if (!end) {
        return GB_OK; /* inih reports the missing bracket */
    }
    const char *rest = skip_blanks(end + 1);
    if (*rest && *rest != ';') {
        return gb_fail(feed->err, GB_ERR_USAGE,
                       "%s:%d: '%s' after the section's ']': put it on a line of its own",
                       feed->path, feed->line, rest);
    }
    if (ini->n_sections == SUITE_INI_MAX_SECTIONS) {
        return gb_fail(feed->err, GB_ERR_USAGE, "%s:%d: more than %d sections: split the suite",
                       feed->path, feed->line, SUITE_INI_MAX_SECTIONS);
    }
    suite_ini_section *sections = grow(ini->sections, ini->n_sections, sizeof *sections);
    if (!sections) {
        return out_of_memory(feed->err, feed->path);
    }
    ini->sections = sections;
    char *title = copy_trimmed(start + 1, (size_t)(end - start - 1));
    if (!title) {
        return out_of_memory(feed->err, feed->path);
    }
    ini->sections[ini->n_sections++] = (suite_ini_section){.title = title, .line = feed->line};
    feed->has_key = false;
    return GB_OK;
}

/* Checks one raw line and notes what inih will not tell. *blank: hand inih an empty line. */
static gb_status line_inspect(ini_feed *feed, const char *start, size_t length, int room,
                              bool *blank)
{
    const char *text = start;
    if (feed->line == 1 && strncmp(start, utf8_bom, 3) == 0) {
        text += 3;
    }
    for (const char *c = text; c < start + length; c++) {
        if (iscntrl((unsigned char)*c) && *c != '\t') {
            return gb_fail(feed->err, GB_ERR_USAGE,
                           "%s:%d: control character 0x%02x: a suite is plain text", feed->path,
                           feed->line, (unsigned)(unsigned char)*c);
        }
    }
    const char *first = text;
    while (first < start + length && (*first == ' ' || *first == '\t')) {
        first++;
    }
    *blank = first == start + length || *first == ';' || *first == '#';
    if (*blank) {
        return GB_OK; /* a comment may be of any length */
    }
    char line[512];
    int longest = room - 2 < (int)sizeof line - 1 ? room - 2 : (int)sizeof line - 1;
    if (length > (size_t)longest) {
        return gb_fail(feed->err, GB_ERR_USAGE,
                       "%s:%d: line of %zu bytes; at most %d fit: continue the value on indented "
                       "lines",
                       feed->path, feed->line, length, longest);
    }
    feed->continuation = feed->has_key && first > text;
    if (*first == '[') {
        if (feed->continuation) {
            return gb_fail(feed->err, GB_ERR_USAGE,
                           "%s:%d: indented section: an indented line continues the value above "
                           "it; start the section at the left margin",
                           feed->path, feed->line);
        }
        memcpy(line, start, length);
        line[length] = '\0';
        return section_add(feed, line + (first - start));
    }
    return GB_OK;
}

/* ini_reader: fgets on the text. */
static char *feed_line(char *buffer, int room, void *stream)
{
    ini_feed *feed = stream;
    if (feed->status != GB_OK || *feed->next == '\0') {
        return NULL;
    }
    const char *start = feed->next;
    size_t length = strcspn(start, "\n");
    feed->next = start + length + (start[length] == '\n');
    feed->line++;
    if (length > 0 && start[length - 1] == '\r') {
        length--;
    }
    bool blank = false;
    feed->status = line_inspect(feed, start, length, room, &blank);
    if (feed->status != GB_OK) {
        return NULL;
    }
    length = blank ? 0 : length;
    memcpy(buffer, start, length);
    buffer[length] = '\0';
    return buffer;
}

static gb_status value_append(ini_feed *feed, suite_ini_entry *entry, const char *value)
{
    size_t old = entry->value ? strlen(entry->value) : 0;
    char *text = realloc(entry->value, old + strlen(value) + 2);
    if (!text) {
        return out_of_memory(feed->err, feed->path);
    }
    entry->value = text;
    int *lines = grow(entry->part_lines, entry->n_parts, sizeof *lines);
    if (!lines) {
        text[old] = '\0';
        return out_of_memory(feed->err, feed->path);
    }
    entry->part_lines = lines;
    lines[entry->n_parts] = feed->line;
    sprintf(text + old, "%s%s", entry->n_parts > 0 ? "\n" : "", value);
    entry->n_parts++;
    return GB_OK;
}

/* Cuts a comment off a continuation line; inih does it on lines with a key alone. */
static void comment_cut(char *value)
{
    for (char *c = value; (c = strchr(c, ';')) != NULL; c++) {
        if (c == value || isspace((unsigned char)c[-1])) {
            *c = '\0';
            return;
        }
    }
}

static gb_status entry_continue(ini_feed *feed, suite_ini_section *section, const char *value)
{
    suite_ini_entry *entry = &section->entries[section->n_entries - 1];
    char line[512]; /* line_inspect let no longer one pass */
    snprintf(line, sizeof line, "%s", value);
    comment_cut(line);
    /* Claims hold prose and comparisons; elsewhere '=' means a key that somebody indented. */
    if (strchr(line, '=') && strncmp(section->title, "claim", 5) != 0) {
        return gb_fail(feed->err, GB_ERR_USAGE,
                       "%s:%d: an indented line continues the value of '%s' (line %d): start a key "
                       "of its own at the left margin",
                       feed->path, feed->line, entry->name, entry->line);
    }
    return value_append(feed, entry, line);
}

static gb_status entry_add(ini_feed *feed, const char *name, const char *value)
{
    suite_ini_section *section = current_section(feed->ini);
    if (!section) {
        return gb_fail(feed->err, GB_ERR_USAGE,
                       "%s:%d: '%s' stands before the first section: start with [suite]",
                       feed->path, feed->line, name);
    }
    if (feed->continuation) {
        return entry_continue(feed, section, value);
    }
    if (*name == '\0') {
        return gb_fail(feed->err, GB_ERR_USAGE, "%s:%d: no key before '=': write 'key = value'",
                       feed->path, feed->line);
    }
    for (int i = 0; i < section->n_entries; i++) {
        if (strcmp(section->entries[i].name, name) == 0) {
            return gb_fail(feed->err, GB_ERR_USAGE,
                           "%s:%d: '%s' is already set on line %d: keep one of the two", feed->path,
                           feed->line, name, section->entries[i].line);
        }
    }
    if (section->n_entries == SUITE_INI_MAX_ENTRIES) {
        return gb_fail(feed->err, GB_ERR_USAGE, "%s:%d: more than %d keys in [%s]", feed->path,
                       feed->line, SUITE_INI_MAX_ENTRIES, section->title);
    }
    suite_ini_entry *entries = grow(section->entries, section->n_entries, sizeof *entries);
    if (!entries) {
        return out_of_memory(feed->err, feed->path);
    }
    section->entries = entries;
    suite_ini_entry *entry = &entries[section->n_entries];
    *entry = (suite_ini_entry){.name = strdup(name), .line = feed->line};
    if (!entry->name) {
        return out_of_memory(feed->err, feed->path);
    }
    section->n_entries++;
    feed->has_key = true;
    return value_append(feed, entry, value);
}

/* ini_handler. Always succeeds as far as inih can see, so that the line number that inih returns
 * stands for its own syntax errors alone. */
static int take_entry(void *user, const char *section, const char *name, const char *value)
{
    ini_feed *feed = user;
    (void)section; /* cut at 49 bytes by inih */
    if (feed->status == GB_OK) {
        feed->status = entry_add(feed, name, value ? value : "");
    }
    return 1;
}

static gb_status syntax_error(const char *path, const char *text, int line, gb_error *err)
{
    for (int i = 1; i < line; i++) {
        text = strchr(text, '\n') + 1;
    }
    if (line == 1 && strncmp(text, utf8_bom, 3) == 0) {
        text += 3;
    }
    char *content = copy_trimmed(text, strcspn(text, "\n"));
    if (!content) {
        return out_of_memory(err, path);
    }
    gb_status status;
    if (*content == '[') {
        status = gb_fail(err, GB_ERR_USAGE, "%s:%d: section '%s' has no closing ']'", path, line,
                         content);
    } else {
        status = gb_fail(err, GB_ERR_USAGE, "%s:%d: '%s' is no 'key = value': '=' is missing", path,
                         line, content);
    }
    free(content);
    return status;
}

static gb_status check_not_empty(const suite_ini *ini, const char *path, gb_error *err)
{
    for (int s = 0; s < ini->n_sections; s++) {
        for (int i = 0; i < ini->sections[s].n_entries; i++) {
            const suite_ini_entry *entry = &ini->sections[s].entries[i];
            if (*skip_blanks(entry->value) == '\0') {
                return gb_fail(err, GB_ERR_USAGE, "%s:%d: '%s' has no value", path, entry->line,
                               entry->name);
            }
        }
    }
    return GB_OK;
}

gb_status suite_ini_parse(suite_ini *out, const char *path, const char *text, gb_error *err)
{
    *out = (suite_ini){0};
    if (strnlen(text, SUITE_INI_MAX_BYTES + 1) > SUITE_INI_MAX_BYTES) {
        return gb_fail(err, GB_ERR_USAGE, "%s: larger than %d bytes: not a suite", path,
                       SUITE_INI_MAX_BYTES);
    }
    ini_feed feed = {.path = path, .next = text, .ini = out, .err = err};
    int bad_line = ini_parse_stream(feed_line, &feed, take_entry, &feed);
    if (bad_line < 0) {
        return out_of_memory(err, path);
    }
    if (bad_line > 0 && (feed.status == GB_OK || bad_line < feed.line)) {
        return syntax_error(path, text, bad_line, err);
    }
    if (feed.status != GB_OK) {
        return feed.status;
    }
    return check_not_empty(out, path, err);
}

void suite_ini_clear(suite_ini *ini)
{
    for (int s = 0; s < ini->n_sections; s++) {
        suite_ini_section *section = &ini->sections[s];
        for (int i = 0; i < section->n_entries; i++) {
            free(section->entries[i].name);
            free(section->entries[i].value);
            free(section->entries[i].part_lines);
        }
        free(section->entries);
        free(section->title);
    }
    free(ini->sections);
    *ini = (suite_ini){0};
}

int suite_ini_line(const suite_ini_entry *entry, size_t offset)
{
    int part = 0;
    for (size_t i = 0; i < offset && entry->value[i]; i++) {
        part += entry->value[i] == '\n';
    }
    return entry->part_lines[part < entry->n_parts ? part : entry->n_parts - 1];
}
