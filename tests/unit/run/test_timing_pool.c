/* The workers of a timing session: who runs, who waits, who has to go. The worker is this very
 * program, started as `PROGRAM worker`; its job is one line: how it behaves, and a file in which it
 * counts its starts. It trains nothing and answers orders with made-up steps.
 *
 * kinds: plain sanitized threads */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/run/timing_pool.h"
#include "kernels/clock.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

/* ---- the worker ---- */

static void say(train_event_type type, const train_event *filled)
{
    train_event event;
    memset(&event, 0, sizeof event);
    if (filled) {
        event = *filled;
    }
    event.type = type;
    event_write_train(EVENT_PIPE_FD, &event, NULL);
}

static void say_step(int64_t step, train_step_tag tag)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.u.step = (train_step){.step = step,
                                .tag = tag,
                                .train_loss = 1,
                                .learning_rate = 1,
                                .step_ms = 1 + (double)step,
                                .ended_s = gb_monotonic_s()};
    say(TRAIN_EVENT_STEP, &event);
}

static int say_end(gb_status status, const char *message)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.u.end.status = status;
    snprintf(event.u.end.message, sizeof event.u.end.message, "%s", message);
    say(TRAIN_EVENT_END, &event);
    return status == GB_OK ? 0 : 1;
}

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* What a start of this worker is: the first one, the second, ...; counted in a file. */
static int start_number(const char *path)
{
    FILE *file = fopen(path, "ae");
    if (!file) {
        return 0;
    }
    fputc('x', file);
    fflush(file);
    long n = ftell(file); /* at the end: it is open for appending */
    fclose(file);
    return (int)n;
}

static int worker_main(void)
{
    char how[32] = "", path[256] = "";
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    if (scanf("%31s %255s", how, path) != 2) {
        return 2;
    }
    int start = start_number(path);
    if (strcmp(how, "crowded") == 0 && start == 1) {
        return say_end(GB_ERR_OOM, "no memory for the model");
    }
    if (strcmp(how, "never") == 0) {
        return say_end(GB_ERR_OOM, "no memory for the model");
    }
    say(TRAIN_EVENT_START, NULL);
    int64_t step = 0;
    for (int i = 0; i < 3; i++) {
        say_step(step++, TRAIN_STEP_WARMUP);
    }
    say(TRAIN_EVENT_PAUSE, NULL);
    train_burst burst;
    bool found;
    while (event_order_read(CONTROL_FD, &burst, &found, &stopped, NULL) == GB_OK && found) {
        if (strcmp(how, "nan") == 0) {
            return say_end(GB_ERR_NAN, "training loss is not finite at step 3");
        }
        if (strcmp(how, "crash") == 0) {
            raise(SIGKILL);
        }
        if (strcmp(how, "leave") == 0) {
            return say_end(GB_OK, "");
        }
        for (int64_t i = 0; i < burst.lead_steps + burst.timed_steps; i++) {
            say_step(step++, i < burst.lead_steps ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED);
        }
        say(TRAIN_EVENT_PAUSE, NULL);
        if (strcmp(how, "die") == 0) {
            return 7; /* between two bursts, without a word */
        }
    }
    return stopped ? say_end(GB_ERR_INTERRUPTED, "asked to stop") : say_end(GB_OK, "");
}

/* ---- the bench ---- */

static char self_path[512], worker_word[] = "worker";
static char *worker_argv[] = {self_path, worker_word, NULL};
static char directory[64];
static int64_t memory_free_bytes; /* what the machine pretends */
static int64_t memory_per_worker;

enum { MAX_ARMS = 4 };

typedef struct bench {
    worker_options worker;
    char jobs[MAX_ARMS][320];
    timing_pool_arm arms[MAX_ARMS];
    timing_pool *pool;
} bench;

static int64_t memory_free_now(void)
{
    return memory_free_bytes;
}

