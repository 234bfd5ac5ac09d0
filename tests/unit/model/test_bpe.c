/* GPT-2's BPE against what the published tokenizers give. The expected ids in tests/fixtures/bpe
 * come from tests/fixtures/make_bpe_fixtures.py (tiktoken and tokenizers, which agree); those of
 * published.tsv, texts.tsv and the shards need the test data folder, tiny.tsv does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/bpe.h"
#include "model/shard.h"
#include "model/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- files ---- */

static const char *data_folder(void)
{
    const char *folder = getenv("GPTBENCH_TEST_DATA");
    return folder ? folder : "../shared/data";
}

/* Path of a file in the test data folder; skips the test when it is not there. */
static const char *need_data(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", data_folder(), name);
    if (access(path, R_OK) != 0) {
        print_message("skip: %s is not there (GPTBENCH_TEST_DATA)\n", path);
        skip();
    }
    return path;
}

static char *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("%s cannot be opened; run from the repository's root", path);
    }
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*bytes + 1);
    assert_int_equal(fread(text, 1, *bytes, f), *bytes);
    text[*bytes] = '\0';
    fclose(f);
    return text;
}

static bpe *open_merges(const char *path)
{
    bpe *encoder;
    gb_error err = {0};
    if (bpe_open(&encoder, path, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    return encoder;
}

static bpe *open_published(void)
{
    return open_merges(need_data("gpt2/vocab.bpe"));
}

static bpe_tokens encode(bpe *encoder, const char *text, size_t bytes, int64_t *replaced)
{
    bpe_tokens tokens = {0};
    gb_error err = {0};
    assert_int_equal(bpe_encode(encoder, text, bytes, &tokens, replaced, &err), GB_OK);
    return tokens;
}

/* ---- fixtures: hex of the text, replacements, ids ---- */

static size_t unhex(const char *hex, size_t length, char *out)
{
    for (size_t i = 0; i + 1 < length; i += 2) {
        char pair[3] = {hex[i], hex[i + 1], '\0'};
        out[i / 2] = (char)strtol(pair, NULL, 16);
    }
    return length / 2;
}

static void check_case(bpe *encoder, char *line, int number)
{
    char *hex = strsep(&line, "\t");
    char *replaced_text = strsep(&line, "\t");
    assert_non_null(line);
    size_t bytes = strlen(hex) / 2;
    char *text = malloc(bytes + 1);
    unhex(hex, strlen(hex), text);
    int64_t replaced = 0, i = 0;
    bpe_tokens tokens = encode(encoder, text, bytes, &replaced);
    assert_int_equal(replaced, atoi(replaced_text));
    for (char *id; (id = strsep(&line, " ")) != NULL;) {
        if (*id && (i >= tokens.count || tokens.ids[i++] != atoi(id))) {
            fail_msg("line %d of the fixture: token %d should be %s (text %s)", number, (int)i - 1,
                     id, hex);
        }
    }
    assert_int_equal(i, tokens.count);
    bpe_tokens_free(&tokens);
    free(text);
}

static int check_fixture(bpe *encoder, const char *path)
{
    size_t bytes;
    int lines = 0;
    char *text = read_file(path, &bytes), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest;) {
        check_case(encoder, line, ++lines);
    }
    free(text);
    return lines;
}

static void test_tiny_merges(void **state)
{
    (void)state;
    bpe *encoder = open_merges("tests/fixtures/bpe/tiny.bpe");
    assert_int_equal(bpe_vocab_size(encoder), 256 + 26 + 1); /* lines of tiny.bpe, less the first */
    assert_false(bpe_is_published(encoder));
    assert_true(check_fixture(encoder, "tests/fixtures/bpe/tiny.tsv") > 100);
    bpe_close(encoder);
}

static void test_published_merges(void **state)
{
    (void)state;
    bpe *encoder = open_published();
    assert_int_equal(bpe_vocab_size(encoder), 50257);
    assert_int_equal(bpe_end_of_text(encoder), 50256);
    assert_true(bpe_is_published(encoder));
    assert_true(check_fixture(encoder, "tests/fixtures/bpe/published.tsv") > 350);
    bpe_close(encoder);
}

static uint64_t fnv1a(const bpe_tokens *tokens)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (int64_t i = 0; i < tokens->count; i++) {
        for (int shift = 0; shift < 32; shift += 8) {
            value ^= (uint64_t)(tokens->ids[i] >> shift & 255);
            value *= UINT64_C(0x100000001B3);
        }
    }
    return value;
}

