/* Do verdicts keep their promises? Thousands of suites with known truth and the noise of
 * simulated_blocks.h are judged, and the shares of right and wrong are held against the promise:
 *
 *   plain 95 % intervals hold the truth in 93 to 97 % of cases, in every scenario;
 *   of suites whose configs are truly inside the band, at most 5 % have any FASTER or SLOWER;
 *   a true difference of 1 % is found in at least 90 % at the number of blocks that the planner
 *   proposes from the first ten;
 *   stopping by precision leaves coverage above 93 %.
 *
 * The expected numbers are those promises, not earlier output. Seeds are fixed, so a run gives the
 * same counts each time. Suites and resamples per test: `scale` below. Sanitized builds do a tenth
 * of the suites, with limits that allow for the larger chance error (three standard errors). `make
 * simulate` does ten times as many and prints the figures that docs/MEASURING.md quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/stats/block_count.h"
#include "bench/stats/clock_grid.h"
#include "bench/stats/drift.h"
#include "bench/stats/noise.h"
#include "tests/fakes/simulated_blocks.h"
#include "tests/ref/plain_bootstrap.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { ARMS = 8, CONFIGS = 6, CONTROL = 7, RESAMPLES = 500 }; /* baseline, six configs, A/A */

/* How many suites, for a test that has `suites` in an ordinary build. */
static size_t scaled(size_t suites)
{
    const char *times = getenv("GPTBENCH_SIMULATE");
    return times ? suites * (size_t)atoi(times) : SANITIZED ? suites / 5 : suites;
}

/* Three standard errors of a share p among n independent cases. */
static double slack(double p, size_t n)
{
    return 3 * sqrt(p * (1 - p) / (double)n);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    if (getenv("GPTBENCH_SIMULATE")) {
        va_list arguments;
        va_start(arguments, format);
        vprint_message(format, arguments);
        va_end(arguments);
    }
}

/* ---- a suite ---- */

typedef struct sim_suite {
    const noise_model *model;
    session session;
    size_t n;
    double true_ms[ARMS];
    double ms[ARMS][SIM_MAX_BLOCKS];
} sim_suite;

static void suite_begin(sim_suite *s, int model, uint64_t test, size_t number, double ratio)
{
    s->model = &sim_models[model];
    s->n = 0;
    uint64_t seed = stats_random_u64(test * 1000 + (uint64_t)model, number);
    s->session = session_begin(s->model, ARMS, 30, seed);
    for (int arm = 0; arm < ARMS; arm++) {
        s->true_ms[arm] = arm == 0 || arm == CONTROL ? 100 : 100 * ratio;
    }
}

static void suite_run(sim_suite *s, size_t blocks)
{
    while (s->n < blocks) {
        double ms[ARMS];
        session_block(&s->session, s->true_ms, ms);
        for (int arm = 0; arm < ARMS; arm++) {
            s->ms[arm][s->n] = ms[arm];
        }
        s->n++;
    }
}

/* 10 to 30 blocks. */
static size_t drawn_blocks(sim_suite *s)
{
    return 10 + (size_t)stats_random_below(s->session.random.seed, UINT64_C(1) << 40, 21);
}

static size_t suite_ratios(const sim_suite *s, int arm, double *d)
{
    return estimate_log_ratios(s->ms[arm], s->ms[0], s->n, d);
}

static estimate suite_estimate(const sim_suite *s, int arm, size_t resamples)
{
    double d[SIM_MAX_BLOCKS];
    estimate e;
    size_t n = suite_ratios(s, arm, d);
    double ms = s->true_ms[arm], tick = s->model->tick * s->true_ms[0];
    assert_int_equal(estimate_bootstrap_coarse(
                         &e, (stats_sample){d, n}, clock_grid_log_error(tick, ms, s->true_ms[0]),
                         resamples, s->session.random.seed + (uint64_t)arm, NULL),
                     GB_OK);
    return e;
}

