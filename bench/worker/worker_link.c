#include "bench/worker/worker_link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/checked.h"
#include "kernels/clock.h"
#include "kernels/process_limits.h"
#include "kernels/process_memory.h"

#define POLL_MS     100
#define END_WAIT_MS 10000 /* for a worker to exit after closing its event pipe */
/* From SIGTERM to SIGKILL for one that hangs or takes too much memory. */
#define KILL_GRACE_MS          2000
#define MEMORY_LOOK_S          0.25
#define SLOW_DISK_BYTES_PER_MS 50000
#define SAVING_MOST_MS         (30 * 60 * 1000)

int worker_stops_wanted(const worker_options *options)
{
    return options->stops ? (int)*options->stops : 0;
}

gb_status worker_link_open(worker_link *link, const worker_options *options, const char *job,
                           bool controlled, gb_error *err)
{
    *link = (worker_link){.oom_kills_before = child_oom_kills(),
                          .reader = event_reader_create(),
                          .started_s = gb_monotonic_s()};
    if (!link->reader) {
        return gb_fail(err, GB_ERR_OOM, "no memory to read a worker's events");
    }
    run_limits limits = options->limits;
    limits.max_time_s = controlled ? 0 : limits.max_time_s;
    watchdog_begin(&link->watch, &limits, 0, link->started_s);
    return child_start(&link->process, options->argv, job, controlled, err);
}

void worker_link_close(worker_link *link)
{
    child_close(&link->process);
    event_reader_free(link->reader);
    *link = (worker_link){.reader = NULL};
}

/* ---- frames ---- */

