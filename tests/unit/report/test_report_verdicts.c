/* Verdicts of a report on made-up databases (tests/fakes/fake_db.h) whose times and losses are put
 * there by hand. Expected numbers are worked out beside each check; quantiles of Student's t are
 * SciPy's: t(0.975, 2) = 4.302652729911275, t(0.9875, 2) = 6.205346816570704. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/analysis/verdicts.h"
#include "bench/report/report.h"
#include "bench/words/results_table.h"
#include "bench/words/verdict_rows.h"
#include "tests/fakes/fake_db.h"

#define T_2        4.302652729911275
#define T_2_OF_TWO 6.205346816570704 /* half of alpha: Holm's first of two */

static void sql(const char *path, const char *text)
{
    store *s = NULL;
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "%s", text);
    store_close(s);
}

static findings *read_ok(const char *path)
{
    findings *data = NULL;
    gb_error err = {0};
    if (findings_read(&data, path, NULL, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    return data;
}

static void check_close(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.12g, want %.12g", got, want);
    }
}

static void check_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

/* The last validation of run R becomes LOSS. */
static void final_loss(const char *path, int run, double loss)
{
    char text[256];
    snprintf(text, sizeof text,
             "UPDATE eval SET val_loss = %.17g WHERE run_id = %d AND step = (SELECT max(step) FROM"
             " eval WHERE run_id = %d)",
             loss, run, run);
    sql(path, text);
}

/* The logarithm of the ratio of means of base[r] exp(by[r]) and base[r], r < 3, and its standard
 * error: that of the mean of the values over their mean, new less base. */
static double mean_ratio(const double *base, const double *by, double *value)
{
    double sum = 0, base_sum = base[0] + base[1] + base[2], squares = 0;
    for (int r = 0; r < 3; r++) {
        sum += base[r] * exp(by[r]);
    }
    for (int r = 0; r < 3; r++) {
        squares += pow(3 * base[r] * exp(by[r]) / sum - 3 * base[r] / base_sum, 2);
    }
    *value = log(sum / base_sum);
    return sqrt(squares / 6);
}

/* Three configs with three replicates: the first two percent lower than the baseline, give or take
 * a hundredth of that; the second anywhere. */
static void test_losses_by_hand(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    fake_db_make(&(fake_db){path, NULL, 3, 3, 40, false, false, false, false});
    static const double base[3] = {2.0, 2.1, 1.9};
    static const double lower[3] = {-0.0200, -0.0202, -0.0198}, any[3] = {-0.03, 0.04, 0.005};
    for (int r = 0; r < 3; r++) {
        final_loss(path, 100 + r, base[r]);
        final_loss(path, 200 + r, base[r] * exp(lower[r]));
        final_loss(path, 300 + r, base[r] * exp(any[r]));
    }
    findings *data = read_ok(path);
    assert_int_equal(data->verdicts->n, 3);
    const config_verdict *rows = data->verdicts->rows;
    assert_true(rows[0].is_baseline && !rows[0].loss_judged && !rows[0].speed_judged);

    const verdict *v = &rows[1].loss;
    double value, error = mean_ratio(base, lower, &value), half = T_2 * error;
    assert_int_equal(v->kind, VERDICT_LESS);
    assert_int_equal(v->n, 3);
    check_close(v->change.value, exp(value) - 1, 1e-12);
    check_close(v->change.low, exp(value - half) - 1, 1e-12);
    check_close(v->change.high, exp(value + half) - 1, 1e-12);
    /* The surer of two: Holm holds it against alpha / 2. */
    check_close(v->level, 0.975, 1e-12);
    check_close(v->corrected.high, exp(value + T_2_OF_TWO * error) - 1, 1e-9);

    /* -0.03, 0.04, 0.005: the interval is wider than the band on both sides. */
    v = &rows[2].loss;
    half = T_2 * mean_ratio(base, any, &value);
    assert_int_equal(v->kind, VERDICT_UNCLEAR);
    assert_int_equal(v->doubt, VERDICT_WIDE);
    check_close(v->change.low, exp(value - half) - 1, 1e-9);
    assert_true(v->further > 1);

    /* Seeds: log losses of the baseline have this sd; two of them differ by sqrt(2) times it. */
    double m = (log(2.0) + log(2.1) + log(1.9)) / 3;
    double variance = (pow(log(2.0) - m, 2) + pow(log(2.1) - m, 2) + pow(log(1.9) - m, 2)) / 2;
    check_close(rows[1].seed_noise, sqrt(2 * variance), 1e-12);
    /* Differences: base (e^-0.02 - 1), nearly; their mean by hand. */
    double sum = 0;
    for (int r = 0; r < 3; r++) {
        sum += base[r] * (exp(lower[r]) - 1);
    }
    check_close(rows[1].loss_difference.value, sum / 3, 1e-12);

    /* Nothing was timed in turn. */
    assert_false(rows[1].speed_judged);
    assert_false(data->entries[1].pace.interleaved);
    check_has(config_verdict_speed_words(data, &rows[1]).text, "not timed in turn");
    findings_free(data);

    /* One common replicate: unclear, with the reason and what seeds do. */
    sql(path, "UPDATE run SET status = 'killed' WHERE run_id IN (201, 202)");
    data = read_ok(path);
    v = &data->verdicts->rows[1].loss;
    assert_int_equal(v->kind, VERDICT_UNCLEAR);
    assert_int_equal(v->doubt, VERDICT_NO_INTERVAL);
    assert_int_equal(v->n, 1);
    verdict_text words = config_verdict_loss_words(&data->verdicts->rows[1]);
    /* 1 - e^-0.02 = 1.98 %; sqrt(2) * 5.0 % = 7.1 % */
    check_has(words.text, "Cannot tell: estimate 2.0 % better, no interval from 1 replicate. Other "
                          "seeds alone change it by 7.1 %.");
    findings_free(data);
    fake_db_remove(path);
}

/* Bursts put there by hand. Ratios to the baseline alternate, so that the interval is narrow and
 * the estimate is the mean of two logarithms. */
static void bursts_set(const char *path, int arm, double even, double odd, const char *column)
{
    char text[256];
    snprintf(text, sizeof text,
             "UPDATE burst SET %s = (100 + 5 * (block %% 3)) * CASE block %% 2 WHEN 0 THEN %.9g"
             " ELSE %.9g END WHERE arm = %d",
             column, even, odd, arm);
    sql(path, text);
}

static void test_speeds_by_hand(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    const fake_db fake = {path, NULL, 4, 1, 40, false, false, false, true};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 24, false);
    static const double pairs[5][2] = {
        {1, 1}, {1.073, 1.075}, {0.899, 0.901}, {0.999, 1.0012}, {1.0003, 0.9997}};
    for (int arm = 0; arm < 5; arm++) {
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "median_ms");
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "mean_ms");
    }
    /* By the means config 2 is no faster at all. */
    bursts_set(path, 2, 1.001, 0.999, "mean_ms");
    sql(path, "UPDATE burst_step SET step_ms = 200 WHERE arm = 1");
    findings *data = read_ok(path);
    const config_verdict *rows = data->verdicts->rows;
    static const verdict_kind kinds[4] = {VERDICT_UNCLEAR, VERDICT_MORE, VERDICT_LESS,
                                          VERDICT_SAME};
    for (int i = 1; i < 4; i++) {
        assert_true(rows[i].speed_judged);
        assert_int_equal(rows[i].speed.kind, kinds[i]);
        assert_int_equal(rows[i].speed.n, 24);
        check_close(rows[i].speed.change.value, sqrt(pairs[i][0] * pairs[i][1]) - 1, 1e-9);
        assert_int_equal(rows[i].means_disagree, i == 2);
    }
    assert_false(rows[0].speed_judged);
    /* The control's ratios alternate about sqrt(1.0003 * 0.9997) = 1 - 4.5e-8. */
    assert_true(rows[1].speed.floor < 1e-6);
    /* 2048 tokens in 200 ms; the peak is 420 GFLOP/s. */
    const entry_pace *pace = &data->entries[1].pace;
    assert_true(pace->interleaved);
    check_close(pace->step_avg_ms.value, 200, 1e-9);
    check_close(pace->tokens_per_s.value, 10240, 1e-6);
    check_close(pace->mfu, data->facts->configs[1].flops_per_token * 10240 / 4.2e11, 1e-12);
    assert_int_equal(pace->n_timed, 24 * FAKE_TIMED);
    assert_true(data->entries[0].pace.log_error == 0 && pace->log_error > 0);
    findings_free(data);
    fake_db_remove(path);
}

