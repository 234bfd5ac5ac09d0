/* Claims held against a database with planted times (tests/fakes/planted_timing.h), losses and
 * sizes. Expected percentages are worked out beside the check; intervals and p of t tests are
 * worked out by the formulas of bench/stats/mean_ratio.h, apart from it.
 *
 * `test_claims --plant FILE` writes such a database, for tests/e2e/e2e_claims.sh. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/claims.h"
#include "bench/analysis/load.h"
#include "bench/words/claims_text.h"
#include "tests/fakes/planted_timing.h"

static void check_close(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-300)) {
        fail_msg("got %.17g, want %.17g (relative %.3g)", got, want, fabs(got / want - 1));
    }
}

/* Losses 2.0, 2.2, 2.1 of d12 and 2.02, 2.2, 2.163 of d12_mlp3x: ratios 1.01, 1 and 1.03. Memory
 * 100, 110, 120 MB and a tenth more each. FLOPs of d12_mlp3x nine tenths, parameters 75 %. */
static const char planted_values[] =
    "UPDATE eval SET val_loss = CASE run_id WHEN 100 THEN 2.0 WHEN 101 THEN 2.2 WHEN 102 THEN 2.1"
    " WHEN 200 THEN 2.02 WHEN 201 THEN 2.2 WHEN 202 THEN 2.163 ELSE val_loss END;"
    "UPDATE run SET peak_memory_bytes = (100000000 + 10000000 * replicate) * (config_id = 1)"
    " + (110000000 + 11000000 * replicate) * (config_id > 1);"
    "UPDATE config SET flops_per_token = 1e7, n_params = 1000000;"
    "UPDATE config SET flops_per_token = 9e6, n_params = 750000 WHERE name = 'd12_mlp3x'";

/* 100 ms, 80 ms and, with twice the tokens, 125 ms: each block in a weather of its own that is far
 * larger than these differences, which only pairs see through. */
static const planted timing = {.blocks = 40,
                               .weather = 0.3,
                               .noise = 0.002,
                               .n = 3,
                               .arms = {{"d12", 100, 0, NULL},
                                        {"d12_mlp3x", 80, 0, NULL},
                                        {"d12_mlp3x_gqa", 125, 4096, NULL}}};

static void database_make(const char *path, const planted *times)
{
    fake_db_make(&(fake_db){path, NULL, 3, 3, 40, false, false, false, false});
    planted_sql(path, planted_values);
    if (times) {
        planted with_path = *times;
        with_path.path = path;
        planted_add(&with_path);
    }
}

typedef struct fixture {
    char dir[64], db[96];
    findings *data;
} fixture;

