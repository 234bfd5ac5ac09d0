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

/* In place: nothing becomes longer. */
static void inert_make(char *text)
{
    char *out = text, instead;
    for (size_t left = strlen(text), bytes; left > 0; left -= bytes, text += bytes) {
        bytes = plain_text_step(text, left, &instead);
        if (instead) {
            *out++ = instead;
        } else {
            memmove(out, text, bytes);
            out += bytes;
        }
    }
    *out = '\0';
}

static void lines_write_plain(FILE *out, char *text)
{
    while (text) {
        char *line = strsep(&text, "\n");
        inert_make(line);
        fprintf(out, "%s%s", line, text ? "\n" : "");
    }
}

/* Newlines at the beginning and at the end, and empty lines, are kept. */
static void lines_write_fitted(FILE *out, char *text, int width, int hang)
{
    while (*text) {
        size_t breaks = strspn(text, "\n");
        for (size_t i = 0; i < breaks; i++) {
            fputc('\n', out);
        }
        text += breaks;
        char *end = strstr(text, "\n\n"), *last = text + strlen(text);
        end = end ? end : last > text && last[-1] == '\n' ? last - 1 : last;
        char *paragraph = strndup(text, (size_t)(end - text));
        if (paragraph) {
            lines_join(paragraph);
            inert_make(paragraph);
            text_write_lines(out, paragraph, width, 0, hang);
            free(paragraph);
        }
        text = end;
    }
}

void terminal_write_paragraph(FILE *out, int width, int hang, const char *text)
{
    char *copy = strdup(text);
    if (!copy) {
        fputs("no memory for a sentence\n", out);
    } else if (width == 0) {
        lines_write_plain(out, copy);
    } else {
        lines_write_fitted(out, copy, width, hang);
    }
    free(copy);
}

void terminal_say(FILE *out, int hang, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0) {
        terminal_write_paragraph(out, terminal_width(out), hang, text);
        free(text);
    }
}
