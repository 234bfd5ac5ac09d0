/* Losses at equal budgets and the front: small curves whose numbers are worked out in the comments,
 * larger ones against NumPy and SciPy (tests/fixtures/make_budget_fixtures.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/stats/budget.h"
#include "bench/stats/pareto.h"
#include "tests/fixtures/budget_fixtures.h"

static void check_close(double got, double want, double tolerance)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tolerance * fmax(1, fabs(want)))) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

#define CLOSE(got, want) check_close(got, want, 1e-12)

/* The baseline: 1 s, 100 tokens and 1000 FLOPs a step. */
static const budget_eval base_curve[] = {{0, 4}, {10, 3}, {100, 2}};
/* The config: 0.5 s, 200 tokens and 1000 FLOPs a step. */
static const budget_eval config_curve[] = {{0, 4}, {10, 2.8}, {100, 1.9}};

static budget_run base_run(int64_t replicate)
{
    return (budget_run){replicate, base_curve, 3, 100, 10, 1};
}

static budget_run config_run(int64_t replicate)
{
    return (budget_run){replicate, config_curve, 3, 200, 5, 0.5};
}

static void test_curve(void **state)
{
    (void)state;
    budget_run run = base_run(0);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 0), 4);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 2.5), 3.75); /* straight up to the first */
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 10), 3);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 10 * sqrt(10)), 2.5); /* half way in the logarithm */
    CLOSE(budget_loss_at(&run, BUDGET_TOKENS, 1000 * sqrt(10)), 2.5);
    CLOSE(budget_loss_at(&run, BUDGET_FLOPS, 10000 * sqrt(10)), 2.5);
    CLOSE(budget_loss_at(&run, BUDGET_SECONDS, 10 * sqrt(10)), 2.5);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 100), 2);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, 100.001), NAN); /* never beyond */
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, -1), NAN);
    CLOSE(budget_loss_at(&run, BUDGET_STEPS, NAN), NAN);
    CLOSE(budget_end(&run, BUDGET_FLOPS), 100000);
    CLOSE(budget_to_reach(&run, BUDGET_STEPS, 3.5), 5);
    CLOSE(budget_to_reach(&run, BUDGET_TOKENS, 2.5), 1000 * sqrt(10));
    CLOSE(budget_to_reach(&run, BUDGET_STEPS, 2), 100);
    CLOSE(budget_to_reach(&run, BUDGET_STEPS, 1.999), NAN);
    CLOSE(budget_to_reach(&run, BUDGET_STEPS, 5), 0); /* from the start */
    run.seconds_per_step = NAN;
    CLOSE(budget_loss_at(&run, BUDGET_SECONDS, 10), NAN);
    CLOSE(budget_to_reach(&run, BUDGET_SECONDS, 3), NAN);
}

/* An end that is multiplied by what a step takes and divided by it again is still on the curve. */
static void test_rounding(void **state)
{
    (void)state;
    budget_run run = base_run(0);
    for (int i = 1; i < 1000; i++) {
        run.seconds_per_step = 0.001 * i / 7;
        CLOSE(budget_loss_at(&run, BUDGET_SECONDS, budget_end(&run, BUDGET_SECONDS)), 2);
    }
}

static void test_one_pair(void **state)
{
    (void)state;
    budget_run base = base_run(0), config = config_run(0);
    budget_comparison c;
    assert_int_equal(budget_compare(&c, &config, 1, &base, 1, NULL), GB_OK);
    assert_int_equal(c.n_shared, 1);
    CLOSE(c.equal[BUDGET_STEPS].budget, 100);
    CLOSE(c.equal[BUDGET_STEPS].difference.value, -0.1);
    CLOSE(c.equal[BUDGET_STEPS].difference.low, NAN);
    /* 10,000 tokens: the config after 50 steps, 2.8 - 0.9 log10(5) */
    CLOSE(c.equal[BUDGET_TOKENS].budget, 10000);
    CLOSE(c.equal[BUDGET_TOKENS].config, 2.8 - 0.9 * log10(5));
    CLOSE(c.equal[BUDGET_TOKENS].base, 2);
    CLOSE(c.equal[BUDGET_FLOPS].budget, 100000);
    CLOSE(c.equal[BUDGET_FLOPS].difference.value, -0.1);
    /* 50 s: the config's end, the baseline after 50 steps, 3 - log10(5) */
    CLOSE(c.equal[BUDGET_SECONDS].budget, 50);
    CLOSE(c.equal[BUDGET_SECONDS].difference.value, 1.9 - (3 - log10(5)));
    /* to 2.0: 8/9 of the way from 10 to 100 in the logarithm */
    double steps = pow(10, 1 + 8.0 / 9);
    CLOSE(c.reach[BUDGET_STEPS].config, steps);
    CLOSE(c.reach[BUDGET_STEPS].base, 100);
    CLOSE(c.reach[BUDGET_STEPS].ratio.value, steps / 100);
    CLOSE(c.reach[BUDGET_TOKENS].ratio.value, 200 * steps / 10000);
    CLOSE(c.reach[BUDGET_FLOPS].ratio.value, steps / 100);
    CLOSE(c.reach[BUDGET_SECONDS].ratio.value, 0.5 * steps / 100);
    CLOSE(c.reach[BUDGET_SECONDS].ratio.low, NAN);
}

