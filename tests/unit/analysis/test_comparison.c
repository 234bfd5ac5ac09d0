/* Two configs held against each other, in one database and in two, over planted times
 * (tests/fakes/planted_timing.h). Expected values are the planted ones; intervals of t tests are
 * SciPy's.
 *
 * `test_comparison --plant FILE MS NOISE CLOCK` writes a database in which bursts of d12 take MS
 * with this noise, and those of d12_mlp3x 3 % more, for tests/e2e/e2e_compare.sh. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/commands/compare_condition.h"
#include "tests/fakes/planted_timing.h"

static void check_close(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-300)) {
        fail_msg("got %.17g, want %.17g (relative %.3g)", got, want, fabs(got / want - 1));
    }
}

static void check_says(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", text, part);
    }
}

static void database_make(const char *path, double ms, double noise, double clock_mhz, int shuffle)
{
    fake_db_make(&(fake_db){path, NULL, 3, 3, 40, false, false, false, false});
    planted_add(&(planted){.path = path,
                           .blocks = 40,
                           .weather = 0,
                           .noise = noise,
                           .clock_mhz = clock_mhz,
                           .shuffle = shuffle,
                           .n = 2,
                           .arms = {{"d12", ms, 0, NULL}, {"d12_mlp3x", 1.03 * ms, 0, NULL}}});
}

/* Two databases, of which the second can be the first. */
typedef struct fixture {
    char dir[64], db[2][96];
    findings *data[2];
} fixture;

static fixture fixture_make(double new_ms, double noise, const char *new_sql)
{
    fixture f;
    char dir[] = "/tmp/gptbench-compare-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(f.dir, sizeof f.dir, "%s", dir);
    for (int i = 0; i < 2; i++) {
        snprintf(f.db[i], sizeof f.db[i], "%s/%d.db", dir, i);
        database_make(f.db[i], i ? new_ms : 100, noise, 3000, i);
        if (i && new_sql) {
            planted_sql(f.db[i], new_sql);
        }
        assert_int_equal(findings_read(&f.data[i], f.db[i], NULL, NULL), GB_OK);
    }
    return f;
}

