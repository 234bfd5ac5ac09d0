#define PCRE2_CODE_UNIT_WIDTH 8

#include "model/bpe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/process_limits.h"
#include "model/bpe_internal.h"
#include "model/bpe_unicode.h"
#include "model/near_file.h"
#include "model/utf8.h"

#define MERGE_FILE_MAX_BYTES ((int64_t)64 << 20)
#define SHORT_PRETOKEN       48 /* up to here a scan for the best pair beats a heap */
/* bpe_merges.fingerprint of GPT-2's published list of 50,000 merges. */
#define PUBLISHED_FINGERPRINT UINT64_C(0x0DC9B80853F9BADA)

/* Unicode's White_Space. PCRE2's own \s is not used: it counts U+180E as white. */
#define WHITE                                                                                      \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"             \
    "\\x{202f}\\x{205f}\\x{3000}"
#define LETTERS "\\p{L}" BPE_UNICODE_NEW_LETTERS
#define NUMBERS "\\p{N}" BPE_UNICODE_NEW_NUMBERS
#define PRETOKEN_PATTERN                                                                           \
    "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTERS "]+| ?[" NUMBERS "]+| ?[^" WHITE LETTERS NUMBERS         \
    "]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+"

struct bpe {
    bpe_merges merges;
    pcre2_code *pattern;
    pcre2_match_data *match;
    /* Scratch for long pretokens, grown as needed. */
    int32_t *next, *previous, *token, *pair;
    uint64_t *heap;
    size_t heap_count, scratch_bytes;
};

/* ---- life ---- */

static gb_status compile_pattern(bpe *encoder, gb_error *err)
{
    int code;
    PCRE2_SIZE offset;
    encoder->pattern = pcre2_compile((PCRE2_SPTR)PRETOKEN_PATTERN, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, NULL);
    if (!encoder->pattern) {
        if (code == PCRE2_ERROR_HEAP_FAILED) {
            return gb_fail(err, GB_ERR_OOM, "no memory for GPT-2's pattern");
        }
        return gb_fail(err, GB_ERR_ENV, "PCRE2 refuses GPT-2's pattern (error %d at %zu)", code,
                       (size_t)offset);
    }
    /* Without JIT (a build without it, a hardened kernel) pcre2_match interprets. */
    (void)pcre2_jit_compile(encoder->pattern, PCRE2_JIT_COMPLETE);
    encoder->match = pcre2_match_data_create(1, NULL);
    return encoder->match ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for matching");
}

gb_status bpe_open_text(bpe **out, const char *name, const char *text, size_t bytes, gb_error *err)
{
    *out = NULL;
    bpe *encoder = calloc(1, sizeof *encoder);
    if (!encoder) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory for the encoder", name);
    }
    gb_status status = bpe_merges_parse(&encoder->merges, name, text, bytes, err);
    if (status == GB_OK) {
        status = compile_pattern(encoder, err);
    }
    if (status != GB_OK) {
        bpe_close(encoder);
        return status;
    }
    *out = encoder;
    return GB_OK;
}

static gb_status read_merge_file(const char *path, int fd, char **text, size_t *bytes,
                                 gb_error *err)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE, "%s: not a regular file; expected GPT-2's vocab.bpe",
                       path);
    }
    if (stat.st_size > MERGE_FILE_MAX_BYTES) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: %" PRId64 " bytes are too many for a merge file; GPT-2's has 456318",
                       path, (int64_t)stat.st_size);
    }
    *text = malloc((size_t)stat.st_size + 1);
    if (!*text) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to read it", path);
    }
    *bytes = 0;
    while (*bytes < (size_t)stat.st_size) {
        ssize_t n = read(fd, *text + *bytes, (size_t)stat.st_size - *bytes);
        if (n < 0 && errno != EINTR) {
            return gb_fail(err, GB_ERR_IO, "%s: cannot read: %s", path, gb_reason(errno));
        }
        if (n == 0) {
            break;
        }
        *bytes += n > 0 ? (size_t)n : 0;
    }
    return GB_OK;
}

gb_status bpe_open(bpe **out, const char *path, gb_error *err)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return gb_fail(err, errno == ENOENT ? GB_ERR_USAGE : GB_ERR_IO, "%s: cannot open: %s%s",
                       path, gb_reason(errno), near_file_find(path, NULL).hint);
    }
    char *text = NULL;
    size_t bytes = 0;
    gb_status status = read_merge_file(path, fd, &text, &bytes, err);
    if (status == GB_OK) {
        status = bpe_open_text(out, path, text, bytes, err);
    }
    free(text);
    close(fd);
    return status;
}

void bpe_close(bpe *encoder)
{
    if (encoder) {
        bpe_merges_free(&encoder->merges);
        pcre2_match_data_free(encoder->match);
        pcre2_code_free(encoder->pattern);
        free(encoder->next);
        free(encoder->heap);
        free(encoder);
    }
}

int32_t bpe_vocab_size(const bpe *encoder)
{
    return 256 + encoder->merges.count + 1;
}