static void test_whole_texts(void **state)
{
    (void)state;
    bpe *encoder = open_published();
    size_t bytes;
    char *fixture = read_file("tests/fixtures/bpe/texts.tsv", &bytes), *rest = fixture;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest;) {
        char name[300];
        snprintf(name, sizeof name, "text/%s", strsep(&line, "\t"));
        int64_t count = atoll(strsep(&line, "\t"));
        uint64_t hash = strtoull(line, NULL, 16);
        char *text = read_file(need_data(name), &bytes);
        bpe_tokens tokens = encode(encoder, text, bytes, NULL);
        assert_int_equal(tokens.count, count);
        assert_true(fnv1a(&tokens) == hash);
        bpe_tokens_free(&tokens);
        free(text);
    }
    free(fixture);
    bpe_close(encoder);
}

/* ---- the shards of the test data ---- */

/* They were made in pieces: each ends with the first blank line that starts after 19,999 bytes, and
 * the tokenizer saw each piece by itself (so a "\n\n" at the end of a piece became one token). With
 * the same cuts every token is the same. */
static void encode_as_shard(bpe *encoder, const char *text, size_t bytes, bpe_tokens *tokens)
{
    gb_error err = {0};
    for (size_t at = 0; at < bytes;) {
        size_t end = bytes;
        if (bytes - at > 19999) {
            const char *blank = memmem(text + at + 19999, bytes - at - 19999, "\n\n", 2);
            end = blank ? (size_t)(blank - text) + 2 : bytes;
        }
        assert_int_equal(bpe_encode(encoder, text + at, end - at, tokens, NULL, &err), GB_OK);
        at = end;
    }
}

static size_t bytes_of_tokens(const bpe *encoder, const int32_t *ids, int64_t count)
{
    size_t bytes = 0, length;
    for (int64_t i = 0; i < count; i++) {
        bpe_token_bytes(encoder, ids[i], &length);
        bytes += length;
    }
    return bytes;
}

static void check_shard(bpe *encoder, const char *shard, const char *text_name)
{
    char path[4096];
    shard_info info;
    gb_error err = {0};
    int fd;
    snprintf(path, sizeof path, "%s", need_data(shard));
    assert_int_equal(shard_scan(path, 50257, &info, &err), GB_OK);
    assert_int_equal(shard_open(path, &info, &fd, &err), GB_OK);
    int32_t *ids = malloc((size_t)info.tokens * sizeof *ids);
    assert_int_equal(shard_read(path, fd, 0, info.tokens, 50257, ids, &err), GB_OK);
    close(fd);
    size_t bytes, at = 0;
    char *text = read_file(need_data(text_name), &bytes);
    for (int64_t start = 0, end; start < info.tokens; start = end) {
        assert_int_equal(ids[start], 50256);
        for (end = start + 1; end < info.tokens && ids[end] != 50256;) {
            end++;
        }
        size_t book = bytes_of_tokens(encoder, ids + start + 1, end - start - 1);
        assert_true(book <= bytes - at);
        bpe_tokens tokens = {0};
        encode_as_shard(encoder, text + at, book, &tokens);
        assert_int_equal(tokens.count, end - start - 1);
        assert_memory_equal(tokens.ids, ids + start + 1, (size_t)tokens.count * sizeof *ids);
        bpe_tokens_free(&tokens);
        at += book;
    }
    assert_int_equal(at, bytes);
    free(text);
    free(ids);
}

static void test_reproduces_shards(void **state)
{
    (void)state;
    bpe *encoder = open_published();
    check_shard(encoder, "gpt2/books_val_000000.bin", "text/books_val.txt");
    check_shard(encoder, "gpt2/books_train_000001.bin", "text/books_train.txt");
    bpe_close(encoder);
}

/* ---- properties ---- */

/* Whatever the piece size, pieces cut at seams give the tokens of the whole. The text has white
 * space beyond ASCII, ill-formed bytes and runs before and after blanks. */
