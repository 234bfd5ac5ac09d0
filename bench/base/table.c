#include "bench/base/table.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/plain_text.h"
#include "bench/base/table_internal.h"
#include "bench/base/text_lines.h"
#include "kernels/checked.h"
#include "kernels/process_limits.h"

table *table_create(void)
{
    return calloc(1, sizeof(table));
}

void table_free(table *t)
{
    if (!t) {
        return;
    }
    for (int i = 0; i < t->n_rows * t->n_columns; i++) {
        free(t->cells[i]);
    }
    for (int i = 0; i < t->n_columns; i++) {
        free(t->columns[i].heading);
    }
    free(t->cells);
    free(t->columns);
    free(t);
}

void table_add_column(table *t, const char *heading, table_align align)
{
    if (!t || t->out_of_memory || t->n_rows > 0) {
        return;
    }
    table_column *columns = realloc(t->columns, (size_t)(t->n_columns + 1) * sizeof *columns);
    char *copy = strdup(heading);
    if (columns) {
        t->columns = columns;
    }
    if (!columns || !copy) {
        free(copy);
        t->out_of_memory = true;
        return;
    }
    t->columns[t->n_columns++] = (table_column){copy, align, TABLE_MOVE, 1, 0};
}

void table_column_fit(table *t, table_fit fit, int rank)
{
    if (t && t->n_columns > 0) {
        t->columns[t->n_columns - 1].fit = fit;
        t->columns[t->n_columns - 1].rank = rank;
    }
}

void table_column_wrap(table *t, int least, int rank)
{
    table_column_fit(t, TABLE_WRAP, rank);
    if (t && t->n_columns > 0) {
        t->columns[t->n_columns - 1].least = least;
    }
}

void table_begin_row(table *t)
{
    if (!t || t->out_of_memory || t->n_columns == 0) {
        return;
    }
    if (t->n_rows == t->capacity_rows) {
        int64_t capacity = t->capacity_rows ? 2 * (int64_t)t->capacity_rows : 16;
        int64_t count = gb_times(capacity, t->n_columns);
        /* Cells are counted in int, the heading's row too. */
        bool fits = count <= INT_MAX - t->n_columns;
        char **cells = fits ? realloc(t->cells, (size_t)count * sizeof *cells) : NULL;
        if (!cells) {
            t->out_of_memory = true;
            return;
        }
        t->cells = cells;
        t->capacity_rows = (int)capacity;
    }
    for (int i = 0; i < t->n_columns; i++) {
        t->cells[t->n_rows * t->n_columns + i] = NULL;
    }
    t->n_rows++;
    t->filled = 0;
}

void table_add_cell(table *t, const char *format, ...)
{
    if (!t || t->out_of_memory || t->n_rows == 0 || t->filled >= t->n_columns) {
        return;
    }
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        t->out_of_memory = true;
        return;
    }
    t->cells[(t->n_rows - 1) * t->n_columns + t->filled++] = text;
}

int table_row_count(const table *t)
{
    return t ? t->n_rows : 0;
}

/* ---- escaping ---- */

static bool is_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void put_markdown(FILE *out, unsigned char c, unsigned char before, unsigned char after)
{
    /* An underscore inside a word is only an underscore, and names are full of them. */
    bool inside = c == '_' && is_word(before) && is_word(after);
    bool address = c == ':' && after == '/'; /* GitHub makes links of http://... */
    if (c && !inside && (address || strchr("\\`*_{}[]<>|#~$&!", c))) {
        fputc('\\', out);
    }
    fputc(c, out);
}

static void put_html(FILE *out, unsigned char c)
{
    switch (c) {
    case '&':
        fputs("&amp;", out);
        break;
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    case '\'':
        fputs("&#39;", out);
        break;
    default:
        fputc(c, out);
    }
}

void table_write_escaped(FILE *out, const char *text, table_format format)
{
    const char *end = text + strlen(text);
    for (const char *p = text; p < end;) {
        char instead;
        size_t length = plain_text_step(p, (size_t)(end - p), &instead);
        unsigned char c = instead ? (unsigned char)instead : (unsigned char)*p;
        if (length > 1 && !instead) {
            fwrite(p, 1, length, out);
        } else if (format == TABLE_MARKDOWN) {
            put_markdown(out, c, p == text ? ' ' : (unsigned char)p[-1], (unsigned char)p[length]);
        } else if (format == TABLE_HTML) {
            put_html(out, c);
        } else {
            fputc(c, out);
        }
        p += length;
    }
}

/* The escaped text as a string of its own; NULL without memory. */
static char *escaped_copy(const char *text, table_format format)
{
    char *copy = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&copy, &size);
    if (!stream) {
        return NULL;
    }
    table_write_escaped(stream, text, format);
    if (fclose(stream) != 0) {
        free(copy);
        return NULL;
    }
    return copy;
}

/* ---- writing ---- */

void table_grid_free(const table *t, char **grid)
{
    for (int i = 0; grid && i < (t->n_rows + 1) * t->n_columns; i++) {
        free(grid[i]);
    }
    free(grid);
}