static fixture fixture_make(const planted *times, const char *sql)
{
    fixture f = {.data = NULL};
    snprintf(f.dir, sizeof f.dir, "/tmp/gptbench-claims-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    snprintf(f.db, sizeof f.db, "%s/r.db", f.dir);
    database_make(f.db, times);
    if (sql) {
        planted_sql(f.db, sql);
    }
    assert_int_equal(findings_read(&f.data, f.db, NULL, NULL), GB_OK);
    return f;
}

static void fixture_read_again(fixture *f)
{
    findings_free(f->data);
    f->data = NULL;
    assert_int_equal(findings_read(&f->data, f->db, NULL, NULL), GB_OK);
}

static void fixture_end(fixture *f)
{
    char command[128];
    findings_free(f->data);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

/* The result's claim is overwritten by the next call. */
static claim_result tested(const fixture *f, const char *config, const char *baseline,
                           const char *expect)
{
    static suite_claim claim;
    claim_result result;
    claim = (suite_claim){.name = "c"};
    snprintf(claim.config, sizeof claim.config, "%s", config);
    snprintf(claim.baseline, sizeof claim.baseline, "%s", baseline);
    snprintf(claim.expect, sizeof claim.expect, "%s", expect);
    assert_int_equal(suite_expect_parse(&claim.expectation, expect, NULL), GB_OK);
    assert_int_equal(claims_test(&result, f->data, &claim, 1, NULL), GB_OK);
    return result;
}

static void check_says(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", text, part);
    }
}

static void test_speed(void **state)
{
    (void)state;
    fixture f = fixture_make(&timing, NULL);
    const struct {
        const char *config, *baseline, *expect;
        double percent;
        claim_outcome outcome;
    } cases[] = {
        /* 100 / 80 - 1 = 25 % */
        {"d12_mlp3x", "d12", "step_avg speedup >= 20%", 25, CLAIM_SUPPORTED},
        {"d12_mlp3x", "d12", "step_median speedup >= 20%", 25, CLAIM_SUPPORTED},
        {"d12_mlp3x", "d12", "step_avg speedup >= 30%", 25, CLAIM_REFUTED},
        {"d12_mlp3x", "d12", "step_avg speedup < 30%", 25, CLAIM_SUPPORTED},
        /* the threshold lies in the middle of the interval */
        {"d12_mlp3x", "d12", "step_avg speedup >= 25%", 25, CLAIM_UNSETTLED},
        {"d12_mlp3x", "d12", "step_avg reduction > 19%", 20, CLAIM_SUPPORTED},
        /* (4096 / 125) / (2048 / 80) - 1 = 28 %, of two that are not the suite's baseline; the
         * other way round -21.875 % */
        {"d12_mlp3x_gqa", "d12_mlp3x", "tokens_per_s increase >= 27%", 28, CLAIM_SUPPORTED},
        {"d12_mlp3x_gqa", "d12_mlp3x", "tokens_per_s speedup >= 29%", 28, CLAIM_REFUTED},
        {"d12_mlp3x", "d12_mlp3x_gqa", "tokens_per_s speedup >= 0%", -21.875, CLAIM_REFUTED},
        {"d12_mlp3x", "d12_mlp3x_gqa", "tokens_per_s within 25%", 21.875, CLAIM_SUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        claim_result r = tested(&f, cases[i].config, cases[i].baseline, cases[i].expect);
        assert_int_equal(r.basis, PAIR_BLOCKS);
        check_close(r.test.percent.value, cases[i].percent, 1e-9);
        if (r.test.outcome != cases[i].outcome) {
            fail_msg("%s: %s", cases[i].expect, claim_outcome_name(r.test.outcome));
        }
        /* Noise of 0.2 % on both in 40 blocks: about 0.1 % either way, times 0.64 to 1.28. */
        assert_true(r.test.percent.low > cases[i].percent - 0.3 &&
                    r.test.percent.high < cases[i].percent + 0.3);
        assert_string_equal(r.reason, "");
        check_says(r.method, "40 blocks of interleaved timing");
    }
    claim_result at = tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 25%");
    assert_true(at.test.p > 0.3 && at.test.p < 0.7); /* the threshold itself: a half */
    fixture_end(&f);
}

static void test_without_timing(void **state)
{
    (void)state;
    /* Times 100, 200, 400 ms; 110, 210, 440 ms: means 700 / 3 and 760 / 3. The interval by the
     * formula of bench/stats/mean_ratio.h, worked out apart from it. */
    fixture f = fixture_make(
        NULL, "UPDATE step SET step_ms = CASE run_id WHEN 100 THEN 100 WHEN 101 THEN 200"
              " WHEN 102 THEN 400 WHEN 200 THEN 110 WHEN 201 THEN 210 ELSE 440 END");
    claim_result r = tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 0%");
    assert_int_equal(r.basis, PAIR_REPLICATES);
    assert_int_equal(r.test.outcome, CLAIM_REFUTED);
    check_close(r.test.percent.value, 100 * (700.0 / 760 - 1), 1e-9);
    check_close(r.test.percent.low, -13.6215680989594, 1e-8);
    check_close(r.test.percent.high, -1.78822056987531, 1e-8);
    check_says(r.method, "not interleaved: drift of the machine is in it");
    fixture_end(&f);
    /* A session of other configs is none of these two. */
    planted other = timing;
    other.arms[1] = other.arms[2];
    other.n = 2;
    f = fixture_make(&other, NULL);
    assert_int_equal(tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 0%").basis,
                     PAIR_REPLICATES);
    assert_int_equal(tested(&f, "d12_mlp3x_gqa", "d12", "tokens_per_s speedup >= 0%").basis,
                     PAIR_BLOCKS);
    fixture_end(&f);
}

static void test_loss_and_memory(void **state)
{
    (void)state;
    fixture f = fixture_make(&timing, NULL);
    claim_result r = tested(&f, "d12_mlp3x", "d12", "val_loss within 10%");
    assert_int_equal(r.basis, PAIR_REPLICATES);
    assert_int_equal(r.test.outcome, CLAIM_SUPPORTED);
    check_close(r.test.percent.value, 100 * (6.383 / 6.3 - 1), 1e-9);
    check_close(r.test.percent.low, 0, 0); /* either sign is possible */
    check_close(r.test.percent.high, 5.25124196964453, 1e-8);
    check_close(r.test.p, 0.005697818506968, 1e-8);
    r = tested(&f, "d12_mlp3x", "d12", "best_val_loss increase <= 1%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    assert_true(r.test.further >= 1);
    /* Of the lowest, 2.02 and 2.0, with the spread of a single pair. */
    check_close(r.test.percent.value, 1, 1e-9);
    check_close(r.test.percent.low, -5.44855484212657, 1e-8);
    assert_true(isnan(r.predicted_percent));
    /* A tenth more in each replicate: no spread at all. */
    r = tested(&f, "d12_mlp3x", "d12", "peak_memory reduction >= 0%");
    assert_int_equal(r.test.outcome, CLAIM_REFUTED);
    check_close(r.test.percent.value, -10, 1e-9);
    assert_true(isnan(r.predicted_percent));
    fixture_end(&f);
    f = fixture_make(NULL, "UPDATE run SET status = 'killed' WHERE replicate > 0");
    r = tested(&f, "d12_mlp3x", "d12", "val_loss within 10%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED); /* one replicate says nothing of another */
    assert_true(isnan(r.test.percent.low));
    check_close(r.test.percent.value, 1, 1e-9);
    check_says(r.method, "no interval");
    fixture_end(&f);
}

static void test_exact_and_prediction(void **state)
{
    (void)state;
    fixture f = fixture_make(&timing, NULL);
    claim_result r = tested(&f, "d12_mlp3x", "d12", "n_params reduction >= 25%");
    assert_int_equal(r.test.outcome, CLAIM_SUPPORTED);
    assert_true(r.test.exact && r.basis == PAIR_EXACT);
    check_close(r.predicted_percent, 25, 1e-12);
    assert_int_equal(tested(&f, "d12_mlp3x", "d12", "n_params reduction > 25%").test.outcome,
                     CLAIM_REFUTED);
    r = tested(&f, "d12_mlp3x", "d12", "flops increase < 0%");
    assert_int_equal(r.test.outcome, CLAIM_SUPPORTED);
    check_close(r.test.percent.value, -10, 1e-12);
    /* Nine tenths of the work: 1 / 0.9 - 1 = 11.1 % at equal FLOP/s. */
    r = tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 15%");
    assert_int_equal(r.prediction, COST_CLAIM_FLOPS);
    check_close(r.predicted_percent, 100 / 0.9 - 100, 1e-9);
    check_says(r.prediction_note, "promises more than FLOPs allow: at equal FLOP/s it would be "
                                  "+11.1 %");
    assert_string_equal(tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 11%").prediction_note,
                        "");
    check_says(tested(&f, "d12_mlp3x", "d12", "tokens_per_s increase >= 12%").prediction_note,
               "promises more");
    check_says(tested(&f, "d12_mlp3x", "d12", "step_avg speedup <= 5%").prediction_note,
               "expects less than FLOPs give");
    check_says(tested(&f, "d12_mlp3x", "d12", "tokens_per_s increase <= 5%").prediction_note,
               "expects less");
    /* Steps of twice the tokens do not compare, so nothing is predicted; per token it is 0.9 / 1 as
     * fast at 1 / 0.9 of the work. */
    r = tested(&f, "d12_mlp3x_gqa", "d12_mlp3x", "step_avg increase <= 100%");
    assert_true(isnan(r.predicted_percent) && r.prediction == COST_CLAIM_UNKNOWN);
    assert_string_equal(r.prediction_note, "");
    r = tested(&f, "d12_mlp3x_gqa", "d12_mlp3x", "tokens_per_s increase >= 25%");
    check_close(r.predicted_percent, -10, 1e-9);
    check_says(r.prediction_note, "promises more");
    fixture_end(&f);
}

static void test_what_failed(void **state)
{
    (void)state;
    planted failed = timing;
    failed.arms[1].failed = "oom";
    fixture f = fixture_make(&failed, NULL);
    claim_result r = tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 20%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    assert_int_equal(r.basis, PAIR_NOTHING);
    assert_true(isnan(r.test.percent.value) && isnan(r.test.p));
    check_says(r.reason, "`d12_mlp3x` did not get through the timing: oom: it did not fit");
    check_close(r.predicted_percent, 100 / 0.9 - 100, 1e-9); /* arithmetic stands all the same */
    /* the other way round, and what has nothing to do with it */
    check_says(tested(&f, "d12", "d12_mlp3x", "step_avg speedup >= 20%").reason, "oom");
    assert_int_equal(tested(&f, "d12_mlp3x_gqa", "d12", "tokens_per_s within 70%").test.outcome,
                     CLAIM_SUPPORTED);
    fixture_end(&f);

    f = fixture_make(NULL, "UPDATE run SET status = 'nan', message = 'at step 17' WHERE config_id ="
                           " 2; UPDATE run SET status = 'planned' WHERE config_id = 3");
    r = tested(&f, "d12_mlp3x", "d12", "val_loss within 1%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    check_says(r.reason, "no run of `d12_mlp3x` has finished; run 202 ended as nan: at step 17");
    check_says(tested(&f, "d12_mlp3x_gqa", "d12", "step_avg within 1%").reason,
               "`d12_mlp3x_gqa` has not been measured yet");
    check_says(tested(&f, "d12_mlp3x_gqa", "d13", "step_avg within 1%").reason,
               "the database has no config `d13`");
    assert_int_equal(tested(&f, "d12_mlp3x", "d12", "flops reduction > 9%").test.outcome,
                     CLAIM_SUPPORTED); /* takes no run */
    fixture_end(&f);
}

static void test_other_circumstances(void **state)
{
    (void)state;
    fixture f = fixture_make(&timing, "UPDATE run SET val_data_hash = 'other' WHERE config_id = 2;"
                                      "UPDATE run SET threads = 7 WHERE config_id = 3");
    claim_result r = tested(&f, "d12_mlp3x", "d12", "val_loss within 10%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    check_says(r.reason, "validation data");
    check_says(tested(&f, "d12_mlp3x_gqa", "d12", "peak_memory within 99%").reason,
               "threads 2 and 7");
    /* the session knows its own threads */
    assert_string_equal(tested(&f, "d12_mlp3x_gqa", "d12", "tokens_per_s within 70%").reason, "");
    fixture_end(&f);
    /* Another precision is refused, as by compare, though it may be an axis of the suite. */
    f = fixture_make(&timing, "UPDATE timing_arm SET precision = 'bf16' WHERE arm = 1;"
                              "UPDATE run SET precision = 'bf16' WHERE config_id = 2");
    r = tested(&f, "d12_mlp3x", "d12", "step_avg speedup >= 20%");
    assert_int_equal(r.basis, PAIR_NOTHING);
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    assert_string_equal(r.reason, "step_avg does not compare: precision fp32 and bf16");
    fixture_end(&f);
    /* Another number of tokens per step: a step time says nothing, tokens/s do. 4096 tokens in 125
     * ms against 2048 in 80 are 1.28 times as many in a second. */
    f = fixture_make(&timing, NULL);
    r = tested(&f, "d12_mlp3x_gqa", "d12_mlp3x", "step_avg increase <= 100%");
    assert_int_equal(r.test.outcome, CLAIM_UNSETTLED);
    assert_string_equal(r.reason, "step_avg does not compare: tokens per step 2048 and 4096; per "
                                  "token their speeds do: tokens_per_s");
    r = tested(&f, "d12_mlp3x_gqa", "d12_mlp3x", "tokens_per_s increase >= 25%");
    assert_int_equal(r.test.outcome, CLAIM_SUPPORTED);
    check_close(r.test.percent.value, 28, 1e-6);
    fixture_end(&f);
    /* Another seed: no pairs. Welch of the ratio of means, as in test_comparison: -8.77 to 12.52 %.
     */
    f = fixture_make(NULL, "UPDATE run SET seed = 5 WHERE config_id = 2");
    r = tested(&f, "d12_mlp3x", "d12", "val_loss increase <= 20%");
    assert_int_equal(r.basis, PAIR_RUNS);
    check_close(r.test.percent.low, -8.76656090201433, 1e-8);
    check_close(r.test.percent.high, 12.5160672081559, 1e-8);
    fixture_end(&f);
}

static void test_stored(void **state)
{
    (void)state;
    suite_claim *claims;
    int n;
    fixture f = fixture_make(
        &timing,
        "INSERT INTO claim VALUES (1,'b','d12_mlp3x','d12','step_avg speedup >= 20%','a note',1),"
        " (1,'a','d12_mlp3x_gqa','d12','n_params within 1%','',1),"
        " (1,'gone','x','y','flops within 1%','',0)");
    assert_int_equal(claims_of_facts(&claims, &n, f.data->facts, NULL), GB_OK);
    assert_int_equal(n, 2); /* not what has left the plan */
    assert_string_equal(claims[0].name, "a");
    assert_string_equal(claims[1].source, "a note");
    assert_int_equal(claims[1].expectation.metric, METRIC_STEP_AVG);
    check_close(claims[1].expectation.percent, 20, 0);
    claim_result results[2];
    assert_int_equal(claims_test(results, f.data, claims, n, NULL), GB_OK);
    assert_ptr_equal(results[1].claim, &claims[1]);
    assert_int_equal(results[1].test.outcome, CLAIM_SUPPORTED);
    check_says(claim_result_words(&results[1]).text, "speedup +25.0");
    free(claims);
    planted_sql(f.db, "UPDATE claim SET expect = 'step_avg speedup' WHERE name = 'b'");
    assert_int_equal(claims_of_facts(&claims, &n, f.data->facts, NULL), GB_OK);
    free(claims); /* what was read is what it was */
    fixture_read_again(&f);
    gb_error err = {GB_OK, ""};
    assert_int_equal(claims_of_facts(&claims, &n, f.data->facts, &err), GB_ERR_FORMAT);
    check_says(err.message, "claim `b`");
    assert_null(claims);
    planted_sql(f.db, "DELETE FROM claim");
    fixture_read_again(&f);
    assert_int_equal(claims_of_facts(&claims, &n, f.data->facts, NULL), GB_OK);
    assert_int_equal(n, 0);
    free(claims);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--plant") == 0) {
        database_make(argv[2], &timing);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speed),           cmocka_unit_test(test_without_timing),
        cmocka_unit_test(test_loss_and_memory), cmocka_unit_test(test_exact_and_prediction),
        cmocka_unit_test(test_what_failed),     cmocka_unit_test(test_other_circumstances),
        cmocka_unit_test(test_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
