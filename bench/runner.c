#include "bench/runner.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/run_watch.h"

#define POLL_MS     100
#define END_WAIT_MS 10000 /* for a worker to exit after closing its event pipe */

/* One run while it goes on. */
typedef struct run_state {
    child worker;
    event_reader *reader;
    run_watch watch;
    bool has_end;
    train_end end;
    int64_t steps_done, warmup_steps, profiled_steps;
    double last_ended_s; /* of the latest step, since the start */
    double profiled_ms;
    bool broken; /* the stream; the message says how */
    gb_error broken_error;
    int stops_obeyed; /* 1: SIGTERM sent, 2: SIGKILL sent */
    int64_t kill_at_ms;
    long long oom_kills_before;
} run_state;

typedef struct run_verdict {
    const char *status;
    char message[CHILD_STDERR_KEPT + 1024];
} run_verdict;

runner_options runner_options_default(char *const *worker_argv)
{
    return (runner_options){.worker_argv = worker_argv,
                            .grace_ms = 20000,
                            .sensors = gb_sensors_options_default(),
                            .sample_ms = RUN_WATCH_PERIOD_MS};
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- signals ---- */

static volatile sig_atomic_t stop_requests;
static struct sigaction old_int, old_term;

static void stop_count(int signal)
{
    (void)signal;
    stop_requests++;
}

const volatile sig_atomic_t *runner_signals_catch(void)
{
    struct sigaction action = {.sa_handler = stop_count};
    sigemptyset(&action.sa_mask);
    stop_requests = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    return &stop_requests;
}

void runner_signals_release(void)
{
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
}

static int stops_wanted(const runner_options *options)
{
    return options->stops ? (int)*options->stops : 0;
}

static void stop_obey(run_state *run, const runner_options *options)
{
    int wanted = stops_wanted(options);
    if (wanted >= 1 && run->stops_obeyed == 0) {
        progress_note(options->display, "stopping the run in hand; once more ends it at once");
        child_signal(&run->worker, SIGTERM);
        run->stops_obeyed = 1;
        run->kill_at_ms = now_ms() + options->grace_ms;
    }
    if (run->stops_obeyed == 1 && (wanted >= 2 || now_ms() >= run->kill_at_ms)) {
        child_signal(&run->worker, SIGKILL);
        run->stops_obeyed = 2;
    }
}

/* ---- events ---- */

/* An event that cannot follow what came before: the stream is not to be believed. */
static bool event_out_of_order(const run_state *run, const train_event *event)
{
    const train_step *step = &event->u.step;
    return run->has_end || (event->type == TRAIN_EVENT_STEP &&
                            (step->step != run->steps_done || step->ended_s < run->last_ended_s ||
                             step->ended_s > gb_monotonic_s() - run->watch.started_s));
}

static void event_count(run_state *run, const train_event *event)
{
    if (event->type == TRAIN_EVENT_STEP) {
        run->steps_done++;
        run->last_ended_s = event->u.step.ended_s;
        run->warmup_steps += event->u.step.tag == TRAIN_STEP_WARMUP;
    } else if (event->type == TRAIN_EVENT_OPTIME) {
        run->profiled_steps = event->u.optime.steps;
        run->profiled_ms = event->u.optime.step_ms * (double)event->u.optime.steps;
    } else if (event->type == TRAIN_EVENT_END) {
        run->has_end = true;
        run->end = event->u.end;
    }
}

static gb_status event_take(store *s, run_state *run, const runner_job *job,
                            const runner_options *options, train_event *event, gb_error *err)
{
    if (event->type == TRAIN_EVENT_STEP) {
        event->u.step.ended_s -= run->watch.started_s;
    }
    if (event_out_of_order(run, event)) {
        run->broken = true;
        gb_fail(&run->broken_error, GB_ERR_FORMAT, "the worker's events are out of order");
        return GB_OK;
    }
    event_count(run, event);
    if (event->type == TRAIN_EVENT_STEP) {
        GB_TRY(run_watch_step(&run->watch, &event->u.step, err));
    }
    /* At the end at once, before the worker takes its time to clear up. */
    GB_TRY(run_watch_look(&run->watch, s, event->type == TRAIN_EVENT_END, err));
    GB_TRY(store_run_event(s, job->run_id, event, err));
    progress_event(options->display, event);
    return store_commit_due(s, event->type == TRAIN_EVENT_EVAL, err);
}

static gb_status frames_take(store *s, run_state *run, const runner_job *job,
                             const runner_options *options, gb_error *err)
{
    event_frame frame;
    bool found = true;
    while (!run->broken) {
        if (event_reader_next(run->reader, &frame, &found, &run->broken_error) != GB_OK) {
            run->broken = true;
        } else if (!found) {
            break;
        } else if (frame.kind == EVENT_KIND_TRAIN) {
            GB_TRY(event_take(s, run, job, options, &frame.u.train, err));
        }
    }
    return GB_OK;
}

/* Reads what the pipe holds; closes it at its end. */
static bool pipe_read(run_state *run)
{
    unsigned char bytes[4096];
    size_t room = event_reader_room(run->reader);
    ssize_t n = read(run->worker.event_fd, bytes, room < sizeof bytes ? room : sizeof bytes);
    if (n > 0) {
        event_reader_add(run->reader, bytes, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(run->worker.event_fd);
        run->worker.event_fd = -1;
    }
    return false;
}

/* Until the worker has closed its event pipe, or its stream proved worthless. */
static gb_status run_follow(store *s, run_state *run, const runner_job *job,
                            const runner_options *options, gb_error *err)
{
    while (run->worker.event_fd >= 0 && !run->broken) {
        struct pollfd fds[2] = {{run->worker.event_fd, POLLIN, 0},
                                {run->worker.stderr_fd, POLLIN, 0}}; /* -1 is ignored */
        if (poll(fds, 2, run_watch_wait_ms(&run->watch, POLL_MS)) < 0 && errno != EINTR) {
            return gb_fail(err, GB_ERR_IO, "poll: %s", strerror(errno));
        }
        while (run->worker.event_fd >= 0 && !run->broken && pipe_read(run)) {
            GB_TRY(frames_take(s, run, job, options, err));
        }
        GB_TRY(run_watch_look(&run->watch, s, false, err));
        child_drain_stderr(&run->worker);
        stop_obey(run, options);
        progress_tick(options->display);
        GB_TRY(store_commit_due(s, false, err));
    }
    return run_watch_look(&run->watch, s, !run->has_end, err);
}

/* The worker has nothing more to say; it gets some time to exit. */
static void run_collect(run_state *run, const runner_options *options)
{
    int64_t until = now_ms() + END_WAIT_MS;
    while (!run->broken && !child_wait(&run->worker, POLL_MS) && now_ms() < until) {
        stop_obey(run, options);
        child_drain_stderr(&run->worker);
    }
}

/* ---- verdict ---- */

static void verdict_set(run_verdict *v, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void verdict_set(run_verdict *v, const char *status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->message, sizeof v->message, format, args);
    va_end(args);
    v->status = status;
}

/* The end of the worker's stderr, for messages of failures that say nothing themselves. */
static void verdict_add_stderr(run_verdict *v, const child *worker)
{
    const char *tail = worker->stderr_tail;
    size_t n = worker->stderr_used, used = strlen(v->message);
    if (n > CHILD_STDERR_KEPT - 64) {
        tail += n - (CHILD_STDERR_KEPT - 64);
    }
    if (n > 0) {
        snprintf(v->message + used, sizeof v->message - used, "; its stderr ended:\n%s", tail);
        for (used = strlen(v->message); used > 0 && v->message[used - 1] == '\n';) {
            v->message[--used] = '\0';
        }
    }
}

static const char *status_of_end(gb_status status)
{
    return status == GB_OK                ? "ok"
           : status == GB_ERR_NAN         ? "nan"
           : status == GB_ERR_OOM         ? "oom"
           : status == GB_ERR_INTERRUPTED ? "killed"
                                          : "failed";
}

static bool signal_is_from_outside(int signal)
{
    return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP;
}

static void verdict_of_signal(run_verdict *v, const run_state *run)
{
    int signal = WTERMSIG(run->worker.wait_status);
    long long after = child_oom_kills();
    const char *abbreviation = sigabbrev_np(signal);
    if (signal == SIGKILL && after > run->oom_kills_before && run->oom_kills_before >= 0) {
        verdict_set(v, "oom", "killed by the kernel's OOM killer after %lld steps",
                    (long long)run->steps_done);
    } else if (signal_is_from_outside(signal)) {
        verdict_set(v, "killed", "killed from outside by SIG%s after %lld steps", abbreviation,
                    (long long)run->steps_done);
    } else {
        verdict_set(v, "failed", "crashed with SIG%s (%s) after %lld steps",
                    abbreviation ? abbreviation : "?", strsignal(signal),
                    (long long)run->steps_done);
        verdict_add_stderr(v, &run->worker);
    }
}

static void verdict_of_exit(run_verdict *v, const run_state *run)
{
    int status = run->worker.wait_status, code = WEXITSTATUS(status);
    if (run->has_end && (run->end.status != GB_OK || (WIFEXITED(status) && code == 0))) {
        verdict_set(v, status_of_end((gb_status)run->end.status), "%s", run->end.message);
        if (run->end.status == GB_ERR_INTERRUPTED) {
            verdict_set(v, "killed", "stopped from outside by SIGTERM or SIGINT");
        }
    } else if (WIFSIGNALED(status)) {
        verdict_of_signal(v, run);
    } else if (code != 0) {
        verdict_set(v, "failed", "the worker exited with code %d after %lld steps", code,
                    (long long)run->steps_done);
        verdict_add_stderr(v, &run->worker);
    } else {
        verdict_set(v, "failed", "the worker exited without saying how the run ended%s",
                    event_reader_left(run->reader) ? ", in the middle of an event" : "");
        verdict_add_stderr(v, &run->worker);
    }
}

static void run_judge(run_verdict *v, const run_state *run)
{
    bool finished = run->has_end && run->end.status == GB_OK && run->worker.ended &&
                    WIFEXITED(run->worker.wait_status) && WEXITSTATUS(run->worker.wait_status) == 0;
    if (run->stops_obeyed > 0 && !finished) {
        verdict_set(v, "interrupted", "stopped by the user after %lld steps",
                    (long long)run->steps_done);
    } else if (run->broken) {
        verdict_set(v, "failed", "%s", run->broken_error.message);
        verdict_add_stderr(v, &run->worker);
    } else if (!run->worker.ended) {
        verdict_set(v, "failed", "the worker did not exit within %d s of its last word",
                    END_WAIT_MS / 1000);
    } else {
        verdict_of_exit(v, run);
    }
}

/* ---- one run ---- */

static gb_status run_end_write(store *s, const runner_job *job, run_state *run,
                               const run_verdict *v, gb_error *err)
{
    char missing[GB_SENSORS_MAX * sizeof(gb_sensor_state)];
    store_run_result result = {.status = v->status,
                               .message = v->message,
                               .steps_done = run->steps_done,
                               .peak_memory_bytes = run->has_end ? run->end.peak_memory_bytes : 0,
                               .warmup_steps = run->warmup_steps,
                               .profiled_ms = run->profiled_ms,
                               .profiled_steps = run->profiled_steps};
    GB_TRY(run_watch_end(&run->watch, s, &result, missing, sizeof missing, err));
    return store_run_end(s, job->run_id, &result, err);
}

static void outcome_count(runner_outcome *outcome, const char *status)
{
    if (strcmp(status, "ok") == 0) {
        outcome->ok++;
    } else if (strcmp(status, "interrupted") == 0) {
        outcome->interrupted = true;
    } else {
        outcome->not_ok++;
    }
}

static gb_status job_do(store *s, const runner_job *job, const runner_options *options,
                        gb_sensors *sensors, runner_outcome *outcome, gb_error *err)
{
    run_state run = {.oom_kills_before = child_oom_kills(), .reader = event_reader_create()};
    run_verdict verdict = {0};
    if (!run.reader) {
        return gb_fail(err, GB_ERR_OOM, "no memory to read a worker's events");
    }
    bool gpu = job->bus_id && job->bus_id[0];
    gb_status status =
        run_watch_begin(&run.watch, s, job->run_id, sensors, gpu, options->sample_ms, err);
    if (status == GB_OK) {
        status = child_start(&run.worker, options->worker_argv, job->json, err);
    }
    if (status == GB_OK) {
        progress_run_begin(options->display, &job->label);
        status = store_run_start(s, job->run_id, run.worker.pid, err);
    }
    if (status == GB_OK) {
        status = run_follow(s, &run, job, options, err);
    }
    if (status == GB_OK) {
        run_collect(&run, options);
        child_drain_stderr(&run.worker);
        run_judge(&verdict, &run);
        status = run_end_write(s, job, &run, &verdict, err);
    }
    child_close(&run.worker);
    if (status == GB_OK) {
        progress_run_end(options->display, verdict.status, verdict.message);
        outcome_count(outcome, verdict.status);
    }
    event_reader_free(run.reader);
    run_watch_free(&run.watch);
    return status;
}

/* The sensors for a job: those of the job before where they fit. NULL where nothing is sampled. */
typedef struct runner_sensors {
    gb_sensors *open;
    char bus_id[sizeof((gb_description *)0)->bus_id];
} runner_sensors;

static gb_sensors *sensors_for(runner_sensors *held, const runner_job *job,
                               const runner_options *options)
{
    const char *bus_id = job->bus_id ? job->bus_id : "";
    if (options->sample_ms > 0 && (!held->open || strcmp(held->bus_id, bus_id) != 0)) {
        gb_sensors_options wanted = options->sensors;
        wanted.gpu_bus_id = bus_id;
        gb_sensors_close(held->open);
        held->open = gb_sensors_open(&wanted);
        snprintf(held->bus_id, sizeof held->bus_id, "%s", bus_id);
    }
    return held->open;
}

gb_status runner_run(store *s, const runner_job *jobs, int n_jobs, const runner_options *options,
                     runner_outcome *outcome, gb_error *err)
{
    double flops = 0;
    runner_sensors sensors = {NULL, ""};
    gb_status status = GB_OK;
    memset(outcome, 0, sizeof *outcome);
    for (int i = 0; i < n_jobs; i++) {
        flops += jobs[i].label.flops;
    }
    progress_suite(options->display, n_jobs, flops);
    for (int i = 0; i < n_jobs && status == GB_OK; i++) {
        if (stops_wanted(options) > 0 || outcome->interrupted) {
            outcome->interrupted = true;
            break;
        }
        status =
            job_do(s, &jobs[i], options, sensors_for(&sensors, &jobs[i], options), outcome, err);
    }
    gb_sensors_close(sensors.open);
    return status;
}

/* ---- probe ---- */

static gb_status probe_follow(run_state *run, const runner_options *options, event_probe *out,
                              bool *answered, gb_error *err)
{
    event_frame frame;
    bool found = false;
    while (run->worker.event_fd >= 0) {
        struct pollfd fd = {run->worker.event_fd, POLLIN, 0};
        poll(&fd, 1, POLL_MS);
        while (run->worker.event_fd >= 0 && pipe_read(run)) {
            GB_TRY(event_reader_next(run->reader, &frame, &found, err));
            if (found && frame.kind == EVENT_KIND_PROBE) {
                *out = frame.u.probe;
                *answered = true;
            }
        }
        child_drain_stderr(&run->worker);
        if (stops_wanted(options) > 0) {
            return gb_fail(err, GB_ERR_INTERRUPTED, "stopped");
        }
    }
    return GB_OK;
}

gb_status runner_probe(const char *json, const runner_options *options, event_probe *out,
                       gb_error *err)
{
    run_state run = {.reader = event_reader_create()};
    bool answered = false;
    if (!run.reader) {
        return gb_fail(err, GB_ERR_OOM, "no memory to read a worker's events");
    }
    gb_status status = child_start(&run.worker, options->worker_argv, json, err);
    if (status == GB_OK) {
        status = probe_follow(&run, options, out, &answered, err);
    }
    if (status == GB_OK && answered && out->status != GB_OK) {
        status = gb_fail(err, (gb_status)out->status, "%s", out->message);
    } else if (status == GB_OK && !answered) {
        run_verdict verdict = {0};
        child_wait(&run.worker, END_WAIT_MS);
        run_judge(&verdict, &run);
        status =
            gb_fail(err, GB_ERR_FAILED, "the probe of the backend failed: %s", verdict.message);
    }
    child_close(&run.worker);
    event_reader_free(run.reader);
    return status;
}
