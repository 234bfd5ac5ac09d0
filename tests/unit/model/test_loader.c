/* Token sources and loaders: the batch rules of MODEL.md ("Data order"), and files that change
 * while they are in use. The synthetic source has its own test (test_synth.c).
 *
 * kinds: plain sanitized threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/loader.h"
#include "model/shard.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A folder with shards a_1.bin ...: token i of shard s is 100 * s + i. */
typedef struct folder {
    char path[64];
    char glob[80];
} folder;

static void folder_file(const folder *f, char *out, size_t size, int shard)
{
    snprintf(out, size, "%s/a_%d.bin", f->path, shard);
}

static void folder_write(const folder *f, int shard, int tokens)
{
    char path[128];
    gb_error err = {0};
    shard_writer *writer;
    folder_file(f, path, sizeof path, shard);
    assert_int_equal(shard_writer_open(&writer, path, &err), GB_OK);
    for (int i = 0; i < tokens; i++) {
        assert_int_equal(shard_writer_append(writer, &(int32_t){100 * shard + i}, 1, &err), GB_OK);
    }
    assert_int_equal(shard_writer_finish(writer, &err), GB_OK);
}

static int folder_make(void **state)
{
    folder *f = calloc(1, sizeof *f);
    strcpy(f->path, "/tmp/test_loader.XXXXXX");
    if (!mkdtemp(f->path)) {
        return -1;
    }
    snprintf(f->glob, sizeof f->glob, "%s/a_*.bin", f->path);
    *state = f;
    return 0;
}

