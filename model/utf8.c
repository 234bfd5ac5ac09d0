#include "model/utf8.h"

#include <string.h>

size_t utf8_step(const unsigned char *text, size_t bytes, bool *valid)
{
    unsigned char first = text[0];
    /* Range of the second byte; the others are always 80..BF. */
    unsigned char low = 0x80, high = 0xBF;
    size_t length;
    *valid = false;
    if (first < 0x80) {
        *valid = true;
        return 1;
    } else if (first < 0xC2 || first > 0xF4) {
        return 1;
    } else if (first < 0xE0) {
        length = 2;
    } else if (first < 0xF0) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : low;   /* no overlong forms */
        high = first == 0xED ? 0x9F : high; /* no surrogates */
    } else {
        length = 4;
        low = first == 0xF0 ? 0x90 : low;
        high = first == 0xF4 ? 0x8F : high; /* nothing above U+10FFFF */
    }
    for (size_t i = 1; i < length; i++) {
        if (i >= bytes || text[i] < low || text[i] > high) {
            return i;
        }
        low = 0x80;
        high = 0xBF;
    }
    *valid = true;
    return length;
}

uint32_t utf8_decode(const unsigned char *text, size_t length)
{
    static const unsigned char first_bits[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = text[0] & first_bits[length];
    for (size_t i = 1; i < length; i++) {
        code = code << 6 | (text[i] & 0x3F);
    }
    return code;
}

static size_t ascii_prefix(const unsigned char *text, size_t bytes)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    while (i < bytes && text[i] < 0x80) {
        i++;
    }
    return i;
}

int64_t utf8_count_errors(const unsigned char *text, size_t bytes)
{
    int64_t errors = 0;
    bool valid;
    for (size_t i = ascii_prefix(text, bytes); i < bytes;) {
        i += utf8_step(text + i, bytes - i, &valid);
        errors += !valid;
        if (i < bytes) {
            i += ascii_prefix(text + i, bytes - i);
        }
    }
    return errors;
}

size_t utf8_repair(const unsigned char *text, size_t bytes, unsigned char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes;) {
        bool valid;
        size_t length = utf8_step(text + i, bytes - i, &valid);
        memcpy(out + written, valid ? text + i : (const unsigned char *)"\xEF\xBF\xBD",
               valid ? length : 3);
        written += valid ? length : 3;
        i += length;
    }
    return written;
}