char **table_grid(const table *t, table_format format)
{
    int columns = t->n_columns, count = (t->n_rows + 1) * columns;
    char **grid = calloc((size_t)(count ? count : 1), sizeof *grid);
    if (!grid) {
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        const char *text = i < columns ? t->columns[i].heading : t->cells[i - columns];
        grid[i] = escaped_copy(text ? text : "", format);
        if (!grid[i]) {
            table_grid_free(t, grid);
            return NULL;
        }
    }
    return grid;
}

static void put_repeated(FILE *out, char c, int n)
{
    for (int i = 0; i < n; i++) {
        fputc(c, out);
    }
}

int table_column_width(const table *t, char **grid, int column)
{
    int width = 3; /* the least that a Markdown rule needs */
    for (int row = 0; row <= t->n_rows; row++) {
        int here = text_width(grid[row * t->n_columns + column]);
        width = here > width ? here : width;
    }
    return width;
}

static void write_aligned_row(const table *t, FILE *out, char **cells, const int *widths,
                              bool markdown)
{
    fputs(markdown ? "|" : "", out);
    for (int i = 0; i < t->n_columns; i++) {
        int pad = widths[i] - text_width(cells[i]);
        bool last = i == t->n_columns - 1;
        fputs(markdown ? " " : (i > 0 ? "  " : ""), out);
        if (t->columns[i].align == TABLE_RIGHT) {
            put_repeated(out, ' ', pad);
        }
        fputs(cells[i], out);
        if (t->columns[i].align == TABLE_LEFT && (markdown || !last)) {
            put_repeated(out, ' ', pad);
        }
        fputs(markdown ? " |" : "", out);
    }
    fputc('\n', out);
}

static void write_rule(const table *t, FILE *out, const int *widths, bool markdown)
{
    fputs(markdown ? "|" : "", out);
    for (int i = 0; i < t->n_columns; i++) {
        bool right = t->columns[i].align == TABLE_RIGHT;
        fputs(markdown ? " " : (i > 0 ? "  " : ""), out);
        put_repeated(out, '-', widths[i] - (markdown && right));
        fputs(markdown ? (right ? ": |" : " |") : "", out);
    }
    fputc('\n', out);
}

static gb_status write_aligned(const table *t, FILE *out, char **grid, bool markdown, gb_error *err)
{
    int *widths = calloc((size_t)(t->n_columns ? t->n_columns : 1), sizeof *widths);
    if (!widths) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a table");
    }
    for (int i = 0; i < t->n_columns; i++) {
        widths[i] = table_column_width(t, grid, i);
    }
    for (int row = 0; row <= t->n_rows; row++) {
        write_aligned_row(t, out, grid + row * t->n_columns, widths, markdown);
        if (row == 0) {
            write_rule(t, out, widths, markdown);
        }
    }
    free(widths);
    return GB_OK;
}

static void write_html_row(const table *t, FILE *out, char **cells, const char *element)
{
    fputs("<tr>", out);
    for (int i = 0; i < t->n_columns; i++) {
        bool right = t->columns[i].align == TABLE_RIGHT;
        fprintf(out, "<%s%s>%s</%s>", element, right ? " class=\"number\"" : "", cells[i], element);
    }
    fputs("</tr>\n", out);
}

static void write_html(const table *t, FILE *out, char **grid)
{
    fputs("<table>\n<thead>", out);
    write_html_row(t, out, grid, "th");
    fputs("</thead>\n<tbody>\n", out);
    for (int row = 1; row <= t->n_rows; row++) {
        write_html_row(t, out, grid + row * t->n_columns, "td");
    }
    fputs("</tbody>\n</table>\n", out);
}

/* A spreadsheet computes what begins like this; only numbers may. */
static bool is_formula(const char *text)
{
    char *end;
    if (!*text || !strchr("=+-@", *text) || !text[1]) {
        return false;
    }
    strtod(text, &end);
    end += strspn(end, " %");
    return end == text || *end;
}

static void write_tsv(const table *t, FILE *out, char **grid)
{
    for (int i = 0; i < (t->n_rows + 1) * t->n_columns; i++) {
        fprintf(out, "%s%s%c", is_formula(grid[i]) ? "'" : "", grid[i],
                (i + 1) % t->n_columns ? '\t' : '\n');
    }
}

gb_status table_write(const table *t, FILE *out, table_format format, gb_error *err)
{
    char **grid = t && !t->out_of_memory ? table_grid(t, format) : NULL;
    if (!grid) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a table");
    }
    gb_status status = GB_OK;
    if (format == TABLE_HTML) {
        write_html(t, out, grid);
    } else if (format == TABLE_TSV) {
        write_tsv(t, out, grid);
    } else {
        status = write_aligned(t, out, grid, format == TABLE_MARKDOWN, err);
    }
    table_grid_free(t, grid);
    if (status == GB_OK && ferror(out)) {
        return gb_fail(err, GB_ERR_IO, "writing a table failed (%s)", gb_write_doubt());
    }
    return status;
}
