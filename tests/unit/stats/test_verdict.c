/* Verdicts, claims and their words on cases whose answer can be worked out by hand. Log ratios of
 * two or three values give t intervals from tables; Holm's decisions are those of statsmodels
 * (stats_fixtures.h). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/words/verdict_words.h"
#include "tests/fixtures/stats_fixtures.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* Three values around `middle` with mean `middle` and standard error `error`: -h, 0, h has sd h. */
static estimate three(double middle, double error)
{
    double h = error * sqrt(3), x[3] = {middle - h, middle, middle + h};
    return estimate_student(x, 3);
}

/* The 97.5 % quantile of t with two degrees of freedom (any table). */
static const double t2 = 4.302652729749464;

static verdict alone(estimate e, double floor)
{
    const estimate *only = &e;
    verdict_rule rule = verdict_rule_default();
    rule.floor = floor;
    verdict v;
    assert_int_equal(verdict_judge(&v, &only, 1, &rule, NULL), GB_OK);
    return v;
}

/* ---- one config ---- */

static void test_kinds(void **state)
{
    (void)state;
    double high = log1p(0.005), low = log1p(-0.005), error = 0.001, half = t2 * error;
    /* A hair on either side of the edge of the band, for each end of the interval. */
    assert_int_equal(alone(three(high + half + 1e-9, error), 0).kind, VERDICT_MORE);
    assert_int_equal(alone(three(high + half - 1e-9, error), 0).kind, VERDICT_UNCLEAR);
    assert_int_equal(alone(three(low - half - 1e-9, error), 0).kind, VERDICT_LESS);
    assert_int_equal(alone(three(low - half + 1e-9, error), 0).kind, VERDICT_UNCLEAR);
    assert_int_equal(alone(three(high - half - 1e-9, error), 0).kind, VERDICT_SAME);
    assert_int_equal(alone(three(high - half + 1e-9, error), 0).kind, VERDICT_UNCLEAR);
    assert_int_equal(alone(three(low + half + 1e-9, error), 0).kind, VERDICT_SAME);
    assert_int_equal(alone(three(low + half - 1e-9, error), 0).kind, VERDICT_UNCLEAR);
    /* Beyond the band on both sides at once is not beyond it. */
    assert_int_equal(alone(three(0, 0.01), 0).kind, VERDICT_UNCLEAR);
    verdict v = alone(three(log(1.05), error), 0);
    assert_true(near(v.change.value, 0.05));
    assert_true(near(v.change.low, 1.05 * exp(-half) - 1));
    assert_true(near(v.change.high, 1.05 * exp(half) - 1));
    assert_true(near(v.level, 0.95) && near(v.corrected.low, v.change.low));
    assert_int_equal(v.doubt, VERDICT_NO_DOUBT);
    assert_true(isnan(v.further));
}

static void test_floor(void **state)
{
    (void)state;
    verdict v = alone(three(log(0.97), 0.001), 0.031);
    assert_int_equal(v.kind, VERDICT_UNCLEAR);
    assert_int_equal(v.doubt, VERDICT_FLOOR);
    assert_true(isnan(v.further));
    assert_int_equal(alone(three(log(0.97), 0.001), 0.029).kind, VERDICT_LESS);
}

static void test_without_interval(void **state)
{
    (void)state;
    double one = 0.02, nothing[1] = {0};
    verdict v = alone(estimate_student(&one, 1), 0);
    assert_int_equal(v.kind, VERDICT_UNCLEAR);
    assert_int_equal(v.doubt, VERDICT_NO_INTERVAL);
    assert_true(near(v.change.value, expm1(0.02)) && isnan(v.change.low) && isnan(v.p_beyond));
    assert_int_equal(alone(estimate_student(nothing, 0), 0).doubt, VERDICT_NO_VALUE);
    estimate e;
    const double seven[7] = {1, 2, 3, 4, 5, 6, 13}; /* trimmed: 2..6, mean 4 */
    assert_int_equal(estimate_bootstrap(&e, seven, 7, 100, 1, NULL), GB_OK);
    assert_true(e.value == 4 && !estimate_has_interval(&e));
    assert_int_equal(alone(e, 0).doubt, VERDICT_NO_INTERVAL);
    estimate_free(&e);
    assert_int_equal(alone(estimate_exact(1.02), 0).kind, VERDICT_MORE);
    assert_int_equal(alone(estimate_exact(1.004), 0).kind, VERDICT_SAME);
    assert_int_equal(alone(estimate_exact(NAN), 0).doubt, VERDICT_NO_VALUE);
}

