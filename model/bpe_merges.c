#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "model/bpe_internal.h"
#include "model/utf8.h"

#define SYMBOLS     (256 + 68) /* code points below this may stand for a byte */
#define FREE_SLOT   (-1)
#define HEADER_MARK "#version"

/* State of one parse. */
typedef struct merge_reader {
    bpe_merges *merges;
    const char *name;
    int64_t line;
    int16_t byte_of[SYMBOLS]; /* byte that a code point stands for, -1 for none */
    int32_t merges_max;       /* that the file has room for */
    uint32_t word_mask;
    int32_t *words; /* (word_mask + 1) tokens by their bytes */
    int32_t *lines; /* (merges_max) line that made each merge */
    gb_error *err;
} merge_reader;

static bool byte_is_printable(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* GPT-2's stand-ins: a printable byte is itself, the others are U+0100, U+0101, ... in order. Token
 * ids of bytes count the printable ones first. */
static void fill_bytes(merge_reader *r)
{
    int32_t token = 0;
    memset(r->byte_of, -1, sizeof r->byte_of);
    for (int pass = 0, code = 256; pass < 2; pass++) {
        for (int byte = 0; byte < 256; byte++) {
            if (byte_is_printable(byte) == (pass == 0)) {
                r->byte_of[pass == 0 ? byte : code++] = (int16_t)byte;
                r->merges->byte_token[byte] = token;
                r->merges->bytes[token] = (char)byte;
                r->merges->starts[token] = token;
                token++;
            }
        }
    }
    r->merges->starts[token] = token;
}

/* Slot of the token with these bytes, or the free one where it would go. */
static uint32_t find_word(const merge_reader *r, const char *bytes, size_t length)
{
    const bpe_merges *m = r->merges;
    uint32_t slot = (uint32_t)XXH3_64bits(bytes, length) & r->word_mask;
    for (; r->words[slot] != FREE_SLOT; slot = (slot + 1) & r->word_mask) {
        int32_t token = r->words[slot];
        size_t have = (size_t)(m->starts[token + 1] - m->starts[token]);
        if (have == length && memcmp(m->bytes + m->starts[token], bytes, length) == 0) {
            break;
        }
    }
    return slot;
}

/* Turns stand-ins to bytes at `out`, at most as many as the text has. */
static gb_status decode_symbol(const merge_reader *r, const char *text, size_t length, char *out,
                               size_t *out_length)
{
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        bool valid;
        const unsigned char *at = (const unsigned char *)text + i;
        size_t step = utf8_step(at, length - i, &valid);
        if (!valid) {
            return gb_fail(r->err, GB_ERR_FORMAT, "%s:%" PRId64 ": byte 0x%02x is not UTF-8 text",
                           r->name, r->line, *at);
        }
        uint32_t code = utf8_decode(at, step);
        if (code >= SYMBOLS || r->byte_of[code] < 0) {
            return gb_fail(r->err, GB_ERR_FORMAT,
                           "%s:%" PRId64 ": U+%04" PRIX32
                           " is not one of the 256 characters that GPT-2 writes bytes with",
                           r->name, r->line, code);
        }
        out[n++] = (char)r->byte_of[code];
        i += step;
    }
    *out_length = n;
    return GB_OK;
}

static void insert_pair(bpe_merges *m, int32_t left, int32_t right, int32_t token)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t slot = bpe_pair_slot(m, key);
    while (m->pair_keys[slot] != UINT64_MAX) {
        slot = (slot + 1) & m->pair_mask;
    }
    m->pair_keys[slot] = key;
    m->pair_tokens[slot] = token;
    uint64_t pair[2] = {m->fingerprint, key};
    m->fingerprint = XXH3_64bits(pair, sizeof pair);
}

static gb_status fail_unknown(const merge_reader *r, const char *text, size_t length)
{
    return gb_fail(r->err, GB_ERR_FORMAT,
                   "%s:%" PRId64 ": \"%.*s\" is neither a byte nor made by an earlier line",
                   r->name, r->line, length > 100 ? 100 : (int)length, text);
}

/* Adds the merge of two symbols. The bytes of both are written one after the other behind the
 * last token, which makes them the new token's. */
