/* Runs of two entries held against each other: losses near their floor in nats, rounded ones, those
 * of which one has no partner. Expected numbers are worked out by hand beside each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/analysis/runs_pair.h"
#include "bench/stats/stats.h"

enum { MOST = 4 };

typedef struct side {
    run_facts runs[MOST];
    const run_facts *pointers[MOST];
    result_entry entry;
} side;

/* Replicates from `first` on, of one seed each. */
static void side_make(side *s, const double *losses, int n, int first, double entropy)
{
    *s = (side){.entry = {.n_runs = n, .runs = s->pointers, .entropy_rate_nats = entropy}};
    for (int i = 0; i < n; i++) {
        s->runs[i] = (run_facts){.replicate = first + i,
                                 .seed = 7 + first + i,
                                 .train_data_hash = "t",
                                 .val_data_hash = "v",
                                 .val_stretch_hash = "s",
                                 .final_val_loss = losses[i],
                                 .best_val_loss = losses[i],
                                 .entropy_rate_nats = entropy};
        s->pointers[i] = &s->runs[i];
    }
    s->entry.val_loss.value = stats_mean(losses, (size_t)n);
    s->entry.best_val_loss = losses[0];
    for (int i = 1; i < n; i++) {
        s->entry.best_val_loss = fmin(s->entry.best_val_loss, losses[i]);
    }
}

static runs_pair pair_of(const double *base, const double *config, int n, double entropy)
{
    side b, c;
    runs_pair p;
    side_make(&b, base, n, 0, entropy);
    side_make(&c, config, n, 0, entropy);
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_VAL_LOSS, true, NULL), GB_OK);
    return p;
}

static void check_close(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

static void check_value(const runs_pair *p, bool in_nats, double want)
{
    assert_int_equal(p->in_nats, in_nats);
    check_close(p->ratio.value, want);
}

static void test_near_zero(void **state)
{
    (void)state;
    const double base[] = {0.0011, 0.0012, 0.0010}, config[] = {0.0021, 0.0023, 0.0022};
    runs_pair p = pair_of(base, config, 3, NAN);
    check_value(&p, true, 0.0011);
    check_close(p.difference.value, 0.0011);
    assert_non_null(strstr(p.method, "paired t of the difference of means over 3 replicates"));
    /* Exactly 0 is a loss like any other: all three pairs count. */
    const double zeros[] = {0, 0, 0.0003};
    p = pair_of(zeros, config, 3, NAN);
    check_value(&p, true, 0.0022 - 0.0001);
    assert_int_equal(p.ratio.n, 3);
}

/* At 1 nat the two rules meet: d nats of a loss of 1 are the fraction d. */
static void test_threshold(void **state)
{
    (void)state;
    const double just_above[] = {1.0001, 1.0001}, more[] = {1.1, 1.2}, below[] = {0.99, 0.99};
    runs_pair p = pair_of(just_above, more, 2, NAN);
    check_value(&p, false, log(1.15 / 1.0001));
    p = pair_of(below, more, 2, NAN);
    check_value(&p, true, 0.16);
    /* Either side decides, so the answer is the same the other way round. */
    p = pair_of(more, below, 2, NAN);
    check_value(&p, true, -0.16);
    /* Above an entropy that both know. */
    const double low[] = {3.0002, 3.0004}, high[] = {3.0012, 3.0014}, far[] = {3.11, 3.12};
    p = pair_of(low, high, 2, 3.0);
    check_value(&p, true, 0.001);
    p = pair_of(low, high, 2, NAN);
    check_value(&p, false, log(3.0013 / 3.0003));
    p = pair_of(far, far, 2, 3.0);
    check_value(&p, false, 0);
    side b, c;
    side_make(&b, low, 2, 0, 3.0);
    side_make(&c, high, 2, 0, 2.5);
    assert_false(losses_are_in_nats(&b.entry, &c.entry, METRIC_VAL_LOSS));
    assert_true(losses_are_in_nats(&b.entry, &b.entry, METRIC_BEST_VAL_LOSS));
    assert_false(losses_are_in_nats(&b.entry, &b.entry, METRIC_STEP_AVG));
}

/* Three times the same: the interval has the width of the rounding, of 0.01 or of fp32. */
static void test_rounded(void **state)
{
    (void)state;
    const double base[] = {3.0, 3.0, 3.0}, config[] = {2.9, 2.9, 2.9};
    runs_pair p = pair_of(base, config, 3, NAN);
    check_close(p.ratio.standard_error, 0.01 / sqrt(6) / 3.0);
    /* t(2) = 4.302653 at 97.5 % */
    check_close(p.difference.low, -0.1 - 4.302652729696142 * 0.01 / sqrt(6));
    const double thirds[] = {1 / 0.3, 1 / 0.3}, same[] = {1 / 0.3, 1 / 0.3};
    p = pair_of(thirds, same, 2, NAN);
    check_close(p.ratio.standard_error, pow(2, -23) / sqrt(6)); /* of the value, by the value */
    assert_true(p.difference.low < 0 && p.difference.high > 0);
}

/* Medians that a clock of 0.5 us rounded: 0.05 and 0.045 ms in all replicates. The step of their
 * digits is 1 us, in ms. Bytes are exact. */
static void test_coarse_times(void **state)
{
    (void)state;
    const double losses[] = {4, 4, 4};
    side b, c;
    runs_pair p;
    side_make(&b, losses, 3, 0, NAN);
    side_make(&c, losses, 3, 0, NAN);
    for (int i = 0; i < 3; i++) {
        b.runs[i].step_median_ms = 0.05;
        c.runs[i].step_median_ms = 0.045;
        b.runs[i].peak_memory_bytes = c.runs[i].peak_memory_bytes = 1 << 20;
    }
    b.entry.peak_memory_bytes = c.entry.peak_memory_bytes = 1 << 20;
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_STEP_MEDIAN, true, NULL), GB_OK);
    check_close(p.ratio.value, log(0.9));
    check_close(p.ratio.standard_error, 0.001 / sqrt(6) / 0.05);
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_PEAK_MEMORY, true, NULL), GB_OK);
    assert_true(p.ratio.standard_error == 0);
}

