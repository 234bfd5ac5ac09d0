/* How runs use their data. Numbers are worked out in the comments.
 *
 * kinds: sanitized */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/plan/data_use.h"
#include "bench/words/data_words.h"

/* Content is what the hash says. */
static const data_shard TRAIN[] = {{"t0.bin", "aa", 1001}, {"t1.bin", "bb", 550}};

static data_use use_of(const data_shard *train, int n_train, const data_shard *val, int n_val,
                       const data_run *runs, int n_runs)
{
    return data_use_make(&(data_shards){train, n_train}, &(data_shards){val, n_val}, NULL, runs,
                         n_runs);
}

static void test_passes(void **state)
{
    (void)state;
    data_shards train = {TRAIN, 2}, endless = {&(data_shard){"synth:", "cc", 0}, 1};
    /* A batch of 100 and the next token: 10 in the first shard, 5 in the second (549 / 100) */
    assert_true(data_passes(&train, 100, 30) == 30.0 / 15);
    /* 1000 in the first alone: the second holds no batch */
    assert_true(data_passes(&train, 1000, 7) == 7);
    assert_true(isnan(data_passes(&train, 1001, 7)));
    assert_true(isnan(data_passes(&endless, 100, 30)));
    assert_true(isnan(data_passes(&(data_shards){NULL, 0}, 100, 30)));
}

static void test_nothing_to_say(void **state)
{
    (void)state;
    const data_shard val = {"v.bin", "vv", 5000};
    const data_run run = {"a", 100, 60, DATA_VAL_TOKENS_FEW}; /* 60 / 15 = 4 passes: not above 4 */
    data_use use = use_of(TRAIN, 2, &val, 1, &run, 1);
    assert_true(use.passes_high == 4);
    assert_int_equal(data_warnings_make(&use).n, 0);
    assert_string_equal(data_passes_format(&use).text, "a run reads them 4 times (epochs)");
    use = use_of(NULL, 0, NULL, 0, NULL, 0);
    assert_int_equal(data_warnings_make(&use).n, 0);
    assert_string_equal(data_passes_format(&use).text, "");
}

static void test_shared(void **state)
{
    (void)state;
    const data_shard val[] = {
        {"v0.bin", "vv", 10}, {"copy.bin", "bb", 550}, {"t0.bin", "aa", 1001}};
    data_use use = use_of(TRAIN, 2, val, 3, NULL, 0);
    assert_int_equal(use.shared, 2);
    assert_int_equal(use.shared_tokens, 1551); /* 550 + 1001 */
    assert_ptr_equal(use.shared_train, &TRAIN[1]);
    assert_ptr_equal(use.shared_val, &val[1]);
    data_warnings w = data_warnings_make(&use);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.texts[0], "`t1.bin` and `copy.bin` are the same shard, and 1 more "
                                       "(1,551 tokens together)"));
    use = use_of(TRAIN, 2, val + 2, 1, NULL, 0);
    w = data_warnings_make(&use);
    assert_non_null(strstr(w.texts[0], "the shard `t0.bin` is in both (1,001 tokens together)"));
}

static void test_one_synthetic_stream(void **state)
{
    (void)state;
    const data_shard train = {"synth:seed=1", "aa", 0}, val = {"synth:seed=1,stream=0", "aa", 0};
    data_use use = use_of(&train, 1, &val, 1, NULL, 0);
    data_warnings w = data_warnings_make(&use);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.texts[0], "both read the same tokens"));
}

static void test_overlap_in_part(void **state)
{
    (void)state;
    const data_shard val = {"v.bin", "vv", 9000};
    data_overlap x = {"v.bin", "t1.bin", 9000, 8000, 800, 3000, 2000};
    const data_shards train = {TRAIN, 2}, vals = {&val, 1};
    data_use use = data_use_make(&train, &vals, &x, NULL, 0);
    data_warnings w = data_warnings_make(&use);
    assert_int_equal(w.n, 1);
    assert_string_equal(
        w.texts[0], "Training data hold validation tokens: of the 8,000 tokens of a validation "
                    "that were looked for, at least 800 (10.0 %) stand in the training data too, "
                    "the first of `v.bin` in `t1.bin`. Gone through were the first 2,000 of "
                    "3,000 training tokens. Losses say how well these are remembered. Take them "
                    "out of `train`.");
    x.train_looked = 3000;
    x.found = 80; /* 1 % */
    use = data_use_make(&train, &vals, &x, NULL, 0);
    w = data_warnings_make(&use);
    assert_int_equal(w.n, 1);
    assert_null(strstr(w.texts[0], "Gone through"));
    x.found = 79;
    use = data_use_make(&train, &vals, &x, NULL, 0);
    assert_int_equal(data_warnings_make(&use).n, 0);
}

static void test_copies_in_training(void **state)
{
    (void)state;
    const data_shard train[] = {TRAIN[0], TRAIN[1], {"t2.bin", "aa", 1001}, {"t3.bin", "aa", 1001}};
    data_use use = use_of(train, 4, NULL, 0, NULL, 0);
    assert_int_equal(use.repeated, 2);
    data_warnings w = data_warnings_make(&use);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.texts[0], "`t0.bin` and `t2.bin`, and 1 more are copies"));
}

static void test_many_passes_and_few_tokens(void **state)
{
    (void)state;
    const data_run runs[] = {
        {"short", 100, 6, 10000}, {"long", 100, 180, 400}, {"wide", 5000, 9, 0}};
    data_use use = use_of(TRAIN, 2, NULL, 0, runs, 3);
    assert_true(use.passes_low == 0.4);   /* 6 / 15 */
    assert_true(use.passes_high == 12.0); /* 180 / 15; no shard holds a batch of 5000 */
    assert_string_equal(use.passes_high_config, "long");
    assert_int_equal(use.val_tokens_low, 400);
    data_warnings w = data_warnings_make(&use);
    assert_int_equal(w.n, 2);
    assert_non_null(strstr(w.texts[0], "`long` reads its training data 12.0 times"));
    assert_non_null(strstr(w.texts[1], "about 0.10 nats")); /* 2 / sqrt(400) */
    assert_string_equal(data_passes_format(&use).text, "runs read them 0.4 to 12 times (epochs)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_one_synthetic_stream),
        cmocka_unit_test(test_overlap_in_part),
        cmocka_unit_test(test_copies_in_training),
        cmocka_unit_test(test_many_passes_and_few_tokens),
    };
    return cmocka_run_group_tests_name("data_use", tests, NULL, NULL);
}
