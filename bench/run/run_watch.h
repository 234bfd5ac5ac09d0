/* run_watch.h: the sensors beside one run or one timing session. The runner, which otherwise waits
 * for events, asks it to look every now and then; at the end it says what the samples mean for the
 * steps. */
#ifndef GPTBENCH_BENCH_RUN_WATCH_H
#define GPTBENCH_BENCH_RUN_WATCH_H

#include "bench/stats/disturbance.h"
#include "bench/store/store.h"

/* Often enough to see a clock change within a second, rarely enough not to disturb what is
 * measured. */
#define RUN_WATCH_PERIOD_MS 250

/* Where samples and marks go. */
typedef struct run_watch_sink {
    gb_status (*sample)(store *s, int64_t id, const gb_sample *sample, gb_error *err);
    gb_status (*marks)(store *s, int64_t id, const unsigned char *marks, size_t n, gb_error *err);
} run_watch_sink;
/* A run's, and a timing session's. */
extern const run_watch_sink run_watch_run_sink, run_watch_timing_sink;

typedef struct run_watch_options {
    const run_watch_sink *sink;
    int64_t id;          /* of the run or session */
    gb_sensors *sensors; /* stays the caller's; NULL: nothing is sampled */
    bool gpu;            /* whether a GPU computes */
    int period_ms;
} run_watch_options;

typedef struct run_watch {
    const run_watch_sink *sink; /* these four as in run_watch_options */
    gb_sensors *sensors;
    bool gpu;
    int64_t id;
    double period_s;
    double started_s; /* on the monotonic clock */
    double next_s;
    bool shared;                       /* another runner was at work at the last look */
    double gpu_energy_j, cpu_energy_j; /* counters at the start */
    gb_sample *samples;                /* times and counters since the start */
    size_t n_samples;
    disturbance_span *steps;
    size_t n_steps;
} run_watch;

/* Takes the first sample. run_watch_free is needed in any case. */
gb_status run_watch_begin(run_watch *w, store *s, const run_watch_options *options, gb_error *err);
/* Takes a sample when one is due, or now. */
gb_status run_watch_sample(run_watch *w, store *s, bool now, gb_error *err);
/* Milliseconds until the next one is due, at most `limit_ms`. */
int run_watch_wait_ms(const run_watch *w, int limit_ms);
/* Keeps in mind when a step was; its ended_s is since the start. */
gb_status run_watch_step(run_watch *w, const train_step *step, gb_error *err);
/* Writes the marks of the steps and fills the result's fields about energy and sensors; they point
 * into `missing`. The runs's last sample must have been taken. */
gb_status run_watch_end(run_watch *w, store *s, store_run_result *result, char *missing,
                        size_t missing_size, gb_error *err);
void run_watch_free(run_watch *w);

#endif
