#include "bench/run/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/run/retry.h"
#include "bench/run/run_segment.h"
#include "bench/run/run_watch.h"
#include "bench/run/work_gate.h"
#include "bench/worker/job.h"
#include "bench/worker/job_control.h"
#include "kernels/clock.h"

#define WAIT_MS 100 /* between two looks at everything else */
/* Events are left to gather for so long before they are read: a worker with steps of a millisecond
 * would wake this process for each of them, and they share the machine. The pipe (EVENT_PIPE_BYTES)
 * holds a thousand. */
#define GATHER_MS 20

/* One run while it goes on. */
typedef struct current_run {
    worker_link worker;
    run_watch watch;
    run_segment segment;
    int64_t warmup_steps, profiled_steps;
    double profiled_ms;
} current_run;

runner_options runner_options_default(char *const *worker_argv)
{
    return (runner_options){
        .worker = {.argv = worker_argv, .grace_ms = 20000, .limits = run_limits_default()},
        .sensors = gb_sensors_options_default(),
        .sample_ms = RUN_WATCH_PERIOD_MS,
        .retry_wait_ms = RETRY_FIRST_WAIT_MS};
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

/* ---- events ---- */

static void event_count(current_run *run, const train_event *event)
{
    if (event->type == TRAIN_EVENT_STEP) {
        run->warmup_steps += event->u.step.tag == TRAIN_STEP_WARMUP;
    } else if (event->type == TRAIN_EVENT_OPTIME) {
        run->profiled_steps = event->u.optime.steps;
        run->profiled_ms = event->u.optime.step_ms * (double)event->u.optime.steps;
    }
}

/* A step in which the program was stopped says nothing about the speed. */
static void step_untime_stopped(train_step *step)
{
    bool stopped = job_control_was_stopped(step->ended_s - step->step_ms / 1e3, step->ended_s);
    if (stopped && step->tag == TRAIN_STEP_TIMED) {
        step->tag = TRAIN_STEP_CHECKPOINT;
    }
}

static gb_status event_take(store *s, current_run *run, const runner_job *job,
                            const runner_options *options, train_event *event, gb_error *err)
{
    if (!run_segment_accepts(&run->segment, event, &run->worker.broken_error)) {
        run->worker.broken = true;
        return GB_OK;
    }
    event_count(run, event);
    GB_TRY(run_segment_event(&run->segment, s, event, options->display, err));
    if (event->type == TRAIN_EVENT_STEP) {
        step_untime_stopped(&event->u.step);
        event->u.step.ended_s -= run->watch.started_s;
        GB_TRY(run_watch_step(&run->watch, &event->u.step, err));
    } else if (event->type == TRAIN_EVENT_SPANS_ZERO) {
        event->u.spans_zero_s -= run->watch.started_s;
    }
    /* At the end at once, before the worker takes its time to clear up. */
    GB_TRY(run_watch_sample(&run->watch, s, event->type == TRAIN_EVENT_END, err));
    GB_TRY(store_run_event(s, job->run_id, event, err));
    progress_event(options->display, event);
    return store_commit_due(s, event->type == TRAIN_EVENT_EVAL, err);
}

/* Ends early when a signal asks to stop. */
static void events_gather(const current_run *run)
{
    const int ms = run_watch_wait_ms(&run->watch, GATHER_MS);
    if (!run->worker.has_end && ms > 0) {
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
    }
}

/* Until the worker has closed its event pipe, or its stream proved worthless. */
static gb_status run_follow(store *s, current_run *run, const runner_job *job,
                            const runner_options *options, gb_error *err)
{
    event_frame frame;
    while (!worker_link_ended(&run->worker)) {
        if (worker_link_wait(&run->worker, &options->worker,
                             run_watch_wait_ms(&run->watch, WAIT_MS))) {
            progress_note(options->display, "stopping the current run; once more ends it at once");
        }
        while (worker_link_next(&run->worker, &frame)) {
            if (frame.kind == EVENT_KIND_TRAIN) {
                GB_TRY(event_take(s, run, job, options, &frame.u.train, err));
            }
        }
        GB_TRY(run_watch_sample(&run->watch, s, false, err));
        progress_tick(options->display);
        GB_TRY(store_commit_due(s, false, err));
        events_gather(run);
    }
    return run_watch_sample(&run->watch, s, !run->worker.has_end, err);
}

/* ---- one run ---- */

static gb_status run_end_write(store *s, const runner_job *job, current_run *run,
                               worker_outcome *outcome, gb_error *err)
{
    char missing[GB_SENSORS_MAX * sizeof(gb_sensor_state)];
    store_run_result result = {.status = outcome->status,
                               .message = outcome->message,
                               .steps_done = run->worker.steps_done,
                               .peak_memory_bytes =
                                   run->worker.has_end ? run->worker.end.peak_memory_bytes : 0,
                               .warmup_steps = run->warmup_steps + run->segment.warmup_before,
                               .profiled_ms = run->profiled_ms,
                               .profiled_steps = run->profiled_steps};
    GB_TRY(run_watch_end(&run->watch, s, &result, missing, sizeof missing, err));
    GB_TRY(run_segment_end(&run->segment, s, outcome->status, outcome->message,
                           sizeof outcome->message, err));
    GB_TRY(store_run_end(s, job->run_id, &result, err));
    run_segment_clear(&run->segment, outcome->status);
    return GB_OK;
}

static void totals_count(runner_totals *totals, const char *status)
{
    if (strcmp(status, "ok") == 0) {
        totals->ok++;
    } else if (strcmp(status, "interrupted") == 0) {
        totals->interrupted = true;
    } else {
        totals->not_ok++;
    }
}

/* A worker that the system would not start ends its own run alone. */
static gb_status start_failed(store *s, const runner_job *job, current_run *run,
                              const gb_error *why, worker_outcome *outcome, gb_error *err)
{
    *outcome = (worker_outcome){.status = "failed", .transient = true};
    snprintf(outcome->message, sizeof outcome->message, "%s", why->message);
    return run_end_write(s, job, run, outcome, err);
}

/* One attempt, which is claimed. */
static gb_status job_do(store *s, const runner_job *job, const runner_options *options,
                        gb_sensors *sensors, worker_outcome *outcome, gb_error *err)
{
    current_run run = {.warmup_steps = 0};
    gb_error why = {0};
    bool gpu = job->bus_id && job->bus_id[0], started = false;
    worker_options worker = options->worker;
    worker.limits.max_memory_bytes = gpu ? 0 : worker.limits.max_memory_bytes;
    gb_status status = run_segment_begin(&run.segment, s, job->run_id, job->checkpoint_dir, err);
    store_defer(s, true);
    if (status == GB_OK) {
        const run_watch_options watch = {&run_watch_run_sink, job->run_id, sensors, gpu,
                                         options->sample_ms};
        status = run_watch_begin(&run.watch, s, &watch, err);
    }
    if (status == GB_OK) {
        progress_run label = job->label;
        label.run_id = job->run_id; /* of this attempt */
        progress_run_begin(options->display, &label);
        started = worker_link_open(&run.worker, &worker, job->json, false, &why) == GB_OK;
        run.worker.watch.num_iterations = job->label.num_iterations;
        status = started ? store_run_start(s, job->run_id, run.worker.process.pid, err)
                         : start_failed(s, job, &run, &why, outcome, err);
    }
    if (status == GB_OK && started) {
        status = run_follow(s, &run, job, options, err);
    }
    if (status == GB_OK && started) {
        worker_link_collect(&run.worker, &worker);
        worker_link_outcome(&run.worker, outcome);
        status = run_end_write(s, job, &run, outcome, err);
    }
    if (status != GB_OK) {
        store_commit(s, NULL); /* as much as can be: the rows before the fault may be sound */
    }
    store_defer(s, false);
    worker_link_close(&run.worker);
    if (status == GB_OK) {
        progress_run_end(options->display, outcome->status, outcome->message);
    }
    run_watch_free(&run.watch);
    return status;
}

/* ---- more attempts ---- */

/* False: the user asked to stop. */
static bool retry_wait(const runner_options *options, int64_t ms)
{
    const double until_s = gb_monotonic_s() + (double)ms / 1e3;
    while (worker_stops_wanted(&options->worker) == 0) {
        double left_s = until_s - gb_monotonic_s();
        if (left_s <= 0) {
            return true;
        }
        struct timespec nap = {0, (long)(1e9 * (left_s < 0.1 ? left_s : 0.1))};
        nanosleep(&nap, NULL); /* a signal ends it early, which the loop notices */
    }
    return false;
}

/* Makes *job the next attempt. *json is what it owns. */
static gb_status attempt_plan(store *s, runner_job *job, char **json, bool halve, gb_error *err)
{
    if (halve) {
        char *halved = worker_job_scale_rate(job->json, 0.5);
        if (!halved) {
            return gb_fail(err, GB_ERR_OOM, "no memory for another attempt");
        }
        free(*json);
        job->json = *json = halved;
        job->label.lr_scale = (job->label.lr_scale > 0 ? job->label.lr_scale : 1) / 2;
    }
    job->label.again = true;
    return store_run_plan_retry(s, job->run_id, halve ? 0.5 : 1, &job->run_id, &job->label.attempt,
                                err);
}

static void attempt_note(progress *display, const retry *r, retry_action action, int64_t wait_ms)
{
    if (action == RETRY_HALVE) {
        progress_note(display,
                      "on_nan = halve_lr: again at 1/%lld of the learning rate, halving"
                      " %lld of %d",
                      1LL << r->halvings, (long long)r->halvings, LIMITS_MAX_HALVINGS);
    } else {
        progress_note(display, "a transient fault: again in %.3g s, retry %lld of %lld",
                      (double)wait_ms / 1e3, (long long)r->retries,
                      (long long)r->limits.max_retries);
    }
}

/* A run that is claimed: its attempt, and more of them as retry.h says. */
static gb_status run_do(store *s, const runner_job *given, const runner_options *options,
                        gb_sensors *sensors, runner_totals *totals, gb_error *err)
{
    runner_job job = *given;
    worker_outcome outcome = {0};
    char *json = NULL;
    gb_status status;
    retry r;
    double lr_scale = job.label.lr_scale > 0 ? job.label.lr_scale : 1;
    retry_begin(&r, &options->worker.limits, lr_scale, options->retry_wait_ms);
    while ((status = job_do(s, &job, options, sensors, &outcome, err)) == GB_OK) {
        int64_t wait_ms;
        retry_action action = retry_next(&r, outcome.status, outcome.transient, &wait_ms);
        if (action == RETRY_LEAVE || worker_stops_wanted(&options->worker) > 0) {
            totals_count(totals, outcome.status);
            break;
        }
        status = attempt_plan(s, &job, &json, action == RETRY_HALVE, err);
        if (status != GB_OK) {
            break;
        }
        attempt_note(options->display, &r, action, wait_ms);
        totals->retries++;
        bool taken = false;
        if (!retry_wait(options, wait_ms)) {
            totals->interrupted = true; /* the attempt stays planned */
            break;
        }
        status = store_run_claim(s, job.run_id, &taken, err);
        if (status != GB_OK || !taken) { /* another runner was quicker */
            totals->elsewhere += status == GB_OK;
            break;
        }
    }
    free(json);
    return status;
}

/* Claims the run and does it, while nobody measures speeds. One that could not be begun is left to
 * others; what goes wrong later leaves it `running` until the next runner sees that nobody has it.
 */
static gb_status job_claim(store *s, const runner_job *job, const runner_options *options,
                           gb_sensors *sensors, runner_totals *totals, gb_error *err)
{
    bool taken = false;
    gb_status status = work_gate_enter_shared(s, &options->worker, options->display, err);
    if (status == GB_OK) {
        status = store_run_claim(s, job->run_id, &taken, err);
    }
    if (status == GB_OK && taken) {
        status = run_do(s, job, options, sensors, totals, err);
    }
    work_gate_leave(s);
    totals->elsewhere += status == GB_OK && !taken;
    if (status == GB_ERR_INTERRUPTED) {
        totals->interrupted = true;
        return GB_OK;
    }
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
                     runner_totals *totals, gb_error *err)
{
    double flops = 0;
    runner_sensors sensors = {NULL, ""};
    gb_status status = GB_OK;
    for (int i = 0; i < n_jobs; i++) {
        flops += jobs[i].label.flops;
    }
    progress_suite(options->display, n_jobs, flops);
    for (int i = 0; i < n_jobs && status == GB_OK; i++) {
        if (worker_stops_wanted(&options->worker) > 0 || totals->interrupted) {
            totals->interrupted = true;
            break;
        }
        status =
            job_claim(s, &jobs[i], options, sensors_for(&sensors, &jobs[i], options), totals, err);
    }
    gb_sensors_close(sensors.open);
    return status;
}

/* ---- probe ---- */

gb_status runner_probe(const char *json, const runner_options *options, event_probe *out,
                       gb_error *err)
{
    worker_link worker = {.has_end = false};
    worker_options unlimited = options->worker;
    event_frame frame;
    bool answered = false;
    unlimited.limits = run_limits_default(); /* the limits are a run's; a measurement is silent */
    gb_status status = worker_link_open(&worker, &unlimited, json, false, err);
    while (status == GB_OK && !worker_link_ended(&worker)) {
        worker_link_wait(&worker, &options->worker, WAIT_MS);
        progress_tick(options->display);
        while (worker_link_next(&worker, &frame)) {
            if (frame.kind == EVENT_KIND_PROBE) {
                *out = frame.u.probe;
                answered = true;
            }
        }
        if (worker_stops_wanted(&options->worker) > 0) {
            status = gb_fail(err, GB_ERR_INTERRUPTED, "stopped");
        }
    }
    if (status == GB_OK && answered && out->status != GB_OK) {
        status = gb_fail(err, (gb_status)out->status, "%s", out->message);
    } else if (status == GB_OK && !answered) {
        worker_outcome outcome = {0};
        worker_link_collect(&worker, &options->worker);
        worker_link_outcome(&worker, &outcome);
        status = gb_fail(err, outcome.environment ? GB_ERR_ENV : GB_ERR_FAILED,
                         "the probe of the backend failed: %s", outcome.message);
    }
    worker_link_close(&worker);
    return status;
}
