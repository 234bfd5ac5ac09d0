/* The runner with a worker that trains nothing: this very program, started as `PROGRAM worker`,
 * plays the part that its standard input names. And the event stream against nonsense.
 *
 * kinds: plain sanitized threads */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/run/identity.h"
#include "bench/run/runner.h"
#include "bench/run/schedule.h"
#include "bench/worker/job.h"
#include "kernels/clock.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

/* ---- the worker's parts ---- */

static void say_step(int64_t step)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_STEP;
    event.u.step = (train_step){.step = step,
                                .tag = step < 2 ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED,
                                .train_loss = 5.0,
                                .grad_norm = 1.0,
                                .learning_rate = 1e-3,
                                .step_ms = 10.0,
                                .flops_issued = 1e6,
                                .ended_s = gb_monotonic_s()};
    event_write_train(EVENT_PIPE_FD, &event, NULL);
}

static void say_end(gb_status status, const char *message)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_END;
    event.u.end.status = status;
    event.u.end.peak_memory_bytes = 12345;
    snprintf(event.u.end.message, sizeof event.u.end.message, "%s", message);
    event_write_train(EVENT_PIPE_FD, &event, NULL);
}

static void say_steps(int n)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_START;
    event.u.start.entropy_rate_nats = NAN;
    event.u.start.memory_plan_bytes[GB_MEM_WEIGHTS] = 100;
    event.u.start.memory_plan_bytes[GB_MEM_DATA] = 11;
    event_write_train(EVENT_PIPE_FD, &event, NULL);
    for (int i = 0; i < n; i++) {
        say_step(i);
    }
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_EVAL;
    event.u.eval = (train_eval){n, 4.5, 100, 1.0, 10.0 * n};
    event_write_train(EVENT_PIPE_FD, &event, NULL);
}

static void say_torn(void)
{
    train_event event;
    int fds[2];
    char bytes[sizeof event + 64];
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_STEP;
    event.u.step.step = 3;
    if (pipe(fds) == 0 && event_write_train(fds[1], &event, NULL) == GB_OK) {
        ssize_t n = read(fds[0], bytes, sizeof bytes);
        n = write(EVENT_PIPE_FD, bytes, n > 20 ? (size_t)n - 20 : 0);
        (void)n;
    }
}

static void say_checkpoint(train_event_type type, int64_t step)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = type;
    event.u.checkpoint = (train_checkpoint){.step = step, .session = 2};
    event_write_train(EVENT_PIPE_FD, &event, NULL);
}

static void crash(int number)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    raise(number);
}

static volatile sig_atomic_t worker_stopped;

static void worker_stop(int number)
{
    (void)number;
    worker_stopped = 1;
}

static void wait_for_signal(bool ignores_sigterm)
{
    signal(SIGTERM, ignores_sigterm ? SIG_IGN : worker_stop);
    say_step(3); /* what the parent waits for before it sends one */
    while (!worker_stopped) {
        usleep(1000);
    }
    say_end(GB_ERR_INTERRUPTED, "asked to stop");
}

/* Resident, and never given back. */
static void memory_take(size_t bytes)
{
    volatile char *taken = malloc(bytes); /* else a compiler sees that nobody reads it */
    for (size_t i = 0; taken && i < bytes; i += 1024) {
        taken[i] = 1;
    }
}

/* Dies of SIGKILL the first time, and ends ok once the file is there. */
static void play_once(const char *path)
{
    if (access(path, F_OK) != 0) {
        FILE *mark = fopen(path, "w");
        if (mark) {
            fclose(mark);
        }
        crash(SIGKILL);
    }
    say_end(GB_OK, "");
}