static bool covers(const estimate *e, double truth)
{
    stats_interval i = estimate_interval(e, 0.95);
    return i.low <= truth && truth <= i.high;
}

/* All six configs judged as a suite is: Holm over six, the control as floor. */
static void suite_judge(const sim_suite *s, verdict *verdicts, bool *plain_alarm)
{
    estimate e[CONFIGS];
    const estimate *each[CONFIGS];
    estimate control = suite_estimate(s, CONTROL, 1);
    verdict_rule rule = verdict_rule_default();
    rule.floor = fabs(expm1(control.value));
    rule.power = NAN; /* how many blocks would settle it takes time, and nobody asks here */
    estimate_free(&control);
    for (int i = 0; i < CONFIGS; i++) {
        e[i] = suite_estimate(s, i + 1, RESAMPLES);
        each[i] = &e[i];
    }
    assert_int_equal(verdict_judge(verdicts, each, CONFIGS, &rule, NULL), GB_OK);
    *plain_alarm = false;
    for (int i = 0; i < CONFIGS; i++) {
        *plain_alarm |= verdicts[i].p_beyond <= 0.05;
        estimate_free(&e[i]);
    }
}

/* ---- the promises ---- */

/* Where clocks 8 % apart flip about every fourth burst, ratios come in three clumps, the winsorised
 * spread is larger than that of the trimmed mean, and intervals are too wide. That errs on the safe
 * side and is allowed for: the mean would be right there, and is ruined by outliers. A coarse clock
 * is wrong by the same in all bursts of a session, and by how much is not known: then an interval
 * must hold the worst. */
static double coverage_limit(int model)
{
    return model < SIM_ORDINARY ? 0.97 : sim_models[model].tick > 0 ? 1 : 0.99;
}

static void test_coverage(void **state)
{
    (void)state;
    static sim_suite s;
    size_t suites = scaled(2000), all = 0;
    for (int model = 0; model < SIM_MODELS; model++) {
        size_t hits = 0;
        for (size_t i = 0; i < suites; i++) {
            double ratio = 0.97 + 0.01 * (double)(i % 7);
            suite_begin(&s, model, 1, i, ratio);
            suite_run(&s, drawn_blocks(&s));
            estimate e = suite_estimate(&s, 1, RESAMPLES);
            hits += covers(&e, log(ratio));
            estimate_free(&e);
        }
        double share = (double)hits / (double)suites;
        say("coverage, 10 to 30 blocks, %-13s %.1f %%\n", sim_models[model].name, 100 * share);
        /* The limits lie 2 % around 95 %; with few suites chance reaches beyond them. */
        double allowed = SANITIZED ? slack(0.95, suites) - 0.02 : 0;
        assert_true(share >= 0.93 - fmax(allowed, 0));
        assert_true(share <= coverage_limit(model) + fmax(allowed, 0));
        all += hits;
    }
    double share = (double)all / (double)(suites * SIM_MODELS);
    say("coverage, all %.2f %%\n", 100 * share);
    assert_true(share >= 0.93 && share <= 0.97);
}

/* Shares of suites, all of whose configs are `ratio`, with at least one verdict of a kind. */
typedef struct alarms {
    double beyond, same; /* FASTER or SLOWER; SAME */
    double plain;        /* FASTER or SLOWER without Holm and without the control as floor */
} alarms;

static alarms count_alarms(double ratio, uint64_t test, size_t suites)
{
    static sim_suite s;
    size_t beyond = 0, same = 0, plain = 0;
    for (size_t i = 0; i < suites; i++) {
        suite_begin(&s, (int)(i % SIM_MODELS), test, i, ratio);
        suite_run(&s, drawn_blocks(&s));
        verdict verdicts[CONFIGS];
        bool plain_alarm, any_beyond = false, any_same = false;
        suite_judge(&s, verdicts, &plain_alarm);
        for (int k = 0; k < CONFIGS; k++) {
            any_beyond |= verdicts[k].kind == VERDICT_LESS || verdicts[k].kind == VERDICT_MORE;
            any_same |= verdicts[k].kind == VERDICT_SAME;
        }
        beyond += any_beyond;
        same += any_same;
        plain += plain_alarm;
    }
    double n = (double)suites;
    return (alarms){(double)beyond / n, (double)same / n, (double)plain / n};
}