int32_t bpe_end_of_text(const bpe *encoder)
{
    return 256 + encoder->merges.count;
}

bool bpe_is_published(const bpe *encoder)
{
    return encoder->merges.count == 50000 && encoder->merges.fingerprint == PUBLISHED_FINGERPRINT;
}

const char *bpe_token_bytes(const bpe *encoder, int32_t token, size_t *length)
{
    if (token == bpe_end_of_text(encoder)) {
        *length = strlen("<|endoftext|>");
        return "<|endoftext|>";
    }
    const int64_t *starts = encoder->merges.starts;
    *length = (size_t)(starts[token + 1] - starts[token]);
    return encoder->merges.bytes + starts[token];
}

/* ---- token arrays ---- */

void bpe_tokens_free(bpe_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (bpe_tokens){0};
}

static gb_status tokens_reserve(bpe_tokens *tokens, int64_t more, gb_error *err)
{
    if (more <= tokens->capacity - tokens->count) {
        return GB_OK;
    }
    int64_t capacity = tokens->capacity + tokens->capacity / 2;
    capacity = capacity < tokens->count + more ? tokens->count + more : capacity;
    int32_t *ids = realloc(tokens->ids, (size_t)capacity * sizeof *ids);
    if (!ids) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %" PRId64 " tokens", capacity);
    }
    tokens->ids = ids;
    tokens->capacity = capacity;
    return GB_OK;
}

/* ---- merging ---- */

/* n bytes to tokens at `out` (room for n); returns how many. Looks at every pair for every merge:
 * for pretokens of a word's length nothing is faster. */
static int64_t merge_short(const bpe *encoder, const unsigned char *text, int64_t n, int32_t *out)
{
    const bpe_merges *m = &encoder->merges;
    int32_t pair[SHORT_PRETOKEN];
    for (int64_t i = 0; i < n; i++) {
        out[i] = m->byte_token[text[i]];
    }
    for (int64_t i = 0; i + 1 < n; i++) {
        pair[i] = bpe_pair_token(m, out[i], out[i + 1]);
    }
    while (n > 1) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < n; i++) {
            best = pair[i] < pair[best] ? i : best;
        }
        if (pair[best] == BPE_NO_MERGE) {
            break;
        }
        out[best] = pair[best];
        n--;
        memmove(out + best + 1, out + best + 2, (size_t)(n - best - 1) * sizeof *out);
        if (best + 1 < n) {
            memmove(pair + best, pair + best + 1, (size_t)(n - best - 1) * sizeof *pair);
            pair[best] = bpe_pair_token(m, out[best], out[best + 1]);
        }
        if (best > 0) {
            pair[best - 1] = bpe_pair_token(m, out[best - 1], out[best]);
        }
    }
    return n;
}

static void heap_push(bpe *encoder, uint64_t key)
{
    uint64_t *heap = encoder->heap;
    size_t i = encoder->heap_count++;
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
    }
    heap[i] = key;
}

static uint64_t heap_pop(bpe *encoder)
{
    uint64_t *heap = encoder->heap, top = heap[0], last = heap[--encoder->heap_count];
    size_t n = encoder->heap_count, i = 0;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= last) {
            break;
        }
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* Notes what token i and its right neighbour make, and queues it by (merge, place). */
static void queue_pair(bpe *encoder, int32_t i)
{
    int32_t right = encoder->next[i];
    encoder->pair[i] =
        right < 0 ? BPE_NO_MERGE
                  : bpe_pair_token(&encoder->merges, encoder->token[i], encoder->token[right]);
    if (encoder->pair[i] != BPE_NO_MERGE) {
        heap_push(encoder, (uint64_t)(uint32_t)encoder->pair[i] << 32 | (uint32_t)i);
    }
}

static gb_status reserve_scratch(bpe *encoder, size_t n, gb_error *err)
{
    if (n > encoder->scratch_bytes) {
        free(encoder->next);
        free(encoder->heap);
        encoder->next = malloc(4 * n * sizeof *encoder->next);
        /* One entry per pair at the start, and two more per merge. */
        encoder->heap = malloc(3 * n * sizeof *encoder->heap);
        encoder->scratch_bytes = encoder->next && encoder->heap ? n : 0;
        if (!encoder->scratch_bytes) {
            return gb_fail(err, GB_ERR_OOM, "no memory for a word of %zu bytes", n);
        }
    }
    encoder->previous = encoder->next + n;
    encoder->token = encoder->previous + n;
    encoder->pair = encoder->token + n;
    encoder->heap_count = 0;
    return GB_OK;
}

/* The same with a linked list of tokens and a heap of pairs. A heap entry is stale when its token
 * no longer has that pair. Equal merges come out from left to right; a merge made by a merge
 * always has a later line, so the order is the same as merging line by line. */