static int play(const char *part)
{
    if (strcmp(part, "probe") == 0) {
        event_probe probe;
        memset(&probe, 0, sizeof probe);
        snprintf(probe.backend, sizeof probe.backend, "cpu");
        probe.gemm_flops_per_s = 1e11;
        event_write_probe(EVENT_PIPE_FD, &probe, NULL);
        return 0;
    }
    if (strcmp(part, "silent") == 0) {
        return 0;
    }
    if (strcmp(part, "cannot") == 0) {
        fprintf(stderr, "no such device\n");
        return 3;
    }
    if (strcmp(part, "unknown checkpoint") == 0) {
        say_checkpoint(TRAIN_EVENT_RESUME, 5);
        say_step(5);
        say_end(GB_OK, "");
        return 0;
    }
    say_steps(3);
    if (strcmp(part, "late resume") == 0) {
        say_checkpoint(TRAIN_EVENT_RESUME, 3);
    } else if (strcmp(part, "early checkpoint") == 0) {
        say_checkpoint(TRAIN_EVENT_CHECKPOINT, 4);
    } else if (strcmp(part, "ok") == 0) {
        say_end(GB_OK, "");
    } else if (strcmp(part, "nan") == 0) {
        say_end(GB_ERR_NAN, "loss is not finite at step 3");
        return 1;
    } else if (strcmp(part, "oom") == 0) {
        say_end(GB_ERR_OOM, "activations: 1 TiB");
        return 1;
    } else if (strcmp(part, "crash") == 0) {
        fprintf(stderr, "last words\n");
        crash(SIGSEGV);
    } else if (strcmp(part, "abort") == 0) {
        crash(SIGABRT);
    } else if (strcmp(part, "killed") == 0) {
        crash(SIGKILL);
    } else if (strcmp(part, "exit") == 0) {
        for (int i = 0; i < 3000; i++) {
            fprintf(stderr, "line %d of much\n", i);
        }
        return 7;
    } else if (strcmp(part, "late crash") == 0) {
        say_end(GB_OK, "");
        crash(SIGSEGV);
    } else if (strcmp(part, "garbage") == 0) {
        char bytes[3000];
        memset(bytes, 'x', sizeof bytes);
        ssize_t n = write(EVENT_PIPE_FD, bytes, sizeof bytes);
        (void)n;
        pause();
    } else if (strcmp(part, "torn") == 0) {
        say_torn();
    } else if (strcmp(part, "gap") == 0) {
        say_step(9);
        say_end(GB_OK, "");
    } else if (strcmp(part, "io") == 0) {
        say_end(GB_ERR_IO, "shard: Input/output error");
        return 1;
    } else if (strcmp(part, "big") == 0) {
        memory_take(256 << 20);
        wait_for_signal(false);
    } else if (strncmp(part, "once ", 5) == 0) {
        play_once(part + 5);
    } else if (strcmp(part, "stoppable") == 0) {
        wait_for_signal(false);
    } else if (strcmp(part, "ignores-sigterm") == 0) {
        wait_for_signal(true);
    }
    return 0;
}

static int worker_main(void)
{
    char part[64] = "";
    if (!fgets(part, sizeof part, stdin)) {
        return 2;
    }
    return play(part);
}

/* ---- the bench ---- */

static char self_path[512];
static char worker_word[] = "worker";
static char *worker_argv[] = {self_path, worker_word, NULL};

typedef struct fixture {
    store *s;
    int64_t suite_id, config_id;
    int n_jobs;
    runner_job jobs[20];
} fixture;