/* Two pairs whose differences are -0.1 and -0.3: mean -0.2, half width t(0.975, 1) * 0.1. The
 * replicates 3 and 4 are on one side each, and a second run of replicate 1 comes too late. */
static void test_pairs(void **state)
{
    (void)state;
    static const budget_eval lower[] = {{0, 4}, {10, 2.6}, {100, 1.7}};
    static const budget_eval junk[] = {{0, 9}, {100, 9}};
    budget_run bases[] = {base_run(2), base_run(3), base_run(1)};
    budget_run configs[] = {config_run(1), config_run(4), config_run(2), config_run(1)};
    configs[2].evals = lower;
    configs[3].evals = junk;
    configs[3].n_evals = 2;
    budget_comparison c;
    assert_int_equal(budget_compare(&c, configs, 4, bases, 3, NULL), GB_OK);
    assert_int_equal(c.n_shared, 2);
    assert_int_equal(c.equal[BUDGET_STEPS].n_pairs, 2);
    const double t1 = 12.706204736432095; /* SciPy */
    CLOSE(c.equal[BUDGET_STEPS].difference.value, -0.2);
    check_close(c.equal[BUDGET_STEPS].difference.low, -0.2 - 0.1 * t1, 1e-10);
    check_close(c.equal[BUDGET_STEPS].difference.high, -0.2 + 0.1 * t1, 1e-10);
    /* to 2.0: 8/9 and (2.6 - 2) / 0.9 = 6/9 of the way from 10 to 100: log10 ratios -1/9, -3/9 */
    double middle = -2.0 / 9, half = t1 / 9;
    CLOSE(c.reach[BUDGET_STEPS].ratio.value, pow(10, middle));
    check_close(c.reach[BUDGET_STEPS].ratio.low, pow(10, middle - half), 1e-9);
    check_close(c.reach[BUDGET_STEPS].ratio.high, pow(10, middle + half), 1e-9);
    assert_int_equal(budget_compare(&c, configs, 1, bases, 2, NULL), GB_OK);
    assert_int_equal(c.n_shared, 0);
    CLOSE(c.equal[BUDGET_STEPS].difference.value, NAN);
    CLOSE(c.reach[BUDGET_STEPS].ratio.value, NAN);
}

/* One of two never gets there: no mean of the other alone. */
static void test_not_reached(void **state)
{
    (void)state;
    static const budget_eval higher[] = {{0, 4}, {10, 3}, {100, 2.01}};
    budget_run bases[] = {base_run(0), base_run(1)}, configs[] = {config_run(0), config_run(1)};
    configs[1].evals = higher;
    budget_comparison c;
    assert_int_equal(budget_compare(&c, configs, 2, bases, 2, NULL), GB_OK);
    assert_int_equal(c.reach[BUDGET_STEPS].n_pairs, 2);
    assert_int_equal(c.reach[BUDGET_STEPS].n_reached, 1);
    CLOSE(c.reach[BUDGET_STEPS].ratio.value, NAN);
    CLOSE(c.reach[BUDGET_STEPS].config, NAN);
    CLOSE(c.equal[BUDGET_STEPS].difference.value, (-0.1 + 0.01) / 2);
}

/* Down to 1.9, up to 2.2, down again: the first time counts, 10/11 of the way to step 10. */
static void test_crossed_twice(void **state)
{
    (void)state;
    static const budget_eval wavy[] = {{0, 3}, {10, 1.9}, {20, 2.2}, {100, 1.8}};
    budget_run config = config_run(0), base = base_run(0);
    config.evals = wavy;
    config.n_evals = 4;
    budget_comparison c;
    assert_int_equal(budget_compare(&c, &config, 1, &base, 1, NULL), GB_OK);
    CLOSE(c.reach[BUDGET_STEPS].config, 100.0 / 11);
    CLOSE(c.equal[BUDGET_STEPS].difference.value, -0.2); /* the end alone */
    assert_int_equal(budget_compare(&c, &base, 1, &config, 1, NULL), GB_OK);
    assert_int_equal(c.reach[BUDGET_STEPS].n_reached, 0); /* 1.8 is out of reach */
    CLOSE(c.reach[BUDGET_STEPS].base, NAN);
    config.n_evals = 3; /* ends at 2.2, which it passed 8/11 of the way to step 10 */
    assert_int_equal(budget_compare(&c, &base, 1, &config, 1, NULL), GB_OK);
    CLOSE(c.reach[BUDGET_STEPS].base, 80.0 / 11);
    CLOSE(c.reach[BUDGET_STEPS].config, pow(10, 1.8)); /* 3 - 0.8 */
}

