/* shell_words.h: words as one types them, for commands that a message asks to give. */
#ifndef GPTBENCH_BENCH_SHELL_WORDS_H
#define GPTBENCH_BENCH_SHELL_WORDS_H

#include <stdio.h>

typedef struct shell_word_text {
    char text[4200];
} shell_word_text;

/* The word in quotes where a shell would take it for something else; for printf, as the functions
 * of numbers.h are. A word beyond that size ends in "...". */
shell_word_text shell_word(const char *word);

/* A whole command, of any length: argv[0] and so on, a space between. */
void shell_words_write(FILE *out, int argc, char *const *argv);

#endif