static void fixture_open(fixture *f, int n, const char *const *parts)
{
    const gpt_config model = gpt_config_default();
    train_spec spec = train_spec_default();
    spec.num_iterations = 3;
    memset(f, 0, sizeof *f);
    OK(store_open(&f->s, ":memory:", STORE_WRITE, err));
    const store_suite suite_row = {"s", "s.ini", "", "c", 20, NULL};
    store_config config = {.name = "c",
                           .model = &model,
                           .sequence_length = spec.sequence_length,
                           .settings_json = "{}"};
    OK(store_plan_begin(f->s, &suite_row, &f->suite_id, err));
    OK(store_plan_config(f->s, f->suite_id, &config, &f->config_id, err));
    for (f->n_jobs = 0; f->n_jobs < n; f->n_jobs++) {
        store_planned planned;
        char identity[16];
        snprintf(identity, sizeof identity, "i%d", f->n_jobs);
        store_run run = {.config_id = f->config_id,
                         .replicate = f->n_jobs,
                         .identity = identity,
                         .backend = "cpu",
                         .program_version = "",
                         .program_commit = "",
                         .compiler = "",
                         .spec = &spec};
        OK(store_plan_run(f->s, f->suite_id, &run, false, &planned, err));
        f->jobs[f->n_jobs] = (runner_job){.label = {.config = "c",
                                                    .replicate = f->n_jobs,
                                                    .attempt = 1,
                                                    .num_iterations = 3,
                                                    .tokens_per_step = 100,
                                                    .flops = 1e9},
                                          .run_id = planned.run_id,
                                          .json = parts[f->n_jobs]};
    }
    OK(store_commit(f->s, err));
}

static const char *text_of(fixture *f, int job, const char *column)
{
    static char text[8192];
    char sql[128];
    sqlite3_stmt *stmt = NULL;
    snprintf(sql, sizeof sql, "SELECT %s FROM run WHERE run_id = %lld", column,
             (long long)f->jobs[job].run_id);
    text[0] = '\0';
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(f->s), sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0)) {
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(stmt, 0));
    }
    sqlite3_finalize(stmt);
    return text;
}

static int64_t steps_of(fixture *f, int job)
{
    int64_t n = -1;
    OK(store_get_int(f->s, &n, -1, err, "SELECT count(*) FROM step WHERE run_id = ?", "i",
                     f->jobs[job].run_id));
    return n;
}