/* Shared replicates are pairs; without any, all of each by Welch. */
static void test_partners(void **state)
{
    (void)state;
    const double base[] = {4.0, 4.125, 4.375}, config[] = {4.5, 4.25, 4.75};
    side b, c;
    runs_pair p;
    side_make(&b, base, 3, 0, NAN);
    side_make(&c, config, 2, 1, NAN); /* replicates 1 and 2 */
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_VAL_LOSS, true, NULL), GB_OK);
    assert_true(p.paired);
    check_close(p.over_pairs[0], 4.25);
    check_close(p.over_pairs[1], 4.375);
    check_close(p.difference.value, 0.125);
    side_make(&c, config, 3, 3, NAN); /* 3 to 5 */
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_VAL_LOSS, true, NULL), GB_OK);
    assert_false(p.paired);
    check_close(p.difference.value, 4.5 - 12.5 / 3);
    assert_true(isnan(p.over_pairs[0]));
    assert_non_null(strstr(p.method, "Welch t of the ratio of means over 3 and 3 runs"));
    /* The lowest of each, with the error of a single pair. */
    side_make(&c, config, 3, 0, NAN);
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_BEST_VAL_LOSS, true, NULL),
                     GB_OK);
    check_close(p.difference.value, 0.25);
    check_close(p.ratio.value, log(4.25 / 4.0));
    /* Where the lowest has no partner it is left out: 4.125 of replicates 1 and 2. */
    side_make(&c, config, 2, 1, NAN);
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_BEST_VAL_LOSS, true, NULL),
                     GB_OK);
    check_close(p.ratio.value, log(4.25 / 4.125));
    check_close(p.over_pairs[0], 4.125);
    check_close(p.over_pairs[1], 4.25);
    assert_non_null(strstr(p.method, "; over these alone "));
    /* Memory is what it is, with a partner or without: the largest of all. */
    for (int i = 0; i < 3; i++) {
        b.runs[i].peak_memory_bytes = 100 * (i == 0 ? 3 : 1);
        c.runs[i].peak_memory_bytes = 100;
    }
    b.entry.peak_memory_bytes = 300;
    c.entry.peak_memory_bytes = 100;
    assert_int_equal(runs_pair_make(&p, &b.entry, &c.entry, METRIC_PEAK_MEMORY, true, NULL), GB_OK);
    assert_false(p.paired);
    check_close(p.ratio.value, log(1.0 / 3));
}

static void test_seed_noise(void **state)
{
    (void)state;
    const double losses[] = {4.0, 4.0 * exp(0.02)}, near[] = {0, 0.02};
    side s;
    side_make(&s, losses, 2, 0, NAN);
    check_close(entry_seed_noise(&s.entry, false), 0.02); /* sqrt(2) times 0.02 / sqrt(2) */
    side_make(&s, near, 2, 0, NAN);
    check_close(entry_seed_noise(&s.entry, true), 0.02);
    assert_true(isnan(entry_seed_noise(&s.entry, false))); /* one logarithm is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_zero),  cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_rounded),    cmocka_unit_test(test_partners),
        cmocka_unit_test(test_seed_noise), cmocka_unit_test(test_coarse_times),
    };
    return cmocka_run_group_tests_name("runs_pair", tests, NULL, NULL);
}