/* ---- what is written of it ---- */

typedef gb_status (*section)(document *doc, const findings *data, gb_error *err);

static char *markdown_of(section write, const findings *data)
{
    char *text = NULL, *html = NULL;
    size_t size = 0, html_size = 0;
    document doc = {.markdown = open_memstream(&text, &size),
                    .html = open_memstream(&html, &html_size),
                    .dir = "/tmp"};
    assert_int_equal(write(&doc, data, NULL), GB_OK);
    fclose(doc.markdown);
    fclose(doc.html);
    free(html);
    return text;
}

/* Columns of a terminal: bytes that do not continue a code point. */
static size_t widest_line(const char *text)
{
    size_t widest = 0, width = 0;
    for (; *text; text++) {
        width = *text == '\n' ? 0 : width + (((unsigned char)*text & 0xc0) != 0x80);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static char *table_of_run(const char *path)
{
    store *s = NULL;
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(results_table_print(s, "fake", out, NULL), GB_OK);
    fclose(out);
    store_close(s);
    return text;
}

/* What has gone faster than the peak that was measured: it counts, and MFU says so. */
static void test_beaten_peak(void **state)
{
    (void)state;
    char path[64];
    double reached;
    store *s = NULL;
    fake_db_name(path);
    const fake_db fake = {path, NULL, 4, 1, 40, false, false, false, true};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 24, false);
    char *text = table_of_run(path);
    assert_null(strstr(text, "MFU above"));
    free(text);
    sql(path, "UPDATE gemm_peak SET flops_per_s = 1e6");
    text = table_of_run(path);
    check_has(text, "MFU above 100 %: the GEMM peak was measured on a busy machine;");
    free(text);
    /* One arm takes 1 ms for its 2048 tokens, the others and all runs some 200. */
    sql(path, "UPDATE burst SET mean_ms = 1 WHERE arm = 1");
    findings *data = read_ok(path);
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    const store_engine engine = {1, "cpu", "fp32", 2};
    assert_int_equal(store_rate_reached(s, &engine, &reached, NULL), GB_OK);
    check_close(reached / (data->facts->configs[1].flops_per_token * 2048e3), 1, 1e-12);
    store_close(s);
    findings_free(data);
    fake_db_remove(path);
}

/* The same ratios as above. */
static void test_words(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    const fake_db fake = {path, NULL, 4, 1, 40, false, false, false, true};
    fake_db_make(&fake);
    char *text = table_of_run(path);
    assert_null(strstr(text, "SLOWER")); /* no session: the runs' own times, and no verdict */
    assert_null(strstr(text, "interleaved"));
    free(text);

    fake_db_add_timing(&fake, 24, false);
    static const double pairs[5][2] = {
        {1, 1}, {1.073, 1.075}, {0.899, 0.901}, {0.999, 1.0012}, {1.0003, 0.9997}};
    for (int arm = 0; arm < 5; arm++) {
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "median_ms");
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "mean_ms");
    }
    bursts_set(path, 1, 1.01, 1.012, "mean_ms");
    findings *data = read_ok(path);
    text = markdown_of(report_write_verdicts, data);
    check_has(text, "| SLOWER: 7.40 % slower. 95 % interval: ");
    check_has(text, "| FASTER: 10.0");
    check_has(text, "| SAME. No difference found (");
    check_has(text, "| UNCLEAR. Cannot tell: estimate ");
    check_has(text, "- Fastest: `d12_mlp3x_gqa`, 10.0 % faster than the baseline `d12` (");
    check_has(text, "Noise floor: timed a second time under another name, the baseline is");
    check_has(text, "Unclear in loss: d12_mlp3x, d12_mlp3x_gqa, d12_mlp3x_swiglu. An interval ");
    check_has(text, "Warning: `d12_mlp3x` by the medians of its bursts is 7.");
    free(text);
    text = markdown_of(report_write_sessions, data);
    check_has(text,
              "Design: 24 blocks. In each, every config has one burst of 2 untimed and 8 timed "
              "steps, in an order drawn anew for every block (seed 9); fresh processes every 8 "
              "blocks.");
    check_has(text, "within 1.0 % either way, after at least 10 and at most 40 blocks. Reached.");
    check_has(text, "Clock: 3000 MHz on average, from 2900 to 3100, over 24 samples");
    check_has(text, "Sensors that could not be read: gpu: no GPU here");
    /* 24 blocks: 4 processes; 10 + 24 * 2 steps left out, 24 * 8 timed. */
    check_has(text, "| d12              |     24 |         4 |                    58 |   192 |");
    check_has(text, "| d12 (control)    |     24 |         4 |                    58 |   192 |");
    free(text);
    findings_free(data);

    text = table_of_run(path);
    check_has(text, "SLOWER +7.4 %");
    check_has(text, "FASTER \xe2\x88\x92"
                    "10.0 %");
    check_has(text, "interleaved, 24 blocks. Noise floor: 0.0 %; the baseline is\n");
    assert_true(widest_line(text) <= 125);
    free(text);
    fake_db_remove(path);
}

