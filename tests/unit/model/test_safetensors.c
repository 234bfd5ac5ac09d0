/* safetensors: what is written reads back, and no file hurts. Expectations come from the format's
 * own description: u64 little-endian header length, JSON header, data.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/safetensors.h"
#include "tests/fixtures/safetensors_fixtures.h"

static char path[] = "/tmp/gptbench-safetensors-XXXXXX";

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_bytes(const char *header, uint64_t claimed, const void *data, size_t data_bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < 8; i++) {
        fputc((int)(claimed >> (8 * i) & 0xff), f);
    }
    fputs(header, f);
    fwrite(data, 1, data_bytes, f);
    assert_int_equal(fclose(f), 0);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    const double a[6] = {1, -2, 0.5, 0.1, 1e30, -0.0}, loss[1] = {3.141592653589793};
    const safetensor_out out[2] = {{"loss", 1, {1}, loss, 1}, {"a.weight", 2, {2, 3}, a, 0}};
    safetensors_file file;
    gb_error err = {GB_OK, ""};
    assert_int_equal(safetensors_write(path, out, 2, &err), GB_OK);
    assert_int_equal(safetensors_read(&file, path, &err), GB_OK);
    assert_int_equal(file.n_tensors, 2);
    const safetensor *t = safetensors_find(&file, "a.weight");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[0], 2);
    assert_int_equal(t->dims[1], 3);
    for (int i = 0; i < 6; i++) {
        assert_true(t->values[i] == (double)(float)a[i]); /* stored as float32 */
    }
    assert_true(safetensors_find(&file, "loss")->values[0] == loss[0]); /* float64: all digits */
    assert_null(safetensors_find(&file, "b"));
    safetensors_close(&file);
}

/* What a file says of itself, to be read without its values. */
static void notes_read_back(void **state)
{
    (void)state;
    const double a[1] = {1};
    const safetensor_out out = {"x", 1, {1}, a, 0};
    const safetensors_note notes[] = {{"format", "pt"}, {"words", "a \"b\"\n"}, {NULL, NULL}};
    gb_error err = {GB_OK, ""};
    char *text;
    safetensors_file file;
    assert_int_equal(safetensors_write_noted(path, notes, &out, 1, &err), GB_OK);
    assert_int_equal(safetensors_read_note(&text, path, "words", &err), GB_OK);
    assert_string_equal(text, "a \"b\"\n");
    free(text);
    assert_int_equal(safetensors_read_note(&text, path, "else", &err), GB_OK);
    assert_null(text);
    assert_int_equal(safetensors_read(&file, path, &err), GB_OK);
    assert_int_equal(file.n_tensors, 1);
    safetensors_close(&file);
    assert_int_equal(safetensors_write(path, &out, 1, &err), GB_OK);
    assert_int_equal(safetensors_read_note(&text, path, "format", &err), GB_OK);
    assert_null(text);
}

/* 0x3fc0 is 1.5 and 0xc000 is -2 in bfloat16: the upper half of the float32 bits. */
static void bfloat16_is_read(void **state)
{
    (void)state;
    const char *header = "{\"x\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
    const unsigned char data[4] = {0xc0, 0x3f, 0x00, 0xc0};
    safetensors_file file;
    gb_error err;
    write_bytes(header, strlen(header), data, 4);
    assert_int_equal(safetensors_read(&file, path, &err), GB_OK);
    assert_true(file.tensors[0].values[0] == 1.5 && file.tensors[0].values[1] == -2);
    safetensors_close(&file);
}

static void malformed_files_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *header;
        long long claim; /* header length to claim; -1 = the true one */
        const char *says;
    } cases[] = {
        {"{}", 1LL << 40, "its header claims"},
        {"{}", 1000, "its header claims"},
        {"[]", -1, "not a JSON object"},
        {"{\"x\":", -1, "not a JSON object"},
        {"{\"x\":1}", -1, "needs dtype, shape"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", -1, "needs dtype, shape"},
        {"{\"x\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}", -1, "has dtype I8"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", -1, "do not hold"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", -1, "do not hold"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", -1, "do not hold"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", -1, "do not hold"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", -1,
         "dimension 0 does not fit"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]}}", -1,
         "does not fit"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", -1,
         "at most 8 numbers"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         -1, "overlap"},
        {"{\"x\":1,\"x\":2}", -1, "not a JSON object"},
        {"{\"__metadata__\":[]}", -1, "__metadata__ is no JSON object"},
        {"{\"__metadata__\":{\"a\":\"b\",\"n\":1}}", -1, "__metadata__: n is no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        safetensors_file file;
        gb_error err = {GB_OK, ""};
        uint64_t claim = cases[i].claim < 0 ? strlen(cases[i].header) : (uint64_t)cases[i].claim;
        write_bytes(cases[i].header, claim, "\0\0\0\0\0\0\0\0", 8);
        assert_int_equal(safetensors_read(&file, path, &err), GB_ERR_FORMAT);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].says);
        }
        assert_null(file.tensors);
    }
}

static void absent_and_odd_files_are_refused(void **state)
{
    (void)state;
    safetensors_file file;
    gb_error err;
    assert_int_equal(safetensors_read(&file, "/nonexistent/w.safetensors", &err), GB_ERR_USAGE);
    assert_int_equal(safetensors_read(&file, "/tmp", &err), GB_ERR_FORMAT);
    FILE *f = fopen(path, "wb");
    fputs("abc", f);
    fclose(f);
    assert_int_equal(safetensors_read(&file, path, &err), GB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "too short"));
    const safetensor_out out = {"x", 1, {1}, (const double[]){1}, 0};
    assert_int_equal(safetensors_write("/nonexistent/w.safetensors", &out, 1, &err), GB_ERR_IO);
}

/* Files that are odd in one way each, and what the format's own library says of them. Ours refuses
 * all that it refuses, and these few besides. */
static void odd_files_are_judged_as_by_the_formats_library(void **state)
{
    static const char *const ours_only[] = {
        "a tensor twice", /* the library takes the last */
    };
    (void)state;
    for (size_t i = 0; i < sizeof safetensors_fixtures / sizeof safetensors_fixtures[0]; i++) {
        const struct safetensors_fixture *f = &safetensors_fixtures[i];
        bool accepted = f->accepted;
        for (size_t o = 0; o < sizeof ours_only / sizeof ours_only[0]; o++) {
            accepted &= strcmp(f->what, ours_only[o]) != 0;
        }
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(f->data, 1, f->bytes, out), f->bytes);
        assert_int_equal(fclose(out), 0);
        safetensors_file file;
        gb_error err = {GB_OK, ""};
        gb_status status = safetensors_read(&file, path, &err);
        if ((status == GB_OK) != accepted) {
            fail_msg("%s: %s, expected %s", f->what, status == GB_OK ? "accepted" : err.message,
                     accepted ? "to be accepted" : "to be refused");
        }
        assert_true(status == GB_OK || status == GB_ERR_FORMAT);
        safetensors_close(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(notes_read_back),
        cmocka_unit_test(bfloat16_is_read),
        cmocka_unit_test(malformed_files_are_refused),
        cmocka_unit_test(odd_files_are_judged_as_by_the_formats_library),
        cmocka_unit_test(absent_and_odd_files_are_refused),
    };
    return cmocka_run_group_tests_name("safetensors", tests, make_path, remove_path);
}
