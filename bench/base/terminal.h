/* terminal.h: what a stream shows text on, and sentences that fit it. */
#ifndef GPTBENCH_BENCH_TERMINAL_H
#define GPTBENCH_BENCH_TERMINAL_H

#include <stdio.h>

/* Columns of the terminal that `out` is, asked anew each time; 0 where it is none, and lines may be
 * of any length. Where $COLUMNS is less, that counts; without either it is 80. */
int terminal_width(FILE *out);

/* printf-style: a sentence or several. On a terminal they are broken at words, lines after the
 * first indented by `hang`, and a single newline between them is a space; elsewhere they are as
 * they stand. What a terminal would act on becomes '?'. */
void terminal_say(FILE *out, int hang, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* The same for a given width; 0: as it stands. `at` columns of the first line are taken already.
 * The text is changed on the way. */
void terminal_write_paragraph(FILE *out, int width, int at, int hang, char *text);

#endif