static void test_false_alarms(void **state)
{
    (void)state;
    size_t suites = scaled(2000);
    alarms equals = count_alarms(1, 2, suites);
    say("suites of equals with a FASTER or SLOWER: %.2f %%; without Holm and control %.2f %%\n",
        100 * equals.beyond, 100 * equals.plain);
    assert_true(equals.beyond <= 0.05);
    assert_true(equals.same > 0.1); /* and yet something is said */
    /* The worst for both kinds of mistake: all six exactly at the edge of the band. */
    alarms edge = count_alarms(1.005, 3, suites);
    say("all at the edge of the band: %.2f %%; without Holm and control %.2f %%; SAME %.2f %%\n",
        100 * edge.beyond, 100 * edge.plain, 100 * edge.same);
    assert_true(edge.beyond <= 0.05);
    assert_true(edge.same <= 0.05);
    assert_true(edge.plain > 2 * edge.beyond); /* else the correction would be for nothing */
}

static void test_planner(void **state)
{
    (void)state;
    static sim_suite s;
    size_t suites = scaled(450), found[SIM_ORDINARY] = {0}, tried[SIM_ORDINARY] = {0}, all = 0;
    double blocks[SIM_ORDINARY] = {0};
    for (size_t i = 0; i < suites; i++) {
        int model = (int)(i % SIM_ORDINARY);
        suite_begin(&s, model, 4, i, 1);
        s.true_ms[1] = 101;
        suite_run(&s, 10);
        double d[SIM_MAX_BLOCKS];
        size_t n = suite_ratios(&s, 1, d);
        estimate pilot; /* its standard error is the sample's own, so one resample does */
        assert_int_equal(estimate_bootstrap(&pilot, d, n, 1, 0, NULL), GB_OK);
        block_spread spread = block_spread_of(&pilot);
        estimate_free(&pilot);
        double proposed = block_count_to_find(spread, 0.01, 0.005, 0.05, CONFIGS, 0.9);
        assert_true(proposed >= ESTIMATE_MIN_BLOCKS);
        /* More than there is room for: judged there, with less than was asked for. */
        suite_run(&s, proposed > SIM_MAX_BLOCKS ? SIM_MAX_BLOCKS : (size_t)proposed);
        verdict verdicts[CONFIGS];
        bool unused;
        suite_judge(&s, verdicts, &unused);
        bool right = verdicts[0].kind == VERDICT_MORE;
        found[model] += right;
        tried[model]++;
        blocks[model] += (double)s.n;
        all += right;
    }
    for (int model = 0; model < SIM_ORDINARY; model++) {
        say("1 %% found, %-13s %.1f %%, %.0f blocks on average\n", sim_models[model].name,
            100 * (double)found[model] / (double)tried[model],
            blocks[model] / (double)tried[model]);
        double share = (double)found[model] / (double)tried[model];
        assert_true(share >= 0.9 - slack(0.9, tried[model]));
    }
    double share = (double)all / (double)suites;
    say("1 %% found, all %.1f %%\n", 100 * share);
    assert_true(share >= 0.9 - (SANITIZED ? slack(0.9, suites) : 0));
}

/* The smallest suite that there is: one config and the control. With more configs the widest
 * interval of more decides, and chance stops fewer too early. */
