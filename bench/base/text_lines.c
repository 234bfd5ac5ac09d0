#include "bench/base/text_lines.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "model/utf8.h"

typedef struct range {
    uint32_t first, last;
} range;

/* Unicode 15: combining marks of the common scripts, joiners, variation selectors. */
static const range no_column[] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},
                                  {0x064b, 0x065f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
                                  {0x200b, 0x200f}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f},
                                  {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
/* East Asian width W and F (Unicode Standard Annex 11), by blocks. */
static const range two_columns[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                                    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

static bool is_within(uint32_t code, const range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* Columns of the code point at `text`, which is not at its end; *bytes is its length. */
static int step(const char *text, size_t *bytes)
{
    bool valid;
    const unsigned char *p = (const unsigned char *)text;
    *bytes = utf8_step(p, strnlen(text, 4), &valid);
    uint32_t code = valid ? utf8_decode(p, *bytes) : '?';
    if (code < 0x300) {
        return 1;
    }
    if (is_within(code, no_column, sizeof no_column / sizeof *no_column)) {
        return 0;
    }
    return is_within(code, two_columns, sizeof two_columns / sizeof *two_columns) ? 2 : 1;
}

int text_width(const char *text)
{
    int width = 0;
    for (size_t bytes; *text; text += bytes) {
        width += step(text, &bytes);
    }
    return width;
}

size_t text_cut(const char *text, int width)
{
    size_t at = 0, bytes;
    for (; text[at]; at += bytes) {
        width -= step(text + at, &bytes);
        if (width < 0) {
            break;
        }
    }
    return at;
}

static size_t spaces_skip(const char *text, size_t at)
{
    return at + strspn(text + at, " ");
}

/* The end of the command between backquotes from text[at] on, which is one of them; `at` where
 * there is none: a single word is a name. */
static size_t quoted_end(const char *text, size_t at)
{
    const char *end = strchr(text + at + 1, '`'), *space = strchr(text + at + 1, ' ');
    return end && space && space < end ? (size_t)(end - text) : at;
}

size_t text_first_line(const char *text, int width, size_t *next)
{
    size_t fits = text_cut(text, width), good = 0, within = 0, quoted = 0;
    bool begun = false;
    if (!text[fits]) {
        *next = fits;
        return fits;
    }
    for (size_t i = 0; i <= fits; i++) {
        if (text[i] == ' ' && begun && text[i - 1] != ' ' && text[spaces_skip(text, i)] != '%') {
            good = i;
        }
        if (i > fits / 2 && strchr("_-/,:", text[i - 1])) {
            within = i; /* of a long name or path */
        }
        begun |= text[i] != ' ';
        if (text[i] == '`' && i < fits) {
            quoted = quoted_end(text, i);
            i = quoted > i ? quoted : i;
        }
    }
    size_t end = good ? good : within ? within : fits;
    if (!good && quoted > fits) { /* wider than a line, and stays whole */
        end = quoted + 1 + strcspn(text + quoted + 1, " ");
    }
    size_t bytes = 0;
    if (end == 0) { /* a wide letter in a single column */
        (void)step(text, &bytes);
    }
    *next = spaces_skip(text, end + bytes);
    return end + bytes;
}

void text_write_lines(FILE *out, const char *text, int width, int at, int hang)
{
    hang = hang < width / 2 ? hang : width / 2;
    while (*text) {
        size_t next, room = width > at ? (size_t)(width - at) : 1;
        size_t length = text_first_line(text, (int)room, &next);
        fwrite(text, 1, length, out);
        text += next;
        if (*text) {
            fprintf(out, "\n%*s", hang, "");
            at = hang;
        }
    }
}
