/* `make bench`: what a large suite costs the harness itself: rows written per second, bytes per
 * step, how long the commands take on such a database, and what the runner costs beside a worker
 * whose steps take 5 ms. The suite is tests/fakes/scale_db.h's. CPU time stands beside wall time:
 * on a shared machine only the former is about this program. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/base/cli.h"
#include "bench/base/table.h"
#include "kernels/clock.h"
#include "tests/fakes/scale_db.h"

enum { STUB_STEPS = 800, STUB_STEP_US = 5000, EMIT_EVENTS = 200000 };

typedef struct bench_db_options {
    bool full;
    const char *program, *keep;
    char dir[200], suite[256], db[256], report[256];
} bench_db_options;

/* ---- a stub worker: a step every 5 ms, as a small model on a CPU ---- */

static void stub_say(train_event *event)
{
    event_write_train(EVENT_PIPE_FD, event, NULL);
}

static int stub_main(void)
{
    struct timespec next;
    train_event event = {.type = TRAIN_EVENT_START};
    stub_say(&event);
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int64_t i = 0; i < STUB_STEPS; i++) {
        next.tv_nsec += STUB_STEP_US * 1000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        memset(&event, 0, sizeof event);
        event.type = TRAIN_EVENT_STEP;
        event.u.step = (train_step){.step = i,
                                    .tag = i < 10 ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED,
                                    .train_loss = 3,
                                    .grad_norm = 1,
                                    .learning_rate = 1e-3,
                                    .step_ms = STUB_STEP_US / 1e3,
                                    .flops_issued = 1e7,
                                    .ended_s = gb_monotonic_s()};
        stub_say(&event);
    }
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_END;
    event.u.end.steps_done = STUB_STEPS;
    stub_say(&event);
    return 0;
}

/* A planned run in a database of its own, for the runner to do. */
static gb_status stub_store(store **s, const char *path, int64_t *run_id, gb_error *err)
{
    GB_TRY(store_open(s, path, STORE_WRITE, err));
    GB_TRY(store_exec(*s, err,
                      "INSERT INTO suite (name, path, text, baseline, replicates, created_at,"
                      " updated_at) VALUES ('stub', '', '', 'stub', 1, '', '')",
                      ""));
    GB_TRY(store_exec(*s, err,
                      "INSERT INTO config VALUES (1, 1, 'stub', 0, 1, 1, 1, 1, 1, 1, 1, 'standard',"
                      " 1, NULL, NULL, 4, 4, 0, 0, 0, 1, 1, 1, 1, 1, '{}')",
                      ""));
    GB_TRY(store_exec(*s, err,
                      "INSERT INTO run (config_id, replicate, attempt, identity, in_plan, status,"
                      " backend, precision, threads, program_version, program_commit, compiler,"
                      " seed, batch_size, sequence_length, grad_accumulation_steps,"
                      " tokens_per_step, num_iterations, learning_rate, train_data, val_data,"
                      " created_at) VALUES (1, 0, 1, '', 1, 'planned', 'cpu', 'fp32', 1, '', '',"
                      " '', 1, 1, 1, 1, 1, ?, 0, '', '', '')",
                      "i", (int64_t)STUB_STEPS));
    *run_id = sqlite3_last_insert_rowid(store_sqlite(*s));
    return store_commit(*s, err);
}

/* CPU time of this process per step while it runs the stub, as a fraction of the step. */
static gb_status runner_overhead(const bench_db_options *o, double *fraction, gb_error *err)
{
    char self[] = "/proc/self/exe", stub[] = "stub-worker", path[300];
    char *argv[] = {self, stub, NULL};
    runner_options options = runner_options_default(argv);
    runner_totals outcome = {0};
    store *s = NULL;
    FILE *screen = fopen("/dev/null", "w");
    runner_job job = {.label = {.config = "stub", .num_iterations = STUB_STEPS}, .json = "{}"};
    snprintf(path, sizeof path, "%s/stub.db", o->dir);
    unlink(path);
    options.display = screen ? progress_create(screen, true, true) : NULL;
    gb_status status = stub_store(&s, path, &job.run_id, err);
    double cpu = scale_cpu_s(RUSAGE_SELF);
    if (status == GB_OK) {
        status = runner_run(s, &job, 1, &options, &outcome, err);
    }
    *fraction = (scale_cpu_s(RUSAGE_SELF) - cpu) / (STUB_STEPS * STUB_STEP_US * 1e-6);
    if (status == GB_OK && outcome.ok != 1) {
        status = gb_fail(err, GB_ERR_FAILED, "the stub worker's run did not end ok");
    }
    store_close(s);
    progress_free(options.display);
    if (screen) {
        fclose(screen);
    }
    unlink(path);
    return status;
}