static void fixture_end(fixture *f)
{
    char command[128];
    findings_free(f->data[0]);
    findings_free(f->data[1]);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

static comparison compared(const findings *base_data, const char *base_name, const findings *data,
                           const char *name, metric_id metric)
{
    pair_side base, side;
    comparison c;
    assert_int_equal(pair_side_find(&base, base_data, base_name, NULL), GB_OK);
    assert_int_equal(pair_side_find(&side, data, name, NULL), GB_OK);
    pair_align(&base, &side, base_name);
    assert_int_equal(comparison_of_pair(&c, &base, &side, metric, NULL), GB_OK);
    return c;
}

static compare_outcome checked(const char *text, const comparison *c)
{
    compare_condition condition;
    assert_int_equal(compare_condition_parse(&condition, text, METRIC_COUNT, NULL), GB_OK);
    assert_int_equal(condition.metric, c->metric);
    return compare_condition_check(&condition, c);
}

static void test_one_session(void **state)
{
    (void)state;
    fixture f = fixture_make(100, 0.002, NULL);
    comparison c = compared(f.data[0], "d12", f.data[0], "d12_mlp3x", METRIC_STEP_AVG);
    check_close(c.change.value, 0.03, 1e-9);
    assert_true(c.change.low > 0.028 && c.change.high < 0.032);
    check_says(c.method, "paired ratios of burst medians in 40 blocks of interleaved timing");
    /* Values are those of the session, not of the runs: the mean of 100 exp(0.002 z) over normal
     * quantiles is 100 to 1e-5. */
    check_close(c.base, 100, 1e-5);
    check_close(c.new_value, 103, 1e-5);
    c = compared(f.data[0], "d12", f.data[0], "d12_mlp3x", METRIC_TOKENS_PER_S);
    check_close(c.change.value, 1 / 1.03 - 1, 1e-9);
    check_close(c.base, 20480, 1e-5); /* 2048 tokens in 100 ms */
    /* Of d12_mlp3x_gqa there are runs alone. */
    c = compared(f.data[0], "d12", f.data[0], "d12_mlp3x_gqa", METRIC_STEP_AVG);
    check_says(c.method, "paired t of the ratio of means over 3 replicates");
    check_says(c.method, "not interleaved");
    fixture_end(&f);
    /* A config with a session and no finished run; one with nothing. */
    f = fixture_make(100, 0.002, "UPDATE run SET status = 'killed'");
    c = compared(f.data[1], "d12", f.data[1], "d12_mlp3x", METRIC_STEP_AVG);
    check_close(c.change.value, 0.03, 1e-9);
    c = compared(f.data[1], "d12", f.data[1], "d12_mlp3x", METRIC_VAL_LOSS);
    assert_true(isnan(c.change.value));
    check_says(c.method, "has no finished run");
    pair_side side;
    gb_error err = {GB_OK, ""};
    assert_int_equal(pair_side_find(&side, f.data[1], "d12_mlp3x_gqa", &err), GB_ERR_FAILED);
    assert_int_equal(pair_side_find(&side, f.data[1], "d12_mlp3", &err), GB_ERR_USAGE);
    check_says(err.message, "did you mean `d12_mlp3x`");
    fixture_end(&f);
}

static void test_two_sessions(void **state)
{
    (void)state;
    /* Noise of 0.3 % in 40 blocks on both sides: 1.96 * 0.3 % * sqrt(2 / 40) is 0.13 % for a mean,
     * and some more for a trimmed mean by the bootstrap. */
    fixture f = fixture_make(103, 0.003, NULL);
    comparison c = compared(f.data[0], "d12", f.data[1], "d12", METRIC_STEP_AVG);
    check_close(c.change.value, 0.03, 1e-9);
    double half = (c.change.high - c.change.low) / 2;
    assert_true(half > 0.0013 && half < 0.0022);
    check_says(c.method, "two sessions (40 and 40 blocks), not paired");
    assert_int_equal(checked("slower>2%", &c), COMPARE_MET);
    assert_int_equal(checked("slower>2.95%", &c), COMPARE_REACHES);
    assert_int_equal(checked("slower>4%", &c), COMPARE_NOT_MET);
    assert_int_equal(checked("faster>2%", &c), COMPARE_NOT_MET);
    c = compared(f.data[1], "d12", f.data[0], "d12", METRIC_STEP_MEDIAN);
    check_close(c.change.value, 1 / 1.03 - 1, 1e-9);
    c = compared(f.data[0], "d12", f.data[1], "d12_mlp3x", METRIC_TOKENS_PER_S);
    check_close(c.change.value, 1 / (1.03 * 1.03) - 1, 1e-9); /* another config, too */
    fixture_end(&f);
    /* 2.2 % with an interval of half a per cent either way reaches 2 %. */
    f = fixture_make(102.2, 0.0095, NULL);
    c = compared(f.data[0], "d12", f.data[1], "d12", METRIC_STEP_AVG);
    check_close(c.change.value, 0.022, 1e-9);
    half = (c.change.high - c.change.low) / 2;
    assert_true(half > 0.004 && half < 0.006);
    assert_int_equal(checked("slower>2%", &c), COMPARE_REACHES);
    assert_int_equal(checked("slower>1%", &c), COMPARE_MET);
    fixture_end(&f);
    /* Below ESTIMATE_MIN_BLOCKS blocks there is a value and nothing is decided. */
    f = fixture_make(103, 0.003, "UPDATE timing SET blocks_done = 5");
    c = compared(f.data[0], "d12", f.data[1], "d12", METRIC_STEP_AVG);
    assert_true(isfinite(c.change.value) && isnan(c.change.low));
    assert_int_equal(checked("slower>0%", &c), COMPARE_UNDECIDED);
    fixture_end(&f);
    /* A session on one side only: runs against runs, not paired across databases. */
    f = fixture_make(103, 0.003, "DELETE FROM timing");
    c = compared(f.data[0], "d12", f.data[1], "d12", METRIC_STEP_AVG);
    check_says(c.method, "Welch t of the ratio of means over 3 and 3 runs, not paired; run");
    fixture_end(&f);
}

static const char losses[] =
    "UPDATE eval SET val_loss = CASE run_id WHEN 100 THEN 2.0 WHEN 101 THEN 2.2 ELSE 2.1 END"
    " WHERE run_id < 103";
static const char new_losses[] =
    "UPDATE eval SET val_loss = CASE run_id WHEN 100 THEN 2.02 WHEN 101 THEN 2.2 ELSE 2.163 END"
    " WHERE run_id < 103";

/* The means are 2.1 and 6.383 / 3. By the formulas of bench/stats/mean_ratio.h, worked out apart
 * from it: standard errors 0.0087312 (paired) and 0.0376992, t quantiles 4.3026527 of 2
 * and 2.7808894 of 3.98385 degrees of freedom. */
static void test_losses(void **state)
{
    (void)state;
    for (int same_seed = 0; same_seed < 2; same_seed++) {
        fixture f = fixture_make(100, 0.003, new_losses);
        findings_free(f.data[0]);
        planted_sql(f.db[0], losses);
        if (!same_seed) {
            planted_sql(f.db[0], "UPDATE run SET seed = 4");
        }
        assert_int_equal(findings_read(&f.data[0], f.db[0], NULL, NULL), GB_OK);
        comparison c = compared(f.data[0], "d12", f.data[1], "d12", METRIC_VAL_LOSS);
        check_close(c.change.value, 6.383 / 6.3 - 1, 1e-12);
        check_close(c.change.low, same_seed ? -0.0246929562939754 : -0.0876656090201433, 1e-8);
        check_close(c.change.high, same_seed ? 0.0525124196964453 : 0.125160672081559, 1e-8);
        check_says(c.method, same_seed ? "paired t" : "Welch t of the ratio of means over 3 and 3");
        assert_int_equal(checked("worse>20%", &c), COMPARE_NOT_MET);
        fixture_end(&f);
    }
}

/* What pair_comparability says of d12 in both databases, "what base|new; ...". */
static const char *mismatches(const fixture *f, metric_id metric)
{
    static char text[8192];
    comparability found;
    pair_side base, side;
    assert_int_equal(pair_side_find(&base, f->data[0], "d12", NULL), GB_OK);
    assert_int_equal(pair_side_find(&side, f->data[1], "d12", NULL), GB_OK);
    assert_int_equal(pair_comparability(&found, &base, &side, metric, NULL), GB_OK);
    text[0] = '\0';
    for (int i = 0; i < found.n; i++) {
        const obstacle *o = &found.obstacles[i];
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s %s|%s", i ? "; " : "", o->what, o->base,
                 o->config);
    }
    return text;
}