static void bench_open(bench *b, int n, const char *const *parts)
{
    static int opened;
    memset(b, 0, sizeof *b);
    b->worker = (worker_options){.argv = worker_argv, .grace_ms = 5000};
    for (int i = 0; i < n; i++) {
        snprintf(b->jobs[i], sizeof b->jobs[i], "%s %s/starts.%d.%d\n", parts[i], directory, opened,
                 i);
        b->arms[i] = (timing_pool_arm){b->jobs[i], memory_per_worker};
    }
    opened++;
    const timing_pool_options options = {.worker = &b->worker, .memory_free = memory_free_now};
    OK(timing_pool_create(&b->pool, b->arms, n, &options, err));
}

static void start_ok(bench *b, int arm, int64_t expected_steps)
{
    const train_step *steps;
    int64_t n = -1;
    OK(timing_pool_start(b->pool, arm, &steps, &n, err));
    assert_int_equal(n, expected_steps);
}

static void burst_ok(bench *b, int arm, int64_t first_step)
{
    const train_burst burst = {2, 5};
    const train_step *steps;
    int64_t n;
    OK(timing_pool_burst(b->pool, arm, &burst, &steps, &n, err));
    assert_int_equal(n, 7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(steps[i].step, first_step + i);
        assert_int_equal(steps[i].tag, i < 2 ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED);
    }
}

static void test_workers_stay_warm(void **state)
{
    (void)state;
    static const char *const parts[] = {"steady", "steady"};
    bench b;
    memory_free_bytes = -1;
    bench_open(&b, 2, parts);
    start_ok(&b, 0, 3);
    start_ok(&b, 1, 3);
    burst_ok(&b, 1, 3);
    start_ok(&b, 0, 0); /* it runs already */
    burst_ok(&b, 0, 3);
    burst_ok(&b, 0, 10);
    burst_ok(&b, 1, 10);
    timing_pool_retire(b.pool, 0);
    start_ok(&b, 0, 3); /* another process, from its first step */
    burst_ok(&b, 0, 3);
    assert_int_equal(timing_pool_processes(b.pool, 0), 2);
    assert_int_equal(timing_pool_processes(b.pool, 1), 1);
    timing_pool_free(b.pool);
}

/* The machine has room for two workers, as long as its free memory does not change: the third takes
 * the place of the one that rested longest. */
static void test_memory_makes_workers_leave(void **state)
{
    (void)state;
    static const char *const parts[] = {"steady", "steady", "steady"};
    bench b;
    memory_per_worker = 1000;
    memory_free_bytes = -1;
    bench_open(&b, 3, parts);
    start_ok(&b, 0, 3);
    start_ok(&b, 1, 3);
    burst_ok(&b, 0, 3);       /* now 1 rested longest */
    memory_free_bytes = 1110; /* 90 % of it are 999: one too few */
    start_ok(&b, 2, 3);       /* both others had to go, and it starts all the same */
    assert_int_equal(timing_pool_processes(b.pool, 2), 1);
    memory_free_bytes = 1112; /* 90 % are 1000.8 */
    start_ok(&b, 0, 3);
    start_ok(&b, 1, 3);
    start_ok(&b, 2, 0); /* there is room, so nobody leaves */
    assert_int_equal(timing_pool_processes(b.pool, 0), 2);
    timing_pool_free(b.pool);
    memory_per_worker = 0;
}

/* A worker that finds no memory gets another chance once others have made room, and none when there
 * are no others. */
static void test_a_worker_without_memory(void **state)
{
    (void)state;
    static const char *const parts[] = {"steady", "crowded", "never"};
    const train_step *steps;
    const char *message;
    int64_t n;
    bench b;
    memory_free_bytes = -1;
    bench_open(&b, 3, parts);
    start_ok(&b, 0, 3);
    start_ok(&b, 1, 3);
    assert_int_equal(timing_pool_processes(b.pool, 1), 2);
    assert_string_equal(timing_pool_status(b.pool, 1, &message), "ok");
    gb_error error = {0};
    assert_int_equal(timing_pool_start(b.pool, 2, &steps, &n, &error), GB_ERR_OOM);
    assert_string_equal(error.message, "no memory for the model");
    assert_string_equal(timing_pool_status(b.pool, 2, &message), "oom");
    assert_string_equal(message, "no memory for the model");
    start_ok(&b, 0, 3); /* both others had left for it */
    start_ok(&b, 1, 3);
    timing_pool_free(b.pool);
}

