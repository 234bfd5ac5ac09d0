/* kernels/checked.h, held against arithmetic on paper: 2^63 - 1 = 7 * 7 * 73 * 127 * 337 * 92737 *
 * 649657, and its neighbours.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/worker/job.h"
#include "kernels/checked.h"
#include "model/trainer.h"

static void test_products(void **state)
{
    (void)state;
    assert_true(gb_times(3, 4) == 12);
    assert_true(gb_times(0, INT64_MAX) == 0);
    assert_true(gb_times((int64_t)1 << 31, (int64_t)1 << 31) == (int64_t)1 << 62);
    assert_true(gb_times((int64_t)1 << 32, (int64_t)1 << 31) == INT64_MAX);
    assert_true(gb_times(7 * 7 * 73LL * 127 * 337, 92737LL * 649657) == INT64_MAX); /* exactly */
    assert_true(gb_times(INT64_MAX / 2, 2) == INT64_MAX - 1);
    assert_true(gb_times(INT64_MAX / 2 + 1, 2) == INT64_MAX);
    assert_true(gb_times(gb_times(INT64_MAX, 3), 5) == INT64_MAX);
}

static void test_sums(void **state)
{
    (void)state;
    assert_true(gb_plus(3, 4) == 7);
    assert_true(gb_plus(INT64_MAX - 1, 1) == INT64_MAX);
    assert_true(gb_plus(INT64_MAX, 1) == INT64_MAX);
    assert_true(gb_round_up(0, 128) == 0);
    assert_true(gb_round_up(1, 128) == 128);
    assert_true(gb_round_up(128, 128) == 128);
    assert_true(gb_round_up(INT64_MAX - 200, 128) == INT64_MAX / 128 * 128);
    assert_true(gb_round_up(INT64_MAX - 100, 128) == INT64_MAX);
    assert_true(gb_round_up(INT64_MAX, 128) == INT64_MAX);
}

/* The largest of every key: up alone has N * 2 F = 2^30 * 2^23 elements in each of 2^10 layers, in
 * 4 bytes each 2^65 of them. */
static void test_memory_beyond_numbers(void **state)
{
    (void)state;
    gpt_config config = gpt_config_default();
    train_spec spec = train_spec_default();
    gb_error err = {GB_OK, ""};
    config.n_layer = config.n_head = 1024;
    config.n_embd = 65536;
    config.mlp_expansion_factor = 64;
    config.use_swiglu_mlp = true;
    spec.batch_size = 1024;
    spec.sequence_length = 1 << 20;
    gpt_options options = trainer_model_options(&spec);
    int64_t bytes[GB_MEM_GROUPS];
    assert_int_equal(gpt_config_validate(&config, &err), GB_OK);
    gpt_plan_memory(&config, &options, 4, 4, bytes);
    assert_true(bytes[GB_MEM_ACTIVATIONS] == INT64_MAX);
    assert_int_equal(gpt_validate_memory(&config, &options, &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "batch_size * sequence_length = 1073741824"));
    spec.batch_size = 1;
    spec.sequence_length = 1024;
    options = trainer_model_options(&spec);
    assert_int_equal(gpt_validate_memory(&config, &options, &err), GB_OK);
}

/* Members of a sound job, put to what the code divides by or multiplies with. */
static void test_jobs(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"\"n_head\": 12", "\"n_head\": 0"},
        {"\"n_embd\": 768", "\"n_embd\": 9223372036854775807"},
        {"\"batch_size\": 4", "\"batch_size\": -1"},
        {"\"sequence_length\": 512", "\"sequence_length\": 0"},
        {"\"num_iterations\": 1000", "\"num_iterations\": 0"},
        {"\"threads\": 0", "\"threads\": 4294967297"},
        {"\"device_index\": -1", "\"device_index\": -9223372036854775808"},
        {"\"replicate\": 0", "\"replicate\": -1"},
        {"\"learning_rate\": 0.0018", "\"learning_rate\": 1e308"},
        {"\"n_layer\": 12", "\"n_layer\": 1.5"},
    };
    worker_job job = worker_job_default(WORKER_TRAIN), back;
    strcpy(job.spec.train_data, "synth:vocab=256,seed=1");
    strcpy(job.spec.val_data, "synth:vocab=256,seed=2");
    char *text = worker_job_to_json(&job);
    assert_int_equal(worker_job_from_json(&back, text, NULL), GB_OK);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char changed[8192];
        gb_error err = {GB_OK, ""};
        const char *at = strstr(text, changes[i][0]);
        if (at) {
            snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, changes[i][1],
                     at + strlen(changes[i][0]));
        } else {
            fail_msg("a job has no %s", changes[i][0]);
        }
        assert_int_equal(worker_job_from_json(&back, changed, &err), GB_ERR_FORMAT);
        assert_memory_equal(err.message, "job: ", 5);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_memory_beyond_numbers),
        cmocka_unit_test(test_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