static void test_what_cannot_be_judged(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    const fake_db fake = {path, NULL, 5, 1, 40, false, false, false, false};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 16, true);
    sql(path, "UPDATE run SET status = 'oom' WHERE run_id = 500");
    findings *data = read_ok(path);
    const config_verdict *rows = data->verdicts->rows;
    assert_int_equal(data->verdicts->n, 5);
    assert_int_equal(data->n_entries, 4);
    for (int i = 2; i < 4; i++) {
        assert_false(rows[i].speed_judged);
        assert_int_equal(rows[i].speed.kind, VERDICT_UNCLEAR);
        assert_false(data->entries[i].pace.interleaved); /* its run's speed stands in */
    }
    check_has(config_verdict_speed_words(data, &rows[2]).text,
              "its timing ended as oom: it was <not> to be");
    /* No run of the last config has finished: its speed is known all the same. */
    assert_int_equal(rows[4].entry, -1);
    assert_true(rows[4].speed_judged);
    check_has(config_verdict_loss_words(&rows[4]).text, "no run of it has finished");
    findings_free(data);

    /* The suite now has another baseline than the session. */
    sql(path, "UPDATE config SET is_baseline = (position = 1)");
    data = read_ok(path);
    assert_false(data->verdicts->rows[4].speed_judged);
    check_has(config_verdict_speed_words(data, &data->verdicts->rows[4]).text,
              "it was timed against `d12`");
    findings_free(data);

    /* Another machine's session says nothing of runs here. */
    sql(path, "INSERT INTO machine VALUES (2,'g','other','Linux','x',2,1,'x','');"
              "UPDATE config SET is_baseline = (position = 0); UPDATE timing SET machine_id = 2");
    data = read_ok(path);
    assert_null(data->verdicts->rows[1].arm);
    findings_free(data);
    fake_db_remove(path);
}