static int folder_remove(void **state)
{
    folder *f = *state;
    for (int shard = 0; shard < 12; shard++) {
        char path[128];
        folder_file(f, path, sizeof path, shard);
        unlink(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

/* One batch of B = 2, T = 2 whose first token is `first`: four consecutive inputs, the targets
 * one further. */
static void expect_batch(token_loader *loader, int32_t first)
{
    int32_t inputs[4], targets[4];
    gb_error err = {0};
    assert_int_equal(token_loader_next(loader, inputs, targets, &err), GB_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(inputs[i], first + i);
        assert_int_equal(targets[i], first + i + 1);
    }
}

/* 13 tokens hold 3 batches of 4 (the 13th is the last target), 4 tokens hold none, 12 hold 2 with
 * a tail of 3 that is skipped; shards come in name order whatever the order of writing. */
static void test_batches_and_tails(void **state)
{
    const folder *f = *state;
    folder_write(f, 3, 12);
    folder_write(f, 2, 4);
    folder_write(f, 1, 13);
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    assert_int_equal(token_source_open(&source, f->glob, 1000, &err), GB_OK);
    assert_int_equal(token_source_tokens(source), 13 + 4 + 12);
    assert_true(isnan(token_source_entropy_rate(source)));
    assert_int_equal(token_loader_open(&loader, source, 2, 2, 0, &err), GB_OK);
    assert_int_equal(loader.batches, 5);
    for (int pass = 0; pass < 2; pass++) {
        expect_batch(&loader, 100);
        expect_batch(&loader, 104);
        expect_batch(&loader, 108);
        expect_batch(&loader, 300);
        expect_batch(&loader, 304);
    }
    expect_batch(&loader, 100);
    token_loader_rewind(&loader);
    expect_batch(&loader, 100);
    token_source_close(source);
}

/* The shift of replicate r is a whole number of batches that repeats from run to run, differs
 * between small r, and is 0 for r = 0. Expected: floor(frac(r * 0.6180339887) * 100), by hand. */
static void test_replicates(void **state)
{
    const folder *f = *state;
    folder_write(f, 1, 401);
    static const int64_t expected[] = {0, 61, 23, 85, 47, 9, 70};
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    assert_int_equal(token_source_open(&source, f->glob, 1000, &err), GB_OK);
    for (size_t r = 0; r < COUNT(expected); r++) {
        assert_int_equal(token_loader_open(&loader, source, 2, 2, (int64_t)r, &err), GB_OK);
        assert_int_equal(loader.batches, 100);
        assert_int_equal(loader.batch_index, expected[r]);
        expect_batch(&loader, 100 + 4 * (int32_t)expected[r]);
        token_loader_rewind(&loader);
        expect_batch(&loader, 100);
    }
    token_source_close(source);
}

static void open_hash(const char *spec, char out[33])
{
    token_source *source;
    gb_error err = {0};
    assert_int_equal(token_source_open(&source, spec, 1000, &err), GB_OK);
    strcpy(out, token_source_hash(source));
    assert_int_equal(strlen(out), 32);
    token_source_close(source);
}

static void test_hash_follows_content(void **state)
{
    const folder *f = *state;
    char one[33], same[33], two[33], synth[33], other[33];
    folder_write(f, 1, 20);
    open_hash(f->glob, one);
    folder_write(f, 1, 20);
    open_hash(f->glob, same);
    assert_string_equal(one, same);
    folder_write(f, 2, 20);
    open_hash(f->glob, two);
    assert_string_not_equal(one, two);
    open_hash("synth:vocab=256,seed=1", synth);
    open_hash("synth: seed = 1", same);
    assert_string_equal(synth, same);
    open_hash("synth:seed=2", other);
    assert_string_not_equal(synth, other);
}

static void stretch_hash(const char *spec, int64_t length, int64_t sequences, char out[33])
{
    token_source *source;
    gb_error err = {0};
    assert_int_equal(token_source_open(&source, spec, 2000, &err), GB_OK);
    assert_int_equal(token_source_hash_stretch(source, length, sequences, out, &err), GB_OK);
    assert_int_equal(strlen(out), 32);
    token_source_close(source);
}

/* Of what is read, not of the files: 12 tokens and the one after them. */
static void test_stretch_hash(void **state)
{
    const folder *f = *state;
    char by_4[33], by_3[33], longer[33], more[33], other[33];
    folder_write(f, 1, 13);
    stretch_hash(f->glob, 4, 3, by_4);
    stretch_hash(f->glob, 3, 4, by_3);
    assert_string_equal(by_4, by_3); /* the same 12 predictions */
    folder_write(f, 1, 20);
    folder_write(f, 2, 20);
    stretch_hash(f->glob, 4, 3, longer);
    assert_string_equal(by_4, longer); /* what comes after does not matter */
    stretch_hash(f->glob, 4, 4, more);
    assert_string_not_equal(by_4, more);
    /* 19 tokens have a gap before the next shard, and it depends on the length of sequences */
    char gap_4[33], gap_3[33];
    stretch_hash(f->glob, 4, 6, gap_4);
    stretch_hash(f->glob, 3, 8, gap_3);
    assert_string_not_equal(gap_4, gap_3);
    folder_write(f, 1, 14);
    stretch_hash(f->glob, 13, 1, other); /* one prediction more */
    assert_string_not_equal(by_4, other);
    stretch_hash("synth:seed=1", 8, 4, by_4);
    stretch_hash("synth:seed=1", 16, 2, by_3);
    stretch_hash("synth:seed=2", 16, 2, other);
    assert_string_equal(by_4, by_3);
    assert_string_not_equal(by_4, other);
}

/* A file that is cut short or replaced while it is in use is an error, never a signal. */
static void test_file_changes_under_us(void **state)
{
    const folder *f = *state;
    char path[128];
    int32_t inputs[4], targets[4];
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    folder_write(f, 1, 41);
    folder_write(f, 2, 41);
    assert_int_equal(token_source_open(&source, f->glob, 1000, &err), GB_OK);
    assert_int_equal(token_loader_open(&loader, source, 2, 2, 0, &err), GB_OK);
    expect_batch(&loader, 100);
    folder_file(f, path, sizeof path, 1);
    assert_int_equal(truncate(path, SHARD_HEADER_BYTES + 20), 0);
    expect_batch(&loader, 104);
    assert_int_equal(token_loader_next(&loader, inputs, targets, &err), GB_ERR_IO);
    assert_non_null(strstr(err.message, "a_1.bin: the file became shorter"));
    folder_write(f, 2, 30);
    loader.batch_index = 10;
    assert_int_equal(token_loader_next(&loader, inputs, targets, &err), GB_ERR_IO);
    assert_non_null(strstr(err.message, "a_2.bin: the file changed while it was in use"));
    token_source_close(source);
}

/* A token that is rewritten in place to something above the vocabulary must not reach the model. */
static void test_token_changes_under_us(void **state)
{
    const folder *f = *state;
    char path[128];
    int32_t inputs[4], targets[4];
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    folder_write(f, 1, 9);
    assert_int_equal(token_source_open(&source, f->glob, 109, &err), GB_OK);
    assert_int_equal(token_loader_open(&loader, source, 2, 2, 0, &err), GB_OK);
    expect_batch(&loader, 100);
    folder_file(f, path, sizeof path, 1);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "\xff\xff", 2, SHARD_HEADER_BYTES + 2 * 6), 2);
    close(fd);
    assert_int_equal(token_loader_next(&loader, inputs, targets, &err), GB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "token 65535 at position 6"));
    token_source_close(source);
}

