/* Marks and energy from made-up samples and steps; what is expected can be read off the numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/stats/disturbance.h"

enum { SAMPLES = 9, STEPS = 8 };

static disturbance_span span(double start_s, double end_s, bool timed)
{
    return (disturbance_span){.start_s = start_s, .end_s = end_s, .timed = timed};
}

/* Samples at 0, 1, ..., 8 s: an undisturbed GPU and CPU. */
static void samples_make(gb_sample *samples)
{
    for (int k = 0; k < SAMPLES; k++) {
        samples[k] = gb_sample_missing();
        samples[k].monotonic_s = k;
        samples[k].gpu_clock_mhz = 2000;
        samples[k].cpu_clock_mhz = 3000;
        samples[k].gpu_throttle = 0;
        samples[k].gpu_power_w = 100;
        samples[k].cpu_steal = 0;
    }
}

/* Step i from i + 0.25 to i + 0.75 s: between samples i and i + 1. */
static void steps_make(disturbance_span *steps)
{
    for (int i = 0; i < STEPS; i++) {
        steps[i] = span(i + 0.25, i + 0.75, true);
    }
}

static void check_marks(const disturbance_span *steps, const gb_sample *samples, size_t m, bool gpu,
                        const unsigned char *expected)
{
    unsigned char marks[STEPS];
    memset(marks, 0x55, sizeof marks);
    assert_int_equal(
        disturbance_mark(&(disturbance_watch){steps, STEPS, samples, m, gpu}, marks, NULL), GB_OK);
    for (int i = 0; i < STEPS; i++) {
        if (marks[i] != expected[i]) {
            fail_msg("step %d: %d, expected %d", i, marks[i], expected[i]);
        }
    }
}

static void test_marks(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    steps_make(steps);
    samples[2].gpu_throttle = GB_THROTTLE_HW_THERMAL; /* from 1 s to 2 s: step 1 */
    samples[3].gpu_throttle = GB_THROTTLE_IDLE | GB_THROTTLE_APPLICATION_CLOCKS |
                              GB_THROTTLE_SW_POWER_CAP; /* none of them is trouble */
    samples[5].gpu_clock_mhz = 1899;                    /* 5.05 % under the median: step 4 */
    samples[6].gpu_clock_mhz = 1900;                    /* 5 % exactly */
    samples[7].cpu_steal = 0.051;
    samples[8].cpu_steal = 0.05;
    samples[8].gpu_throttle = GB_THROTTLE_HW_POWER_BRAKE;
    samples[8].gpu_clock_mhz = 500;
    const unsigned char gpu[STEPS] = {0, 1, 0, 0, 2, 0, 4, 1 | 2};
    check_marks(steps, samples, SAMPLES, true, gpu);
    /* The same beside a CPU run: its own clock counts. */
    samples[4].cpu_clock_mhz = 2849;
    const unsigned char cpu[STEPS] = {0, 1, 0, 2, 0, 0, 4, 1};
    check_marks(steps, samples, SAMPLES, false, cpu);
}

/* What a step says of itself, with and without samples. The limits: one major fault, more than 64
 * minor ones, 3 preemptions and more than 50 in a second (a step here lasts half of one). */
static void test_faults_and_preemptions(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    steps_make(steps);
    steps[0].major_faults = 1;
    steps[1].minor_faults = 64;
    steps[2].minor_faults = 65;
    steps[3].preemptions = 25;
    steps[4].preemptions = 26;
    steps[5].end_s = steps[5].start_s + 0.01; /* a short one: 50 a second are half of one */
    steps[5].preemptions = 2;
    steps[6].end_s = steps[6].start_s + 0.01;
    steps[6].preemptions = 3;
    const unsigned char cpu[STEPS] = {8, 0, 8, 0, 16, 0, 16, 0};
    check_marks(steps, samples, SAMPLES, false, cpu);
    /* A GPU does not mind who else is on the CPU. */
    const unsigned char gpu[STEPS] = {8, 0, 8, 0, 0, 0, 0, 0};
    check_marks(steps, samples, SAMPLES, true, gpu);
    const unsigned char unsampled[STEPS] = {8, 128, 8, 128, 16, 128, 16, 128};
    check_marks(steps, samples, 0, false, unsampled);
    steps[2].timed = false; /* memory is touched for the first time while a run warms up */
    const unsigned char warming[STEPS] = {8, 0, 0, 0, 16, 0, 16, 0};
    check_marks(steps, samples, SAMPLES, false, warming);
    steps[2].timed = true;
    samples[1].cpu_steal = 1; /* together with what a sample says */
    const unsigned char both[STEPS] = {8 | 4, 0, 8, 0, 16, 0, 16, 0};
    check_marks(steps, samples, SAMPLES, false, both);
}