/* Blocks of a bootstrap estimate: missing bursts leave their block out. */
static void test_log_ratios(void **state)
{
    (void)state;
    const double config[5] = {2, NAN, 3, 4, 0}, base[5] = {1, 1, 3, NAN, 1};
    double d[5];
    assert_int_equal(estimate_log_ratios(config, base, 5, d), 2);
    assert_true(near(d[0], log(2)) && d[1] == 0);
}

/* 16 blocks, equally often 1 % and 1.2 % slower, and the same mirrored. */
static void test_blocks(void **state)
{
    (void)state;
    double d[16], mirrored[16];
    for (int i = 0; i < 16; i++) {
        d[i] = i % 2 ? 0.010 : 0.012;
        mirrored[i] = -d[i];
    }
    estimate e, m;
    assert_int_equal(estimate_bootstrap(&e, d, 16, 2000, 5, NULL), GB_OK);
    assert_int_equal(estimate_bootstrap(&m, mirrored, 16, 2000, 5, NULL), GB_OK);
    verdict v = alone(e, 0), w = alone(m, 0);
    assert_int_equal(v.kind, VERDICT_MORE);
    assert_int_equal(w.kind, VERDICT_LESS);
    assert_true(near(v.change.value, expm1(0.011)));
    assert_true(near(log1p(v.change.low), -log1p(w.change.high)));
    assert_string_equal(verdict_speed_name(v.kind), "SLOWER");
    assert_string_equal(verdict_speed_name(w.kind), "FASTER");
    assert_string_equal(verdict_loss_name(w.kind), "BETTER");
    assert_string_equal(verdict_loss_name(VERDICT_SAME), "SAME");
    estimate_free(&e);
    estimate_free(&m);
}

/* ---- several configs ---- */

static void test_holm(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fixture_holm); i++) {
        double level[6];
        bool decided[6];
        assert_int_equal(verdict_holm(fixture_holm[i].p, 6, 0.05, level, decided, NULL), GB_OK);
        for (int k = 0; k < 6; k++) {
            assert_int_equal(decided[k], fixture_holm[i].reject[k]);
        }
    }
    /* The second row of the fixture: ranks 0 to 5, all pass, held against 0.05 / 6 to 0.05 / 1. */
    double level[6];
    bool decided[6];
    const double p[6] = {0.9, 0.0001, NAN, 0.02, 0.0125, 0.008};
    assert_int_equal(verdict_holm(p, 6, 0.05, level, decided, NULL), GB_OK);
    /* By hand: 0.0001 <= 0.05/6; 0.008 <= 0.05/5; 0.0125 <= 0.05/4; 0.02 > 0.05/3 stops. */
    assert_true(near(level[1], 0.05 / 6) && near(level[5], 0.01) && near(level[4], 0.0125));
    assert_true(near(level[3], 0.05 / 3) && near(level[0], 0.05 / 3) && near(level[2], 0.05 / 3));
    assert_true(decided[1] && decided[5] && decided[4] && !decided[3] && !decided[0]);
}

/* Two configs that each clear the band at 96 %: alone SLOWER, as two of two not, since the surer is
 * held against 97.5 %. With one that clears it at 98 % both pass: 97.5 %, then 95 %. */