/* Every way to end, one after the other in one suite: each ends its own run and no other. */
static void test_every_end(void **state)
{
    (void)state;
    static const struct {
        const char *part, *status, *words;
        int steps;
    } cases[] = {
        {"nan", "nan", "not finite at step 3", 3},
        {"oom", "oom", "activations: 1 TiB", 3},
        {"crash", "failed", "SIGSEGV", 3},
        {"abort", "failed", "SIGABRT", 3},
        {"killed", "killed", "SIGKILL", 3},
        {"exit", "failed", "exited with code 7", 3},
        {"late crash", "failed", "SIGSEGV", 3},
        {"garbage", "failed", "event stream is broken at byte", 3},
        {"torn", "failed", "in the middle of an event", 3},
        {"gap", "failed", "out of order", 3},
        {"late resume", "failed", "out of order", 3},
        {"early checkpoint", "failed", "out of order", 3},
        {"unknown checkpoint", "failed", "step 5 that the database does not know", 0},
        {"silent", "failed", "without saying how the run ended", 0},
        {"cannot", "failed", "no such device", 0},
        {"ok", "ok", "", 3},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    const char *parts[N];
    fixture f;
    runner_totals outcome = {0};
    for (int i = 0; i < N; i++) {
        parts[i] = cases[i].part;
    }
    fixture_open(&f, N, parts);
    runner_options options = runner_options_default(worker_argv);
    OK(runner_run(f.s, f.jobs, f.n_jobs, &options, &outcome, err));
    for (int i = 0; i < N; i++) {
        if (strcmp(text_of(&f, i, "status"), cases[i].status) != 0) {
            fail_msg("%s: status is %s", cases[i].part, text_of(&f, i, "status"));
        }
        if (!strstr(text_of(&f, i, "message"), cases[i].words)) {
            fail_msg("%s: message is: %s", cases[i].part, text_of(&f, i, "message"));
        }
        assert_int_equal(steps_of(&f, i), cases[i].steps);
        assert_int_not_equal(strlen(text_of(&f, i, "ended_at")), 0);
    }
    assert_int_equal(outcome.ok, 1);
    assert_int_equal(outcome.not_ok, N - 1);
    assert_false(outcome.interrupted);
    /* The crash's last words, and of much stderr the end. */
    assert_non_null(strstr(text_of(&f, 2, "message"), "last words"));
    assert_non_null(strstr(text_of(&f, 5, "message"), "line 2999 of much"));
    assert_null(strstr(text_of(&f, 5, "message"), "line 0 of much"));
    /* Warm-up steps 0 and 1; planned memory 100 + 11. */
    assert_string_equal(text_of(&f, N - 1, "warmup_steps"), "2");
    assert_string_equal(text_of(&f, N - 1, "planned_memory_bytes"), "111");
    assert_string_equal(text_of(&f, N - 1, "peak_memory_bytes"), "12345");
    store_close(f.s);
}

/* ---- stopping ---- */

static volatile sig_atomic_t stops;
static int stops_to_send;

/* Asks to stop from inside the event loop, once the worker has said its third step. */
static void on_alarm(int number)
{
    (void)number;
    stops = stops_to_send;
}

static void stop_while(const char *part, int how_often, int grace_ms, int alarm_us, fixture *f,
                       runner_totals *outcome)
{
    const char *parts[] = {part, "ok"};
    fixture_open(f, 2, parts);
    runner_options options = runner_options_default(worker_argv);
    stops = 0;
    stops_to_send = how_often;
    options.worker.stops = &stops;
    options.worker.grace_ms = grace_ms;
    signal(SIGALRM, on_alarm);
    ualarm((useconds_t)alarm_us, 0);
    OK(runner_run(f->s, f->jobs, f->n_jobs, &options, outcome, err));
}

static void test_interrupt(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        int how_often, grace_ms;
    } cases[] = {
        {"stoppable", 1, 60000}, {"ignores-sigterm", 1, 50}, {"ignores-sigterm", 2, 60000}};
    for (int i = 0; i < 3; i++) {
        fixture f;
        runner_totals outcome = {0};
        time_t began = time(NULL);
        stop_while(cases[i].part, cases[i].how_often, cases[i].grace_ms, 300000, &f, &outcome);
        /* Well below the grace time of those that are not to use it up. */
        assert_true(time(NULL) - began < 40);
        assert_true(outcome.interrupted);
        assert_int_equal(outcome.ok + outcome.not_ok, 0);
        assert_string_equal(text_of(&f, 0, "status"), "interrupted");
        assert_int_equal(steps_of(&f, 0), 4);
        assert_string_equal(text_of(&f, 1, "status"), "planned");
        pid_t pid = (pid_t)atoi(text_of(&f, 0, "pid"));
        assert_true(pid > 0);
        assert_int_equal(kill(pid, 0), -1);
        store_close(f.s);
    }
}

/* ---- limits and retries ---- */

/* Each kind of end beyond a limit, and what is said of it. */
/* ThreadSanitizer's shadow is memory too. */
#if defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#elif defined(__has_feature)
#define SHADOWED __has_feature(thread_sanitizer)
#else
#define SHADOWED 0
#endif

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *part, *status, *words, *where;
        run_limits limits;
    } cases[] = {
        {"ignores-sigterm",
         "failed",
         "no sign of life for",
         "after step 4 of 3",
         {.heartbeat_timeout_s = 1.5}},
        {"stoppable", "failed", "over max_time = ", "after step 4 of 3", {.max_time_s = 1.5}},
        /* 256 MiB are taken; without them a worker of this program is far below 200. They may be
         * seen before the last step is heard of. */
        {"big", "oom", "max_memory is 200 MiB", "after step ", {.max_memory_bytes = 200 << 20}},
    };
    for (int i = 0; i < (SHADOWED ? 2 : 3); i++) {
        fixture f;
        runner_totals outcome = {0};
        fixture_open(&f, 1, &cases[i].part);
        runner_options options = runner_options_default(worker_argv);
        options.worker.limits = cases[i].limits;
        OK(runner_run(f.s, f.jobs, 1, &options, &outcome, err));
        assert_string_equal(text_of(&f, 0, "status"), cases[i].status);
        assert_non_null(strstr(text_of(&f, 0, "message"), cases[i].words));
        assert_non_null(strstr(text_of(&f, 0, "message"), cases[i].where));
        assert_int_equal(outcome.not_ok, 1);
        assert_false(outcome.interrupted);
        assert_int_equal(kill((pid_t)atoi(text_of(&f, 0, "pid")), 0), -1);
        store_close(f.s);
    }
}