/* A step belongs to every stretch that it touches, short ones to the one that they lie in. */
static void test_overlap(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    samples[3].cpu_steal = 0.5; /* from 2 s to 3 s */
    const disturbance_span spans[STEPS] = {{.start_s = 0.0, .end_s = 2.0, .timed = true},
                                           {.start_s = 1.9, .end_s = 2.0, .timed = true},
                                           {.start_s = 2.0, .end_s = 2.1, .timed = true},
                                           {.start_s = 2.4, .end_s = 2.4, .timed = true},
                                           {.start_s = 2.9, .end_s = 3.0, .timed = true},
                                           {.start_s = 3.0, .end_s = 3.1, .timed = true},
                                           {.start_s = 2.9, .end_s = 3.5, .timed = true},
                                           {.start_s = 3.5, .end_s = 7.0, .timed = true}};
    memcpy(steps, spans, sizeof steps);
    const unsigned char expected[STEPS] = {0, 0, 4, 4, 4, 0, 4, 0};
    check_marks(steps, samples, SAMPLES, true, expected);
}

static void test_what_is_not_known(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    const unsigned char unknown = DISTURBANCE_UNKNOWN;
    samples_make(samples);
    steps_make(steps);
    /* Samples end at 5 s; the one at 3 s could read nothing. */
    samples[3] = gb_sample_missing();
    samples[3].monotonic_s = 3;
    const unsigned char some[STEPS] = {0, 0, unknown, 0, 0, unknown, unknown, unknown};
    check_marks(steps, samples, 6, true, some);
    const unsigned char none[STEPS] = {unknown, unknown, unknown, unknown,
                                       unknown, unknown, unknown, unknown};
    check_marks(steps, samples, 1, true, none);
    check_marks(steps, samples, 0, true, none);
    /* Steal alone suffices to say something; a clock that is read once is its own median. */
    for (int k = 0; k < SAMPLES; k++) {
        samples[k] = gb_sample_missing();
        samples[k].monotonic_s = k;
        samples[k].cpu_steal = k == 4 ? 0.2 : 0;
    }
    samples[7].cpu_clock_mhz = 800;
    const unsigned char steal[STEPS] = {0, 0, 0, 4, 0, 0, 0, 0};
    check_marks(steps, samples, SAMPLES, false, steal);
}

/* Clocks before the first step and after the last take no part in the median. */
static void test_median_is_of_the_steps(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    for (int i = 0; i < STEPS; i++) {
        steps[i] = span(6.1 + 0.1 * i, 6.2 + 0.1 * i, true);
    }
    for (int k = 0; k <= 6; k++) {
        samples[k].gpu_clock_mhz = 3000; /* 2000, while there are steps, is a third less */
    }
    const unsigned char expected[STEPS] = {0};
    check_marks(steps, samples, SAMPLES, true, expected);
}

static void test_names(void **state)
{
    (void)state;
    char text[DISTURBANCE_NAMES_SIZE];
    disturbance_names(0, text);
    assert_string_equal(text, "");
    disturbance_names(7, text);
    assert_string_equal(text, "throttled,clock_drop,steal");
    assert_int_equal(disturbance_from_names(text), 7);
    assert_int_equal(disturbance_from_names("steal,of_the_future,throttled"), 5);
    assert_int_equal(disturbance_from_names(""), 0);
    assert_int_equal(disturbance_from_names(",steals,"), 0);
}

/* ---- energy ---- */

