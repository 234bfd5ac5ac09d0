/* What the plan writes into the columns of tables config and run, column by column
 * (bench/store/store_columns.h). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/store/store.h"
#include "tests/fakes/planted_rows.h"

static gb_error error;
static gb_error *const err = &error;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error.message);                                              \
        }                                                                                          \
    } while (0)

/* One column of one row, as text; "-" for NULL. */
static void column_is(store *s, const char *table, int64_t row, const char *column,
                      const char *expected)
{
    char sql[200];
    sqlite3_stmt *stmt = NULL;
    snprintf(sql, sizeof sql, "SELECT coalesce(%s, '-') FROM %s WHERE %s_id = %lld", column, table,
             table, (long long)row);
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    if (strcmp(text, expected) != 0) {
        fail_msg("%s.%s is %s, not %s", table, column, text, expected);
    }
    sqlite3_finalize(stmt);
}

/* The numbers are those of docs/MODEL.md: head_dim C/H = 64/2 (of the latents 32/2), hidden 4C,
 * 256*64 + 2*12*64^2 parameters, 6 FLOPs for each, and at T = 25 12*L*C*T = 38400 more for nanoGPT
 * and half of them for llm.c. */
static void test_columns_of_a_config(void **state)
{
    (void)state;
    static const struct {
        const char *column, *plain, *other;
    } columns[] = {{"suite_id", "1", "1"},
                   {"name", "base", "latent"},
                   {"position", "0", "1"},
                   {"in_plan", "1", "1"},
                   {"is_baseline", "1", "0"},
                   {"vocab_size", "256", "256"},
                   {"n_layer", "2", "2"},
                   {"n_head", "2", "2"},
                   {"n_embd", "64", "64"},
                   {"head_dim", "32", "16"},
                   {"attention_type", "standard", "latent"},
                   {"n_kv_head", "2", "2"},
                   {"window_size", "-", "-"},
                   {"n_latent", "-", "32"},
                   {"mlp_expansion_factor", "4.0", "2.0"},
                   {"mlp_hidden", "256", "128"},
                   {"use_swiglu_mlp", "0", "1"},
                   {"post_norm", "0", "1"},
                   {"qk_norm", "0", "1"},
                   {"n_params", "114688", NULL},
                   {"flops_per_token_6n", "688128.0", NULL},
                   {"flops_per_token_nanogpt", "726528.0", NULL},
                   {"flops_per_token_llmc", "707328.0", NULL},
                   {"settings_json", "{}", "{}"}};
    store *s = NULL;
    int64_t suite_id, plain_id, other_id;
    gpt_config other = MODEL;
    other.attention_type = GPT_ATTENTION_LATENT;
    other.n_latent = 32;
    other.window_size = 8; /* has no effect here */
    other.mlp_expansion_factor = 2;
    other.use_swiglu_mlp = other.post_norm = other.qk_norm = true;
    store_config plain_row = config_row("base", 0), other_row = config_row("latent", 1);
    other_row.model = &other;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    OK(store_plan_begin(s, &SUITE, &suite_id, err));
    OK(store_plan_config(s, suite_id, &plain_row, &plain_id, err));
    OK(store_plan_config(s, suite_id, &other_row, &other_id, err));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        column_is(s, "config", plain_id, columns[i].column, columns[i].plain);
        if (columns[i].other) {
            column_is(s, "config", other_id, columns[i].column, columns[i].other);
        }
    }
    other.attention_type = GPT_ATTENTION_SLIDING_WINDOW;
    OK(store_plan_config(s, suite_id, &(store_config){"window", 2, false, &other, 25, "{2}"},
                         &other_id, err));
    column_is(s, "config", other_id, "window_size", "8");
    column_is(s, "config", other_id, "n_latent", "-");
    store_close(s);
}

/* Another attempt has what the first had, but for what is its own: "=" where that is so. */
static void test_columns_of_a_run(void **state)
{
    (void)state;
    static const struct {
        const char *column, *first, *again;
    } columns[] = {{"config_id", "1", "="},
                   {"replicate", "1", "="},
                   {"attempt", "1", "2"},
                   {"identity", "i", "="},
                   {"in_plan", "1", "="},
                   {"status", "nan", "planned"},
                   {"message", "", "="},
                   {"backend", "cpu", "="},
                   {"precision", "fp32", "="},
                   {"threads", "2", "="},
                   {"isa", "avx2", "="},
                   {"precision_note", "note", "="},
                   {"libraries", "-", "="},
                   {"machine_id", "-", "="},
                   {"program_version", "test", "="},
                   {"seed", "1337", "="},
                   {"batch_size", "4", "="},
                   {"sequence_length", "25", "="},
                   {"grad_accumulation_steps", "1", "="},
                   {"tokens_per_step", "100", "="}, /* 4 * 25 * 1 */
                   {"num_iterations", "4", "="},
                   {"steps_done", "4", "0"},
                   {"learning_rate", "0.001", "0.0005"},
                   {"lr_scale", "1.0", "0.5"},
                   {"train_data", "t", "="},
                   {"val_data", "v", "="},
                   {"train_data_hash", "th", "="},
                   {"val_data_hash", "vh", "="},
                   {"val_tokens", "400", "="},
                   {"entropy_rate_nats", "-", "="}};
    store *s = NULL;
    int64_t suite_id, config_id, again_id, attempt;
    store_planned planned;
    store_config config = config_row("base", 0);
    const store_run_result ended = {
        .status = "nan", .message = "", .steps_done = 4, .energy_j = NAN};
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    OK(store_plan_begin(s, &SUITE, &suite_id, err));
    OK(store_plan_config(s, suite_id, &config, &config_id, err));
    store_run run = run_row(config_id, 1, "i");
    run.isa = "avx2";
    run.precision_note = "note";
    OK(store_plan_run(s, suite_id, &run, false, &planned, err));
    OK(store_run_end(s, planned.run_id, &ended, err));
    OK(store_run_plan_retry(s, planned.run_id, 0.5, &again_id, &attempt, err));
    assert_int_equal(attempt, 2);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        bool same = columns[i].again[0] == '=';
        column_is(s, "run", planned.run_id, columns[i].column, columns[i].first);
        column_is(s, "run", again_id, columns[i].column,
                  same ? columns[i].first : columns[i].again);
    }
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns_of_a_config),
                                       cmocka_unit_test(test_columns_of_a_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