static int64_t count_of(fixture *f, const char *sql)
{
    int64_t n = 0;
    gb_error error = {0};
    assert_int_equal(store_get_int(f->s, &n, -1, &error, sql, ""), GB_OK);
    return n;
}

/* A kill from outside is tried again and then is ok: two rows, one run; NaN and crashes are not
 * tried again; an I/O error is, as often as allowed. */
static void test_retries(void **state)
{
    (void)state;
    char mark[] = "/tmp/gptbench-retry-XXXXXX", once[64];
    int fd = mkstemp(mark);
    assert_true(fd >= 0);
    close(fd);
    unlink(mark);
    snprintf(once, sizeof once, "once %s", mark);
    const char *parts[] = {once, "nan", "crash", "io"};
    fixture f;
    runner_totals outcome = {0};
    fixture_open(&f, 4, parts);
    runner_options options = runner_options_default(worker_argv);
    options.worker.limits.max_retries = 2;
    options.retry_wait_ms = 1;
    OK(runner_run(f.s, f.jobs, 4, &options, &outcome, err));
    unlink(mark);
    assert_int_equal(outcome.ok, 1);
    assert_int_equal(outcome.not_ok, 3);
    assert_int_equal(outcome.retries, 3); /* one of `once`, two of `io` */
    assert_string_equal(text_of(&f, 0, "status"), "killed");
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE replicate = 0"), 2);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE replicate = 0 AND attempt = 2"
                                  " AND status = 'ok' AND steps_done = 3"),
                     1);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE replicate = 1"), 1);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE replicate = 2"), 1);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE replicate = 3"
                                  " AND status = 'failed'"),
                     3);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE status = 'planned'"), 0);
    store_close(f.s);
}

/* A stop during the wait leaves the next attempt planned. */
static void test_stop_while_waiting(void **state)
{
    (void)state;
    const char *parts[] = {"killed"};
    fixture f;
    runner_totals outcome = {0};
    fixture_open(&f, 1, parts);
    runner_options options = runner_options_default(worker_argv);
    stops = 0;
    stops_to_send = 1;
    options.worker.stops = &stops;
    options.worker.limits.max_retries = 1;
    options.retry_wait_ms = 600000; /* a wait that ended by itself would outlast any patience */
    signal(SIGALRM, on_alarm);
    ualarm(800000, 0);
    OK(runner_run(f.s, f.jobs, 1, &options, &outcome, err));
    assert_true(outcome.interrupted);
    assert_int_equal(outcome.ok + outcome.not_ok, 0);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM run WHERE status = 'planned'"
                                  " AND attempt = 2"),
                     1);
    store_close(f.s);
}

/* A worker that the system would not start ends its run, not the suite. */
static void test_not_started(void **state)
{
    (void)state;
    char missing[] = "/nonexistent/worker", *missing_argv[] = {missing, NULL};
    const char *parts[] = {"ok"};
    fixture f;
    runner_totals outcome = {0};
    fixture_open(&f, 1, parts);
    runner_options options = runner_options_default(missing_argv);
    options.worker.limits.max_retries = 1;
    options.retry_wait_ms = 1;
    OK(runner_run(f.s, f.jobs, 1, &options, &outcome, err));
    assert_int_equal(outcome.not_ok, 1);
    assert_int_equal(outcome.retries, 1);
    assert_non_null(strstr(text_of(&f, 0, "message"), "could not be started"));
    store_close(f.s);
}