static void check_energy(const disturbance_span *steps, const gb_sample *samples, size_t m,
                         bool gpu, double expected_j, const char *source)
{
    disturbance_energy energy;
    assert_int_equal(
        disturbance_energy_of(&(disturbance_watch){steps, STEPS, samples, m, gpu}, &energy, NULL),
        GB_OK);
    if (isnan(expected_j) ? !isnan(energy.energy_j)
                          : !(fabs(energy.energy_j - expected_j) <= 1e-9)) {
        fail_msg("%.12g J, expected %.12g", energy.energy_j, expected_j);
    }
    if (source) {
        assert_string_equal(energy.source, source);
    } else {
        assert_null(energy.source);
    }
}

static void test_energy(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    steps_make(steps);
    for (int k = 0; k < SAMPLES; k++) {
        samples[k].gpu_energy_j = 1000 + 10 * k * k; /* second k takes 10 (2 k + 1) J */
        samples[k].cpu_energy_j = 7 * k;
        samples[k].gpu_power_w = 100 * k;
    }
    /* Half of each second's: 5 (1 + 3 + ... + 15) = 5 * 64. */
    check_energy(steps, samples, SAMPLES, true, 320, "gpu_counter");
    check_energy(steps, samples, SAMPLES, false, 7 * 4, "cpu_package");
    /* Only timed steps: without step 3, which takes half of 70 J, and step 7, half of 150 J. */
    steps[3].timed = steps[7].timed = false;
    check_energy(steps, samples, SAMPLES, true, 320 - 35 - 75, "gpu_counter");
    /* The counter was not read at 2 s: a line from 1010 J at 1 s to 1090 J at 3 s, so that half of
     * second 1 takes 20 J, not 15, and half of second 2 20 J, not 25. */
    samples[2].gpu_energy_j = NAN;
    check_energy(steps, samples, SAMPLES, true, 320 - 35 - 75, "gpu_counter");
    steps[2].timed = false;
    check_energy(steps, samples, SAMPLES, true, 320 - 35 - 75 - 20, "gpu_counter");
    steps[2].timed = true;
    /* A counter that goes back says nothing; power does: 50 + 100 k W in the middle of second k,
     * half a second each, over 0, 1, 2, 4, 5, 6. */
    samples[5].gpu_energy_j = 3;
    check_energy(steps, samples, SAMPLES, true, (6 * 50 + 100 * 18) / 2.0, "gpu_power");
    samples[8].gpu_power_w = NAN;
    check_energy(steps, samples, SAMPLES, true, NAN, NULL);
}

static void test_energy_is_not_guessed(void **state)
{
    (void)state;
    gb_sample samples[SAMPLES];
    disturbance_span steps[STEPS];
    samples_make(samples);
    steps_make(steps);
    check_energy(steps, samples, SAMPLES, false, NAN, NULL);       /* no counter of the CPU */
    check_energy(steps, samples, SAMPLES, true, 400, "gpu_power"); /* 100 W for 4 s */
    check_energy(steps, samples, SAMPLES - 1, true, NAN, NULL); /* the last step is not covered */
    check_energy(steps, samples, 1, true, NAN, NULL);
    check_energy(steps, samples, 0, true, NAN, NULL);
    steps[0].start_s = -0.1;
    check_energy(steps, samples, SAMPLES, true, NAN, NULL);
    steps_make(steps);
    for (int i = 1; i < STEPS; i++) {
        steps[i].timed = i < 2;
    }
    check_energy(steps, samples, SAMPLES, true, 100, "gpu_power"); /* one second in all */
    steps[1].timed = false;
    check_energy(steps, samples, SAMPLES, true, NAN, NULL); /* half a second is too short */
    /* A counter that stands still is broken: something was running. */
    steps_make(steps);
    for (int k = 0; k < SAMPLES; k++) {
        samples[k].cpu_energy_j = 5;
    }
    check_energy(steps, samples, SAMPLES, false, NAN, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_faults_and_preemptions),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_median_is_of_the_steps),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_energy),
        cmocka_unit_test(test_energy_is_not_guessed),
    };
    return cmocka_run_group_tests_name("disturbance", tests, NULL, NULL);
}