/* Microseconds of CPU time that one event costs the worker, while somebody reads. */
static gb_status emit_cost(double *us, gb_error *err)
{
    static char sink[65536];
    int fds[2];
    if (pipe(fds) != 0) {
        return gb_fail(err, GB_ERR_IO, "pipe: %s", strerror(errno));
    }
    pid_t reader = fork();
    if (reader == 0) {
        close(fds[1]);
        while (read(fds[0], sink, sizeof sink) > 0) {
        }
        _exit(0);
    }
    close(fds[0]);
    train_event event = {.type = TRAIN_EVENT_STEP};
    gb_status status = GB_OK;
    double cpu = scale_cpu_s(RUSAGE_SELF);
    for (int i = 0; i < EMIT_EVENTS && status == GB_OK; i++) {
        event.u.step.step = i;
        status = event_write_train(fds[1], &event, err);
    }
    *us = (scale_cpu_s(RUSAGE_SELF) - cpu) / EMIT_EVENTS * 1e6;
    close(fds[1]);
    waitpid(reader, NULL, 0);
    return status;
}

/* ---- commands ---- */

typedef struct cost {
    double wall_s, cpu_s, peak_mib;
    int exit_code;
} cost;

/* Runs the program with these arguments, output thrown away. */
static gb_status command_cost(const bench_db_options *o, cost *out, gb_error *err, ...)
{
    char *argv[16] = {(char *)o->program};
    int n = 1, status = 0;
    va_list args;
    va_start(args, err);
    for (char *arg; n < 15 && (arg = va_arg(args, char *)) != NULL;) {
        argv[n++] = arg;
    }
    va_end(args);
    double began_s = gb_monotonic_s();
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execv(argv[0], argv);
        _exit(127);
    }
    struct rusage u;
    if (pid < 0 || wait4(pid, &status, 0, &u) < 0) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", argv[0], strerror(errno));
    }
    *out = (cost){gb_monotonic_s() - began_s,
                  (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                      1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec),
                  (double)u.ru_maxrss / 1024, WIFEXITED(status) ? WEXITSTATUS(status) : 128};
    /* 1: some runs of the suite did not end ok, as they were made. */
    return out->exit_code <= 1 ? GB_OK
                               : gb_fail(err, GB_ERR_FAILED, "%s %s ended with code %d", argv[0],
                                         argv[1], out->exit_code);
}

static void row_add(table *t, const char *what, const cost *c)
{
    table_begin_row(t);
    table_add_cell(t, "%s", what);
    table_add_cell(t, "%.3f", c->wall_s);
    table_add_cell(t, "%.3f", c->cpu_s);
    table_add_cell(t, "%.0f", c->peak_mib);
}

#define COMMAND(what, ...)                                                                         \
    do {                                                                                           \
        cost c_;                                                                                   \
        GB_TRY(command_cost(o, &c_, err, __VA_ARGS__, (char *)NULL));                              \
        row_add(t, what, &c_);                                                                     \
    } while (0)

static gb_status commands_measure(const bench_db_options *o, table *t, gb_error *err)
{
    COMMAND("list", "list", "--db", o->db);
    COMMAND("show RUN", "show", "1", "--db", o->db);
    COMMAND("compare", "compare", "l2-c64", "l3-c96-e3", "--db", o->db);
    COMMAND("why CONFIG", "why", "l2-c64", "l3-c96-e3", "--db", o->db);
    COMMAND("claims", "claims", o->suite, "--db", o->db);
    COMMAND("report", "report", "--db", o->db, "-o", o->report);
    COMMAND("plan", "plan", o->suite, "--backend", "cpu", "--gflops", "100");
    COMMAND("run, nothing to do", "run", o->suite, "--backend", "cpu", "--no-report", "--db",
            o->db);
    return GB_OK;
}

