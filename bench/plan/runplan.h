/* runplan.h: from a suite to the list of runs that are still to be done: data opened and hashed,
 * backends probed, identities made, the database asked what it already has. */
#ifndef GPTBENCH_BENCH_RUNPLAN_H
#define GPTBENCH_BENCH_RUNPLAN_H

#include "bench/plan/data_check.h"
#include "bench/plan/memory_fit.h"
#include "bench/run/runner.h"
#include "bench/run/timing_session.h"
#include "bench/store/store.h"
#include "bench/suite/suite.h"
#include "bench/worker/job.h"

typedef struct runplan_options {
    const char *backend;               /* "auto", "cpu", "cuda" */
    const char *only;                  /* glob of cell names; NULL: all */
    const char *train_data, *val_data; /* instead of the suite's; NULL: the suite's */
    int64_t threads, device_index;
    bool retry_failed;
} runplan_options;

runplan_options runplan_options_default(void);

/* One (cell, replicate). */
typedef struct runplan_run {
    int cell; /* index into suite->cells */
    int64_t replicate;
    char identity[33];
    bool selected;         /* --only names its cell */
    bool refused;          /* its memory is not there; after runplan_refuse */
    store_planned planned; /* what the database knows; after runplan_store */
} runplan_run;

typedef struct runplan runplan;

/* Checks everything that can be wrong before the first run: --only, data, backends; starts probe
 * workers as `runner` says. The suite is borrowed and its cells' data may be replaced (train_data,
 * val_data). */
gb_status runplan_create(runplan **out, suite *asked, const runplan_options *options,
                         const runner_options *runner, gb_error *err);
void runplan_free(runplan *plan); /* NULL is fine */

/* Writes suite, configs, claims and planned runs, in the store's open transaction; the caller
 * commits, or rolls back when it only wanted to know. */
gb_status runplan_store(runplan *plan, store *s, gb_error *err);

/* The data that its cells read. */
const data_check *runplan_data(const runplan *plan);

const runplan_run *runplan_runs(const runplan *plan, int *n);

/* What a cell needs of memory, and what there is. */
memory_fit runplan_fit(const runplan *plan, int cell);
/* After runplan_store, in the same transaction: selected runs that are to do and whose memory is
 * not there end as oom without being started, and are to do no more. `display` may be NULL. */
gb_status runplan_refuse(runplan *plan, store *s, progress *display, gb_error *err);

/* Every model and train key of a cell, resolved, as config.settings_json has them: to be freed;
 * NULL without memory. */
char *runplan_settings_json(const suite_cell *cell);

/* Measures and stores the GEMM peak and the copy rate of each backend, precision and thread count
 * of this plan that wants it: runs are to be done and the database has no peak for them, or has one
 * that finished runs have beaten (store_rate_reached), or this plan has measured it and is asked
 * to do so once_more. A backend that cannot say its peak is no error: MFU then stays NULL. */
gb_status runplan_measure_peaks(runplan *plan, store *s, bool once_more,
                                const runner_options *runner, gb_error *err);

/* The selected runs that are to do, in the order of doing. *jobs (n of them) lives as long as the
 * plan. */
gb_status runplan_jobs(runplan *plan, const runner_job **jobs, int *n, gb_error *err);

/* The session of interleaved timing that the selected cells ask for, after runplan_store: they, the
 * baseline, and the baseline again as control. *to_do is false when the suite wants none, when one
 * cell stands alone, or when the store has such a session already (with retry_failed: one in which
 * no arm failed). *session lives as long as the plan. */
gb_status runplan_timing(runplan *plan, store *s, timing_session *session, bool *to_do,
                         gb_error *err);

/* Whether runplan_measure_peaks has something to measure. */
gb_status runplan_peaks_wanted(const runplan *plan, store *s, bool once_more, bool *wanted,
                               gb_error *err);

/* Whether something is to be measured alone before the runs, without other runners at work: a peak
 * that there is none of, or the session of interleaved timing where `with_timing`. */
gb_status runplan_wants_alone(runplan *plan, store *s, bool with_timing, bool *wanted,
                              gb_error *err);

/* ---- other runners of the same suite (runplan_share.c) ---- */

/* After runplan_store, in its transaction: from its end on others see this runner. */
gb_status runplan_register(runplan *plan, store *s, gb_error *err);

/* runplan_store once more, for what other runners have left; nothing that failed is retried. */
gb_status runplan_store_again(runplan *plan, store *s, gb_error *err);

/* How the selected runs stand in the store, whoever did them. */
typedef struct runplan_state {
    int n;              /* together */
    int ok;             /* done */
    int not_ok;         /* nan, oom, failed, killed */
    int64_t not_ok_run; /* the first of them */
    int elsewhere;      /* living runners other than this one are doing them */
    int open;           /* nobody is: to be done (or done again) */
    int64_t other_pid;  /* one that is doing some of `elsewhere` */
} runplan_state;
gb_status runplan_state_get(const runplan *plan, store *s, runplan_state *out, gb_error *err);

/* Waits while others are doing runs of this plan and none is open. *again: there is
 * something to do again. GB_ERR_INTERRUPTED when the user stops it. */
gb_status runplan_wait_for_others(const runplan *plan, store *s, const runner_options *runner,
                                  bool *again, gb_error *err);

#endif
