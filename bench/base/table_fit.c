/* A table as narrow as a terminal. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/table_internal.h"
#include "bench/base/terminal.h"
#include "bench/base/text_lines.h"

enum { GAP = 2, INDENT = 2, FOLD_RANK = 2 };
/* Places of a column beside the lines of a row, 0, 1, ... */
enum { PLACE_BELOW = -1, PLACE_SAME = -2, PLACE_MOVED = -3 };

typedef struct layout {
    const table *t;
    char **grid;
    int width;
    int *natural; /* what each column would like */
    int *widths;  /* what it gets */
    int *place;   /* its line in a row, or PLACE_ */
    int n_lines;
} layout;

static const char *cell(const layout *l, int row, int column)
{
    return l->grid[row * l->t->n_columns + column];
}

/* ---- which column goes where ---- */

static int least_width(const layout *l, int column)
{
    const table_column *c = &l->t->columns[column];
    int natural = l->natural[column] < l->width ? l->natural[column] : l->width;
    return c->fit == TABLE_WRAP && natural > c->least ? c->least : natural;
}

static bool first_line_fits(const layout *l)
{
    int64_t width = -GAP;
    for (int i = 0; i < l->t->n_columns; i++) {
        width += l->place[i] == 0 ? least_width(l, i) + GAP : 0;
    }
    return width <= l->width;
}

static bool is_same(const layout *l, int column)
{
    const char *heading = cell(l, 0, column), *first = cell(l, 1, column);
    if (column == 0 || l->t->columns[column].fit != TABLE_MOVE || (!*heading && *first) ||
        l->t->columns[column].rank < FOLD_RANK || (l->t->n_rows < 2 && *first)) {
        return false;
    }
    for (int row = 2; row <= l->t->n_rows; row++) {
        if (strcmp(cell(l, row, column), first) != 0) {
            return false;
        }
    }
    return true;
}

/* The column of the first line that leaves it first; 0: none can. */
static int next_to_leave(const layout *l, bool only_same)
{
    int found = 0;
    for (int i = 1; i < l->t->n_columns; i++) {
        bool may = l->place[i] == 0 && (!only_same || is_same(l, i));
        if (may && (!found || l->t->columns[i].rank >= l->t->columns[found].rank)) {
            found = i;
        }
    }
    return found;
}

static void columns_leave(layout *l, bool only_same)
{
    int column;
    while (!first_line_fits(l) && (column = next_to_leave(l, only_same)) > 0) {
        l->place[column] = only_same ? PLACE_SAME : PLACE_MOVED;
    }
}

/* What left for a wide one that left too may find room again, the most important first. */
static void columns_return(layout *l)
{
    int rank = INT_MIN;
    for (bool more = true; more;) {
        int next = INT_MAX;
        for (int i = 1; i < l->t->n_columns; i++) {
            int its = l->t->columns[i].rank;
            next = l->place[i] == PLACE_MOVED && its > rank && its < next ? its : next;
        }
        more = next < INT_MAX;
        rank = next;
        for (int i = 1; more && i < l->t->n_columns; i++) {
            if (l->place[i] == PLACE_MOVED && l->t->columns[i].rank == rank) {
                l->place[i] = 0;
                l->place[i] = first_line_fits(l) ? 0 : PLACE_MOVED;
            }
        }
    }
}

/* The moved columns, as many to a line as fit. */
static void lines_fill(layout *l)
{
    int at = 0;
    l->n_lines = 1;
    for (int i = 1; i < l->t->n_columns; i++) {
        if (l->place[i] == PLACE_MOVED) {
            int room = l->width - INDENT;
            l->widths[i] = l->natural[i] < room ? l->natural[i] : room;
            bool begins = at == 0 || at + GAP + l->widths[i] > l->width;
            at = begins ? INDENT + l->widths[i] : at + GAP + l->widths[i];
            l->n_lines += begins;
            l->place[i] = l->n_lines - 1;
        }
    }
}

/* What is left of the first line goes to its columns of words. */
static void words_widen(layout *l)
{
    int left = l->width + GAP;
    for (int i = 0; i < l->t->n_columns; i++) {
        if (l->place[i] == 0) {
            l->widths[i] = least_width(l, i);
            left -= l->widths[i] + GAP;
        }
    }
    for (int i = 0; i < l->t->n_columns && left > 0; i++) {
        if (l->place[i] == 0 && l->natural[i] > l->widths[i]) {
            int more = l->natural[i] - l->widths[i];
            more = more < left ? more : left;
            l->widths[i] += more;
            left -= more;
        }
    }
}

static void layout_fill(layout *l)
{
    for (int i = 0; i < l->t->n_columns; i++) {
        l->natural[i] = table_column_width(l->t, l->grid, i);
        l->place[i] = i > 0 && l->t->columns[i].fit == TABLE_BELOW ? PLACE_BELOW : 0;
    }
    if (l->t->n_rows > 0) {
        columns_leave(l, true);
    }
    columns_leave(l, false);
    columns_return(l);
    lines_fill(l);
    words_widen(l);
}

/* ---- writing ---- */

/* One line of the terminal: the next piece of each cell; false when nothing was left. */
static bool pieces_write(const layout *l, FILE *out, const char **rest, int line)
{
    int owed = line > 0 ? INDENT : 0; /* spaces, written before the next text only */
    bool any = false;
    for (int i = 0; i < l->t->n_columns; i++) {
        if (l->place[i] != line) {
            continue;
        }
        size_t next, length = text_first_line(rest[i], l->widths[i], &next);
        char *piece = strndup(rest[i], length);
        int pad = piece ? l->widths[i] - text_width(piece) : 0;
        bool right = l->t->columns[i].align == TABLE_RIGHT;
        owed += right ? pad : 0;
        if (length > 0) {
            fprintf(out, "%*s%s", owed, "", piece ? piece : "?");
            owed = 0;
            any = true;
        }
        owed += GAP + (right ? 0 : pad);
        rest[i] += next;
        free(piece);
    }
    if (any) {
        fputc('\n', out);
    }
    return any;
}