/* Reads what the pipe holds; closes it at its end. */
static bool pipe_read(worker_link *link)
{
    unsigned char bytes[4096];
    size_t room = event_reader_room(link->reader);
    ssize_t n = read(link->process.event_fd, bytes, room < sizeof bytes ? room : sizeof bytes);
    if (n > 0) {
        event_reader_add(link->reader, bytes, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(link->process.event_fd);
        link->process.event_fd = -1;
    }
    return false;
}

/* An event that cannot follow what came before: the stream is not to be believed. */
static bool out_of_order(const worker_link *link, const train_event *event)
{
    const train_step *step = &event->u.step;
    const int64_t at = event->u.checkpoint.step;
    return link->has_end || (event->type == TRAIN_EVENT_RESUME && link->steps_done != 0) ||
           (event->type == TRAIN_EVENT_CHECKPOINT && at != link->steps_done) ||
           (event->type == TRAIN_EVENT_STEP &&
            (step->step != link->steps_done || step->ended_s < link->last_ended_s ||
             step->ended_s < link->started_s || step->ended_s > gb_monotonic_s()));
}

/* How long a checkpoint of the model may take to be written, on a slow disk. */
static int64_t saving_ms(const train_start *start)
{
    const int64_t *plan = start->memory_plan_bytes;
    int64_t bytes =
        gb_plus(gb_plus(plan[GB_MEM_WEIGHTS], plan[GB_MEM_MASTER]), plan[GB_MEM_OPTIMIZER]);
    int64_t ms = bytes / SLOW_DISK_BYTES_PER_MS;
    return ms < SAVING_MOST_MS ? ms : SAVING_MOST_MS;
}

static void event_note(worker_link *link, const train_event *event)
{
    if (out_of_order(link, event)) {
        link->broken = true;
        gb_fail(&link->broken_error, GB_ERR_FORMAT, "the worker's events are out of order");
    } else if (event->type == TRAIN_EVENT_STEP) {
        link->steps_done++;
        link->last_ended_s = event->u.step.ended_s;
    } else if (event->type == TRAIN_EVENT_START) {
        link->saving_ms = saving_ms(&event->u.start);
    } else if (event->type == TRAIN_EVENT_RESUME) {
        link->steps_done = event->u.checkpoint.step;
    } else if (event->type == TRAIN_EVENT_END) {
        link->has_end = true;
        link->end = event->u.end;
    }
}

bool worker_link_next(worker_link *link, event_frame *out)
{
    bool found = false;
    while (!link->broken && !found) {
        if (event_reader_next(link->reader, out, &found, &link->broken_error) != GB_OK) {
            link->broken = true;
        } else if (!found && (link->process.event_fd < 0 || !pipe_read(link))) {
            break;
        }
    }
    if (found) {
        watchdog_hear(&link->watch, out->kind == EVENT_KIND_TRAIN ? &out->u.train : NULL,
                      gb_monotonic_s());
    }
    if (found && !link->broken && out->kind == EVENT_KIND_TRAIN) {
        event_note(link, &out->u.train);
    }
    return found && !link->broken;
}

bool worker_link_ended(const worker_link *link)
{
    return link->broken || link->process.event_fd < 0;
}

/* ---- stopping ---- */

/* Ends a worker that goes beyond its limits. */
static void limits_enforce(worker_link *link, const worker_options *options)
{
    double now_s = gb_monotonic_s();
    int64_t resident_bytes = 0;
    if (link->kill_reason || link->stops_sent > 0 || link->process.ended) {
        return;
    }
    if (link->watch.limits.max_memory_bytes > 0 && now_s - link->memory_at_s >= MEMORY_LOOK_S) {
        link->memory_at_s = now_s;
        resident_bytes = gb_process_resident_bytes(link->process.pid);
    }
    link->kill_reason = watchdog_check(&link->watch, now_s, resident_bytes, link->kill_message,
                                       sizeof link->kill_message);
    if (link->kill_reason) {
        int64_t grace_ms = link->kill_reason == WATCHDOG_OVERTIME
                               ? options->grace_ms + link->saving_ms
                               : KILL_GRACE_MS;
        child_signal(&link->process, SIGTERM);
        link->kill_at_ms = gb_monotonic_whole_ms() + grace_ms;
    }
}

static bool stop_forward(worker_link *link, const worker_options *options)
{
    int wanted = worker_stops_wanted(options);
    bool first = wanted >= 1 && link->stops_sent == 0;
    if (first) {
        child_signal(&link->process, SIGTERM);
        link->stops_sent = 1;
        link->kill_at_ms = link->kill_reason
                               ? link->kill_at_ms
                               : gb_monotonic_whole_ms() + options->grace_ms + link->saving_ms;
    }
    if (link->stops_sent == 1 && (wanted >= 2 || gb_monotonic_whole_ms() >= link->kill_at_ms)) {
        child_signal(&link->process, SIGKILL);
        link->stops_sent = 2;
    } else if (link->kill_reason && gb_monotonic_whole_ms() >= link->kill_at_ms) {
        child_signal(&link->process, SIGKILL);
    }
    return first;
}

bool worker_link_wait(worker_link *link, const worker_options *options, int ms)
{
    limits_enforce(link, options);
    struct pollfd fds[2] = {{link->process.event_fd, POLLIN, 0},
                            {link->process.stderr_fd, POLLIN, 0}}; /* -1 is ignored */
    poll(fds, 2, ms < POLL_MS ? ms : POLL_MS); /* what fails here fails again at the read */
    child_drain_stderr(&link->process);
    return stop_forward(link, options);
}

void worker_link_collect(worker_link *link, const worker_options *options)
{
    int64_t until = gb_monotonic_whole_ms() + END_WAIT_MS;
    while (!link->broken && !child_wait(&link->process, POLL_MS) &&
           gb_monotonic_whole_ms() < until) {
        stop_forward(link, options);
        child_drain_stderr(&link->process);
    }
    child_drain_stderr(&link->process);
}

/* ---- orders ---- */

gb_status worker_link_order(worker_link *link, const train_burst *burst, gb_error *err)
{
    watchdog_rest(&link->watch, gb_monotonic_s());
    return event_order_write(link->process.control_fd, burst, err);
}

void worker_link_dismiss(worker_link *link)
{
    if (link->process.control_fd >= 0) {
        close(link->process.control_fd);
        link->process.control_fd = -1;
    }
}

/* ---- how it ended ---- */

static void outcome_set(worker_outcome *out, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void outcome_set(worker_outcome *out, const char *status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->message, sizeof out->message, format, args);
    va_end(args);
    out->status = status;
}

/* The end of the worker's stderr, for messages of failures that say nothing themselves. */
static void outcome_add_stderr(worker_outcome *out, const child *worker)
{
    const char *tail = worker->stderr_tail;
    size_t n = worker->stderr_used, used = strlen(out->message);
    if (n > CHILD_STDERR_KEPT - 64) {
        tail += n - (CHILD_STDERR_KEPT - 64);
    }
    if (n > 0) {
        snprintf(out->message + used, sizeof out->message - used, "; its stderr ended:\n%s", tail);
        for (used = strlen(out->message); used > 0 && out->message[used - 1] == '\n';) {
            out->message[--used] = '\0';
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

/* At the hard limit the kernel kills. It counts otherwise for the limit than for who asks: 1.7 s
 * were seen for a limit of 2 s. */
static bool cpu_time_is_spent(const worker_link *link, int signal)
{
    int64_t limit_s = gb_limits_cpu_s();
    return signal == SIGXCPU ||
           (signal == SIGKILL && limit_s > 0 && link->process.cpu_s >= 0.75 * (double)limit_s);
}

static void outcome_of_signal(worker_outcome *out, const worker_link *link)
{
    int signal = WTERMSIG(link->process.wait_status);
    long long after = child_oom_kills();
    const char *abbreviation = sigabbrev_np(signal);
    if (signal == SIGKILL && after > link->oom_kills_before && link->oom_kills_before >= 0) {
        outcome_set(out, "oom", "killed by the kernel's OOM killer after %lld steps",
                    (long long)link->steps_done);
        out->transient = true;
    } else if (cpu_time_is_spent(link, signal)) {
        outcome_set(out, "failed", "%s; ended after %lld steps", gb_limits_cpu_words(),
                    (long long)link->steps_done);
        out->environment = true;
    } else if (signal_is_from_outside(signal)) {
        outcome_set(out, "killed", "killed from outside by SIG%s after %lld steps", abbreviation,
                    (long long)link->steps_done);
        out->transient = true;
    } else {
        outcome_set(out, "failed", "crashed with SIG%s (%s) after %lld steps",
                    abbreviation ? abbreviation : "?", strsignal(signal),
                    (long long)link->steps_done);
        outcome_add_stderr(out, &link->process);
    }
}

static void outcome_of_exit(worker_outcome *out, const worker_link *link)
{
    int status = link->process.wait_status, code = WEXITSTATUS(status);
    if (link->has_end && (link->end.status != GB_OK || (WIFEXITED(status) && code == 0))) {
        outcome_set(out, status_of_end((gb_status)link->end.status), "%s", link->end.message);
        out->transient = link->end.status == GB_ERR_INTERRUPTED || link->end.status == GB_ERR_IO;
        if (link->end.status == GB_ERR_INTERRUPTED) {
            outcome_set(out, "killed", "stopped from outside by SIGTERM or SIGINT");
        }
    } else if (WIFSIGNALED(status)) {
        outcome_of_signal(out, link);
    } else if (code != 0) {
        outcome_set(out, "failed", "the worker exited with code %d after %lld steps", code,
                    (long long)link->steps_done);
        out->transient = code == CHILD_NOT_STARTED;
        out->environment = code == CHILD_NOT_STARTED || code == gb_status_exit_code(GB_ERR_ENV);
        outcome_add_stderr(out, &link->process);
    } else {
        outcome_set(out, "failed", "the worker exited without saying how the run ended%s",
                    event_reader_left(link->reader) ? ", in the middle of an event" : "");
        outcome_add_stderr(out, &link->process);
    }
}

void worker_link_outcome(const worker_link *link, worker_outcome *out)
{
    bool finished = link->has_end && link->end.status == GB_OK && link->process.ended &&
                    WIFEXITED(link->process.wait_status) &&
                    WEXITSTATUS(link->process.wait_status) == 0;
    out->transient = out->environment = false;
    if (link->kill_reason && !finished) {
        outcome_set(out, link->kill_reason == WATCHDOG_OVERSIZE ? "oom" : "failed", "%s",
                    link->kill_message);
        out->transient = link->kill_reason == WATCHDOG_SILENT;
    } else if (link->stops_sent > 0 && !finished) {
        outcome_set(out, "interrupted", "stopped by the user after %lld steps",
                    (long long)link->steps_done);
    } else if (link->broken) {
        outcome_set(out, "failed", "%s", link->broken_error.message);
        outcome_add_stderr(out, &link->process);
    } else if (!link->process.ended) {
        outcome_set(out, "failed", "the worker did not exit within %d s of its last word",
                    END_WAIT_MS / 1000);
    } else {
        outcome_of_exit(out, link);
    }
}
