/* When the peaks that MFU is made of are measured, and which of several measurements counts. The
 * worker is this program too: it answers with the rates that the test has written to a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/plan/runplan_internal.h"
#include "bench/worker/event_pipe.h"
#include "bench/worker/job.h"
#include "tests/fakes/fake_db.h"
#include "tests/unit/number_of.h"

#define RATES "GPTBENCH_TEST_PEAKS_RATES" /* the file */

/* ---- the worker ---- */

static int worker_main(void)
{
    char text[16384];
    worker_job job;
    event_probe answer;
    double flops = 0, bytes = 0;
    text[fread(text, 1, sizeof text - 1, stdin)] = '\0';
    memset(&answer, 0, sizeof answer);
    FILE *rates = fopen(getenv(RATES), "r");
    if (worker_job_from_json(&job, text, NULL) != GB_OK || !rates ||
        fscanf(rates, "%lf %lf", &flops, &bytes) != 2) {
        return 3;
    }
    fclose(rates);
    snprintf(answer.backend, sizeof answer.backend, "cpu");
    snprintf(answer.device.device, sizeof answer.device.device, "a device");
    snprintf(answer.device.isa, sizeof answer.device.isa, "avx2");
    answer.device.threads = 2;
    answer.device.memory_bytes = (int64_t)1 << 34;
    if (job.measure_peak) {
        answer.gemm_flops_per_s = flops;
        answer.copy_bytes_per_s = bytes;
        answer.gemm_sustained_flops_per_s = 0.75 * flops;
    }
    return event_write_probe(EVENT_PIPE_FD, &answer, NULL) == GB_OK ? 0 : 4;
}

/* ---- the tests ---- */

static char self_path[512];

typedef struct place {
    char db[64], suite_path[80], rates_path[80];
    suite *asked;
    runplan *plan;
    store *s;
    runner_options runner;
    char *argv[3];
} place;

static void rates_set(const place *p, double flops, double bytes)
{
    FILE *file = fopen(p->rates_path, "w");
    assert_non_null(file);
    fprintf(file, "%g %g", flops, bytes);
    assert_int_equal(fclose(file), 0);
    setenv(RATES, p->rates_path, 1);
}

/* As each `gptbench run` begins. */
static void plan_make(place *p)
{
    gb_error err = {0};
    const runplan_options options = {.backend = "cpu", .device_index = -1};
    if (suite_read(&p->asked, p->suite_path, &err) != GB_OK ||
        runplan_create(&p->plan, p->asked, &options, &p->runner, &err) != GB_OK ||
        store_open(&p->s, p->db, STORE_WRITE, &err) != GB_OK ||
        runplan_store(p->plan, p->s, &err) != GB_OK || store_commit(p->s, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
}

static void plan_drop(place *p)
{
    store_close(p->s);
    runplan_free(p->plan);
    suite_free(p->asked);
}

static place *place_make(void)
{
    place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    fake_db_name(p->db);
    snprintf(p->suite_path, sizeof p->suite_path, "%s.ini", p->db);
    snprintf(p->rates_path, sizeof p->rates_path, "%s.rates", p->db);
    FILE *file = fopen(p->suite_path, "w");
    assert_non_null(file);
    fprintf(file, "[suite]\nname = s\n\n[data]\ntrain = synth:vocab=32,seed=1\n"
                  "val = synth:vocab=32,seed=1,stream=val\n\n[train]\nbatch_size = 2\n"
                  "sequence_length = 16\nnum_iterations = 10\nprecision = fp32\n\n"
                  "[model]\nvocab_size = 32\nn_layer = 1\nn_head = 2\nn_embd = 32\n\n[config "
                  "one]\nuse_swiglu_mlp = false\n");
    assert_int_equal(fclose(file), 0);
    p->argv[0] = self_path;
    p->argv[1] = strdup("worker");
    p->runner = runner_options_default(p->argv);
    return p;
}

static void place_remove(place *p)
{
    unlink(p->suite_path);
    unlink(p->rates_path);
    fake_db_remove(p->db);
    free(p->argv[1]);
    free(p);
}

static bool wanted(const place *p, bool once_more)
{
    bool out;
    assert_int_equal(runplan_peaks_wanted(p->plan, p->s, once_more, &out, NULL), GB_OK);
    return out;
}

static void measure(const place *p, bool once_more)
{
    gb_error err = {0};
    if (runplan_measure_peaks(p->plan, p->s, once_more, &p->runner, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
}

static void stored(const place *p, double flops, double bytes)
{
    const environment *env = &p->plan->environments[GB_FP32];
    const store_engine engine = {env->machine_id, "cpu", "fp32", 2};
    store_peak peak;
    assert_int_equal(store_peak_get(p->s, &engine, &peak, NULL), GB_OK);
    assert_true(peak.flops_per_s == flops);
    assert_true(peak.copy_bytes_per_s == bytes);
    assert_true(peak.sustained_flops_per_s == 0.75 * flops); /* as the worker says */
}

/* Before the work, and after it when it has taken long: the better of each rate stays. */
static void test_twice(void **state)
{
    (void)state;
    place *p = place_make();
    rates_set(p, 1e11, 3e10);
    plan_make(p);
    assert_true(wanted(p, false));
    measure(p, false);
    stored(p, 1e11, 3e10);
    assert_false(wanted(p, false));
    assert_true(wanted(p, true));
    rates_set(p, 1.5e11, 2e10);
    measure(p, false); /* nothing is to be measured */
    stored(p, 1e11, 3e10);
    measure(p, true);
    stored(p, 1.5e11, 3e10);
    plan_drop(p);
    /* The next one knows them, and has measured nothing that it could measure once more. */
    plan_make(p);
    assert_false(wanted(p, false));
    assert_false(wanted(p, true));
    plan_drop(p);
    place_remove(p);
}

/* A run whose average step is beyond the peak: it is measured again, whoever comes next, and as
 * often as it is still too low. */
static void test_beaten(void **state)
{
    (void)state;
    place *p = place_make();
    rates_set(p, 1e9, 3e10);
    plan_make(p);
    measure(p, false);
    const int64_t tokens = 32;
    const double flops = number_of(p->s, "SELECT flops_per_token FROM config") * (double)tokens;
    /* 2e9 FLOP/s; no run is left to do. */
    fake_exec(p->s,
              "UPDATE run SET status = 'ok', tokens_per_step = 32, threads = 2;"
              "INSERT INTO step (run_id, step, tag, train_loss, learning_rate, step_ms, flops)"
              " SELECT run_id, 0, 'timed', 1, 0.1, %.17g, 1 FROM run",
              flops / 2e9 * 1e3);
    assert_true(wanted(p, false));
    rates_set(p, 1.9e9, 1e10);
    measure(p, false);
    stored(p, 1.9e9, 3e10);
    plan_drop(p);
    plan_make(p);
    assert_true(wanted(p, false));
    rates_set(p, 2.5e9, 1e10);
    measure(p, false);
    stored(p, 2.5e9, 3e10);
    assert_false(wanted(p, false));
    plan_drop(p);
    place_remove(p);
}

/* A backend that cannot say: no row, and no error. */
static void test_none(void **state)
{
    (void)state;
    place *p = place_make();
    rates_set(p, 0, 0);
    plan_make(p);
    measure(p, false);
    stored(p, 0, 0);
    assert_true(number_of(p->s, "SELECT count(*) FROM gemm_peak") == 0);
    plan_drop(p);
    place_remove(p);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0) {
        return worker_main();
    }
    if (readlink("/proc/self/exe", self_path, sizeof self_path - 1) <= 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_beaten),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