static void row_write(const layout *l, FILE *out, int row, const char **rest)
{
    for (int i = 0; i < l->t->n_columns; i++) {
        rest[i] = cell(l, row, i);
    }
    for (int line = 0; line < l->n_lines; line++) {
        bool any = pieces_write(l, out, rest, line);
        if (!any && line == 0) {
            fputc('\n', out);
        }
        while (any) {
            any = pieces_write(l, out, rest, line);
        }
    }
}

static void dashes_write(FILE *out, int n)
{
    for (int i = 0; i < n; i++) {
        fputc('-', out);
    }
}

/* Under the columns; under rows of several lines one that is as long as the longest. */
static void rule_write(const layout *l, FILE *out)
{
    int longest = 0;
    for (int line = 0; line < l->n_lines; line++) {
        int width = line > 0 ? INDENT - GAP : -GAP;
        for (int i = 0; i < l->t->n_columns; i++) {
            width += l->place[i] == line ? l->widths[i] + GAP : 0;
        }
        longest = width > longest ? width : longest;
    }
    for (int i = 0; i < l->t->n_columns && l->n_lines == 1; i++) {
        if (l->place[i] == 0) {
            fputs(i > 0 ? "  " : "", out);
            dashes_write(out, l->widths[i]);
        }
    }
    dashes_write(out, l->n_lines > 1 ? longest : 0);
    fputc('\n', out);
}

/* "in all rows: backend cpu fp32, runs ok 3" */
static void same_write(const layout *l, FILE *out)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    int n = 0;
    for (int i = 0; stream && i < l->t->n_columns; i++) {
        if (l->place[i] == PLACE_SAME && l->t->n_rows > 0 && *cell(l, 1, i)) {
            fprintf(stream, "%s%s %s", n++ ? ", " : "in all rows: ", cell(l, 0, i), cell(l, 1, i));
        }
    }
    if (stream && fclose(stream) == 0 && n > 0) {
        fputc('\n', out);
        text_write_lines(out, text, l->width, 0, INDENT);
        fputc('\n', out);
    }
    free(text);
}

/* The first row with the text that `row` has in the column. */
static int first_with(const layout *l, int row, int column)
{
    int first = 1;
    while (strcmp(cell(l, first, column), cell(l, row, column)) != 0) {
        first++;
    }
    return first;
}

/* "step_avg, tokens_per_s: medians of bursts" of one text. */
static void note_write(const layout *l, FILE *out, int first, int column)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    int n = 0;
    for (int row = first; stream && row <= l->t->n_rows; row++) {
        if (strcmp(cell(l, row, column), cell(l, first, column)) == 0) {
            fprintf(stream, "%s%s", n++ ? ", " : "", cell(l, row, 0));
        }
    }
    if (stream) {
        fprintf(stream, ": %s", cell(l, first, column));
    }
    if (stream && fclose(stream) == 0) {
        fprintf(out, "%*s", INDENT, "");
        text_write_lines(out, text, l->width, INDENT, 2 * INDENT);
        fputc('\n', out);
    }
    free(text);
}

static void below_write(const layout *l, FILE *out, int column)
{
    bool begun = false;
    for (int row = 1; row <= l->t->n_rows; row++) {
        if (*cell(l, row, column) && first_with(l, row, column) == row) {
            if (!begun) {
                fprintf(out, "\n%s:\n", cell(l, 0, column));
                begun = true;
            }
            note_write(l, out, row, column);
        }
    }
}

static gb_status layout_write(layout *l, FILE *out, gb_error *err)
{
    int n = l->t->n_columns;
    int *numbers = calloc(3 * (size_t)n + 1, sizeof *numbers);
    const char **rest = calloc((size_t)n + 1, sizeof *rest);
    if (!numbers || !rest) {
        free(numbers);
        free(rest);
        return gb_fail(err, GB_ERR_OOM, "no memory for a table");
    }
    l->natural = numbers;
    l->widths = numbers + n;
    l->place = numbers + 2 * n;
    layout_fill(l);
    for (int row = 0; row <= l->t->n_rows && n > 0; row++) {
        row_write(l, out, row, rest);
        if (row == 0) {
            rule_write(l, out);
        }
    }
    same_write(l, out);
    for (int i = 0; i < n; i++) {
        if (l->place[i] == PLACE_BELOW) {
            below_write(l, out, i);
        }
    }
    free(numbers);
    free(rest);
    return GB_OK;
}

gb_status table_write_fitted(const table *t, FILE *out, int width, gb_error *err)
{
    if (width <= 0 || !t || t->out_of_memory) {
        return table_write(t, out, TABLE_TEXT, err);
    }
    layout l = {.t = t, .grid = table_grid(t, TABLE_TEXT), .width = width < 10 ? 10 : width};
    gb_status status =
        l.grid ? layout_write(&l, out, err) : gb_fail(err, GB_ERR_OOM, "no memory for a table");
    table_grid_free(t, l.grid);
    if (status == GB_OK && ferror(out)) {
        return gb_fail(err, GB_ERR_IO, "writing a table failed");
    }
    return status;
}

gb_status table_show(const table *t, FILE *out, gb_error *err)
{
    return table_write_fitted(t, out, terminal_width(out), err);
}
