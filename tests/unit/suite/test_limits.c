/* Limits, watchdog and retries, with a clock that the test holds. Numbers are worked out by hand
 * from the rules in the headers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/run/lr_mark.h"
#include "bench/run/retry.h"
#include "bench/suite/limits.h"
#include "bench/suite/suite.h"
#include "bench/worker/watchdog.h"

/* ---- keys ---- */

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        double value;
    } good[] = {{"max_memory", "8 GiB", 8589934592.0},
                {"max_memory", "1.5MB", 1.5e6},
                {"max_memory", "1 B", 1},
                {"max_time", "2 h", 7200},
                {"max_time", "90 min", 5400},
                {"max_time", "300s", 300},
                {"max_time", "0.5 d", 43200},
                {"heartbeat_timeout", "10 min", 600},
                {"heartbeat_timeout", "off", -1},
                {"profile_timeout", "10 s", 10},
                {"profile_timeout", "off", -1},
                {"max_retries", "3", 3},
                {"on_nan", "halve_lr", 1},
                {"on_nan", "stop", 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        run_limits l = run_limits_default();
        gb_error err = {0};
        assert_int_equal(run_limits_set(&l, good[i].name, good[i].text, &err), GB_OK);
        double value = strcmp(good[i].name, "max_memory") == 0        ? (double)l.max_memory_bytes
                       : strcmp(good[i].name, "max_time") == 0        ? l.max_time_s
                       : strcmp(good[i].name, "max_retries") == 0     ? (double)l.max_retries
                       : strcmp(good[i].name, "on_nan") == 0          ? (double)l.on_nan
                       : strcmp(good[i].name, "profile_timeout") == 0 ? l.profile_timeout_s
                                                                      : l.heartbeat_timeout_s;
        assert_true(value == good[i].value);
    }
}

static void test_bad_values(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"max_memory", "8"},     {"max_memory", "-1 GiB"}, {"max_memory", "0 B"},
        {"max_memory", "nan B"}, {"max_memory", "inf B"},  {"max_memory", "1e300 GiB"},
        {"max_memory", "0.5 B"}, {"max_memory", ""},       {"max_time", "2"},
        {"max_time", "2 hours"}, {"max_time", "0 s"},      {"max_time", "1e9 d"},
        {"max_retries", "21"},   {"max_retries", "-1"},    {"max_retries", "2x"},
        {"max_retries", ""},     {"on_nan", "halve"},      {"heartbeat_timeout", "never"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_limits l = run_limits_default(), before = l;
        gb_error err = {0};
        if (run_limits_set(&l, bad[i][0], bad[i][1], &err) != GB_ERR_USAGE) {
            fail_msg("%s = %s was taken", bad[i][0], bad[i][1]);
        }
        assert_non_null(strstr(err.message, bad[i][0]));
        assert_memory_equal(&l, &before, sizeof l);
    }
}

#define HEAD                                                                                       \
    "[suite]\nname = s\n[data]\ntrain = synth:vocab=64,seed=1\nval = synth:vocab=64,seed=1\n"
#define TAIL "[config a]\nmodel = d12\n"

static void test_section(void **state)
{
    (void)state;
    suite *s = NULL;
    gb_error err = {0};
    assert_int_equal(
        suite_parse(&s, "s.ini", HEAD "[limits]\nmax_time = 2 h\non_nan = halve_lr\n" TAIL, &err),
        GB_OK);
    assert_true(s->limits.max_time_s == 7200);
    assert_int_equal(s->limits.on_nan, LIMITS_NAN_HALVE_LR);
    assert_int_equal(s->limits_given, 1 << 1 | 1 << 5); /* second and sixth of limits_keys */
    suite_free(s);
    static const char *const wrong[][2] = {
        {HEAD "[limits]\nmax_time = 2\n" TAIL, "s.ini:7: max_time = 2: "},
        {HEAD "[limits]\nmax_tiem = 2 h\n" TAIL, "did you mean max_time"},
        {HEAD "[limit]\nmax_time = 2 h\n" TAIL, "did you mean [limits]"},
        {HEAD "[train]\nmax_time = 2 h\n" TAIL, "put it in [limits]"}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(suite_parse(&s, "s.ini", wrong[i][0], &err), GB_ERR_USAGE);
        assert_non_null(strstr(err.message, wrong[i][1]));
    }
}

/* ---- the watchdog ---- */

