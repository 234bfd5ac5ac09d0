/* Validation tokens inside of training shards. Texts are random (an LCG), so that no 64 tokens are
 * equal by chance; what must be found follows from where they were copied to.
 *
 * kinds: sanitized */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/plan/data_overlap.h"
#include "model/shard_set.h"

enum { TRAIN = 20000, VAL = 5000, WINDOW = 64 };

static char dir[64];

static void text_make(int32_t *out, int n, uint32_t seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (int32_t)(seed >> 16);
    }
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", dir, name);
    return paths[next];
}

static void shard_put(const char *name, const int32_t *tokens, int n)
{
    shard_writer *w;
    assert_int_equal(shard_writer_open(&w, path_of(name), NULL), GB_OK);
    assert_int_equal(shard_writer_append(w, tokens, n, NULL), GB_OK);
    assert_int_equal(shard_writer_finish(w, NULL), GB_OK);
}

static void set_open(shard_set *set, const char *pattern)
{
    *set = (shard_set){.count = 0};
    assert_int_equal(shard_set_find(set, path_of(pattern), NULL), GB_OK);
    for (int64_t i = 0; i < set->count; i++) {
        assert_int_equal(shard_scan(set->shards[i].path, 0, &set->shards[i].info, NULL), GB_OK);
    }
}

typedef struct fixture {
    int32_t train[TRAIN], val[VAL];
    shard_set train_set, val_set;
    data_overlap_wanted wanted;
    data_overlap x;
} fixture;

/* Two texts of their own, in two training shards and two for validation, and a wide look. */
static fixture *fixture_make(void)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    text_make(f->train, TRAIN, 1);
    text_make(f->val, VAL, 2);
    f->wanted = (data_overlap_wanted){&f->train_set, &f->val_set, VAL, VAL, TRAIN};
    return f;
}

static void look(fixture *f)
{
    gb_error err = {.message = ""};
    shard_set_free(&f->train_set);
    shard_set_free(&f->val_set);
    shard_put("t0.bin", f->train, TRAIN / 2);
    shard_put("t1.bin", f->train + TRAIN / 2, TRAIN / 2);
    shard_put("v0.bin", f->val, 2000);
    shard_put("v1.bin", f->val + 2000, VAL - 2000);
    set_open(&f->train_set, "t?.bin");
    set_open(&f->val_set, "v?.bin");
    assert_int_equal(data_overlap_find(&f->x, &f->wanted, &err), GB_OK);
}

static void done(fixture *f)
{
    shard_set_free(&f->train_set);
    shard_set_free(&f->val_set);
    free(f);
}

static void test_none(void **state)
{
    (void)state;
    fixture *f = fixture_make();
    look(f);
    assert_int_equal(f->x.found, 0);
    assert_int_equal(f->x.val_tokens, VAL);
    assert_int_equal(f->x.val_looked, VAL);
    assert_int_equal(f->x.train_tokens, TRAIN);
    assert_int_equal(f->x.train_looked, TRAIN);
    assert_null(f->x.train_path);
    done(f);
}

/* Wherever it lies: of 127 tokens exactly one window begins at a multiple of 64, and all of what
 * is counted was copied. */
static void test_every_place(void **state)
{
    (void)state;
    fixture *f = fixture_make();
    for (int shift = 0; shift < WINDOW; shift++) {
        text_make(f->train, TRAIN, 1);
        memcpy(f->train + 640 + shift, f->val + 300, 127 * sizeof *f->val);
        look(f);
        assert_int_equal(f->x.found, WINDOW);
    }
    done(f);
}

/* 1,000 tokens from 12,345 on, in the second shard at 2,345: from 2,368 = 37 * 64 to 3,345 there is
 * room for 15 windows of 64, (3345 - 2368) / 64 = 15.3. */
static void test_how_much_and_where(void **state)
{
    (void)state;
    fixture *f = fixture_make();
    memcpy(f->train + 12345, f->val + 2100, 1000 * sizeof *f->val);
    look(f);
    assert_int_equal(f->x.found, 15 * WINDOW);
    assert_string_equal(f->x.train_path, path_of("t1.bin"));
    assert_string_equal(f->x.val_path, path_of("v1.bin"));
    /* Once more in the first shard, at another place beside the multiples of 64: the same tokens
     * count once. */
    memcpy(f->train + 3000, f->val + 2100, 1000 * sizeof *f->val);
    look(f);
    assert_true(f->x.found >= 15 * WINDOW && f->x.found <= 1000);
    done(f);
}

/* What is not read, lies in a shard that is in both whole, or is beyond a bound is not counted. */
static void test_what_is_left_out(void **state)
{
    (void)state;
    fixture *f = fixture_make();
    memcpy(f->train + 5000, f->val + 1000, 640 * sizeof *f->val);
    f->wanted.val_tokens = 1000;
    look(f);
    assert_int_equal(f->x.found, 0);
    assert_int_equal(f->x.val_tokens, 1000);
    f->wanted.val_tokens = VAL;
    f->wanted.val_most = 1000;
    look(f);
    assert_int_equal(f->x.found, 0);
    assert_int_equal(f->x.val_looked, 1000);
    assert_int_equal(f->x.val_tokens, VAL);
    f->wanted.val_most = VAL;
    f->wanted.train_most = 5000;
    look(f);
    assert_int_equal(f->x.found, 0);
    assert_int_equal(f->x.train_looked, 5000);
    assert_int_equal(f->x.train_tokens, TRAIN);
    f->wanted.train_most = TRAIN;
    look(f);
    assert_int_equal(f->x.found, 9 * WINDOW); /* 5056 = 79 * 64 to 5640: 9.1 windows */
    /* The first validation shard once more as a training shard: that is told by its hash. */
    shard_put("t2.bin", f->val, 2000);
    look(f);
    assert_int_equal(f->x.found, 0);
    assert_int_equal(f->x.val_looked, VAL - 2000);
    unlink(path_of("t2.bin"));
    done(f);
}

/* A text of one token only, and shards shorter than a window. */
static void test_odd_texts(void **state)
{
    (void)state;
    fixture *f = fixture_make();
    for (int i = 0; i < VAL; i++) {
        f->val[i] = 7;
    }
    look(f);
    assert_int_equal(f->x.found, 0);
    for (int i = 0; i < 200; i++) {
        f->train[i] = 7; /* its windows 0, 64 and 128 are one and the same */
    }
    look(f);
    assert_int_equal(f->x.found, WINDOW);
    shard_put("u0.bin", f->train, 63);
    shard_put("w0.bin", f->val, 1);
    shard_set_free(&f->train_set);
    shard_set_free(&f->val_set);
    set_open(&f->train_set, "u?.bin");
    set_open(&f->val_set, "w?.bin");
    assert_int_equal(data_overlap_find(&f->x, &f->wanted, NULL), GB_OK);
    assert_int_equal(f->x.found, 0);
    done(f);
}

static void test_a_shard_that_changed(void **state)
{
    (void)state;
    gb_error err = {.message = ""};
    fixture *f = fixture_make();
    look(f);
    shard_put("t0.bin", f->train, 100);
    assert_int_equal(data_overlap_find(&f->x, &f->wanted, &err), GB_ERR_IO);
    assert_non_null(strstr(err.message, "t0.bin"));
    done(f);
}

static int dir_make(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptbench-overlap-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int dir_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_how_much_and_where),
        cmocka_unit_test(test_what_is_left_out),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_a_shard_that_changed),
    };
    return cmocka_run_group_tests_name("data_overlap", tests, dir_make, dir_remove);
}