static void test_how_workers_fail(void **state)
{
    (void)state;
    static const struct {
        const char *part, *status, *message;
        gb_status code;
    } cases[] = {
        {"nan", "nan", "training loss is not finite at step 3", GB_ERR_NAN},
        {"crash", "killed", "killed from outside by SIGKILL after 3 steps", GB_ERR_FAILED},
        {"leave", "failed", "the worker ended before it was told to", GB_ERR_FAILED},
    };
    for (int i = 0; i < 3; i++) {
        const train_burst burst = {1, 1};
        const train_step *steps;
        const char *message;
        int64_t n;
        gb_error error = {0};
        bench b;
        bench_open(&b, 1, &cases[i].part);
        start_ok(&b, 0, 3);
        assert_int_equal(timing_pool_burst(b.pool, 0, &burst, &steps, &n, &error), cases[i].code);
        assert_string_equal(error.message, cases[i].message);
        assert_string_equal(timing_pool_status(b.pool, 0, &message), cases[i].status);
        assert_string_equal(message, cases[i].message);
        timing_pool_free(b.pool);
    }
}

/* It died while it rested: the next order finds nobody. */
static void test_a_worker_dies_between_bursts(void **state)
{
    (void)state;
    static const char *const parts[] = {"die"};
    const train_burst burst = {1, 1};
    const train_step *steps;
    const char *message;
    int64_t n;
    bench b;
    bench_open(&b, 1, parts);
    start_ok(&b, 0, 3);
    OK(timing_pool_burst(b.pool, 0, &burst, &steps, &n, err));
    assert_int_equal(timing_pool_burst(b.pool, 0, &burst, &steps, &n, NULL), GB_ERR_FAILED);
    assert_string_equal(timing_pool_status(b.pool, 0, &message), "failed");
    assert_non_null(strstr(message, "exited with code 7 after 5 steps"));
    start_ok(&b, 0, 3); /* and a new one may take its place */
    assert_string_equal(timing_pool_status(b.pool, 0, &message), "ok");
    timing_pool_free(b.pool);
}

static void test_the_user_stops_it(void **state)
{
    (void)state;
    static const char *const parts[] = {"steady"};
    static volatile sig_atomic_t stops;
    const train_burst burst = {1, 1};
    const train_step *steps;
    int64_t n;
    bench b;
    bench_open(&b, 1, parts);
    b.worker.stops = &stops;
    start_ok(&b, 0, 3);
    stops = 1;
    assert_int_equal(timing_pool_burst(b.pool, 0, &burst, &steps, &n, NULL), GB_ERR_INTERRUPTED);
    assert_int_equal(timing_pool_start(b.pool, 0, &steps, &n, NULL), GB_ERR_INTERRUPTED);
    timing_pool_free(b.pool);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], worker_word) == 0) {
        return worker_main();
    }
    ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    snprintf(directory, sizeof directory, "/tmp/timing_pool.XXXXXX");
    if (n <= 0 || !mkdtemp(directory)) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_stay_warm),
        cmocka_unit_test(test_memory_makes_workers_leave),
        cmocka_unit_test(test_a_worker_without_memory),
        cmocka_unit_test(test_how_workers_fail),
        cmocka_unit_test(test_a_worker_dies_between_bursts),
        cmocka_unit_test(test_the_user_stops_it),
    };
    int failed = cmocka_run_group_tests_name("timing pool", tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? failed : 1;
}