static void test_signals_are_counted(void **state)
{
    (void)state;
    const volatile sig_atomic_t *count = runner_signals_catch();
    assert_int_equal(*count, 0);
    raise(SIGINT);
    raise(SIGTERM);
    assert_int_equal(*count, 2);
    runner_signals_release();
}

static void test_probe(void **state)
{
    (void)state;
    event_probe probe;
    gb_error err = {0};
    runner_options options = runner_options_default(worker_argv);
    assert_int_equal(runner_probe("probe", &options, &probe, &err), GB_OK);
    assert_string_equal(probe.backend, "cpu");
    assert_true(probe.gemm_flops_per_s == 1e11);
    assert_int_equal(runner_probe("cannot", &options, &probe, &err), GB_ERR_ENV);
    assert_non_null(strstr(err.message, "no such device"));
    char missing[] = "/nonexistent/worker", *missing_argv[] = {missing, NULL};
    options.worker.argv = missing_argv;
    assert_int_equal(runner_probe("probe", &options, &probe, &err), GB_ERR_ENV);
    assert_non_null(strstr(err.message, "could not be started"));
}

/* ---- the event stream ---- */

/* Any change of any byte, and any cut, is noticed or leaves valid events alone. */
static void test_event_stream_damage(void **state)
{
    (void)state;
    int fds[2];
    unsigned char good[4 * sizeof(event_frame)], bad[sizeof good];
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_STEP;
    event.u.step = (train_step){.step = 7,
                                .tag = TRAIN_STEP_TIMED,
                                .train_loss = 5.0,
                                .grad_norm = 1.0,
                                .learning_rate = 1e-3,
                                .step_ms = 10.0,
                                .flops_issued = 1e6,
                                .ended_s = 3.5};
    assert_int_equal(pipe(fds), 0);
    OK(event_write_train(fds[1], &event, err));
    OK(event_write_train(fds[1], &event, err));
    size_t n = (size_t)read(fds[0], good, sizeof good);
    for (size_t i = 0; i < n; i++) {
        event_reader *reader = event_reader_create();
        event_frame frame;
        bool found = true;
        int whole = 0;
        gb_status status = GB_OK;
        memcpy(bad, good, n);
        bad[i] ^= 0x20;
        event_reader_add(reader, bad, n);
        while (status == GB_OK && found) {
            status = event_reader_next(reader, &frame, &found, NULL);
            if (status == GB_OK && found) {
                whole++;
                assert_memory_equal(&frame.u.train, &event, sizeof event);
            }
        }
        assert_int_equal(status, GB_ERR_FORMAT);
        assert_int_equal(whole, i < n / 2 ? 0 : 1);
        /* And it stays broken. */
        event_reader_add(reader, good, n);
        assert_int_equal(event_reader_next(reader, &frame, &found, NULL), GB_ERR_FORMAT);
        event_reader_free(reader);
    }
    for (size_t cut = 0; cut <= n; cut++) {
        event_reader *reader = event_reader_create();
        event_frame frame;
        bool found = true;
        int whole = 0;
        event_reader_add(reader, good, cut);
        while (found) {
            OK(event_reader_next(reader, &frame, &found, err));
            whole += found;
        }
        assert_int_equal(whole, cut / (n / 2));
        assert_int_equal(event_reader_left(reader), cut % (n / 2));
        event_reader_free(reader);
    }
    close(fds[0]);
    close(fds[1]);
}

