/* The one rule of what may be compared, by itself and in all that follows from it: verdicts, the
 * front, equal budgets. Times are planted (tests/fakes/planted_timing.h); expected changes are
 * worked out beside the checks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/equal_budget.h"
#include "bench/analysis/load.h"
#include "bench/analysis/pair.h"
#include "bench/analysis/peers.h"
#include "bench/analysis/runs_pair.h"
#include "bench/analysis/verdicts.h"
#include "bench/words/verdict_rows.h"
#include "tests/fakes/planted_timing.h"

/* ---- the rule itself ---- */

static const machine_facts HOST = {1, "host", "Linux 6.1", "cpu A", "cpu A", "", 2, 1000};

static circumstances circumstances_default(void)
{
    return (circumstances){&HOST, "cpu", "fp32", 2, 2048, 3000, NULL};
}

static void test_of_times(void **state)
{
    (void)state;
    machine_facts other = HOST;
    other.driver = "560";
    circumstances base = circumstances_default(), c[6];
    for (int i = 0; i < 6; i++) {
        c[i] = base;
    }
    c[0].threads = 4;
    c[1].precision = "bf16";
    c[2].backend = "cuda";
    c[3].machine = &other;
    c[4].tokens_per_step = 512;
    c[5].clock_mhz = 2830; /* 3000 / 2830 = 1.06 */
    /* of step time, tokens/s, memory; no loss and no exact number minds any of these */
    static const struct {
        const char *words;
        bool rate, memory;
    } want[6] = {{"threads 2 and 4", true, true},
                 {"precision fp32 and bf16", true, true},
                 {"backend cpu and cuda", true, true},
                 {"driver unknown and 560", true, true},
                 {"tokens per step 2048 and 512", false, true},
                 {"median clock 3000 MHz and 2830 MHz", true, false}};
    for (int i = 0; i < 6; i++) {
        comparability step = comparability_of(&base, &c[i], METRIC_STEP_AVG);
        comparability rate = comparability_of(&base, &c[i], METRIC_TOKENS_PER_S);
        comparability memory = comparability_of(&base, &c[i], METRIC_PEAK_MEMORY);
        assert_string_equal(comparability_words(&step).text, want[i].words);
        assert_string_equal(comparability_words(&rate).text, want[i].rate ? want[i].words : "");
        assert_string_equal(comparability_words(&memory).text, want[i].memory ? want[i].words : "");
        assert_int_equal(comparability_of(&base, &c[i], METRIC_VAL_LOSS).n, 0);
        assert_int_equal(comparability_of(&base, &c[i], METRIC_FLOPS).n, 0);
        assert_int_equal(comparability_speed_metric(&base, &c[i]),
                         i == 4 ? METRIC_TOKENS_PER_S : METRIC_STEP_AVG);
    }
    c[0] = base;
    c[0].clock_mhz = 2880; /* 4 % less: within the tolerance */
    c[1] = base;
    c[1].clock_mhz = NAN; /* not known */
    assert_int_equal(comparability_of(&base, &c[0], METRIC_STEP_AVG).n, 0);
    assert_int_equal(comparability_of(&base, &c[1], METRIC_STEP_AVG).n, 0);
    c[2] = base; /* two obstacles, in the order of the list */
    c[2].threads = 1;
    c[2].tokens_per_step = 1;
    comparability both = comparability_of(&base, &c[2], METRIC_STEP_AVG);
    assert_string_equal(comparability_words(&both).text,
                        "threads 2 and 1; tokens per step 2048 and 1");
}

static run_facts validated(const char *file, const char *stretch, int64_t tokens)
{
    return (run_facts){
        .val_data_hash = file, .val_stretch_hash = stretch, .val_tokens = tokens, .lr_scale = 1};
}

static void test_of_losses(void **state)
{
    (void)state;
    const struct {
        run_facts a, b;
        const char *words;
    } cases[] = {
        {validated("f", "s", 64), validated("f", "s", 64), ""},
        {validated("f", "s", 64), validated("g", "s", 64), ""}, /* another file, the same tokens */
        {validated("f", "s", 64), validated("f", "t", 64), "validation data s and t"},
        {validated("f", "s", 64), validated("f", "t", 128), "validation tokens 64 and 128"},
        /* older databases have no hash of the stretch */
        {validated("f", "", 64), validated("f", "s", 64), ""},
        {validated("f", "", 64), validated("f", "", 128), "validation tokens 64 and 128"},
        {validated("f", "", 64), validated("g", "s", 64), "validation data f and g"},
        {validated("f", "", 0), validated("f", "", 128), ""}, /* nobody knows */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const run_facts *a[] = {&cases[i].a}, *b[] = {&cases[i].a, &cases[i].b};
        result_entry one = {.runs = a, .n_runs = 1}, two = {.runs = b, .n_runs = 2};
        circumstances of_one = {.losses = &one}, of_two = {.losses = &two};
        comparability c = comparability_of(&of_one, &of_two, METRIC_VAL_LOSS);
        assert_string_equal(comparability_words(&c).text, cases[i].words);
        c = comparability_of(&of_two, &of_one, METRIC_BEST_VAL_LOSS); /* any run of either side */
        assert_int_equal(c.n > 0, cases[i].words[0] != '\0');
        assert_int_equal(comparability_same_validation(&cases[i].a, &cases[i].b), c.n == 0);
    }
    run_facts halved = validated("f", "s", 64), plain = halved;
    halved.lr_scale = 0.5;
    const run_facts *a[] = {&plain}, *b[] = {&halved};
    result_entry one = {.runs = a, .n_runs = 1}, two = {.runs = b, .n_runs = 1};
    circumstances of_one = {.losses = &one}, of_two = {.losses = &two};
    comparability c = comparability_of(&of_one, &of_two, METRIC_VAL_LOSS);
    assert_string_equal(comparability_words(&c).text,
                        "learning rate after NaN as asked and halved 1x");
}