static bool pair_may_stop(const sim_suite *s, double precision, double *reached, bool *covered)
{
    estimate config = suite_estimate(s, 1, RESAMPLES);
    estimate control = suite_estimate(s, CONTROL, RESAMPLES);
    const estimate *both[2] = {&config, &control};
    *reached = block_count_precision(both, 2);
    *covered = covers(&config, log(s->true_ms[1] / s->true_ms[0]));
    bool stop = block_count_may_stop(both, 2, s->n, precision);
    estimate_free(&config);
    estimate_free(&control);
    return stop;
}

static void test_stopping(void **state)
{
    (void)state;
    static sim_suite s;
    size_t suites = scaled(2000), hits = 0, stopped = 0;
    double blocks = 0;
    for (size_t i = 0; i < suites; i++) {
        /* The precision asked for is what another session of this kind reached with 20 blocks, so
         * that some stop early and some late. */
        int model = (int)(i % SIM_MODELS);
        double precision, unused;
        bool stop = false, covered;
        suite_begin(&s, model, 5, i + suites, 1);
        suite_run(&s, 20);
        pair_may_stop(&s, 0, &precision, &covered);
        suite_begin(&s, model, 5, i, 1.02);
        while (!stop && s.n < 120) {
            suite_run(&s, block_count_next_look(s.n));
            stop = pair_may_stop(&s, precision, &unused, &covered);
        }
        hits += stop && covered;
        stopped += stop;
        blocks += (double)s.n;
    }
    double share = (double)hits / (double)stopped;
    say("coverage when stopped by precision: %.2f %% of %zu, %.0f blocks on average\n", 100 * share,
        stopped, blocks / (double)suites);
    assert_true(stopped > suites * 9 / 10);
    assert_true(share >= 0.93 - (SANITIZED ? slack(0.95, stopped) : 0));
}

/* ---- why the trimmed mean, why studentised ---- */

typedef struct choice {
    double share; /* of the 95 % intervals that hold the truth */
    double half;  /* median half width */
} choice;

static choice choice_measure(int model, size_t blocks, plain_location location, plain_method method,
                             size_t suites)
{
    static sim_suite s;
    double *halves = calloc(suites + 1, sizeof *halves);
    assert_non_null(halves);
    size_t hits = 0;
    for (size_t i = 0; i < suites; i++) {
        suite_begin(&s, model, 6, i, 1);
        suite_run(&s, blocks);
        double d[SIM_MAX_BLOCKS];
        size_t n = suite_ratios(&s, 1, d);
        uint32_t *draws = plain_draws(n, RESAMPLES, i);
        plain_bootstrap b = plain_bootstrap_make(&(plain_sample){d, n, draws}, location, RESAMPLES);
        stats_interval interval = plain_bootstrap_interval(&b, method, 0.95);
        hits += interval.low <= 0 && interval.high >= 0;
        halves[i] = (interval.high - interval.low) / 2;
        plain_bootstrap_free(&b);
        free(draws);
    }
    choice out = {(double)hits / (double)suites, stats_statistic_median(halves, suites)};
    free(halves);
    return out;
}

/* The comparison that docs/MEASURING.md quotes; only for `make simulate`. */
static void print_choices(size_t suites)
{
    static const char *const locations[] = {"mean", "trimmed mean", "median"};
    static const char *const methods[] = {"percentile", "BCa", "studentised"};
    static const size_t blocks[] = {8, 20, 40};
    static const int models[] = {0, 5, 8};
    for (size_t m = 0; m < 3; m++) {
        for (size_t b = 0; b < 3; b++) {
            for (int k = 0; k < 8; k++) { /* a median has no studentised interval */
                choice c = choice_measure(models[m], blocks[b], (plain_location)(k / 3),
                                          (plain_method)(k % 3), suites);
                say("%-13s %2zu blocks, %-12s %-11s %.1f %%, half width %.2f %%\n",
                    sim_models[models[m]].name, blocks[b], locations[k / 3], methods[k % 3],
                    100 * c.share, 100 * c.half);
            }
        }
    }
}

/* With 5 % of outliers: means are far too wide or do not hold, percentiles of few blocks do not
 * hold, and what verdicts take does both. */