static gb_status merge_long(bpe *encoder, const unsigned char *text, int64_t n, int32_t *out,
                            int64_t *count, gb_error *err)
{
    GB_TRY(reserve_scratch(encoder, (size_t)n, err));
    int32_t *next = encoder->next, *previous = encoder->previous, *token = encoder->token;
    for (int32_t i = 0; i < (int32_t)n; i++) {
        token[i] = encoder->merges.byte_token[text[i]];
        next[i] = i + 1 < n ? i + 1 : -1;
        previous[i] = i - 1;
    }
    for (int32_t i = 0; i < (int32_t)n; i++) {
        queue_pair(encoder, i);
    }
    while (encoder->heap_count > 0) {
        uint64_t entry = heap_pop(encoder);
        int32_t i = (int32_t)(entry & 0xFFFFFFFF), made = (int32_t)(entry >> 32);
        if (encoder->pair[i] != made) {
            continue;
        }
        int32_t gone = next[i];
        token[i] = made;
        next[i] = next[gone];
        encoder->pair[gone] = BPE_NO_MERGE;
        if (next[i] >= 0) {
            previous[next[i]] = i;
        }
        queue_pair(encoder, i);
        if (previous[i] >= 0) {
            queue_pair(encoder, previous[i]);
        }
    }
    *count = 0;
    for (int32_t i = 0; i >= 0; i = next[i]) {
        out[(*count)++] = token[i];
    }
    return GB_OK;
}

static gb_status encode_pretoken(bpe *encoder, const unsigned char *text, size_t bytes,
                                 bpe_tokens *tokens, gb_error *err)
{
    if (bytes >= INT32_MAX) {
        return gb_fail(err, GB_ERR_USAGE, "a word of %zu bytes is too long; at most 2 GiB", bytes);
    }
    GB_TRY(tokens_reserve(tokens, (int64_t)bytes, err));
    int32_t *out = tokens->ids + tokens->count;
    int64_t n = (int64_t)bytes;
    if (n <= SHORT_PRETOKEN) {
        n = merge_short(encoder, text, n, out);
    } else {
        GB_TRY(merge_long(encoder, text, n, out, &n, err));
    }
    tokens->count += n;
    return GB_OK;
}

/* ---- text ---- */

static gb_status encode_valid(bpe *encoder, const unsigned char *text, size_t bytes,
                              bpe_tokens *tokens, gb_error *err)
{
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(encoder->match);
    for (size_t at = 0; at < bytes;) {
        int rc = pcre2_match(encoder->pattern, text, bytes, at, PCRE2_NO_UTF_CHECK, encoder->match,
                             NULL);
        /* Every character starts one of the alternatives, so there is always a match here. */
        if (rc < 1 || bounds[1] <= at) {
            return gb_fail(err, rc == PCRE2_ERROR_NOMEMORY ? GB_ERR_OOM : GB_ERR_INTERNAL,
                           "PCRE2 finds no word at byte %zu (error %d)", at, rc);
        }
        GB_TRY(encode_pretoken(encoder, text + at, bounds[1] - at, tokens, err));
        at = bounds[1];
    }
    return GB_OK;
}

gb_status bpe_encode(bpe *encoder, const char *text, size_t bytes, bpe_tokens *tokens,
                     int64_t *replaced, gb_error *err)
{
    const unsigned char *raw = (const unsigned char *)text;
    int64_t errors = utf8_count_errors(raw, bytes);
    if (errors == 0) {
        return encode_valid(encoder, raw, bytes, tokens, err);
    }
    unsigned char *clean = malloc(bytes + 2 * (size_t)errors);
    if (!clean) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a text of %zu bytes", bytes);
    }
    size_t clean_bytes = utf8_repair(raw, bytes, clean);
    gb_status status = encode_valid(encoder, clean, clean_bytes, tokens, err);
    free(clean);
    if (replaced) {
        *replaced += errors;
    }
    return status;
}

static bool is_ascii_white(unsigned char c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

/* Whether text[0..bytes) may end in white space; errs on the side of yes. Beyond ASCII these are
 * U+0085, U+00A0 (C2 ..), U+1680 (E1 9A 80), U+2000..205F (E2 80/81 ..) and U+3000 (E3 80 80). */
static bool may_end_white(const unsigned char *text, size_t bytes)
{
    unsigned char last = text[bytes - 1];
    if (last < 0x80) {
        return is_ascii_white(last);
    }
    if (bytes >= 2 && text[bytes - 2] == 0xC2) {
        return last == 0x85 || last == 0xA0;
    }
    if (bytes >= 3) {
        unsigned char first = text[bytes - 3], second = text[bytes - 2];
        return (first == 0xE1 && second == 0x9A) || (first == 0xE2 && second <= 0x81) ||
               (first == 0xE3 && second == 0x80 && last == 0x80);
    }
    return true;
}

size_t bpe_find_seam(const char *text, size_t bytes)
{
    const unsigned char *raw = (const unsigned char *)text;
    /* The white side is ASCII only: such a byte is never inside a longer character, so the cut
     * cannot change what is well-formed. */
    for (size_t at = bytes; at-- > 1;) {
        if (is_ascii_white(raw[at]) && !may_end_white(raw, at)) {
            return at;
        }
    }
    return 0;
}