/* ---- what follows from it ---- */

/* 100 ms, 80 ms and, with twice the tokens, 125 ms. */
static const planted timing = {.blocks = 40,
                               .weather = 0.3,
                               .noise = 0.002,
                               .n = 3,
                               .arms = {{"d12", 100, 0, NULL},
                                        {"d12_mlp3x", 80, 0, NULL},
                                        {"d12_mlp3x_gqa", 125, 4096, NULL}}};

typedef struct fixture {
    char dir[64], db[96];
    findings *data;
} fixture;

static fixture fixture_make(bool timed, const char *sql)
{
    fixture f = {.data = NULL};
    snprintf(f.dir, sizeof f.dir, "/tmp/gptbench-comparability-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    snprintf(f.db, sizeof f.db, "%s/r.db", f.dir);
    fake_db_make(&(fake_db){f.db, NULL, 3, 3, 40, false, false, false, false});
    if (timed) {
        planted with_path = timing;
        with_path.path = f.db;
        planted_add(&with_path);
    }
    if (sql) {
        planted_sql(f.db, sql);
    }
    assert_int_equal(findings_read(&f.data, f.db, NULL, NULL), GB_OK);
    return f;
}

static void fixture_end(fixture *f)
{
    char command[128];
    findings_free(f->data);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

static void check_close(double got, double want, double absolute)
{
    if (!(fabs(got - want) <= absolute)) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

/* By step time the third config is 25 % slower; 62.5 ms per 2048 tokens are 37.5 % faster. */
static void test_speed_per_token(void **state)
{
    (void)state;
    fixture f = fixture_make(true, NULL);
    const config_verdict *rows = f.data->verdicts->rows;
    assert_false(rows[1].per_token);
    check_close(rows[1].speed.change.value, -0.2, 1e-6);
    assert_true(rows[2].per_token && rows[2].speed_judged && !rows[2].speed_refused);
    assert_int_equal(rows[2].speed.kind, VERDICT_LESS);
    check_close(rows[2].speed.change.value, -0.375, 1e-6);
    check_close(rows[2].time_change.value, -0.375, 1e-6);
    assert_true(rows[2].speed.change.low < -0.375 && rows[2].speed.change.high > -0.375);
    assert_non_null(strstr(config_verdict_speed_words(f.data, &rows[2]).text, "Per token"));
    assert_null(strstr(config_verdict_speed_words(f.data, &rows[1]).text, "Per token"));

    fixture_end(&f);

    /* the same of runs that did not take turns: with half the tokens a token takes twice what the
     * step time says */
    f = fixture_make(false, "UPDATE run SET tokens_per_step = 1024 WHERE config_id = 2");
    rows = f.data->verdicts->rows;
    assert_true(rows[1].per_token && !rows[2].per_token);
    assert_true(rows[1].terms.trained == 40 * 1024 && rows[1].terms.base_trained == 40 * 2048);
    assert_non_null(strstr(config_verdict_loss_words(&rows[1]).text,
                           " Trained on 41.0k tokens, the baseline on 81.9k."));
    const result_entry *entries = f.data->entries;
    check_close(rows[1].time_change.value,
                2 * entries[1].step_avg_ms.value / entries[0].step_avg_ms.value - 1, 1e-9);
    assert_true(rows[1].time_change.low <= rows[1].time_change.value &&
                rows[1].time_change.high >= rows[1].time_change.value);
    fixture_end(&f);
}

static void test_speed_refused(void **state)
{
    (void)state;
    fixture f = fixture_make(true, "UPDATE timing_arm SET precision = 'bf16' WHERE arm = 1;"
                                   "UPDATE run SET precision = 'bf16' WHERE config_id = 2");
    const config_verdict *row = &f.data->verdicts->rows[1];
    assert_false(row->speed_judged);
    assert_string_equal(row->speed_refused, "precision fp32 and bf16");
    assert_string_equal(config_verdict_speed_words(f.data, row).text,
                        "Not compared: precision fp32 and bf16.");
    assert_true(isnan(row->time_change.value));
    assert_true(row->loss_judged); /* the same tokens were predicted */
    assert_true(f.data->verdicts->rows[2].speed_judged);
    assert_false(f.data->entries[1].speed_compares || f.data->entries[1].on_front);
    fixture_end(&f);

    f = fixture_make(false, "UPDATE run SET threads = 4 WHERE config_id = 3");
    row = &f.data->verdicts->rows[2];
    assert_string_equal(row->speed_refused, "threads 2 and 4");
    assert_true(isnan(row->time_change.value) && isnan(f.data->entries[2].front_probability));
    assert_false(f.data->entries[2].steps_compare);
    fixture_end(&f);
}

static void test_loss_refused(void **state)
{
    (void)state;
    fixture f =
        fixture_make(true, "UPDATE run SET val_tokens = 64;"
                           "UPDATE run SET val_tokens = 128 WHERE config_id = 2;"
                           /* so low that it would be on any front */
                           "UPDATE eval SET val_loss = val_loss / 2 WHERE run_id / 100 = 2");
    const config_verdict *row = &f.data->verdicts->rows[1];
    assert_false(row->loss_judged);
    assert_string_equal(row->loss_refused, "validation tokens 64 and 128");
    assert_string_equal(config_verdict_loss_words(row).text,
                        "Not compared: validation tokens 64 and 128.");
    assert_true(isnan(row->loss_difference.value));
    assert_true(row->speed_judged && f.data->verdicts->rows[2].loss_judged);
    const result_entry *e = f.data->entries;
    assert_true(e[1].speed_compares && !e[1].loss_compares);
    assert_false(e[1].on_front);
    assert_true(isnan(e[1].front_probability) && isfinite(e[0].front_probability));
    assert_true(e[0].on_front || e[2].on_front);
    budget_comparison budget;
    assert_int_equal(equal_budget_compare(&budget, f.data, &e[0], &e[1], NULL), GB_OK);
    assert_int_equal(budget.n_shared, 0);
    assert_int_equal(equal_budget_compare(&budget, f.data, &e[0], &e[2], NULL), GB_OK);
    assert_int_equal(budget.n_shared, 3);
    fixture_end(&f);
}

/* Two that do not compare leave no front, though each is alone on its own. */
static void test_nothing_beside(void **state)
{
    (void)state;
    fixture f = fixture_make(true, "UPDATE run SET val_tokens = 32 << config_id");
    for (int i = 0; i < f.data->n_entries; i++) {
        assert_false(f.data->entries[i].on_front);
        assert_true(isnan(f.data->entries[i].front_probability));
    }
    assert_int_equal(peers_lead(f.data), 0);
    fixture_end(&f);
}

/* Contexts may differ: it is said. Other seeds are no pairs: Welch, not paired t. */
static void test_other_contexts_and_seeds(void **state)
{
    (void)state;
    fixture f = fixture_make(true, "UPDATE run SET sequence_length = 128 WHERE config_id = 2;"
                                   "UPDATE run SET seed = 5 WHERE config_id = 3");
    const config_verdict *rows = f.data->verdicts->rows;
    assert_true(rows[1].loss_judged && rows[1].terms.context == 128 &&
                rows[1].terms.base_context == 256);
    assert_non_null(strstr(config_verdict_loss_words(&rows[1]).text,
                           " Predicted from up to 128 tokens before, the baseline from 256."));
    assert_true(rows[1].terms.trained == 0 && rows[2].terms.trained == 0);
    const result_entry *e = f.data->entries;
    check_close(rows[2].loss.change.value, e[2].val_loss.value / e[0].val_loss.value - 1, 1e-12);
    check_close(rows[2].loss_difference.value, e[2].val_loss.value - e[0].val_loss.value, 1e-12);
    assert_false(runs_are_pairs(&e[0], &e[2]));
    double unpaired = rows[2].loss.change.high - rows[2].loss.change.low;
    fixture_end(&f);
    f = fixture_make(true, NULL);
    rows = f.data->verdicts->rows;
    assert_true(runs_are_pairs(&f.data->entries[0], &f.data->entries[2]));
    assert_true(unpaired != rows[2].loss.change.high - rows[2].loss.change.low);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_times),
        cmocka_unit_test(test_of_losses),
        cmocka_unit_test(test_speed_per_token),
        cmocka_unit_test(test_speed_refused),
        cmocka_unit_test(test_loss_refused),
        cmocka_unit_test(test_nothing_beside),
        cmocka_unit_test(test_other_contexts_and_seeds),
    };
    return cmocka_run_group_tests_name("comparability", tests, NULL, NULL);
}