static void test_matrix(void **state)
{
    (void)state;
    double error = 0.001, edge = log1p(0.005);
    double t96 = stats_t_quantile(0.98, 2), t98 = stats_t_quantile(0.99, 2);
    estimate a = three(edge + t96 * error + 1e-9, error), b = a, none = estimate_exact(NAN);
    estimate surer = three(edge + t98 * error + 1e-9, error);
    verdict_rule rule = verdict_rule_default();
    verdict v[3];
    assert_int_equal(alone(a, 0).kind, VERDICT_MORE);
    const estimate *equals[3] = {&a, &none, &b};
    assert_int_equal(verdict_judge(v, equals, 3, &rule, NULL), GB_OK);
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(v[i].kind, VERDICT_UNCLEAR);
        assert_int_equal(v[i].doubt, VERDICT_CORRECTION);
        assert_true(near(v[i].level, 0.975)); /* m is 2: what has no number does not count */
        assert_true(v[i].change.low > 0.005 && v[i].corrected.low < 0.005);
        assert_true(v[i].further >= 1);
    }
    assert_int_equal(v[1].doubt, VERDICT_NO_VALUE);
    const estimate *both[2] = {&a, &surer};
    assert_int_equal(verdict_judge(v, both, 2, &rule, NULL), GB_OK);
    assert_int_equal(v[0].kind, VERDICT_MORE);
    assert_int_equal(v[1].kind, VERDICT_MORE);
    assert_true(near(v[0].level, 0.95) && near(v[1].level, 0.975));
    assert_true(v[1].corrected.low > 0.005);
    /* SAME has a pass of its own: two well inside and one well beyond do not hinder each other. */
    estimate inside = three(0, 0.0002), beyond = three(0.1, 0.0002);
    const estimate *mixed[3] = {&inside, &beyond, &inside};
    assert_int_equal(verdict_judge(v, mixed, 3, &rule, NULL), GB_OK);
    assert_int_equal(v[0].kind, VERDICT_SAME);
    assert_int_equal(v[1].kind, VERDICT_MORE);
    assert_int_equal(v[2].kind, VERDICT_SAME);
    assert_int_equal(verdict_judge(v, mixed, 0, &rule, NULL), GB_OK);
}

/* Holm's smallest level, 0.05 / m of both tails together, must have resamples beyond it to be read
 * from: twenty of them, as far as the limit of 40,000 goes. */
static void test_resamples(void **state)
{
    (void)state;
    for (size_t m = 1; m <= 100; m++) {
        assert_true((double)verdict_resamples(m) * 0.05 / (double)m >= 20 - 1e-9);
    }
    assert_int_equal(verdict_resamples(0), 4000);
    assert_int_equal(verdict_resamples(100000), 40000);
}

static void test_further(void **state)
{
    (void)state;
    /* On the edge of the band no number of blocks tells. */
    verdict v = alone(three(log1p(0.005), 0.001), 0);
    assert_true(isinf(v.further));
    /* The farther from the edge, the fewer; the noisier, the more. */
    double close = alone(three(0.008, 0.002), 0).further,
           far = alone(three(0.012, 0.002), 0).further;
    double noisy = alone(three(0.012, 0.004), 0).further;
    assert_true(far >= 1 && close > far && noisy > far);
}

