/* A terminal of a given size for a program that is run in it, with what a person might do to it.
 *
 *   fake_terminal WIDTHxHEIGHT [-i TEXT] [-g TEXT] [-r TEXT WIDTH] [-s TEXT FILE] COMMAND ...
 *
 *   -i TEXT        Ctrl-C is typed when TEXT stands on the screen
 *   -g TEXT        waits until TEXT is gone from it
 *   -r TEXT WIDTH  the terminal becomes that wide when TEXT stands on it; lines do not flow anew
 *   -s TEXT FILE   the screen is written to FILE when TEXT stands on it
 *
 * TEXT stands on the screen when a line has it. "block *left" is both words on one line, in this
 * order: what is drawn from the start, and what comes once it is known.
 *
 * Each may be given several times, in the order in which they happen. Prints every line that was
 * ever on the screen, what stood on it in the end, as `width<TAB>W<TAB>text` of what was written
 * there last; a line that ran over the edge is told as `wrapped<TAB>W<TAB>text`. Says "coloured" on
 * standard error where colours were set. Exits as the command does. */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/base/text_lines.h"

enum { COLUMNS_MOST = 512, ROWS_MOST = 20000, DEEDS_MOST = 16, LETTER = 8 };

typedef struct deed {
    char what;
    const char *text, *value;
} deed;

typedef struct screen {
    char (*rows)[COLUMNS_MOST][LETTER]; /* all lines since the beginning; a letter per column */
    int width, height, row, column, rows_used;
    bool coloured;
    bool edge; /* the last column is written, the next letter wraps */
    bool *wrapped;
    char sequence[64]; /* of an escape or of UTF-8, so far */
    size_t length;
} screen;

static void fail(const char *what)
{
    perror(what);
    exit(99);
}

static void line_feed(screen *s)
{
    if (s->row + 1 >= ROWS_MOST) {
        fprintf(stderr, "fake_terminal: too many lines\n");
        exit(99);
    }
    s->row++;
    s->rows_used = s->row >= s->rows_used ? s->row + 1 : s->rows_used;
}

static void letter_put(screen *s, const char *letter)
{
    int width = text_width(letter);
    if (width == 0) {
        return;
    }
    if (s->edge || s->column + width > s->width) {
        s->wrapped[s->row] = true;
        line_feed(s);
        s->column = 0;
    }
    snprintf(s->rows[s->row][s->column], LETTER, "%.7s", letter);
    s->column += width;
    s->edge = s->column >= s->width;
    s->column -= s->edge;
}

static void sequence_obey(screen *s)
{
    char *end, last = s->sequence[s->length - 1];
    long n = strtol(s->sequence + 2, &end, 10);
    int most = s->row - (s->rows_used > s->height ? s->rows_used - s->height : 0);
    s->edge = false;
    if (last == 'A') {
        n = n > 0 ? n : 1;
        s->row -= n < most ? (int)n : most;
    } else if (last == 'K') {
        memset(s->rows[s->row][s->column], 0,
               sizeof s->rows[0][0] * (size_t)(COLUMNS_MOST - s->column));
    } else if (last == 'J') {
        memset(s->rows[s->row][s->column], 0,
               sizeof s->rows[0][0] * (size_t)(COLUMNS_MOST - s->column));
        for (int row = s->row + 1; row < s->rows_used; row++) {
            memset(s->rows[row], 0, sizeof s->rows[row]);
        }
    } else if (last == 'm') {
        s->coloured = true;
    } else {
        fprintf(stderr, "fake_terminal: does not know ESC%s\n", s->sequence + 1);
        exit(99);
    }
}