static void test_too_short_for_a_batch(void **state)
{
    const folder *f = *state;
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    folder_write(f, 1, 64);
    assert_int_equal(token_source_open(&source, f->glob, 1000, &err), GB_OK);
    assert_int_equal(token_loader_open(&loader, source, 4, 16, 0, &err), GB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "need 65 in one shard"));
    assert_int_equal(token_loader_open(&loader, source, 0, 16, 0, &err), GB_ERR_USAGE);
    assert_int_equal(token_loader_open(&loader, source, INT64_MAX, 16, 0, &err), GB_ERR_USAGE);
    assert_int_equal(token_loader_open(&loader, source, 1, 16, -1, &err), GB_ERR_USAGE);
    token_source_close(source);
}

/* Endless: batches are consecutive, replicate 3 starts 3 * 2^24 batches in (loader.h). */
static void test_synth_loader(void **state)
{
    (void)state;
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    int32_t inputs[32], targets[32], next[32];
    assert_int_equal(token_source_open(&source, "synth:", 256, &err), GB_OK);
    assert_int_equal(token_loader_open(&loader, source, 4, 8, 0, &err), GB_OK);
    assert_true(loader.batches == INT64_MAX);
    assert_int_equal(loader.batch_index, 0);
    assert_int_equal(token_loader_next(&loader, inputs, targets, &err), GB_OK);
    assert_memory_equal(inputs + 1, targets, 31 * sizeof *targets);
    assert_int_equal(token_loader_next(&loader, next, inputs, &err), GB_OK);
    assert_int_equal(targets[31], next[0]);
    assert_int_equal(token_loader_open(&loader, source, 4, 8, 3, &err), GB_OK);
    assert_int_equal(loader.batch_index, 3 << 24);
    assert_int_equal(token_loader_next(&loader, inputs, targets, &err), GB_OK);
    assert_memory_not_equal(inputs, next, sizeof next);
    token_source_close(source);
}

static void read_some(const char *spec, bool validation, int32_t out[256])
{
    token_source *source;
    token_loader loader;
    gb_error err = {0};
    int32_t targets[256];
    gb_status status = validation ? token_source_open_val(&source, spec, 256, &err)
                                  : token_source_open(&source, spec, 256, &err);
    assert_int_equal(status, GB_OK);
    assert_int_equal(token_loader_open(&loader, source, 1, 256, 0, &err), GB_OK);
    assert_int_equal(token_loader_next(&loader, out, targets, &err), GB_OK);
    token_source_close(source);
}

/* Validation is another stretch unless the text names the stream itself. */
static void test_synth_validation_stream(void **state)
{
    (void)state;
    int32_t train[256], val[256], named[256];
    read_some("synth:", false, train);
    read_some("synth:", true, val);
    assert_memory_not_equal(train, val, sizeof val);
    read_some("synth:stream=val", false, named);
    assert_memory_equal(val, named, sizeof val);
    read_some("synth:stream=1", true, named);
    assert_memory_equal(val, named, sizeof val);
    read_some("synth:stream=train", true, named);
    assert_memory_equal(train, named, sizeof val);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_and_tails, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_replicates, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_hash_follows_content, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_stretch_hash, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_file_changes_under_us, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_token_changes_under_us, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_too_short_for_a_batch, folder_make, folder_remove),
        cmocka_unit_test(test_synth_loader),
        cmocka_unit_test(test_synth_validation_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