static void test_seams(void **state)
{
    (void)state;
    static const char text[] =
        "aaa  baa\n\n aab\xC2\xA0 x \xE3\x80\x80 ab\xE2\x80\x83\n the\xFF\xFE  \xF0\x9F\x98 "
        "\xC2\x85\t'caf\xC3\xA9  \xE1\x9A\x80 12 \n   in.. \xE2\x80 \xC3 z   ";
    bpe *encoder = open_merges("tests/fixtures/bpe/tiny.bpe");
    size_t bytes = sizeof text - 1, seams = 0;
    bpe_tokens whole = encode(encoder, text, bytes, NULL);
    for (size_t limit = 1; limit <= bytes; limit++) {
        bpe_tokens pieces = {0};
        gb_error err = {0};
        size_t at = 0, room = limit;
        while (at < bytes) {
            size_t n = room < bytes - at ? room : bytes - at;
            size_t seam = bpe_find_seam(text + at, n);
            if (seam == 0 && n < bytes - at) {
                room++; /* no seam in sight: look further */
                continue;
            }
            seam = seam ? seam : n;
            seams++;
            assert_int_equal(bpe_encode(encoder, text + at, seam, &pieces, NULL, &err), GB_OK);
            at += seam;
            room = limit;
        }
        assert_int_equal(pieces.count, whole.count);
        assert_memory_equal(pieces.ids, whole.ids, (size_t)whole.count * sizeof *whole.ids);
        bpe_tokens_free(&pieces);
    }
    assert_true(seams > 3 * bytes); /* there are seams to speak of */
    assert_int_equal(bpe_find_seam("aaa", 3), 0);
    assert_int_equal(bpe_find_seam("a\xC2\xA0 b", 5), 0); /* U+00A0 is white */
    assert_int_equal(bpe_find_seam("ab cd", 5), 2);
    bpe_tokens_free(&whole);
    bpe_close(encoder);
}

/* A word of a million bytes: quadratic work would take minutes. 2^20 a's are 2^17 tokens of eight
 * with tiny.bpe (a a, aa aa, aaaa aaaa; "aa a" comes after "a a" and finds nothing). */
static void test_long_words(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    bpe *encoder = open_merges("tests/fixtures/bpe/tiny.bpe");
    char *text = malloc(N);
    memset(text, 'a', N);
    clock_t started = clock();
    bpe_tokens tokens = encode(encoder, text, N, NULL);
    assert_int_equal(tokens.count, N / 8);
    bpe_tokens_free(&tokens);
    memset(text, ' ', N);
    text[N - 1] = 'x';
    tokens = encode(encoder, text, N, NULL);
    /* N - 2 blanks in fours and a rest of two, then " x" as two bytes */
    assert_int_equal(tokens.count, (N - 2) / 4 + 1 + 2);
    bpe_tokens_free(&tokens);
    assert_true((double)(clock() - started) / CLOCKS_PER_SEC < 20.0); /* here: 0.2 s */
    free(text);
    bpe_close(encoder);
}

/* Every token spells something, and no two the same: 50,256 different strings. */
static void test_token_bytes(void **state)
{
    (void)state;
    bpe *encoder = open_published();
    size_t length;
    assert_memory_equal(bpe_token_bytes(encoder, 0, &length), "!", 1);
    assert_memory_equal(bpe_token_bytes(encoder, 220, &length), " ", 1);
    assert_memory_equal(bpe_token_bytes(encoder, 198, &length), "\n", 1);
    const char *the = bpe_token_bytes(encoder, 262, &length); /* " the", by GPT-2's encoder.json */
    assert_int_equal(length, 4);
    assert_memory_equal(the, " the", 4);
    bpe_token_bytes(encoder, 50256, &length);
    assert_int_equal(length, strlen("<|endoftext|>"));
    bpe_close(encoder);
}

/* ---- merge files that are not ---- */

