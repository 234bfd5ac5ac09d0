#include "bench/base/terminal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/base/plain_text.h"
#include "bench/base/text_lines.h"

enum { WIDTH_ASSUMED = 80, WIDTH_LEAST = 10, WIDTH_MOST = 10000 };

/* 0: not said. */
static int columns_wanted(void)
{
    const char *text = getenv("COLUMNS");
    char *end;
    if (!text || !*text) {
        return 0;
    }
    errno = 0;
    long columns = strtol(text, &end, 10);
    return !errno && !*end && columns >= WIDTH_LEAST && columns <= WIDTH_MOST ? (int)columns : 0;
}

int terminal_width(FILE *out)
{
    struct winsize size = {0};
    int fd = fileno(out);
    if (fd < 0 || !isatty(fd)) {
        return 0;
    }
    int wanted = columns_wanted(), width = 0;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_LEAST) {
        width = size.ws_col;
    }
    if (wanted && (!width || wanted < width)) {
        return wanted;
    }
    return width ? width : WIDTH_ASSUMED;
}

/* A newline and the spaces after it become one space. */
static void lines_join(char *text)
{
    char *out = text;
    for (const char *p = text; *p;) {
        bool newline = *p == '\n';
        *out++ = newline ? ' ' : *p;
        p += newline ? 1 + strspn(p + 1, " ") : 1;
    }
    *out = '\0';
}

static void lines_write_plain(FILE *out, char *text)
{
    while (text) {
        char *line = strsep(&text, "\n");
        plain_text_make_shown(line);
        fprintf(out, "%s%s", line, text ? "\n" : "");
    }
}

/* Newlines at the beginning and at the end, and empty lines, are kept. */
static void lines_write_fitted(FILE *out, char *text, int width, int at, int hang)
{
    while (*text) {
        size_t breaks = strspn(text, "\n");
        for (size_t i = 0; i < breaks; i++) {
            fputc('\n', out);
        }
        text += breaks;
        char *end = strstr(text, "\n\n"), *last = text + strlen(text);
        end = end ? end : last > text && last[-1] == '\n' ? last - 1 : last;
        char after = *end;
        *end = '\0';
        lines_join(text);
        plain_text_make_shown(text);
        text_write_lines(out, text, width, breaks ? 0 : at, hang);
        *end = after;
        text = end;
    }
}

void terminal_write_paragraph(FILE *out, int width, int at, int hang, char *text)
{
    if (width == 0) {
        lines_write_plain(out, text);
    } else {
        lines_write_fitted(out, text, width, at, hang);
    }
}

void terminal_say(FILE *out, int hang, const char *format, ...)
{
    char most[2048], *text = most, *more = NULL; /* nothing is to be lost without memory */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(most, sizeof most, format, args);
    va_end(args);
    if (length >= (int)sizeof most) {
        va_start(args, format);
        text = vasprintf(&more, format, args) < 0 ? most : more;
        va_end(args);
    }
    if (length >= 0) {
        terminal_write_paragraph(out, terminal_width(out), 0, hang, text);
    }
    if (text == more) {
        free(more);
    }
}
