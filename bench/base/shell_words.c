#include "bench/base/shell_words.h"

#include <stdbool.h>
#include <string.h>

#include "bench/base/plain_text.h"

#define SAFE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"

static bool is_plain(const char *word)
{
    char instead = '\0';
    for (size_t left = strlen(word), bytes; left > 0 && !instead; left -= bytes, word += bytes) {
        bytes = plain_text_step(word, left, &instead);
    }
    return !instead;
}

/* Bash, zsh, ksh and POSIX 2024: $'...' may hold what a terminal must not be sent. */
static void word_write_coded(FILE *out, const char *word)
{
    fputs("$'", out);
    for (const unsigned char *p = (const unsigned char *)word; *p; p++) {
        if (*p < 0x20 || *p >= 0x7f) {
            fprintf(out, "\\%03o", *p);
        } else {
            fprintf(out, "%s%c", *p == '\'' || *p == '\\' ? "\\" : "", *p);
        }
    }
    fputc('\'', out);
}

static void word_write(FILE *out, const char *word)
{
    if (*word && word[strspn(word, SAFE)] == '\0') {
        fputs(word, out);
        return;
    }
    if (!is_plain(word)) {
        word_write_coded(out, word);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) {
        if (*word == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(*word, out);
        }
    }
    fputc('\'', out);
}

shell_word_text shell_word(const char *word)
{
    shell_word_text out = {""};
    FILE *stream = fmemopen(out.text, sizeof out.text - 1, "w");
    if (stream) {
        word_write(stream, word);
        bool whole = fflush(stream) == 0;
        fclose(stream);
        if (!whole || strlen(out.text) + 2 >= sizeof out.text) {
            snprintf(out.text + sizeof out.text - 5, 5, "...");
        }
    }
    return out;
}

void shell_words_write(FILE *out, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        fputs(i > 0 ? " " : "", out);
        word_write(out, argv[i]);
    }
}