static gb_status add_merge(merge_reader *r, const char *left, size_t left_length, const char *right,
                           size_t right_length)
{
    bpe_merges *m = r->merges;
    int32_t token = 256 + m->count;
    char *bytes = m->bytes + m->starts[token];
    size_t a, b;
    GB_TRY(decode_symbol(r, left, left_length, bytes, &a));
    GB_TRY(decode_symbol(r, right, right_length, bytes + a, &b));
    int32_t left_token = r->words[find_word(r, bytes, a)];
    int32_t right_token = r->words[find_word(r, bytes + a, b)];
    if (left_token == FREE_SLOT) {
        return fail_unknown(r, left, left_length);
    }
    if (right_token == FREE_SLOT) {
        return fail_unknown(r, right, right_length);
    }
    uint32_t slot = find_word(r, bytes, a + b);
    if (r->words[slot] != FREE_SLOT) {
        return gb_fail(r->err, GB_ERR_FORMAT,
                       "%s:%" PRId64 ": makes what line %" PRId32 " makes already", r->name,
                       r->line, r->lines[r->words[slot] - 256]);
    }
    if (m->count == r->merges_max) {
        return gb_fail(r->err, GB_ERR_FORMAT,
                       "%s:%" PRId64 ": more than %d merges do not fit in 16-bit tokens", r->name,
                       r->line, BPE_MERGES_MAX);
    }
    r->words[slot] = token;
    r->lines[m->count++] = (int32_t)r->line;
    m->starts[token + 1] = m->starts[token] + (int64_t)(a + b);
    insert_pair(m, left_token, right_token, token);
    return GB_OK;
}

static gb_status parse_line(merge_reader *r, const char *line, size_t length)
{
    const char *space = memchr(line, ' ', length);
    size_t left = space ? (size_t)(space - line) : 0;
    size_t right = space ? length - left - 1 : 0;
    if (left == 0 || right == 0 || memchr(space + 1, ' ', right)) {
        return gb_fail(r->err, GB_ERR_FORMAT,
                       "%s:%" PRId64
                       ": expected two symbols separated by one space, as in GPT-2's vocab.bpe",
                       r->name, r->line);
    }
    return add_merge(r, line, left, space + 1, right);
}

static gb_status parse_lines(merge_reader *r, const char *text, size_t bytes)
{
    for (size_t start = 0; start < bytes; r->line++) {
        const char *newline = memchr(text + start, '\n', bytes - start);
        size_t end = newline ? (size_t)(newline - text) : bytes;
        size_t length = end - start;
        length -= length > 0 && text[end - 1] == '\r';
        size_t mark = strlen(HEADER_MARK);
        bool header =
            r->line == 1 && length >= mark && memcmp(text + start, HEADER_MARK, mark) == 0;
        if (!header) {
            GB_TRY(parse_line(r, text + start, length));
        }
        start = end + 1;
    }
    if (r->merges->count == 0) {
        return gb_fail(r->err, GB_ERR_FORMAT, "%s:1: no merges in it; expected GPT-2's vocab.bpe",
                       r->name);
    }
    return GB_OK;
}

static bool allocate(merge_reader *r, size_t bytes)
{
    bpe_merges *m = r->merges;
    /* A merge takes four bytes, with its newline. Tables are at most half full. */
    size_t most = bytes / 4 + 1 < BPE_MERGES_MAX ? bytes / 4 + 1 : BPE_MERGES_MAX;
    uint32_t slots = 1024;
    while (slots < 2 * (most + 256)) {
        slots *= 2;
    }
    r->merges_max = (int32_t)most;
    r->word_mask = slots - 1;
    m->pair_mask = slots - 1;
    m->bytes = malloc(256 + bytes);
    m->starts = malloc((256 + most + 1) * sizeof *m->starts);
    m->pair_keys = malloc(slots * sizeof *m->pair_keys);
    m->pair_tokens = malloc(slots * sizeof *m->pair_tokens);
    r->words = malloc(slots * sizeof *r->words);
    r->lines = malloc(most * sizeof *r->lines);
    if (!m->bytes || !m->starts || !m->pair_keys || !m->pair_tokens || !r->words || !r->lines) {
        return false;
    }
    memset(m->pair_keys, 0xFF, slots * sizeof *m->pair_keys);
    memset(r->words, 0xFF, slots * sizeof *r->words);
    return true;
}

gb_status bpe_merges_parse(bpe_merges *out, const char *name, const char *text, size_t bytes,
                           gb_error *err)
{
    *out = (bpe_merges){0};
    merge_reader reader = {.merges = out, .name = name, .line = 1, .err = err};
    gb_status status;
    /* A token is never longer than its line, so the file's size bounds all of them; the line that
     * turns out to be wrong needs room too. */
    if (!allocate(&reader, bytes)) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory for its tables", name);
    } else {
        fill_bytes(&reader);
        for (int32_t token = 0; token < 256; token++) {
            reader.words[find_word(&reader, out->bytes + token, 1)] = token;
        }
        status = parse_lines(&reader, text, bytes);
    }
    free(reader.words);
    free(reader.lines);
    return status;
}

void bpe_merges_free(bpe_merges *merges)
{
    free(merges->bytes);
    free(merges->starts);
    free(merges->pair_keys);
    free(merges->pair_tokens);
    *merges = (bpe_merges){0};
}