static void test_malformed_merges(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "m.bpe:1: no merges in it"},
        {"#version: 0.2\n", "m.bpe:1: no merges in it"},
        {"#version: 0.2\na b\n\nc d\n", "m.bpe:3: expected two symbols separated by one space"},
        {"a b\nab\n", "m.bpe:2: expected two symbols separated by one space"},
        {"a  b\n", "m.bpe:1: expected two symbols separated by one space"},
        {"a b c\n", "m.bpe:1: expected two symbols separated by one space"},
        {" a\n", "m.bpe:1: expected two symbols separated by one space"},
        {"a \n", "m.bpe:1: expected two symbols separated by one space"},
        {"a b\nabc d\n", "m.bpe:2: \"abc\" is neither a byte nor made by an earlier line"},
        {"a b\nc abd\n", "m.bpe:2: \"abd\" is neither a byte nor made by an earlier line"},
        {"a b\na b\n", "m.bpe:2: makes what line 1 makes already"},
        {"#version\na b\nb c\nab c\na bc\n", "m.bpe:5: makes what line 4 makes already"},
        {"a \xE4\xBD\xA0\n", "m.bpe:1: U+4F60 is not one of the 256 characters"},
        {"a \xC5\x84\n", "m.bpe:1: U+0144 is not one of the 256 characters"},
        {"a\t b\n", "m.bpe:1: U+0009 is not one of the 256 characters"},
        {"a \xFF\n", "m.bpe:1: byte 0xff is not UTF-8 text"},
        {"a \xC4\n", "m.bpe:1: byte 0xc4 is not UTF-8 text"},
        {"a b\n#version: 0.2\n", "m.bpe:2: \"#version:\" is neither a byte nor made by an"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bpe *encoder;
        gb_error err = {0};
        gb_status status =
            bpe_open_text(&encoder, "m.bpe", rows[i].text, strlen(rows[i].text), &err);
        assert_int_equal(status, GB_ERR_FORMAT);
        assert_null(encoder);
        if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0) {
            fail_msg("row %zu: \"%s\", expected \"%s\"", i, err.message, rows[i].message);
        }
    }
}

/* Windows line ends and a missing last newline are forgiven: they cannot mean anything else. */
static void test_forgiven_merges(void **state)
{
    (void)state;
    static const char *const texts[] = {"#version: 0.2\r\na b\r\nab c\r\n", "a b\nab c"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        bpe *encoder;
        gb_error err = {0};
        gb_status status = bpe_open_text(&encoder, "m", texts[i], strlen(texts[i]), &err);
        assert_int_equal(status, GB_OK);
        bpe_tokens tokens = encode(encoder, "abcab", 5, NULL);
        assert_int_equal(tokens.count, 2);
        assert_int_equal(tokens.ids[0], 257);
        assert_int_equal(tokens.ids[1], 256);
        bpe_tokens_free(&tokens);
        bpe_close(encoder);
    }
}

/* More merges than 16-bit ids: 65,279 fit (65,536 less 256 bytes and <|endoftext|>). The lines
 * pair all of 256 bytes' stand-ins that are ASCII letters and such: 94 * 94 * ... is built from
 * pairs of pairs. */
static void test_too_many_merges(void **state)
{
    (void)state;
    char *text = malloc(1 << 20), *end = text;
    int lines = 0;
    for (int a = '!'; a <= '~'; a++) {
        for (int b = '!'; b <= '~'; b++, lines++) {
            end += sprintf(end, "%c %c\n", a, b);
        }
    }
    for (int a = '!'; a <= '~' && lines < 65280; a++) {
        for (int b = '!'; b <= '~'; b++) {
            for (int c = '!'; c <= '~' && lines < 65280; c++, lines++) {
                end += sprintf(end, "%c%c %c\n", a, b, c);
            }
        }
    }
    bpe *encoder;
    gb_error err = {0};
    gb_status status = bpe_open_text(&encoder, "m", text, (size_t)(end - text), &err);
    assert_int_equal(status, GB_ERR_FORMAT);
    assert_string_equal(err.message, "m:65280: more than 65279 merges do not fit in 16-bit tokens");
    end[-1] = '\0';
    *strrchr(text, '\n') = '\0';
    assert_int_equal(bpe_open_text(&encoder, "m", text, strlen(text), &err), GB_OK);
    assert_int_equal(bpe_vocab_size(encoder), 65536);
    bpe_close(encoder);
    free(text);
}

static void test_merge_file_missing(void **state)
{
    (void)state;
    bpe *encoder;
    gb_error err = {0};
    assert_int_equal(bpe_open(&encoder, "/no/such/vocab.bpe", &err), GB_ERR_USAGE);
    assert_int_equal(bpe_open(&encoder, "/tmp", &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "/tmp: not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_merges),
        cmocka_unit_test(test_published_merges),
        cmocka_unit_test(test_whole_texts),
        cmocka_unit_test(test_reproduces_shards),
        cmocka_unit_test(test_seams),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_token_bytes),
        cmocka_unit_test(test_malformed_merges),
        cmocka_unit_test(test_forgiven_merges),
        cmocka_unit_test(test_too_many_merges),
        cmocka_unit_test(test_merge_file_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
