/* text_lines.h: how wide text is on a terminal, and text broken into lines at words.
 *
 * Texts are UTF-8 and inert (bench/base/plain_text.h). A letter with its combining marks is one
 * column, East Asian wide letters are two. */
#ifndef GPTBENCH_BENCH_TEXT_LINES_H
#define GPTBENCH_BENCH_TEXT_LINES_H

#include <stddef.h>
#include <stdio.h>

/* In columns of a terminal. */
int text_width(const char *text);

/* Bytes of the longest start of `text` that is at most `width` columns wide. */
size_t text_cut(const char *text, int width);

/* Bytes of the first line, at most `width` columns wide (1 at least), broken at a space where that
 * can be; *next is where the second one begins, past the spaces. A number keeps its "%". Words
 * between backquotes are a command to be copied and typed: never broken, they may be wider. */
size_t text_first_line(const char *text, int width, size_t *next);

/* Writes `text` in lines of at most `width` columns, all but the first indented by `hang`; `at`
 * columns of the first are taken already. No newline at the end. */
void text_write_lines(FILE *out, const char *text, int width, int at, int hang);

#endif