static void test_control(void **state)
{
    (void)state;
    verdict_rule rule = verdict_rule_default();
    noise_control c;
    double shifted[20], equal[20];
    for (int i = 0; i < 20; i++) {
        double wiggle = 0.0004 * (i % 5 - 2);
        shifted[i] = 0.03 + wiggle; /* so far off that every half sees it */
        equal[i] = wiggle;
    }
    assert_int_equal(noise_control_measure(&c, (stats_sample){shifted, 20}, &rule, 50, 1, NULL),
                     GB_OK);
    assert_true(c.subsets == 50 && c.false_alarm_rate == 1);
    assert_true(near(c.floor, expm1(0.03)));
    rule.floor = 1; /* of no concern to the control itself */
    assert_int_equal(noise_control_measure(&c, (stats_sample){shifted, 20}, &rule, 50, 1, NULL),
                     GB_OK);
    assert_true(c.false_alarm_rate == 1);
    assert_int_equal(noise_control_measure(&c, (stats_sample){equal, 20}, &rule, 50, 1, NULL),
                     GB_OK);
    assert_true(c.false_alarm_rate == 0);
    assert_int_equal(noise_control_measure(&c, (stats_sample){equal, 11}, &rule, 50, 1, NULL),
                     GB_OK);
    assert_true(c.subsets == 0 && isnan(c.false_alarm_rate) && isfinite(c.change.low));
    assert_int_equal(noise_control_measure(&c, (stats_sample){equal, 0}, &rule, 50, 1, NULL),
                     GB_OK);
    assert_true(isnan(c.change.value) && c.floor == 0);
}

/* ---- claims ---- */

static claim_test claim(const char *text, estimate e)
{
    suite_expect expect;
    assert_int_equal(suite_expect_parse(&expect, text, NULL), GB_OK);
    return claim_test_judge(&expect, &e);
}

static void test_claims(void **state)
{
    (void)state;
    /* A step takes 20 % less: 1 / 0.8 - 1 = 25 % speedup. Half width in logarithms 0.0043. */
    estimate fast = three(log(0.8), 0.001), loss = three(log(1.01), 0.001);
    claim_test c = claim("step_avg speedup >= 15%", fast);
    assert_int_equal(c.outcome, CLAIM_SUPPORTED);
    assert_true(near(c.percent.value, 25));
    assert_true(near(c.percent.low, 100 * (1.25 * exp(-t2 * 0.001) - 1)));
    assert_true(near(c.percent.high, 100 * (1.25 * exp(t2 * 0.001) - 1)));
    /* p: t with two degrees of freedom has P(T > t) = (1 - t / sqrt(2 + t^2)) / 2. */
    double t = (log(0.8) + log(1.15)) / 0.001;
    assert_true(fabs(c.p - 0.5 * (1 + t / sqrt(2 + t * t))) < 1e-9);
    assert_int_equal(claim("step_avg speedup >= 30%", fast).outcome, CLAIM_REFUTED);
    assert_true(claim("step_avg speedup >= 30%", fast).p > 0.99);
    c = claim("step_avg speedup > 25%", fast);
    assert_int_equal(c.outcome, CLAIM_UNSETTLED);
    assert_true(fabs(c.p - 0.5) < 1e-6 && (isinf(c.further) || c.further > 1e4));
    assert_int_equal(claim("step_avg speedup <= 30%", fast).outcome, CLAIM_SUPPORTED);
    assert_int_equal(claim("step_avg reduction >= 19%", fast).outcome, CLAIM_SUPPORTED);
    assert_int_equal(claim("step_avg reduction < 19%", fast).outcome, CLAIM_REFUTED);
    assert_int_equal(claim("step_avg reduction >= 100%", fast).outcome, CLAIM_REFUTED);
    assert_true(claim("step_avg reduction >= 100%", fast).p == 1);
    assert_int_equal(claim("tokens_per_s speedup >= 24%", three(log(1.25), 0.001)).outcome,
                     CLAIM_SUPPORTED);
    /* A loss of 1 % more. */
    assert_int_equal(claim("val_loss within 2%", loss).outcome, CLAIM_SUPPORTED);
    assert_int_equal(claim("val_loss within 0.5%", loss).outcome, CLAIM_REFUTED);
    assert_int_equal(claim("val_loss within 1.2%", loss).outcome, CLAIM_UNSETTLED);
    assert_int_equal(claim("val_loss increase <= 0.5%", loss).outcome, CLAIM_REFUTED);
    c = claim("val_loss within 2%", three(log(0.999), 0.001));
    assert_true(c.percent.low == 0 && near(c.percent.value, 0.1));
    assert_true(near(c.percent.high, 100 * (1 - 0.999 * exp(-t2 * 0.001))));
    assert_int_equal(claim("val_loss within 200%", loss).outcome, CLAIM_SUPPORTED);
    double one = 0.2;
    c = claim("val_loss within 2%", estimate_student(&one, 1));
    assert_int_equal(c.outcome, CLAIM_UNSETTLED);
    assert_true(isnan(c.percent.low) && isnan(c.p));
}