static watchdog_finding look(watchdog *w, double now_s, char message[512])
{
    return watchdog_check(w, now_s, 0, message, 512);
}

static void step(watchdog *w, double now_s)
{
    const train_event event = {.type = TRAIN_EVENT_STEP, .u.step = {.step_ms = 1200}};
    watchdog_hear(w, &event, now_s);
}

/* Looks once a second, as a runner would, from `from_s` on; when it finds something. */
static double found_at(watchdog *w, double from_s, double until_s, char message[512])
{
    for (int waited_s = 0; from_s + waited_s <= until_s; waited_s++) {
        if (look(w, from_s + waited_s, message) != WATCHDOG_FINE) {
            return from_s + waited_s;
        }
    }
    return NAN;
}

static void test_silence(void **state)
{
    (void)state;
    char message[512] = "";
    const run_limits automatic = run_limits_default(), set = {.heartbeat_timeout_s = 20};
    watchdog w;
    /* Pauses of 12 s at most: 10 times that is below the floor of 300 s. */
    watchdog_begin(&w, &automatic, 100, 1000);
    step(&w, 1012);
    step(&w, 1013);
    assert_true(found_at(&w, 1013, 2000, message) == 1314); /* more than 300 s after 1013 */
    assert_non_null(strstr(message, "no sign of life for 5 min 01 s"));
    assert_non_null(strstr(message, "after step 2 of 100; its last step took 1.20 s"));
    /* A start-up of 60 s allows 600. */
    watchdog_begin(&w, &automatic, 0, 0);
    watchdog_hear(&w, &(train_event){.type = TRAIN_EVENT_START}, 60);
    assert_true(watchdog_allowed_s(&w) == 600);
    assert_true(found_at(&w, 60, 2000, message) == 661);
    assert_non_null(strstr(message, "after its start, before any step"));
    /* As set, and with anything that was heard counting. */
    watchdog_begin(&w, &set, 0, 0);
    assert_true(isnan(found_at(&w, 0, 20, message)));
    watchdog_hear(&w, NULL, 20);
    assert_true(found_at(&w, 20, 100, message) == 41);
    assert_non_null(strstr(message, "before it had started"));
    /* Left alone on purpose. */
    watchdog_begin(&w, &set, 0, 0);
    assert_int_equal(look(&w, 4, message), WATCHDOG_FINE);
    watchdog_rest(&w, 50);
    assert_int_equal(look(&w, 60, message), WATCHDOG_FINE);
    const run_limits off = {.heartbeat_timeout_s = -1};
    watchdog_begin(&w, &off, 0, 0);
    assert_true(isnan(found_at(&w, 0, 1e5, message)));
}

/* While steps are profiled the limit is profile_timeout, whatever the heartbeat's is. */
static void test_silence_of_a_profile(void **state)
{
    (void)state;
    char message[512] = "";
    const run_limits off = {.heartbeat_timeout_s = -1}, set = {.profile_timeout_s = 20},
                     none = {.heartbeat_timeout_s = -1, .profile_timeout_s = -1};
    const train_event begins = {.type = TRAIN_EVENT_PROFILE}, over = {.type = TRAIN_EVENT_OPTIME};
    train_event start = {.type = TRAIN_EVENT_START};
    strcpy(start.u.start.device.bus_id, "0000:3b:00.0");
    watchdog w;
    /* A pause of 7996 s before the profile allows ten times that within it. */
    watchdog_begin(&w, &off, 100, 1000);
    watchdog_hear(&w, &start, 1003);
    step(&w, 1004);
    assert_true(isnan(found_at(&w, 1004, 9000, message)));
    watchdog_hear(&w, &begins, 9000);
    assert_true(isnan(found_at(&w, 9000, 9000 + 79960, message)));
    /* One of 3 s allows 30: the floor of 120 s holds. */
    watchdog_begin(&w, &off, 100, 1000);
    watchdog_hear(&w, &start, 1003);
    watchdog_hear(&w, &begins, 1004);
    step(&w, 1005);
    assert_true(found_at(&w, 1005, 3000, message) == 1126); /* more than 120 s after 1005 */
    assert_string_equal(message,
                        "no sign of life for 2 min 01 s while steps were profiled (the automatic "
                        "limit allows 2 min 00 s), after step 1 of 100; its last step took 1.20 s; "
                        "its times so far are kept; GPTBENCH_CUPTI=0 profiles without the GPU's "
                        "profiler");
    /* Over: the heartbeat's limit alone. */
    watchdog_hear(&w, &over, 1126);
    assert_true(isnan(found_at(&w, 1126, 3000, message)));
    watchdog_begin(&w, &set, 0, 0);
    watchdog_hear(&w, &begins, 1);
    assert_true(found_at(&w, 1, 100, message) == 22);
    assert_non_null(strstr(message, "(profile_timeout allows 20.0 s)"));
    watchdog_begin(&w, &none, 0, 0);
    watchdog_hear(&w, &begins, 1);
    assert_true(isnan(found_at(&w, 1, 1e5, message)));
}