static void test_broken_curves(void **state)
{
    (void)state;
    static const budget_eval nan_inside[] = {{0, 4}, {10, 3}, {20, NAN}, {30, 1}};
    static const budget_eval nan_first[] = {{0, NAN}, {10, 3}};
    static const budget_eval backwards[] = {{0, 4}, {10, 3}, {10, 2}};
    static const budget_eval alone[] = {{0, 4}};
    static const struct {
        const budget_eval *evals;
        int n, n_pairs;
        double budget, difference;
    } cases[] = {
        {nan_inside, 4, 1, 10, 0}, /* the config's first ten steps, 3, as the baseline's */
        {nan_first, 2, 0, NAN, NAN}, {backwards, 3, 1, 10, 0},
        {alone, 1, 1, 0, 0}, /* both start from 4 */
        {alone, 0, 0, NAN, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        budget_run config = config_run(0), base = base_run(0);
        config.evals = cases[i].evals;
        config.n_evals = cases[i].n;
        budget_comparison c;
        assert_int_equal(budget_compare(&c, &config, 1, &base, 1, NULL), GB_OK);
        assert_int_equal(c.n_shared, 1);
        assert_int_equal(c.equal[BUDGET_STEPS].n_pairs, cases[i].n_pairs);
        CLOSE(c.equal[BUDGET_STEPS].budget, cases[i].budget);
        CLOSE(c.equal[BUDGET_STEPS].difference.value, cases[i].difference);
        assert_int_equal(c.reach[BUDGET_STEPS].n_reached, 0);
        /* and as the baseline */
        assert_int_equal(budget_compare(&c, &base, 1, &config, 1, NULL), GB_OK);
        assert_int_equal(c.equal[BUDGET_STEPS].n_pairs, cases[i].n_pairs);
        CLOSE(c.equal[BUDGET_STEPS].difference.value, cases[i].difference);
        /* nothing is spent where the only loss is that of the start */
        assert_int_equal(c.reach[BUDGET_STEPS].n_pairs,
                         cases[i].evals != alone && cases[i].n_pairs);
    }
}

/* Validated first after 1000 s, when the baseline has ended: no common budget by seconds. */
static void test_too_slow(void **state)
{
    (void)state;
    budget_run config = config_run(0), base = base_run(0);
    config.evals = config_curve + 1;
    config.n_evals = 2;
    config.seconds_per_step = 100;
    budget_comparison c;
    assert_int_equal(budget_compare(&c, &config, 1, &base, 1, NULL), GB_OK);
    CLOSE(c.equal[BUDGET_SECONDS].budget, 100);
    assert_int_equal(c.equal[BUDGET_SECONDS].n_pairs, 0);
    CLOSE(c.equal[BUDGET_SECONDS].difference.value, NAN);
    assert_int_equal(c.equal[BUDGET_STEPS].n_pairs, 1);
    CLOSE(c.reach[BUDGET_SECONDS].ratio.value, 100 * pow(10, 1 + 8.0 / 9) / 100);
}

static void fixture_runs(budget_run *base, budget_run *config,
                         budget_eval evals[2][FIXTURE_PAIRS][FIXTURE_EVALS], int n_base)
{
    for (int r = 0; r < FIXTURE_PAIRS; r++) {
        for (int k = 0; k < FIXTURE_EVALS; k++) {
            evals[0][r][k] = (budget_eval){50.0 * (k + 1), fixture_base[r][k]};
            evals[1][r][k] = (budget_eval){50.0 * (k + 1), fixture_config[r][k]};
        }
        base[r] = (budget_run){r, evals[0][r], n_base, 2048, 1e9, fixture_base_s[r]};
        config[r] = (budget_run){r, evals[1][r], FIXTURE_EVALS, 2048, 1e9, fixture_config_s[r]};
    }
}

static void test_fixtures(void **state)
{
    (void)state;
    static budget_eval evals[2][FIXTURE_PAIRS][FIXTURE_EVALS];
    budget_run base[FIXTURE_PAIRS], config[FIXTURE_PAIRS];
    budget_comparison c;
    fixture_runs(base, config, evals, FIXTURE_EVALS);
    assert_int_equal(budget_compare(&c, config, FIXTURE_PAIRS, base, FIXTURE_PAIRS, NULL), GB_OK);
    const budget_equal *equal = &c.equal[BUDGET_SECONDS];
    check_close(equal->budget, fixture_equal_seconds[0], 1e-12);
    check_close(equal->difference.value, fixture_equal_seconds[1], 1e-10);
    check_close(equal->difference.low, fixture_equal_seconds[2], 1e-10);
    check_close(equal->difference.high, fixture_equal_seconds[3], 1e-10);
    fixture_runs(base, config, evals, FIXTURE_CUT);
    assert_int_equal(budget_compare(&c, config, FIXTURE_PAIRS, base, FIXTURE_PAIRS, NULL), GB_OK);
    const budget_reach *reach = &c.reach[BUDGET_SECONDS];
    assert_int_equal(reach->n_reached, FIXTURE_PAIRS);
    check_close(reach->ratio.value, fixture_reach_seconds[0], 1e-9);
    check_close(reach->ratio.low, fixture_reach_seconds[1], 1e-9);
    check_close(reach->ratio.high, fixture_reach_seconds[2], 1e-9);
}

/* ---- the front ---- */

static const int64_t replicates[] = {0, 1, 2};

/* Four standard errors of a share of the draws. */
static void check_share(double got, double p)
{
    check_close(got, p, 4 * sqrt(p * (1 - p) / PARETO_DRAWS) + 1e-15);
}

static void test_front_speed(void **state)
{
    (void)state;
    static const double low = 1, high = 2;
    for (size_t i = 0; i < sizeof fixture_front_speed / sizeof fixture_front_speed[0]; i++) {
        const double *speed = fixture_front_speed[i].speed, *error = fixture_front_speed[i].error;
        const pareto_config configs[] = {{log(speed[0]), error[0], &low, replicates, 1},
                                         {log(speed[1]), error[1], &high, replicates, 1}};
        double p[2];
        assert_int_equal(pareto_probabilities(configs, 2, PARETO_DRAWS, 1, p, NULL), GB_OK);
        CLOSE(p[0], 1); /* lowest in loss */
        check_share(p[1], fixture_front_speed[i].p);
    }
}

static void test_front_loss(void **state)
{
    (void)state;
    const pareto_config configs[] = {
        {0, 0, fixture_front_losses, replicates, 3},
        {1, 0, &fixture_front_known, replicates, 1},
    };
    double p[2];
    assert_int_equal(pareto_probabilities(configs, 2, PARETO_DRAWS, 7, p, NULL), GB_OK);
    check_share(p[0], fixture_front_t);
    CLOSE(p[1], 1); /* fastest */
}

/* Lower by 0.001 in each replicate, though the seeds differ by 0.1: the order is certain. Against
 * the same losses of other replicates it is not. */
static void test_front_pairs(void **state)
{
    (void)state;
    static const double losses[] = {1.5, 1.6, 1.7}, lower[] = {1.499, 1.599, 1.699};
    static const int64_t others[] = {3, 4, 5};
    pareto_config configs[] = {{0, NAN, losses, replicates, 3}, {1, NAN, lower, replicates, 3}};
    double p[2];
    assert_int_equal(pareto_probabilities(configs, 2, PARETO_DRAWS, 1, p, NULL), GB_OK);
    CLOSE(p[0], 0);
    CLOSE(p[1], 1);
    configs[0].replicates = others;
    assert_int_equal(pareto_probabilities(configs, 2, PARETO_DRAWS, 1, p, NULL), GB_OK);
    assert_true(p[0] > 0.4 &&
                p[0] < 0.5); /* nearly even: 0.001 of a difference that moves by 0.08 */
}

/* By hand: e is as fast as b and higher; c and d are equal and share their place; f takes no part.
 */
static void test_front_ties(void **state)
{
    (void)state;
    static const double two = 2, one = 1, three = 3;
    const pareto_config configs[] = {{1, 0, &one, replicates, 1},   {2, 0, &two, replicates, 1},
                                     {3, 0, &three, replicates, 1}, {3, 0, &three, replicates, 1},
                                     {2, 0, &three, replicates, 1}, {NAN, 0, &one, replicates, 1},
                                     {9, 0, NULL, NULL, 0}};
    static const double want[] = {1, 1, 1, 1, 0, NAN, NAN};
    double p[7];
    assert_int_equal(pareto_probabilities(configs, 7, 10, 1, p, NULL), GB_OK);
    for (int i = 0; i < 7; i++) {
        CLOSE(p[i], want[i]);
    }
    assert_int_equal(pareto_probabilities(configs, 0, 10, 1, p, NULL), GB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve),         cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_one_pair),      cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_not_reached),   cmocka_unit_test(test_crossed_twice),
        cmocka_unit_test(test_broken_curves), cmocka_unit_test(test_too_slow),
        cmocka_unit_test(test_fixtures),      cmocka_unit_test(test_front_speed),
        cmocka_unit_test(test_front_loss),    cmocka_unit_test(test_front_pairs),
        cmocka_unit_test(test_front_ties),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