/* Exact ones are decided at the threshold too: 3/4 is a reduction of 25 % to the last bit. */
static void test_exact_claims(void **state)
{
    (void)state;
    assert_int_equal(claim("flops reduction >= 25%", estimate_exact(0.75)).outcome,
                     CLAIM_SUPPORTED);
    assert_int_equal(claim("flops reduction > 25%", estimate_exact(0.75)).outcome, CLAIM_REFUTED);
    claim_test c = claim("n_params within 25%", estimate_exact(1.25));
    assert_true(c.exact && c.outcome == CLAIM_SUPPORTED && c.p == 0);
    assert_int_equal(claim("n_params within 25%", estimate_exact(NAN)).outcome, CLAIM_UNSETTLED);
}

/* ---- words: the examples of verdict_words.h ---- */

static verdict made(verdict_kind kind, verdict_doubt doubt, double value, double low, double high)
{
    return (verdict){.kind = kind,
                     .doubt = doubt,
                     .n = 1,
                     .change = {value, low, high},
                     .band = 0.005,
                     .floor = 0.008,
                     .further = NAN};
}

static void check_reason(verdict v, verdict_subject subject, double seeds, const char *want)
{
    assert_string_equal(verdict_reason(&v, subject, seeds).text, want);
}

static void test_words(void **state)
{
    (void)state;
    verdict v = made(VERDICT_MORE, VERDICT_NO_DOUBT, 0.074, 0.069, 0.079);
    check_reason(v, VERDICT_OF_SPEED, NAN, "7.4 % slower. 95 % interval: 6.9 to 7.9 % slower.");
    v = made(VERDICT_LESS, VERDICT_NO_DOUBT, -0.0201, -0.0209, -0.0195);
    check_reason(v, VERDICT_OF_LOSS, NAN, "2.01 % better. 95 % interval: 1.95 to 2.09 % better.");
    v = made(VERDICT_SAME, VERDICT_NO_DOUBT, 0.001, -0.001, 0.003);
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "No difference found (\xe2\x88\x92"
                 "0.1 % to +0.3 %).");
    v = made(VERDICT_UNCLEAR, VERDICT_WIDE, -0.001, -0.012, 0.009);
    v.further = 14;
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "Cannot tell: estimate 0.1 % faster, 95 % interval 1.2 % faster to 0.9 % slower; "
                 "about 14 more blocks needed.");
    v.further = 1;
    check_reason(v, VERDICT_OF_LOSS, NAN,
                 "Cannot tell: estimate 0.1 % better, 95 % interval 1.2 % better to 0.9 % worse; "
                 "about 1 more "
                 "replicate needed.");
    v.further = INFINITY;
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "Cannot tell: estimate 0.1 % faster, 95 % interval 1.2 % faster to 0.9 % slower; "
                 "no sensible "
                 "number of blocks would settle it.");
    v = made(VERDICT_UNCLEAR, VERDICT_FLOOR, 0.006, 0.0055, 0.0065);
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "Cannot tell: 0.6 % slower, but the baseline differs from itself by 0.8 %.");
    v = made(VERDICT_UNCLEAR, VERDICT_NO_INTERVAL, 0.02, NAN, NAN);
    check_reason(v, VERDICT_OF_LOSS, 0.004,
                 "Cannot tell: estimate 2.0 % worse, no interval from 1 replicate. Other seeds "
                 "alone change it by 0.4 %.");
    v.n = 5;
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "Cannot tell: estimate 2.0 % slower, no interval from 5 blocks (it takes 8).");
    v = made(VERDICT_UNCLEAR, VERDICT_NO_VALUE, NAN, NAN, NAN);
    check_reason(v, VERDICT_OF_SPEED, NAN, "Cannot tell: one of the two has no number.");
    v = made(VERDICT_UNCLEAR, VERDICT_CORRECTION, -0.4, -0.602, -0.249);
    v.comparisons = 13;
    v.further = 13;
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "95 % interval: 24.9 to 60.2 % faster. Not significant after correction for 13 "
                 "comparisons; about 13 more blocks needed.");
    v = made(VERDICT_UNCLEAR, VERDICT_WIDE, 0.261, -0.59, 2.91);
    check_reason(v, VERDICT_OF_SPEED, NAN,
                 "Cannot tell: estimate 26.1 % slower, 95 % interval 59 % faster to 291 % slower.");
    assert_string_equal(verdict_change(0.0002, VERDICT_OF_SPEED).text, "no different");
}