/* Frames that are whole but hold what would hurt whoever believed it. */
static void test_impossible_events(void **state)
{
    (void)state;
    train_event events[9];
    memset(events, 0, sizeof events);
    events[0].type = 99;
    events[1].type = TRAIN_EVENT_STEP;
    events[1].u.step.tag = TRAIN_STEP_TAGS;
    events[2].type = TRAIN_EVENT_STEP;
    events[2].u.step.step_ms = NAN;
    events[3].type = TRAIN_EVENT_OPTIME;
    events[3].u.optime.row.op = GB_OP_COUNT;
    events[4].type = TRAIN_EVENT_END;
    memset(events[4].u.end.message, 'x', sizeof events[4].u.end.message);
    events[5].type = TRAIN_EVENT_END;
    events[5].u.end.status = 77;
    events[6].type = TRAIN_EVENT_STEP;
    events[6].u.step.step = -1;
    events[7].type = TRAIN_EVENT_STEP;
    events[7].u.step.ended_s = NAN;
    events[8].type = TRAIN_EVENT_START;
    memset(events[8].u.start.device.bus_id, '0', sizeof events[8].u.start.device.bus_id);
    for (int i = 0; i < 9; i++) {
        int fds[2];
        unsigned char bytes[2 * sizeof(event_frame)];
        event_frame frame;
        bool found;
        event_reader *reader = event_reader_create();
        assert_int_equal(pipe(fds), 0);
        OK(event_write_train(fds[1], &events[i], err));
        event_reader_add(reader, bytes, (size_t)read(fds[0], bytes, sizeof bytes));
        assert_int_equal(event_reader_next(reader, &frame, &found, NULL), GB_ERR_FORMAT);
        event_reader_free(reader);
        close(fds[0]);
        close(fds[1]);
    }
}

/* ---- progress, schedule, job, identity ---- */

static void test_plain_progress(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    progress *p = progress_create(out, false, false);
    const progress_run run = {.config = "cell",
                              .replicate = 1,
                              .attempt = 1,
                              .num_iterations = 100,
                              .tokens_per_step = 1000,
                              .flops = 1e9};
    train_event event;
    memset(&event, 0, sizeof event);
    progress_suite(p, 3, 3e9);
    progress_run_begin(p, &run);
    event.type = TRAIN_EVENT_EVAL;
    event.u.eval = (train_eval){0, 5.54518, 100, 1, 0};
    progress_event(p, &event);
    for (int i = 0; i < 3; i++) {
        event.type = TRAIN_EVENT_STEP;
        /* One warm-up step of 100 ms, then 10 and 20: step_avg is 15. */
        event.u.step = (train_step){.step = i,
                                    .tag = i ? TRAIN_STEP_TIMED : TRAIN_STEP_WARMUP,
                                    .train_loss = 5,
                                    .step_ms = i ? 10.0 * i : 100};
        progress_event(p, &event);
    }
    event.type = TRAIN_EVENT_EVAL;
    event.u.eval = (train_eval){3, 3.12344, 100, 1, 130.2};
    progress_event(p, &event);
    progress_run_end(p, "failed", "why");
    progress_free(p);
    fclose(out);
    assert_non_null(strstr(text, "[1 of 3] cell, replicate 1\n"));
    assert_non_null(strstr(text, "step:0/100 val_loss:5.5452 train_time:0ms step_avg:nanms\n"));
    assert_non_null(strstr(text, "step:3/100 val_loss:3.1234 train_time:130ms step_avg:15.00ms\n"));
    assert_non_null(strstr(text, "failed: cell"));
    assert_null(strchr(text, '\033'));
    free(text);
}

static void test_schedule(void **state)
{
    (void)state;
    schedule_item items[] = {{0, 0, 0}, {0, 1, 1}, {1, 0, 2}, {1, 1, 3}, {2, 0, 4}};
    const int expected[] = {0, 2, 4, 1, 3};
    schedule_order(items, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(items[i].index, expected[i]);
    }
}

