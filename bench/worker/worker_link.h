/* worker_link.h: a worker process and its event stream: started, heard frame by frame, stopped, and
 * how it ended. Knows nothing of runs, suites and databases. */
#ifndef GPTBENCH_BENCH_WORKER_LINK_H
#define GPTBENCH_BENCH_WORKER_LINK_H

#include <signal.h>

#include "bench/worker/child.h"
#include "bench/worker/event_pipe.h"
#include "bench/worker/watchdog.h"

/* How whoever runs workers treats them. */
typedef struct worker_options {
    char *const *argv; /* of the worker process; [0] is its path; NULL-terminated */
    /* How often the user asked to stop; may be NULL. From 1 on the worker gets SIGTERM and,
     * after grace_ms and the time that a checkpoint of its model takes at 50 MB/s, SIGKILL; from 2
     * on SIGKILL at once. */
    const volatile sig_atomic_t *stops;
    int grace_ms;
    /* What a worker may take (bench/worker/watchdog.h); one that takes more is ended. max_time is
     * for workers that are not controlled, max_memory for those that compute on the CPU. */
    run_limits limits;
} worker_options;

typedef struct worker_link {
    child process;
    event_reader *reader;
    bool has_end; /* it has said END */
    train_end end;
    int64_t steps_done;
    double last_ended_s; /* of the latest step, on the monotonic clock */
    bool broken;         /* the stream; the message says how */
    gb_error broken_error;
    int stops_sent; /* of the user's: 1: SIGTERM, 2: SIGKILL too */
    int64_t kill_at_ms;
    int64_t saving_ms; /* beyond grace_ms, once it has said START */
    long long oom_kills_before;
    double started_s; /* on the monotonic clock */
    watchdog watch;
    double memory_at_s;           /* when its memory was looked at */
    watchdog_finding kill_reason; /* WATCHDOG_FINE, or why we end it */
    char kill_message[512];
} worker_link;

/* Starts a worker with a job on its standard input; with `controlled` there is also a pipe for
 * orders (worker_link_order). GB_ERR_IO, GB_ERR_OOM. worker_link_close is needed in any case, and
 * fine on a zeroed struct. */
gb_status worker_link_open(worker_link *link, const worker_options *options, const char *job,
                           bool controlled, gb_error *err);

/* Takes the next frame that has arrived, without waiting. False when there is none (yet); see
 * worker_link_ended. Train events that cannot follow what came before break the stream. */
bool worker_link_next(worker_link *link, event_frame *out);
/* Waits up to `ms` for something to arrive, reads standard error, and stops the worker where the
 * user asked for it; true when it does so now for the first time. Frames that have arrived must
 * have been taken before: the watchdog looks here, and ends a worker that goes beyond its limits.
 */
bool worker_link_wait(worker_link *link, const worker_options *options, int ms);
/* The event pipe is closed or the stream broken: nothing more will come. */
bool worker_link_ended(const worker_link *link);

/* Asks a controlled worker for a burst. GB_ERR_IO when it reads no more. */
gb_status worker_link_order(worker_link *link, const train_burst *burst, gb_error *err);
/* No further orders: a controlled worker ends. */
void worker_link_dismiss(worker_link *link);

/* After the last frame: gives the process some time to exit. */
void worker_link_collect(worker_link *link, const worker_options *options);

typedef struct worker_outcome {
    const char *status; /* ok, nan, oom, failed, killed, interrupted: as in runner.h */
    bool transient;     /* by a fault that may be gone next time (bench/run/retry.h) */
    bool environment;   /* the system would not let it: a limit */
    char message[CHILD_STDERR_KEPT + 1024];
} worker_outcome;

/* How a collected worker ended. */
void worker_link_outcome(const worker_link *link, worker_outcome *out);

/* Kills what still runs and frees everything. */
void worker_link_close(worker_link *link);

/* How often `options` says that the user asked to stop. */
int worker_stops_wanted(const worker_options *options);

#endif
