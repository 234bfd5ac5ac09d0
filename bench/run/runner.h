/* runner.h: does the runs of a list, one child process each, and writes what they report into the
 * store. Knows workers by their events alone, so that tests can put anything in their place.
 *
 * How a run ends (run.status):
 *   ok           the worker said so and ended with exit code 0
 *   nan, oom     the worker said so; oom also when the kernel's OOM killer struck in that time
 *   failed       it said so, exited otherwise, crashed, or its event stream broke
 *   killed       SIGKILL, SIGTERM or SIGINT that we did not send
 *   interrupted  we were asked to stop
 * Each of them ends that run alone. A worker that goes beyond its limits (bench/suite/limits.h) is
 * ended: failed, or oom where it took too much memory. After a transient fault, and with on_nan =
 * halve_lr after a NaN, another attempt follows at once (bench/run/retry.h): a row of its own. */
#ifndef GPTBENCH_BENCH_RUNNER_H
#define GPTBENCH_BENCH_RUNNER_H

#include "bench/run/progress.h"
#include "bench/store/store.h"
#include "bench/worker/worker_link.h"
#include "kernels/sensors/sensors.h"

typedef struct runner_options {
    worker_options worker;
    progress *display;          /* may be NULL */
    gb_sensors_options sensors; /* the bus id is the job's */
    int sample_ms;              /* between two looks at the sensors; 0: no sampling */
    int retry_wait_ms;          /* before the first retry; doubled for each further one */
} runner_options;

runner_options runner_options_default(char *const *worker_argv);

typedef struct runner_job {
    progress_run label; /* what the display says */
    int64_t run_id;
    const char *json;           /* for the worker's standard input */
    const char *bus_id;         /* of the GPU that it will use; NULL or empty on the CPU */
    const char *checkpoint_dir; /* where the worker was told to keep checkpoints; NULL: nowhere */
} runner_job;

/* What became of all the runs. */
typedef struct runner_totals {
    int ok, not_ok; /* runs done, by their last attempt; interrupted ones are in neither */
    int retries;    /* attempts beyond the first ones */
    bool interrupted;
    int elsewhere; /* taken by other runners before this one came to them */
} runner_totals;

/* Does the jobs in order and adds to *totals; none where it says interrupted already. GB_OK also
 * when runs fail: see *totals. GB_ERR_IO and other errors when the store or the system fails; the
 * current run is then ended. */
gb_status runner_run(store *s, const runner_job *jobs, int n_jobs, const runner_options *options,
                     runner_totals *totals, gb_error *err);

/* Starts a worker with a job that makes it answer with one event_probe. The error is the probe's
 * own, or GB_ERR_FAILED with what became of the worker. */
gb_status runner_probe(const char *json, const runner_options *options, event_probe *out,
                       gb_error *err);

/* The signals that ask to stop, SIGINT and SIGTERM, counted; a process-wide thing by nature.
 * runner_signals_catch returns the counter; runner_signals_release puts the old handlers back. */
const volatile sig_atomic_t *runner_signals_catch(void);
void runner_signals_release(void);

#endif