/* ---- all of it ---- */

static gb_status files_name(bench_db_options *o, gb_error *err)
{
    const char *tmp = getenv("TMPDIR");
    if (o->keep) {
        snprintf(o->dir, sizeof o->dir, "%s", o->keep);
        if (mkdir(o->dir, 0777) != 0 && errno != EEXIST) {
            return gb_fail(err, GB_ERR_IO, "%s: %s", o->dir, strerror(errno));
        }
    } else {
        snprintf(o->dir, sizeof o->dir, "%s/gptbench-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        if (!mkdtemp(o->dir)) {
            return gb_fail(err, GB_ERR_IO, "%s: %s", o->dir, strerror(errno));
        }
    }
    snprintf(o->suite, sizeof o->suite, "%s/scale.ini", o->dir);
    snprintf(o->db, sizeof o->db, "%s/scale.db", o->dir);
    snprintf(o->report, sizeof o->report, "%s/report", o->dir);
    return GB_OK;
}

static gb_status database_make(const bench_db_options *o, gb_error *err)
{
    scale_size size = {o->full, 5, o->full ? 2550 : 2500, o->full ? 20 : 10};
    scale_totals totals = {0};
    struct stat st = {0};
    GB_TRY(scale_db_make(o->suite, o->db, o->program, &size, &totals, err));
    if (stat(o->db, &st) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", o->db, strerror(errno));
    }
    printf("database: %lld runs, %lld steps; written at %.0f rows/s (%.1f s of CPU, %.1f s in all,"
           " commits included)\n"
           "          %.0f MiB, %.0f bytes per step with all that belongs to it\n",
           (long long)totals.runs, (long long)totals.steps, (double)totals.rows / totals.cpu_s,
           totals.cpu_s, totals.wall_s, (double)st.st_size / (1 << 20),
           (double)st.st_size / (double)totals.steps);
    fflush(stdout);
    return GB_OK;
}

static gb_status bench(const bench_db_options *o, gb_error *err)
{
    double overhead = NAN, emit_us = NAN;
    if (access(o->db, F_OK) != 0) {
        GB_TRY(database_make(o, err));
    }
    GB_TRY(runner_overhead(o, &overhead, err));
    GB_TRY(emit_cost(&emit_us, err));
    printf("runner:   %.2f %% of a step of 5 ms (its CPU time beside a worker that only reports);"
           " an event costs the worker %.1f us\n",
           100 * overhead, emit_us);
    fflush(stdout);
    table *t = table_create();
    table_add_column(t, "command", TABLE_LEFT);
    table_add_column(t, "s", TABLE_RIGHT);
    table_add_column(t, "s of CPU", TABLE_RIGHT);
    table_add_column(t, "MiB", TABLE_RIGHT);
    gb_status status = commands_measure(o, t, err);
    if (status == GB_OK) {
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    return status;
}

static void directory_remove(const char *dir)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "stub-worker") == 0) {
        return stub_main();
    }
    bench_db_options o = {.program = "build/gptbench"};
    const cli_option options[] = {
        {"--full", NULL, CLI_FLAG, &o.full, NULL,
         "2,000 runs and 5 million steps, not 200 and half a million", 0, 0},
        {"--program", NULL, CLI_TEXT, &o.program, "FILE", "what is measured (build/gptbench)", 0,
         0},
        {"--keep", NULL, CLI_TEXT, &o.keep, "DIR",
         "where suite, database and report go and stay; a database that is there is used again", 0,
         0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {.usage = "bench_db [options]",
                                 .summary = "What a large suite costs the harness itself.",
                                 .options = options};
    gb_error err = {0};
    bool help_shown = false;
    int n = 0;
    gb_status status = cli_parse(&command, argc, argv, NULL, &n, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = files_name(&o, &err);
    }
    if (status == GB_OK && !help_shown) {
        status = bench(&o, &err);
        if (!o.keep) {
            directory_remove(o.dir);
        }
    }
    if (status != GB_OK) {
        fprintf(stderr, "bench_db: %s\n", err.message);
    }
    return gb_status_exit_code(status);
}
