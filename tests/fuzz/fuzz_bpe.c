/* Fuzzes the merge-file reader and the encoder: any bytes are either a merge list or an error with
 * file and line; whatever the list, encoding any text keeps its bytes, and encoding it in two
 * pieces cut at a seam gives the same tokens.
 *
 *   make CC=clang BUILD=build-fuzz OPT="-O1 -g" SANITIZE=fuzzer-no-link,address,undefined fuzzers
 *   build-fuzz/fuzz/fuzz_bpe -max_len=2048 -max_total_time=300
 *
 * Input: a merge list, a zero byte, a text. Without a zero byte all of it is the list, and the
 * text too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/bpe.h"
#include "model/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(bpe *encoder, const char *text, size_t bytes, bpe_tokens *out, int64_t *replaced)
{
    gb_error err = {0};
    if (bpe_encode(encoder, text, bytes, out, replaced, &err) != GB_OK) {
        abort();
    }
}

static void check_text(bpe *encoder, const char *text, size_t bytes)
{
    bpe_tokens whole = {0}, pieces = {0};
    int64_t replaced = 0, replaced_in_pieces = 0;
    encode(encoder, text, bytes, &whole, &replaced);
    unsigned char *wanted = malloc(3 * bytes + 1);
    size_t wanted_bytes = utf8_repair((const unsigned char *)text, bytes, wanted), at = 0;
    for (int64_t i = 0; i < whole.count; i++) {
        size_t length;
        const char *token = bpe_token_bytes(encoder, whole.ids[i], &length);
        if (whole.ids[i] == bpe_end_of_text(encoder) || at + length > wanted_bytes ||
            memcmp(wanted + at, token, length) != 0) {
            abort();
        }
        at += length;
    }
    if (at != wanted_bytes) {
        abort();
    }
    size_t seam = bpe_find_seam(text, bytes);
    encode(encoder, text, seam, &pieces, &replaced_in_pieces);
    encode(encoder, text + seam, bytes - seam, &pieces, &replaced_in_pieces);
    if (replaced != replaced_in_pieces || pieces.count != whole.count ||
        (whole.count && memcmp(pieces.ids, whole.ids, (size_t)whole.count * sizeof *whole.ids))) {
        abort();
    }
    bpe_tokens_free(&pieces);
    bpe_tokens_free(&whole);
    free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *list = (const char *)data;
    const char *zero = size ? memchr(list, 0, size) : NULL;
    size_t list_bytes = zero ? (size_t)(zero - list) : size;
    const char *text = zero ? zero + 1 : list;
    size_t text_bytes = zero ? size - list_bytes - 1 : size;
    bpe *encoder;
    gb_error err = {0};
    if (bpe_open_text(&encoder, "list", list, list_bytes, &err) != GB_OK) {
        if (strncmp(err.message, "list:", 5) != 0) {
            abort();
        }
        return 0;
    }
    check_text(encoder, text, text_bytes);
    bpe_close(encoder);
    return 0;
}