static void test_mismatches(void **state)
{
    (void)state;
    const struct {
        const char *sql, *step, *rate, *loss, *memory;
    } cases[] = {
        {"SELECT 1", "", "", "", ""},
        {"UPDATE machine SET hostname = 'other', driver = '560'", "machine host|other; driver |560",
         "machine host|other; driver |560", "", "machine host|other; driver |560"},
        {"UPDATE timing_arm SET precision = 'bf16', threads = 4; UPDATE run SET precision = 'bf16',"
         " threads = 4",
         "precision fp32|bf16; threads 2|4", "precision fp32|bf16; threads 2|4", "",
         "precision fp32|bf16; threads 2|4"},
        {"UPDATE timing_arm SET backend = 'cuda'; UPDATE run SET backend = 'cuda'",
         "backend cpu|cuda", "backend cpu|cuda", "", "backend cpu|cuda"},
        {"UPDATE timing_arm SET tokens_per_step = 512", "tokens per step 2048|512", "", "", ""},
        {"UPDATE run SET tokens_per_step = 512", "", "", "", "tokens per step 2048|512"},
        {"UPDATE run SET val_data_hash = 'x'", "", "", "validation data 000000000000beef|x", ""},
        /* 3000 MHz; 4 % less is within the tolerance, 6 % is not: 3000 / 2830 = 1.06 */
        {"UPDATE timing_sample SET cpu_clock_mhz = cpu_clock_mhz - 120", "", "", "", ""},
        {"UPDATE timing_sample SET cpu_clock_mhz = cpu_clock_mhz - 170",
         "median clock 3000 MHz|2830 MHz", "median clock 3000 MHz|2830 MHz", "", ""},
        {"UPDATE timing_sample SET cpu_clock_mhz = NULL", "", "", "", ""}, /* not known */
        /* of the GPU where that computes */
        {"UPDATE timing_arm SET backend = 'cuda'; UPDATE run SET backend = 'cuda';"
         "UPDATE timing_sample SET gpu_clock_mhz = 2000",
         "backend cpu|cuda; median clock 3000 MHz|2000 MHz",
         "backend cpu|cuda; median clock 3000 MHz|2000 MHz", "", "backend cpu|cuda"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f = fixture_make(100, 0.003, cases[i].sql);
        assert_string_equal(mismatches(&f, METRIC_STEP_AVG), cases[i].step);
        assert_string_equal(mismatches(&f, METRIC_TOKENS_PER_S), cases[i].rate);
        assert_string_equal(mismatches(&f, METRIC_VAL_LOSS), cases[i].loss);
        assert_string_equal(mismatches(&f, METRIC_PEAK_MEMORY), cases[i].memory);
        assert_string_equal(mismatches(&f, METRIC_FLOPS), "");
        fixture_end(&f);
    }
    /* Without sessions the clocks are those of the runs: fake_db.h has 1950 and 1980 MHz (of a GPU,
     * in runs on the CPU), 10 % less is too far. */
    fixture f = fixture_make(100, 0.003,
                             "DELETE FROM timing; UPDATE sample SET gpu_clock_mhz = 0.9 *"
                             " gpu_clock_mhz, cpu_clock_mhz = 0.9 * cpu_clock_mhz");
    check_says(mismatches(&f, METRIC_STEP_AVG), "median clock");
    fixture_end(&f);
}

static void test_conditions(void **state)
{
    (void)state;
    const struct {
        const char *text;
        metric_id asked, metric;
        int sign;
    } cases[] = {
        {"slower>2%", METRIC_COUNT, METRIC_STEP_AVG, 1},
        {" faster > 2 % ", METRIC_STEP_MEDIAN, METRIC_STEP_MEDIAN, -1},
        {"slower>2%", METRIC_VAL_LOSS, METRIC_STEP_AVG, 1},
        {"worse>2%", METRIC_BEST_VAL_LOSS, METRIC_BEST_VAL_LOSS, 1},
        {"better>2%", METRIC_COUNT, METRIC_VAL_LOSS, -1},
        {"larger>2%", METRIC_COUNT, METRIC_PEAK_MEMORY, 1},
        {"larger>2%", METRIC_N_PARAMS, METRIC_N_PARAMS, 1},
        {"smaller>2%", METRIC_FLOPS, METRIC_FLOPS, -1},
        {"more_memory>2%", METRIC_FLOPS, METRIC_PEAK_MEMORY, 1},
        {"less_memory>2%", METRIC_COUNT, METRIC_PEAK_MEMORY, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare_condition c;
        assert_int_equal(compare_condition_parse(&c, cases[i].text, cases[i].asked, NULL), GB_OK);
        assert_int_equal(c.metric, cases[i].metric);
        assert_int_equal(c.sign, cases[i].sign);
        check_close(c.limit, 0.02, 1e-15);
    }
    gb_error err = {GB_OK, ""};
    compare_condition c;
    assert_int_equal(compare_condition_parse(&c, "slowr>2%", METRIC_COUNT, &err), GB_ERR_USAGE);
    check_says(err.message, "did you mean `slower`");
    assert_int_equal(compare_condition_parse(&c, "larger>=2%", METRIC_COUNT, &err), GB_ERR_USAGE);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "--plant") == 0) {
        int shuffle = strtod(argv[3], NULL) > 100 ? 1 : 0;
        database_make(argv[2], strtod(argv[3], NULL), strtod(argv[4], NULL), strtod(argv[5], NULL),
                      shuffle);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_session), cmocka_unit_test(test_two_sessions),
        cmocka_unit_test(test_losses),      cmocka_unit_test(test_mismatches),
        cmocka_unit_test(test_conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
