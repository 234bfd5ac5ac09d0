/* Which courses of the validation loss count as diverged. Expected answers follow from the rules in
 * divergence.h, worked out by hand beside each course; ln(64) = 4.158883. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/analysis/divergence.h"

static divergence judge(double first, double lowest, double last, double entropy)
{
    const loss_course course = {first, lowest, last, log(64), entropy};
    return divergence_of(&course);
}

static void test_diverged(void **state)
{
    (void)state;
    assert_int_equal(judge(4.36, 4.36, 8.56, NAN), DIVERGENCE_ABOVE_START);
    assert_int_equal(judge(4.20, 3.10, 4.26, NAN), DIVERGENCE_ABOVE_START); /* 1.4 % */
    assert_int_equal(judge(4.36, 4.15888308, log(64), NAN), DIVERGENCE_UNIFORM);
    assert_int_equal(judge(4.36, 4.1588, log(64) + 9e-6, 3.0), DIVERGENCE_UNIFORM);
    /* down by 3 nats, ended 2 higher: two thirds are lost */
    assert_int_equal(judge(6.0, 3.0, 5.0, NAN), DIVERGENCE_NOT_BACK);
    assert_int_equal(judge(4.36, 4.16, 4.36, NAN), DIVERGENCE_NOT_BACK); /* all is lost */
}

static void test_not_diverged(void **state)
{
    (void)state;
    assert_int_equal(judge(4.3629, 3.19, 3.19, NAN), DIVERGENCE_NONE);
    /* five steps, whose loss moves by less than 1 % either way */
    assert_int_equal(judge(4.36, 4.35, 4.39, NAN), DIVERGENCE_NONE);
    /* a warm start */
    assert_int_equal(judge(3.280, 3.279, 3.281, NAN), DIVERGENCE_NONE);
    /* untrained models lie just above ln(64) */
    assert_int_equal(judge(4.1712, 4.1700, 4.1700, NAN), DIVERGENCE_NONE);
    /* a spike to any height, made good: the end is the lowest */
    assert_int_equal(judge(4.36, 3.10, 3.10, NAN), DIVERGENCE_NONE);
    /* seen their data too often: 33, 27 and 36 % of the gain is lost */
    assert_int_equal(judge(4.36, 3.90, 4.05, NAN), DIVERGENCE_NONE);
    assert_int_equal(judge(4.0, 1.2, 1.95, NAN), DIVERGENCE_NONE);
    assert_int_equal(judge(4.3, 3.2, 3.6, NAN), DIVERGENCE_NONE);
    /* a source of one token, whose loss goes to 0 */
    assert_int_equal(judge(4.36, 1e-6, 2e-6, 0), DIVERGENCE_NONE);
    /* warm starts near 0 and near the entropy: less than 0.05 nats */
    assert_int_equal(judge(1e-6, 1e-6, 2e-6, 0), DIVERGENCE_NONE);
    assert_int_equal(judge(0.010, 0.010, 0.0102, NAN), DIVERGENCE_NONE);
    assert_int_equal(judge(4.10, 4.10, 4.145, 4.08), DIVERGENCE_NONE);
    /* a source that is chance itself: ln(64) is the best there is */
    assert_int_equal(judge(4.36, log(64), log(64), log(64)), DIVERGENCE_NONE);
    assert_int_equal(judge(4.36, log(64), log(64), 4.12), DIVERGENCE_NONE); /* 99.07 % of it */
}

/* Not validated before the first step, or the vocabulary is not known: that shows nothing. */
static void test_unknown(void **state)
{
    (void)state;
    assert_int_equal(judge(NAN, 3.0, 9.0, NAN), DIVERGENCE_NONE);
    assert_int_equal(judge(4.36, NAN, NAN, NAN), DIVERGENCE_NONE);
    const loss_course course = {4.36, log(64), log(64), NAN, NAN};
    assert_int_equal(divergence_of(&course), DIVERGENCE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diverged),
        cmocka_unit_test(test_not_diverged),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests_name("divergence", tests, NULL, NULL);
}