static void test_choice(void **state)
{
    (void)state;
    enum { OUTLIERS = 5 };
    size_t suites = scaled(1000);
    choice mean = choice_measure(OUTLIERS, 20, PLAIN_MEAN, PLAIN_PERCENTILE, suites);
    choice wide = choice_measure(OUTLIERS, 20, PLAIN_MEAN, PLAIN_STUDENTISED, suites);
    choice few = choice_measure(OUTLIERS, 8, PLAIN_TRIMMED_MEAN, PLAIN_PERCENTILE, suites);
    choice taken = choice_measure(OUTLIERS, 8, PLAIN_TRIMMED_MEAN, PLAIN_STUDENTISED, suites);
    choice later = choice_measure(OUTLIERS, 20, PLAIN_TRIMMED_MEAN, PLAIN_STUDENTISED, suites);
    double allowed = SANITIZED ? slack(0.95, suites) : 0;
    assert_true(mean.share < 0.93 + allowed);
    assert_true(few.share < 0.935 + allowed);
    assert_true(taken.share > 0.94 - allowed);
    assert_true(later.share > 0.94 - allowed);
    assert_true(wide.half > 3 * later.half);
    if (getenv("GPTBENCH_SIMULATE")) {
        print_choices(suites / 5);
    }
}

/* ---- the measurement described ---- */

static void test_halves_of_equals(void **state)
{
    (void)state;
    static sim_suite s;
    size_t suites = scaled(100), judged = 0;
    double rate = 0;
    verdict_rule rule = verdict_rule_default();
    for (size_t i = 0; i < suites; i++) {
        suite_begin(&s, (int)(i % SIM_MODELS), 7, i, 1);
        suite_run(&s, 20);
        double d[SIM_MAX_BLOCKS];
        size_t n = suite_ratios(&s, CONTROL, d);
        noise_control control;
        assert_int_equal(noise_control_measure(&control, (stats_sample){d, n}, &rule, 20, i, NULL),
                         GB_OK);
        rate += control.false_alarm_rate;
        judged++;
    }
    say("halves of A/A blocks called different: %.2f %%\n", 100 * rate / (double)judged);
    assert_true(rate / (double)judged <= 0.05);
}

static void test_drift_coverage(void **state)
{
    (void)state;
    static sim_suite s;
    size_t suites = scaled(1000), hits = 0;
    noise_model model = sim_models[2];
    model.drift = 0.05; /* over 30 blocks, an hour here */
    for (size_t i = 0; i < suites; i++) {
        suite_begin(&s, 2, 8, i, 1);
        s.session = session_begin(&model, ARMS, 30, stats_random_u64(8, i));
        suite_run(&s, 30);
        double ms[ARMS * 30], hours[30];
        for (int b = 0; b < 30; b++) {
            hours[b] = b / 30.0;
            for (int arm = 0; arm < ARMS; arm++) {
                ms[arm * 30 + b] = s.ms[arm][b];
            }
        }
        drift d;
        assert_int_equal(drift_measure(&d, &(drift_bursts){ARMS, 30, ms, hours}, NULL, NULL),
                         GB_OK);
        hits += log1p(d.per_hour.low) <= 0.05 && log1p(d.per_hour.high) >= 0.05;
    }
    double share = (double)hits / (double)suites;
    say("trend under weather of autocorrelation 0.7, coverage %.1f %%\n", 100 * share);
    /* The autocorrelation itself is estimated from 30 blocks: the promise is 90 %. */
    assert_true(share >= 0.9 - (SANITIZED ? slack(0.9, suites) : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage),       cmocka_unit_test(test_false_alarms),
        cmocka_unit_test(test_planner),        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_choice),         cmocka_unit_test(test_halves_of_equals),
        cmocka_unit_test(test_drift_coverage),
    };
    return cmocka_run_group_tests_name("verdict_simulated", tests, NULL, NULL);
}