static void test_job_round_trip(void **state)
{
    (void)state;
    worker_job job = worker_job_default(WORKER_TRAIN), back;
    snprintf(job.label, sizeof job.label, "a \"quoted\" cell");
    snprintf(job.backend, sizeof job.backend, "cpu");
    snprintf(job.spec.train_data, sizeof job.spec.train_data, "synth:vocab=256,seed=1");
    snprintf(job.spec.val_data, sizeof job.spec.val_data, "synth:vocab=256,seed=2");
    job.config.mlp_expansion_factor = 8.0 / 3;
    job.config.attention_type = GPT_ATTENTION_GQA;
    job.spec.learning_rate = 0.1 + 0.2; /* not a short decimal */
    job.spec.seed = 1234567890123;
    job.threads = 3;
    job.replicate = 2;
    snprintf(job.checkpoint_dir, sizeof job.checkpoint_dir, "results/a \"b\".checkpoints/1-r2");
    snprintf(job.identity, sizeof job.identity, "0123abcd");
    job.checkpoint_steps = 77;
    job.checkpoint_s = 1.0 / 3;
    char *text = worker_job_to_json(&job);
    assert_non_null(text);
    OK(worker_job_from_json(&back, text, err));
    assert_true(gpt_config_equal(&job.config, &back.config));
    assert_true(job.spec.learning_rate == back.spec.learning_rate);
    assert_int_equal(job.spec.seed, back.spec.seed);
    assert_string_equal(job.spec.train_data, back.spec.train_data);
    assert_string_equal(job.label, back.label);
    assert_int_equal(back.threads, 3);
    assert_int_equal(back.replicate, 2);
    assert_string_equal(job.checkpoint_dir, back.checkpoint_dir);
    assert_string_equal(job.identity, back.identity);
    assert_int_equal(back.checkpoint_steps, 77);
    assert_true(back.checkpoint_s == job.checkpoint_s);
    text[strlen(text) / 2] = '\0';
    assert_int_equal(worker_job_from_json(&back, text, NULL), GB_ERR_FORMAT);
    assert_int_equal(worker_job_from_json(&back, "{\"mode\": 1}", NULL), GB_ERR_FORMAT);
    free(text);
}

static void test_identity(void **state)
{
    (void)state;
    gpt_config config = gpt_config_default(), other = config;
    train_spec spec = train_spec_default(), paths = spec, rate = spec;
    run_identity base = {&config, &spec, "t",    "v", false, 0,   3,
                         "cpu",   "dev", "avx2", 2,   "1",   "c", "gcc"};
    char first[33], hash[33];
    identity_hash(&base, first);
    assert_int_equal(strlen(first), 32);
#define SAME(change, same)                                                                         \
    do {                                                                                           \
        run_identity id = base;                                                                    \
        change;                                                                                    \
        identity_hash(&id, hash);                                                                  \
        assert_int_equal(strcmp(hash, first) == 0, same);                                          \
    } while (0)
    SAME((void)id, true);
    SAME(id.replicate = 1, false);
    SAME(id.train_data_hash = "u", false);
    SAME(id.val_in_shards = true, false);
    SAME(id.backend = "cuda", false);
    SAME(id.isa = "avx512", false);
    SAME(id.threads = 3, false);
    SAME(id.code = "d", false);
    /* Where the data lies does not matter, what it holds does. */
    snprintf(paths.train_data, sizeof paths.train_data, "elsewhere");
    SAME(id.spec = &paths, true);
    rate.learning_rate *= 2;
    SAME(id.spec = &rate, false);
    /* n_kv_head has no effect with standard attention. */
    other.n_kv_head = 2;
    SAME(id.config = &other, true);
    other.n_embd = 384;
    SAME(id.config = &other, false);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], worker_word) == 0) {
        return worker_main();
    }
    ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    (void)argv;
    if (n <= 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_stop_while_waiting),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_signals_are_counted),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_event_stream_damage),
        cmocka_unit_test(test_impossible_events),
        cmocka_unit_test(test_plain_progress),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_job_round_trip),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