/* A runner that was itself stopped for an hour does not blame the worker. */
static void test_looked_away(void **state)
{
    (void)state;
    char message[512];
    const run_limits set = {.heartbeat_timeout_s = 20};
    watchdog w;
    watchdog_begin(&w, &set, 0, 0);
    assert_true(isnan(found_at(&w, 0, 10, message)));
    assert_int_equal(look(&w, 3610, message), WATCHDOG_FINE);
    /* 10 s of silence had passed before; more than 10 further ones are too many. */
    assert_true(found_at(&w, 3611, 4000, message) == 3621);
}

static void test_time_and_memory(void **state)
{
    (void)state;
    char message[512];
    const run_limits l = {.max_time_s = 60, .max_memory_bytes = 100 << 20};
    watchdog w;
    watchdog_begin(&w, &l, 100, 5);
    step(&w, 6);
    assert_int_equal(watchdog_check(&w, 7, 100 << 20, message, sizeof message), WATCHDOG_FINE);
    assert_int_equal(watchdog_check(&w, 7, (100 << 20) + 4096, message, sizeof message),
                     WATCHDOG_OVERSIZE);
    assert_non_null(strstr(message, "max_memory is 100 MiB"));
    assert_int_equal(look(&w, 65, message), WATCHDOG_FINE);
    assert_int_equal(look(&w, 65.5, message), WATCHDOG_OVERTIME);
    assert_non_null(strstr(message, "over max_time = 60.0 s: ended after 60.5 s, after step 1 of"));
}

/* ---- retries ---- */

static void test_retry(void **state)
{
    (void)state;
    run_limits l = {.max_retries = 8};
    retry r;
    int64_t wait_ms;
    retry_begin(&r, &l, 1, 1000);
    /* Doubled each time, and never more than a minute. */
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(retry_next(&r, "killed", true, &wait_ms), RETRY_AGAIN);
        assert_int_equal(wait_ms, waits[i]);
    }
    assert_int_equal(retry_next(&r, "killed", true, &wait_ms), RETRY_LEAVE);
    retry_begin(&r, &l, 1, 1000);
    assert_int_equal(retry_next(&r, "failed", false, &wait_ms), RETRY_LEAVE);
    assert_int_equal(retry_next(&r, "ok", false, &wait_ms), RETRY_LEAVE);
    /* A NaN is a result, however many retries there are. */
    assert_int_equal(retry_next(&r, "nan", true, &wait_ms), RETRY_LEAVE);
}

static void test_halve(void **state)
{
    (void)state;
    const run_limits l = {.on_nan = LIMITS_NAN_HALVE_LR};
    retry r;
    int64_t wait_ms;
    retry_begin(&r, &l, 1, 1000);
    for (int i = 0; i < LIMITS_MAX_HALVINGS; i++) {
        assert_int_equal(retry_next(&r, "nan", false, &wait_ms), RETRY_HALVE);
        assert_int_equal(wait_ms, 0);
    }
    assert_int_equal(retry_next(&r, "nan", false, &wait_ms), RETRY_LEAVE);
    assert_int_equal(retry_next(&r, "killed", true, &wait_ms), RETRY_LEAVE); /* max_retries = 0 */
    retry_begin(&r, &l, 0.125, 1000); /* halved three times before */
    assert_int_equal(retry_next(&r, "nan", false, &wait_ms), RETRY_HALVE);
    assert_int_equal(retry_next(&r, "nan", false, &wait_ms), RETRY_LEAVE);
    assert_string_equal(lr_mark(1).text, "");
    assert_string_equal(lr_mark(0).text, "");
    assert_string_equal(lr_mark(0.25).text, ", lr halved 2x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_section),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_silence_of_a_profile),
        cmocka_unit_test(test_looked_away),
        cmocka_unit_test(test_time_and_memory),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_halve),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
