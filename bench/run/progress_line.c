#include "bench/run/progress_line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/plain_text.h"
#include "bench/base/text_lines.h"

enum { GAP = 2, BAR_LEAST = 12, BAR_MOST = 32 }; /* columns, brackets included */

void progress_line_add(progress_line *line, int rank, const char *format, ...)
{
    if (line->n >= PROGRESS_PARTS_MAX) {
        return;
    }
    va_list args;
    char *text = line->parts[line->n].text;
    va_start(args, format);
    vsnprintf(text, PROGRESS_PART_BYTES, format, args);
    va_end(args);
    plain_text_make(text);
    line->parts[line->n].rank = rank;
    line->n += *text != '\0';
}

void progress_line_add_bar(progress_line *line, int rank, double share)
{
    if (line->n < PROGRESS_PARTS_MAX && share >= 0) {
        line->parts[line->n].text[0] = '\0';
        line->parts[line->n++].rank = rank;
        line->bar = share < 1 ? share : 1;
    }
}

static int part_width(const progress_line *line, int part)
{
    return *line->parts[part].text ? text_width(line->parts[part].text) : BAR_LEAST;
}

static int line_width(const progress_line *line, const bool *shown)
{
    int width = line->indent - GAP;
    for (int i = 0; i < line->n; i++) {
        width += shown[i] ? part_width(line, i) + GAP : 0;
    }
    return width;
}

/* -1: all that is left has to stay. */
static int next_to_leave(const progress_line *line, const bool *shown)
{
    int found = -1;
    for (int i = 0; i < line->n; i++) {
        bool may = shown[i] && line->parts[i].rank > 0;
        if (may && (found < 0 || line->parts[i].rank >= line->parts[found].rank)) {
            found = i;
        }
    }
    return found;
}

static void bar_write(FILE *out, double share, int width)
{
    int full = (int)(share * (width - 2));
    fputc('[', out);
    for (int i = 0; i < width - 2; i++) {
        fputc(i < full ? '#' : '.', out);
    }
    fputc(']', out);
}

static void parts_write(const progress_line *line, const bool *shown, int bar_width, FILE *out)
{
    int n = 0;
    fprintf(out, "%*s", line->indent, "");
    for (int i = 0; i < line->n; i++) {
        if (!shown[i]) {
            continue;
        }
        fputs(n++ > 0 ? "  " : "", out);
        if (*line->parts[i].text) {
            fputs(line->parts[i].text, out);
        } else {
            bar_write(out, line->bar, bar_width);
        }
    }
}

void progress_line_write(const progress_line *line, int width, char *out, size_t size)
{
    bool shown[PROGRESS_PARTS_MAX];
    int leaves, needed;
    for (int i = 0; i < line->n; i++) {
        shown[i] = true;
    }
    while ((needed = line_width(line, shown)) > width &&
           (leaves = next_to_leave(line, shown)) >= 0) {
        shown[leaves] = false;
    }
    int bar = BAR_LEAST + (width > needed ? width - needed : 0);
    out[0] = '\0';
    FILE *stream = fmemopen(out, size, "w");
    if (stream) {
        parts_write(line, shown, bar < BAR_MOST ? bar : BAR_MOST, stream);
        fclose(stream);
    }
    out[size - 1] = '\0';
    if (text_width(out) > width) { /* a long name in a narrow terminal */
        size_t cut = text_cut(out, width > 3 ? width - 3 : width);
        snprintf(out + cut, size - cut, "%s", width > 3 ? "..." : "");
    }
}
