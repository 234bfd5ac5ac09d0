/* plain_text.h: text of others that may be shown: one line without anything that a terminal acts
 * on.
 *
 * Not shown: C0 and C1 controls and DEL, which move cursors and set colours; the marks that turn
 * the direction of text around, so that it reads as what it is not; bytes that are not UTF-8. */
#ifndef GPTBENCH_BENCH_PLAIN_TEXT_H
#define GPTBENCH_BENCH_PLAIN_TEXT_H

#include <stddef.h>

/* Looks at the start of text[0..bytes), bytes > 0, and returns the length of what is there.
 * *instead is the character to show in its place: ' ' for tab and newline, '?' for others that may
 * not be shown, '\0' for what may be shown as it is. */
size_t plain_text_step(const char *text, size_t bytes, char *instead);

/* Puts '?' and ' ' in place of what may not be shown. */
void plain_text_make_shown(char *text);

/* Makes `text` plain in place; it never becomes longer. What is not UTF-8 stays: the writer of a
 * format knows what belongs there. */
void plain_text_make(char *text);

#endif
