/* One .bin shard: what is written is read again byte for byte, and whatever is wrong with a file
 * is said in words. The layout is that of llm.c (shard.h).
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/loader.h"
#include "model/shard.h"
#include "model/shard_set.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_shard.XXXXXX");
    return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_le32(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(value >> (8 * i));
    }
}

/* Writes the first `size` bytes of a file that starts with three header words, has token i = i in
 * its body, except token `odd_at` = `odd`. */
static void write_raw(const char *path, const uint32_t words[3], size_t size, int odd_at, int odd)
{
    unsigned char bytes[SHARD_HEADER_BYTES + 4096] = {0};
    for (int i = 0; i < 3; i++) {
        put_le32(bytes + 4 * i, words[i]);
    }
    for (int i = 0; i < 2048; i++) {
        int token = i == odd_at ? odd : i;
        bytes[SHARD_HEADER_BYTES + 2 * i] = (unsigned char)(token & 255);
        bytes[SHARD_HEADER_BYTES + 2 * i + 1] = (unsigned char)(token >> 8);
    }
    assert_true(size <= sizeof bytes);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

typedef struct bad_file {
    const char *what;
    uint32_t words[3]; /* magic, version, tokens */
    size_t size;
    int odd_at, odd; /* a token out of line; odd_at = -1 for none */
    int64_t vocab;
    gb_status status;
    const char *message; /* after the path */
} bad_file;

#define M SHARD_MAGIC
#define H SHARD_HEADER_BYTES
#define SOUND                                                                                      \
    {                                                                                              \
        M, 1, 100                                                                                  \
    }

static const bad_file bad_files[] = {
    {"empty", SOUND, 0, -1, 0, 0, GB_ERR_FORMAT,
     ": the file is empty; a token shard starts with a header of 1024 bytes"},
    {"one byte", SOUND, 1, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated header: the file holds 1 byte, a token shard starts with 1024"},
    {"header cut at 500", SOUND, 500, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated header: the file holds 500 bytes, a token shard starts with 1024"},
    {"header cut by one", SOUND, H - 1, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated header: the file holds 1023 bytes"},
    {"header alone", SOUND, H, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated: header says 100 tokens, the file holds 0"},
    {"body cut by a token", SOUND, H + 198, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated: header says 100 tokens, the file holds 99"},
    {"body cut inside a token", SOUND, H + 199, -1, 0, 0, GB_ERR_FORMAT,
     ": truncated: header says 100 tokens, the file holds 99"},
    {"trailing byte", SOUND, H + 201, -1, 0, 0, GB_ERR_FORMAT,
     ": 1 byte too many: header says 100 tokens, a file of 1224 bytes; this one has 1225"},
    {"trailing garbage", SOUND, H + 260, -1, 0, 0, GB_ERR_FORMAT,
     ": 60 bytes too many: header says 100 tokens, a file of 1224 bytes; this one has 1284"},
    {"text",
     {0x6c6c6143, 0x656d2020, 0x68734920},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": not a token shard (magic 0x6c6c6143, expected 20240520 = 0x0134d888)"},
    {"four bytes of text",
     {0x6c6c6143, 0, 0},
     4,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": not a token shard (magic 0x6c6c6143"},
    {"zeros", {0, 0, 0}, H + 200, -1, 0, 0, GB_ERR_FORMAT, ": not a token shard (magic 0x00000000"},
    {"big-endian",
     {0x88d83401, 0x01000000, 0x64000000},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": a token shard in big-endian byte order; expected little-endian"},
    {"32-bit tokens",
     {20240801, 7, 100},
     H + 400,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": a shard of 32-bit tokens (magic 20240801); expected 16-bit ones (magic 20240520)"},
    {"version 0", {M, 0, 100}, H + 200, -1, 0, 0, GB_ERR_FORMAT, ": shard version 0, expected 1"},
    {"version 2", {M, 2, 100}, H + 200, -1, 0, 0, GB_ERR_FORMAT, ": shard version 2, expected 1"},
    {"version -1",
     {M, UINT32_MAX, 100},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": shard version -1, expected 1"},
    {"no tokens",
     {M, 1, 0},
     H,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": header says 0 tokens, expected at least 1"},
    {"minus one token",
     {M, 1, UINT32_MAX},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": header says -1 tokens, expected at least 1"},
    {"most negative count",
     {M, 1, 0x80000000},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": header says -2147483648 tokens, expected at least 1"},
    {"huge count",
     {M, 1, INT32_MAX},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": truncated: header says 2147483647 tokens, the file holds 100"},
    {"count whose bytes wrap 32 bits",
     {M, 1, 0x40000064},
     H + 200,
     -1,
     0,
     0,
     GB_ERR_FORMAT,
     ": truncated: header says 1073741924 tokens, the file holds 100"},
    {"token = vocabulary", SOUND, H + 200, 17, 256, 256, GB_ERR_FORMAT,
     ": token 256 at position 17 is not below vocab_size = 256"},
    {"GPT-2 tokens, byte model", SOUND, H + 200, 0, 50256, 256, GB_ERR_FORMAT,
     ": token 50256 at position 0 is not below vocab_size = 256"},
    {"last token too large", SOUND, H + 200, 99, 65535, 50257, GB_ERR_FORMAT,
     ": token 65535 at position 99 is not below vocab_size = 50257"},
};

static void expect_message(const char *what, const gb_error *err, const char *path,
                           const char *message)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s%s", path, message);
    if (strncmp(err->message, wanted, strlen(wanted)) != 0) {
        fail_msg("%s: message is \"%s\", expected \"%s\"", what, err->message, wanted);
    }
}

static void test_malformed_files(void **state)
{
    (void)state;
    const char *path = in_folder("bad.bin");
    for (size_t i = 0; i < COUNT(bad_files); i++) {
        const bad_file *bad = &bad_files[i];
        shard_info info;
        token_source *source;
        gb_error err = {0};
        write_raw(path, bad->words, bad->size, bad->odd_at, bad->odd);
        assert_int_equal(shard_scan(path, bad->vocab, &info, &err), bad->status);
        expect_message(bad->what, &err, path, bad->message);
        err = (gb_error){0};
        int64_t vocab = bad->vocab ? bad->vocab : 50257;
        assert_int_equal(token_source_open(&source, path, vocab, &err), bad->status);
        assert_null(source);
        expect_message(bad->what, &err, path, bad->message);
    }
}

/* The same file with nothing wrong is accepted: the table above fails for its own reasons. */
static void test_sound_file(void **state)
{
    (void)state;
    const char *path = in_folder("good.bin");
    shard_info info;
    gb_error err = {0};
    write_raw(path, (const uint32_t[3])SOUND, H + 200, -1, 0);
    assert_int_equal(shard_scan(path, 100, &info, &err), GB_OK);
    assert_int_equal(info.tokens, 100);
    assert_int_equal(info.max_token, 99);
    assert_int_equal(shard_scan(path, 99, &info, &err), GB_ERR_FORMAT);
}

static void expect_refusal(const char *spec, gb_status status, const char *message)
{
    token_source *source;
    gb_error err = {0};
    assert_int_equal(token_source_open(&source, spec, 50257, &err), status);
    assert_null(source);
    expect_message(spec, &err, spec, message);
}

static void test_not_a_file(void **state)
{
    (void)state;
    char path[128];
    strcpy(path, in_folder("missing.bin"));
    expect_refusal(path, GB_ERR_USAGE, ": no such file; expected a .bin shard of tokens");
    strcpy(path, in_folder("none_*.bin"));
    expect_refusal(path, GB_ERR_USAGE,
                   ": no such file; expected a .bin shard of tokens, or a glob");
    expect_refusal(folder, GB_ERR_USAGE, ": is a directory, expected a .bin shard");
    strcpy(path, in_folder("fifo.bin"));
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal(path, GB_ERR_USAGE, ": is not a regular file, expected a .bin shard");
    strcpy(path, in_folder("loop.bin"));
    assert_int_equal(symlink(path, path), 0);
    shard_info info;
    gb_error err = {0};
    assert_int_equal(shard_scan(path, 0, &info, &err), GB_ERR_IO);
    assert_non_null(strstr(err.message, "cannot open"));
}

static void test_unreadable(void **state)
{
    (void)state;
    const char *path = in_folder("secret.bin");
    shard_info info;
    gb_error err = {0};
    write_raw(path, (const uint32_t[3])SOUND, H + 200, -1, 0);
    assert_int_equal(chmod(path, 0), 0);
    bool root = geteuid() == 0;
    if (root && seteuid(65534) != 0) {
        print_message("skip: the superuser reads every file\n");
        skip();
    }
    gb_status status = shard_scan(path, 0, &info, &err);
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(status, GB_ERR_IO);
    expect_message("unreadable", &err, path, ": cannot open: Permission denied");
}

/* One broken shard among sound ones is named; sound ones are read in name order. */
static void test_glob_with_a_broken_shard(void **state)
{
    (void)state;
    char glob[128], broken[128];
    token_source *source;
    gb_error err = {0};
    write_raw(in_folder("g_2.bin"), (const uint32_t[3])SOUND, H + 200, -1, 0);
    write_raw(in_folder("g_10.bin"), (const uint32_t[3])SOUND, H + 200, -1, 0);
    strcpy(glob, in_folder("g_*.bin"));
    assert_int_equal(token_source_open(&source, glob, 100, &err), GB_OK);
    assert_int_equal(token_source_tokens(source), 200);
    token_source_close(source);
    shard_set set = {0};
    assert_int_equal(shard_set_find(&set, glob, &err), GB_OK);
    assert_int_equal(set.count, 2);
    assert_non_null(strstr(set.shards[0].path, "g_10.bin")); /* byte order: '1' < '2' */
    shard_set_free(&set);
    strcpy(broken, in_folder("g_3.bin"));
    write_raw(broken, (const uint32_t[3])SOUND, H + 100, -1, 0);
    assert_int_equal(token_source_open(&source, glob, 100, &err), GB_ERR_FORMAT);
    expect_message("broken shard", &err, broken, ": truncated: header says 100 tokens");
}

/* A file whose name is itself a pattern is that file. */
static void test_name_with_brackets(void **state)
{
    (void)state;
    char path[128];
    token_source *source;
    gb_error err = {0};
    strcpy(path, in_folder("odd[1]*.bin"));
    write_raw(path, (const uint32_t[3])SOUND, H + 200, -1, 0);
    assert_int_equal(token_source_open(&source, path, 100, &err), GB_OK);
    token_source_close(source);
}

/* Across the writer's and the reader's buffers: 100,003 tokens, token i = 7919 i mod 65536. The
 * bytes on disk are compared with the layout of shard.h, not with our reader. */
static void test_write_and_read(void **state)
{
    (void)state;
    enum { N = 100003 };
    const char *path = in_folder("written.bin");
    int32_t *tokens = malloc(N * sizeof *tokens), *again = malloc(N * sizeof *again);
    unsigned char *raw = malloc(H + 2 * N + 1);
    shard_writer *writer;
    shard_info info;
    gb_error err = {0};
    int fd;
    for (int i = 0; i < N; i++) {
        tokens[i] = (int32_t)(7919LL * i % 65536);
    }
    assert_int_equal(shard_writer_open(&writer, path, &err), GB_OK);
    assert_int_equal(shard_writer_append(writer, tokens, 70000, &err), GB_OK);
    assert_int_equal(shard_writer_append(writer, tokens + 70000, N - 70000, &err), GB_OK);
    assert_int_equal(access(path, F_OK), -1); /* not there before it is whole */
    assert_int_equal(shard_writer_finish(writer, &err), GB_OK);

    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(raw, 1, H + 2 * N + 1, f), H + 2 * N);
    fclose(f);
    unsigned char header[H] = {0};
    put_le32(header, 20240520);
    put_le32(header + 4, 1);
    put_le32(header + 8, N);
    assert_memory_equal(raw, header, H);
    for (int i = 0; i < N; i++) {
        assert_int_equal(raw[H + 2 * i] + 256 * raw[H + 2 * i + 1], tokens[i]);
    }
    assert_int_equal(shard_scan(path, 0, &info, &err), GB_OK);
    assert_int_equal(info.tokens, N);
    assert_int_equal(shard_open(path, &info, &fd, &err), GB_OK);
    assert_int_equal(shard_read(path, fd, 0, N, 0, again, &err), GB_OK);
    assert_memory_equal(tokens, again, N * sizeof *tokens);
    assert_int_equal(shard_read(path, fd, 9000, 50000, 0, again, &err), GB_OK);
    assert_memory_equal(tokens + 9000, again, 50000 * sizeof *tokens);
    close(fd);
    free(raw);
    free(again);
    free(tokens);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    char path[128], command[192];
    shard_writer *writer;
    gb_error err = {0};
    strcpy(path, in_folder("w.bin"));
    assert_int_equal(shard_writer_open(&writer, in_folder("no/such/folder.bin"), &err), GB_ERR_IO);
    assert_int_equal(shard_writer_open(&writer, folder, &err), GB_ERR_USAGE);
    assert_int_equal(shard_writer_open(&writer, path, &err), GB_OK);
    assert_int_equal(shard_writer_append(writer, &(int32_t){65536}, 1, &err), GB_ERR_INTERNAL);
    assert_int_equal(shard_writer_append(writer, &(int32_t){-1}, 1, &err), GB_ERR_INTERNAL);
    assert_int_equal(shard_writer_finish(writer, &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "nothing to write"));
    assert_int_equal(shard_writer_open(&writer, path, &err), GB_OK);
    shard_writer_abandon(writer);
    snprintf(command, sizeof command, "ls %s.tmp-* 2>/dev/null", path);
    assert_int_not_equal(system(command), 0); /* no temporary file is left */
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_files),
        cmocka_unit_test(test_sound_file),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_glob_with_a_broken_shard),
        cmocka_unit_test(test_name_with_brackets),
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_writer_refuses),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