static size_t letter_bytes(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static void byte_take(screen *s, char c)
{
    if (s->length == 0 && (c == '\r' || c == '\n')) {
        s->column = c == '\r' ? 0 : s->column;
        s->edge = false;
        if (c == '\n') {
            line_feed(s);
        }
        return;
    }
    if (s->length + 1 < sizeof s->sequence) {
        s->sequence[s->length++] = c;
        s->sequence[s->length] = '\0';
    }
    bool escape = s->sequence[0] == '\033';
    if (escape && s->length > 2 && c >= '@' && c <= '~') {
        sequence_obey(s);
        s->length = 0;
    } else if (!escape && s->length == letter_bytes((unsigned char)s->sequence[0])) {
        letter_put(s, s->sequence);
        s->length = 0;
    }
}

/* The text of a line without the spaces at its end, but those where it ran over the edge. */
static void row_text(const screen *s, int row, char *out, size_t size)
{
    size_t used = 0, keep = 0;
    const int width = s->wrapped[row] ? s->width : COLUMNS_MOST;
    for (int i = 0; i < width && used + LETTER < size; i++) {
        const char *letter = s->rows[row][i];
        if (*letter || i == 0 || text_width(s->rows[row][i - 1]) < 2) {
            used += (size_t)snprintf(out + used, size - used, "%s", *letter ? letter : " ");
            keep = (*letter && *letter != ' ') || s->wrapped[row] ? used : keep;
        }
    }
    out[keep] = '\0';
}

static void screen_write(const screen *s, int from, FILE *out, bool told)
{
    char text[COLUMNS_MOST * 4];
    for (int row = from; row < s->rows_used; row++) {
        row_text(s, row, text, sizeof text);
        if (told) {
            fprintf(out, "%s\t%d\t", s->wrapped[row] ? "wrapped" : "width", text_width(text));
        }
        fprintf(out, "%s\n", text);
    }
}

/* Whether the pieces of `wanted` between its stars stand in the text, one behind the other. */
static bool text_has(const char *text, const char *wanted)
{
    char piece[128];
    for (;; wanted++) {
        snprintf(piece, sizeof piece, "%.*s", (int)strcspn(wanted, "*"), wanted);
        text = strstr(text, piece);
        wanted += strcspn(wanted, "*");
        if (!text || !*wanted) {
            return text != NULL;
        }
        text += strlen(piece);
    }
}

static bool screen_has(const screen *s, const char *wanted)
{
    char text[COLUMNS_MOST * 4];
    int first = s->rows_used > s->height ? s->rows_used - s->height : 0;
    for (int row = first; row < s->rows_used; row++) {
        row_text(s, row, text, sizeof text);
        if (text_has(text, wanted)) {
            return true;
        }
    }
    return false;
}

static void width_set(screen *s, int fd, int width)
{
    struct winsize size = {.ws_row = (unsigned short)s->height, .ws_col = (unsigned short)width};
    s->width = width;
    if (ioctl(fd, TIOCSWINSZ, &size) != 0) {
        fail("TIOCSWINSZ");
    }
}

static void deed_do(screen *s, int fd, const deed *d)
{
    if (d->what == 'i' && write(fd, "\003", 1) != 1) {
        fail("Ctrl-C");
    } else if (d->what == 'r') {
        width_set(s, fd, atoi(d->value));
    } else if (d->what == 's') {
        FILE *out = fopen(d->value, "w");
        if (!out) {
            fail(d->value);
        }
        screen_write(s, s->rows_used > s->height ? s->rows_used - s->height : 0, out, false);
        fclose(out);
    }
}

static void follow(screen *s, int fd, const deed *deeds, int n_deeds)
{
    char bytes[4096];
    ssize_t n;
    int done = 0;
    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)) {
        for (ssize_t i = 0; i < n; i++) {
            byte_take(s, bytes[i]);
        }
        struct pollfd more = {fd, POLLIN, 0};
        bool whole =
            poll(&more, 1, 5) == 0; /* a drawing comes in one piece, then there is a rest */
        while (whole && done < n_deeds &&
               screen_has(s, deeds[done].text) == (deeds[done].what != 'g')) {
            deed_do(s, fd, &deeds[done++]);
        }
    }
    if (done < n_deeds) {
        fprintf(stderr, "fake_terminal: never saw \"%s\"\n", deeds[done].text);
    }
}

int main(int argc, char **argv)
{
    screen s = {.rows_used = 1};
    deed deeds[DEEDS_MOST];
    int n_deeds = 0, at = 2, fd = -1, status;
    if (argc < 3 || sscanf(argv[1], "%dx%d", &s.width, &s.height) != 2 || s.width >= COLUMNS_MOST) {
        fprintf(stderr, "usage: fake_terminal WIDTHxHEIGHT [-i TEXT] ... COMMAND\n");
        return 99;
    }
    while (at + 2 < argc && argv[at][0] == '-' && n_deeds < DEEDS_MOST) {
        deed *d = &deeds[n_deeds++];
        *d = (deed){argv[at][1], argv[at + 1], argv[at + 2]};
        at += d->what == 'i' || d->what == 'g' ? 2 : 3;
    }
    s.rows = calloc(ROWS_MOST, sizeof *s.rows);
    s.wrapped = calloc(ROWS_MOST, sizeof *s.wrapped);
    struct winsize size = {.ws_row = (unsigned short)s.height, .ws_col = (unsigned short)s.width};
    pid_t child = s.rows && s.wrapped && at < argc ? forkpty(&fd, NULL, NULL, &size) : -1;
    if (child < 0) {
        fail("fake_terminal");
    }
    if (child == 0) {
        execvp(argv[at], argv + at);
        fail(argv[at]);
    }
    follow(&s, fd, deeds, n_deeds);
    close(fd);
    if (waitpid(child, &status, 0) != child) {
        fail("waitpid");
    }
    screen_write(&s, 0, stdout, true);
    if (s.coloured) {
        fprintf(stderr, "coloured\n");
    }
    free(s.rows);
    free(s.wrapped);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
