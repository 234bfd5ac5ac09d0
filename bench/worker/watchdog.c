#include "bench/worker/watchdog.h"

#include <math.h>
#include <stdio.h>

#include "bench/base/numbers.h"

/* A longer gap between two looks means that this process did not run. */
#define LOOKED_AWAY_S 5.0

void watchdog_begin(watchdog *w, const run_limits *limits, int64_t num_iterations, double now_s)
{
    *w = (watchdog){.limits = *limits,
                    .num_iterations = num_iterations,
                    .started_s = now_s,
                    .heard_s = now_s,
                    .looked_s = now_s};
}

void watchdog_hear(watchdog *w, const train_event *event, double now_s)
{
    double pause_s = now_s - w->heard_s;
    w->longest_s = pause_s > w->longest_s ? pause_s : w->longest_s;
    w->heard_s = now_s;
    if (event && event->type == TRAIN_EVENT_START) {
        w->has_started = true;
        w->on_gpu = event->u.start.device.bus_id[0] != '\0';
    } else if (event && event->type == TRAIN_EVENT_PROFILE) {
        w->profiling = true;
    } else if (event && event->type == TRAIN_EVENT_OPTIME) {
        w->profiling = false;
    } else if (event && event->type == TRAIN_EVENT_STEP) {
        w->steps++;
        w->last_step_ms = event->u.step.step_ms;
    } else if (event && event->type == TRAIN_EVENT_EVAL) {
        w->evals++;
    }
}

void watchdog_rest(watchdog *w, double now_s)
{
    w->heard_s = now_s;
}

double watchdog_allowed_s(const watchdog *w)
{
    double set_s = w->limits.heartbeat_timeout_s;
    if (set_s < 0) {
        return INFINITY;
    }
    return set_s > 0 ? set_s : fmax(WATCHDOG_FLOOR_S, WATCHDOG_FACTOR * w->longest_s);
}

static double profile_allowed_s(const watchdog *w)
{
    double set_s = w->limits.profile_timeout_s;
    if (!w->profiling || set_s < 0) {
        return INFINITY;
    }
    return set_s > 0 ? set_s : fmax(WATCHDOG_PROFILE_FLOOR_S, WATCHDOG_FACTOR * w->longest_s);
}

/* "after step 40 of 100; its last step took 1.2 s" */
static void progress_words(const watchdog *w, char *out, size_t size)
{
    if (w->steps > 0) {
        char of[32] = "";
        if (w->num_iterations > 0) {
            snprintf(of, sizeof of, " of %lld", (long long)w->num_iterations);
        }
        snprintf(out, size, "after step %lld%s; its last step took %s", (long long)w->steps, of,
                 number_duration_ms(w->last_step_ms).text);
    } else {
        snprintf(out, size, "%s",
                 w->evals > 0     ? "after its first validation, before any step"
                 : w->has_started ? "after its start, before any step"
                                  : "before it had started: opening data and backend");
    }
}

/* What was timed before the profile is in the database by then. */
static watchdog_finding profile_find(const watchdog *w, double now_s, char *message, size_t size)
{
    char words[160];
    double silent_s = now_s - w->heard_s, allowed_s = profile_allowed_s(w);
    if (silent_s <= allowed_s) {
        return WATCHDOG_FINE;
    }
    progress_words(w, words, sizeof words);
    snprintf(
        message, size,
        "no sign of life for %s while steps were profiled (%s allows %s), %s; its times so far "
        "are kept%s",
        number_duration_ms(1e3 * silent_s).text,
        w->limits.profile_timeout_s > 0 ? "profile_timeout" : "the automatic limit",
        number_duration_ms(1e3 * allowed_s).text, words,
        w->on_gpu ? "; GPTBENCH_CUPTI=0 profiles without the GPU's profiler" : "");
    return WATCHDOG_SILENT;
}

static watchdog_finding silence_find(const watchdog *w, double now_s, char *message, size_t size)
{
    char words[160];
    double silent_s = now_s - w->heard_s, allowed_s = watchdog_allowed_s(w);
    if (silent_s <= allowed_s) {
        return WATCHDOG_FINE;
    }
    progress_words(w, words, sizeof words);
    snprintf(message, size, "no sign of life for %s (%s allows %s), %s",
             number_duration_ms(1e3 * silent_s).text,
             w->limits.heartbeat_timeout_s > 0 ? "heartbeat_timeout" : "the automatic limit",
             number_duration_ms(1e3 * allowed_s).text, words);
    return WATCHDOG_SILENT;
}

watchdog_finding watchdog_check(watchdog *w, double now_s, int64_t resident_bytes, char *message,
                                size_t size)
{
    char words[160];
    double away_s = now_s - w->looked_s;
    w->looked_s = now_s;
    if (away_s > LOOKED_AWAY_S) {
        w->heard_s = fmin(w->heard_s + away_s, now_s);
    }
    if (w->limits.max_memory_bytes > 0 && resident_bytes > w->limits.max_memory_bytes) {
        progress_words(w, words, sizeof words);
        snprintf(message, size, "takes %s of memory, max_memory is %s: ended %s",
                 number_bytes((double)resident_bytes).text,
                 number_bytes((double)w->limits.max_memory_bytes).text, words);
        return WATCHDOG_OVERSIZE;
    }
    if (w->limits.max_time_s > 0 && now_s - w->started_s > w->limits.max_time_s) {
        progress_words(w, words, sizeof words);
        snprintf(message, size, "over max_time = %s: ended after %s, %s",
                 number_duration_ms(1e3 * w->limits.max_time_s).text,
                 number_duration_ms(1e3 * (now_s - w->started_s)).text, words);
        return WATCHDOG_OVERTIME;
    }
    watchdog_finding found = profile_find(w, now_s, message, size);
    return found ? found : silence_find(w, now_s, message, size);
}