static void test_sessions_of_two_machines(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    const fake_db fake = {path, NULL, 2, 1, 40, false, false, false, false};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 10, false);
    fake_db_add_timing(&fake, 12, false);
    findings *data = read_ok(path);
    assert_int_equal(data->speeds->n_sessions, 1); /* the newer one has all that the older has */
    assert_int_equal(data->verdicts->rows[1].session->facts->blocks, 12);
    findings_free(data);
    sql(path, "INSERT INTO machine VALUES (2,'g','other','Linux','x',2,1,'x','');"
              "UPDATE timing SET machine_id = 2 WHERE blocks_done = 12");
    data = read_ok(path); /* the runs are on machine 1, and so is the older session */
    assert_int_equal(data->speeds->n_sessions, 2);
    assert_int_equal(data->verdicts->rows[1].session->facts->blocks, 10);
    assert_true(data->verdicts->rows[1].speed_judged);
    findings_free(data);
    fake_db_remove(path);
}

/* The baseline alone: nothing to judge, but its session says how noisy the machine is. */
static void test_baseline_alone(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    const fake_db fake = {path, NULL, 1, 1, 40, false, false, false, false};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 10, false);
    findings *data = read_ok(path);
    assert_int_equal(data->speeds->n_sessions, 1);
    assert_int_equal(data->speeds->sessions[0].aa.n, 10);
    assert_true(data->entries[0].pace.interleaved && !data->verdicts->rows[0].speed_judged);
    char *text = markdown_of(report_write_verdicts, data);
    check_has(text, "Noise floor: ");
    assert_null(strstr(text, "no verdict on speed"));
    free(text);
    findings_free(data);
    fake_db_remove(path);
}