static void test_words_of_noise(void **state)
{
    (void)state;
    noise_control c = {20, {0.001, -0.002, 0.004}, 0.001, 200, 0.015};
    assert_string_equal(
        verdict_control_words(&c).text,
        "0.1 % slower than itself (95 % interval: 0.2 % faster to 0.4 % slower); judged "
        "on 200 random halves of the blocks, it was falsely called different 3 times");
    drift d = {.total = {0.013, 0.009, 0.017}, .hours = 2.1};
    assert_string_equal(verdict_drift_words(&d).text,
                        "1.3 % slower over 2 h 06 min (95 % interval: 0.9 to 1.7 % slower)");
    suite_expect expect;
    assert_int_equal(suite_expect_parse(&expect, "step_avg speedup >= 15%", NULL), GB_OK);
    claim_test t = {CLAIM_SUPPORTED, {17.2, 16.1, 18.4}, 0.001, false, NAN};
    assert_string_equal(verdict_claim_words(&t, &expect, VERDICT_OF_SPEED).text,
                        "speedup +17.2 %, 95 % interval +16.1 to +18.4 %; claimed: >= 15 %");
    t = (claim_test){CLAIM_UNSETTLED, {15.2, 14.1, 16.4}, 0.4, false, 12};
    assert_string_equal(
        verdict_claim_words(&t, &expect, VERDICT_OF_SPEED).text,
        "speedup +15.2 %, 95 % interval +14.1 to +16.4 %; claimed: >= 15 %; about 12 "
        "more blocks needed");
    assert_int_equal(suite_expect_parse(&expect, "val_loss reduction >= 2%", NULL), GB_OK);
    t = (claim_test){CLAIM_REFUTED, {-0.5, -0.9, 0.1}, 0.9, false, NAN};
    assert_string_equal(verdict_claim_words(&t, &expect, VERDICT_OF_LOSS).text,
                        "reduction \xe2\x88\x92"
                        "0.5 %, 95 % interval \xe2\x88\x92"
                        "0.9 to +0.1 %; claimed: >= 2 %");
    /* Of a size, which has no sign. */
    assert_int_equal(suite_expect_parse(&expect, "val_loss within 1%", NULL), GB_OK);
    t = (claim_test){CLAIM_SUPPORTED, {0.5, 0, 0.9}, 0.01, false, NAN};
    assert_string_equal(verdict_claim_words(&t, &expect, VERDICT_OF_LOSS).text,
                        "difference 0.5 %, 95 % interval 0.0 to 0.9 %; claimed: <= 1 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),      cmocka_unit_test(test_floor),
        cmocka_unit_test(test_log_ratios), cmocka_unit_test(test_without_interval),
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_holm),
        cmocka_unit_test(test_matrix),     cmocka_unit_test(test_further),
        cmocka_unit_test(test_control),    cmocka_unit_test(test_resamples),
        cmocka_unit_test(test_claims),     cmocka_unit_test(test_exact_claims),
        cmocka_unit_test(test_words),      cmocka_unit_test(test_words_of_noise),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
