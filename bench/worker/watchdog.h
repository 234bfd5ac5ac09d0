/* watchdog.h: whether a worker has gone on for too long: without a sign of life, over its time,
 * over its memory. Pure: it is told what was heard and what time it is, on any clock that never
 * goes back. */
#ifndef GPTBENCH_BENCH_WATCHDOG_H
#define GPTBENCH_BENCH_WATCHDOG_H

#include <stdbool.h>

#include "bench/suite/limits.h"
#include "model/observer.h"

/* Without heartbeat_timeout a worker may be silent for so many times the longest pause that it has
 * made so far, but never less than the floor. The trainer says something at least once per batch
 * (TRAIN_EVENT_ALIVE), so that a long validation is no pause. */
#define WATCHDOG_FACTOR  10.0
#define WATCHDOG_FLOOR_S 300.0
/* The same while steps are profiled, where a device's profiler is at work in the worker and may
 * hang: profile_timeout, whatever heartbeat_timeout says. */
#define WATCHDOG_PROFILE_FLOOR_S 120.0

typedef enum watchdog_finding {
    WATCHDOG_FINE,
    WATCHDOG_SILENT,
    WATCHDOG_OVERTIME,
    WATCHDOG_OVERSIZE
} watchdog_finding;

typedef struct watchdog {
    run_limits limits;
    int64_t num_iterations; /* 0: no fixed number */
    double started_s, heard_s, looked_s;
    double longest_s; /* pause, start-up included */
    bool has_started; /* it has said START */
    bool on_gpu;
    bool profiling; /* it has said PROFILE, and no OPTIME since */
    int64_t steps, evals;
    double last_step_ms;
} watchdog;

void watchdog_begin(watchdog *w, const run_limits *limits, int64_t num_iterations, double now_s);
/* Something was heard; `event` may be NULL. */
void watchdog_hear(watchdog *w, const train_event *event, double now_s);
/* The worker was told to do something, or left alone on purpose: silence counts from here. */
void watchdog_rest(watchdog *w, double now_s);

/* Called several times a second, after what has arrived was heard. resident_bytes: of the worker;
 * 0: not known, or of no interest. When it is not FINE `message` says why, in one line. Time in
 * which nobody looked (this process was stopped) does not count as silence. */
watchdog_finding watchdog_check(watchdog *w, double now_s, int64_t resident_bytes, char *message,
                                size_t size);

/* Seconds that it may be silent now; INFINITY when heartbeat_timeout is off. */
double watchdog_allowed_s(const watchdog *w);

#endif