/* A tenth faster and two per cent lower in loss than the baseline; the third slower, and its loss
 * first surely higher, then anywhere. */
static void test_best_ones(void **state)
{
    (void)state;
    char path[64];
    fake_db_name(path);
    fake_db fake = {path, NULL, 3, 3, 40, false, false, false, false};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 24, false);
    static const double pairs[4][2] = {{1, 1}, {0.899, 0.901}, {1.073, 1.075}, {1.0003, 0.9997}};
    for (int arm = 0; arm < 4; arm++) {
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "median_ms");
        bursts_set(path, arm, pairs[arm][0], pairs[arm][1], "mean_ms");
    }
    sql(path, "UPDATE burst_step SET step_ms = 100 * CASE arm WHEN 1 THEN 0.9 WHEN 2 THEN 1.074"
              " ELSE 1 END"); /* the front goes by step_avg */
    static const double base[3] = {2.0, 2.1, 1.9}, lower[3] = {-0.0200, -0.0202, -0.0198};
    static const double higher[3] = {0.0300, 0.0302, 0.0298}, any[3] = {-0.03, 0.04, 0.005};
    for (int r = 0; r < 3; r++) {
        final_loss(path, 100 + r, base[r]);
        final_loss(path, 200 + r, base[r] * exp(lower[r]));
        final_loss(path, 300 + r, base[r] * exp(higher[r]));
    }
    findings *data = read_ok(path);
    char *text = markdown_of(report_write_answer, data);
    check_has(text, "\nNo other config is as fast, and none as low in loss, as `d12_mlp3x`.");
    free(text);
    text = markdown_of(report_write_verdicts, data);
    check_has(text, "- Lowest in loss: `d12_mlp3x`, ");
    assert_null(strstr(text, "told apart"));
    free(text);
    findings_free(data);

    /* By its mean, +0.5 %, the third is higher still, but no verdict says so. */
    for (int r = 0; r < 3; r++) {
        final_loss(path, 300 + r, base[r] * exp(any[r]));
    }
    data = read_ok(path);
    text = markdown_of(report_write_answer, data);
    check_has(text,
              "\nBy the estimates alone, no other config is as fast, and none as low in loss, "
              "as `d12_mlp3x`.");
    free(text);
    text = markdown_of(report_write_verdicts, data);
    check_has(text, "); d12_mlp3x_gqa is not told apart from it.\n");
    free(text);
    findings_free(data);

    /* Means of 1.2 contradict the medians of 0.9: not the fastest. */
    bursts_set(path, 1, 1.2, 1.2, "mean_ms");
    data = read_ok(path);
    text = markdown_of(report_write_verdicts, data);
    check_has(text,
              "- None is called fastest: what is FASTER by its typical bursts is not so by their "
              "means.");
    free(text);
    findings_free(data);
    fake_db_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_by_hand),
        cmocka_unit_test(test_best_ones),
        cmocka_unit_test(test_speeds_by_hand),
        cmocka_unit_test(test_beaten_peak),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_cannot_be_judged),
        cmocka_unit_test(test_sessions_of_two_machines),
        cmocka_unit_test(test_baseline_alone),
    };
    return cmocka_run_group_tests_name("report_verdicts", tests, NULL, NULL);
}
