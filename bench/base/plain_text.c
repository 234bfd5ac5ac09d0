#include "bench/base/plain_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "model/utf8.h"

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/* Embeddings, overrides and isolates of the bidirectional algorithm, and line separators. */
static bool turns_around(uint32_t code)
{
    return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0x2028 || code == 0x2029;
}

static char replacement(uint32_t code)
{
    if (code == '\t' || code == '\n') {
        return ' ';
    }
    return is_control(code) || turns_around(code) ? '?' : '\0';
}

size_t plain_text_step(const char *text, size_t bytes, char *instead)
{
    const unsigned char *p = (const unsigned char *)text;
    bool valid;
    size_t length = utf8_step(p, bytes, &valid);
    *instead = valid ? replacement(utf8_decode(p, length)) : '?';
    return length;
}

void plain_text_make_shown(char *text)
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

void plain_text_make(char *text)
{
    size_t left = strlen(text);
    char *out = text;
    while (left > 0) {
        const unsigned char *p = (const unsigned char *)text;
        bool valid;
        size_t length = utf8_step(p, left, &valid);
        char instead = valid ? replacement(utf8_decode(p, length)) : '\0';
        if (instead) {
            *out++ = instead;
        } else {
            memmove(out, text, length);
            out += length;
        }
        text += length;
        left -= length;
    }
    *out = '\0';
}
