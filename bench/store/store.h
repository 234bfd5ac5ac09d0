/* store.h: the results database: one SQLite file (bench/store/schema.sql), written by the runners
 * of one machine, several at once where they want (store_share.h), and readable by anything
 * all the while (WAL).
 *
 * Writes are gathered into transactions: each writing call joins the open one, or opens it, and
 * store_commit ends it. store_commit_due is for the event loop: it commits when the open
 * transaction is older than STORE_COMMIT_MS or holds STORE_COMMIT_ROWS rows. What was not committed
 * when the process dies is rolled back by SQLite: rows are never torn. */
#ifndef GPTBENCH_BENCH_STORE_H
#define GPTBENCH_BENCH_STORE_H

#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/sensors/sensors.h"
#include "kernels/status.h"
#include "model/observer.h"
#include "model/train_spec.h"

#define STORE_COMMIT_MS   500
#define STORE_COMMIT_ROWS 1000

typedef struct store store;

typedef enum store_mode {
    STORE_READ, /* the file must exist and is not changed (an older version is migrated) */
    STORE_WRITE /* created where missing, directories too */
} store_mode;

/* Opens `path`. GB_ERR_FORMAT, the file being left byte for byte as it was, when it is not a
 * database of gptbench, is corrupt or was made by a newer version; GB_ERR_USAGE when it does not
 * exist (STORE_READ) or an older gptbench is writing it; GB_ERR_IO when the system refuses.
 * ":memory:" with STORE_WRITE is a new database that ends with store_close.
 * *out is owned by the caller: store_close. */
gb_status store_open(store **out, const char *path, store_mode mode, gb_error *err);
/* Commits what is open and closes. NULL is fine. */
void store_close(store *s);

/* The connection, for queries. Owned by the store. */
sqlite3 *store_sqlite(store *s);
const char *store_path(const store *s);

/* Runs one statement to its end, in the open transaction (one is opened where there is none).
 * `types` has one letter per parameter of `sql`, which follow: i int64_t, d double (NaN and
 * infinities become NULL), t const char * (NULL becomes NULL). `sql` must be a string literal: its
 * prepared form is kept by address. */
gb_status store_exec(store *s, gb_error *err, const char *sql, const char *types, ...);
/* The same for a query; the caller steps *out with store_step and does not finalize it. */
gb_status store_query(store *s, sqlite3_stmt **out, gb_error *err, const char *sql,
                      const char *types, ...);
/* Next row: *row tells whether there is one; after the last the statement is reset. */
gb_status store_step(store *s, sqlite3_stmt *stmt, bool *row, gb_error *err);
/* First column of the first row as an integer; `missing` when there is no row or it is NULL. */
gb_status store_get_int(store *s, int64_t *out, int64_t missing, gb_error *err, const char *sql,
                        const char *types, ...);

/* A column of the current row as text, "" where it is NULL, as it can be in a damaged file whatever
 * the schema says. Lives until the next step. */
const char *store_text(sqlite3_stmt *row, int column);

gb_status store_commit(store *s, gb_error *err);
/* Commits when it is due; `flush` makes it due. */
gb_status store_commit_due(store *s, bool flush, gb_error *err);
/* What is written between the two, and everything before it, outlives a power cut, and not only the
 * end of this process; they commit. The second is called even if what was between them failed. */
gb_status store_durable_begin(store *s, gb_error *err);
gb_status store_durable_end(store *s, gb_error *err);
/* Gives up what the open transaction holds, and what waits in memory. */
void store_rollback(store *s);

/* While `on`, store_exec keeps its rows in memory, and commits (also those that are due) write them
 * in one short transaction: for whoever follows a run, whose rows nothing reads back. What another
 * program's lock keeps out is tried again at the next commit. `off` drops what was not committed.
 */
void store_defer(store *s, bool on);

/* What to do about a file that another program has locked. */
typedef struct store_waiting {
    int64_t limit_ms;                           /* then the call fails (GB_ERR_IO); 0: 10 s */
    void (*note)(void *user, const char *text); /* told when it lasts; may be NULL */
    void *user;
    const volatile sig_atomic_t *stops; /* from 2 on no waiting; may be NULL */
} store_waiting;
void store_set_waiting(store *s, const store_waiting *waiting);

/* ---- rows of the plan (store_plan.c) ---- */

typedef struct store_suite {
    const char *name, *path, *text, *baseline;
    int64_t replicates;
    const char *plan; /* store_share.h: runners of other plans are not to be disturbed; or NULL */
} store_suite;

typedef struct store_config {
    const char *name;
    int64_t position;
    bool is_baseline;
    const gpt_config *model;
    int64_t sequence_length;   /* at which FLOPs per token are counted */
    const char *settings_json; /* every model and train key */
} store_config;

typedef struct store_machine {
    char fingerprint[40];
    char hostname[128], os[256], cpu[128];
    int64_t cpu_count, memory_bytes;
    char device[128], driver[64];
} store_machine;

/* What is known of a run before it starts. */
typedef struct store_run {
    int64_t config_id, replicate;
    const char *identity;
    const train_spec *spec; /* resolved; at the learning rate that the suite asks for */
    const char *backend;
    int64_t threads;
    const char *isa, *precision_note, *libraries;
    int64_t machine_id; /* 0: NULL */
    const char *program_version, *program_commit, *compiler;
    const char *train_data_hash, *val_data_hash;
    double entropy_rate_nats; /* NaN: NULL */
    bool halves;              /* after a NaN there are attempts at half the learning rate */
} store_run;

/* Inserts or updates the suite by name; its configs, claims and runs leave the plan (in_plan = 0)
 * until the calls below put them back. Rows that say `running` and whose runner is dead become
 * `interrupted`. GB_ERR_USAGE when a living runner does this suite by another plan. */
gb_status store_plan_begin(store *s, const store_suite *suite, int64_t *suite_id, gb_error *err);
/* The config of this name and these settings, new or known, is in the plan. */
gb_status store_plan_config(store *s, int64_t suite_id, const store_config *config,
                            int64_t *config_id, gb_error *err);
typedef struct store_claim {
    const char *name, *config, *baseline, *expect, *source;
} store_claim;
gb_status store_plan_claim(store *s, int64_t suite_id, const store_claim *claim, gb_error *err);

/* A file of the training or validation data, or a synthetic source, in the order of reading. */
typedef struct store_shard {
    int64_t position;
    const char *path, *hash;
    int64_t tokens; /* 0: endless */
} store_shard;
/* Drops what is known of the suite's training or validation data; store_data_shard then adds. */
gb_status store_data_begin(store *s, int64_t suite_id, bool validation, gb_error *err);
gb_status store_data_shard(store *s, int64_t suite_id, bool validation, const store_shard *shard,
                           gb_error *err);

/* What was found of validation tokens in the training data; paths NULL: nothing. */
typedef struct store_overlap {
    const char *val_path, *train_path;
    int64_t val_tokens, val_looked, found, train_tokens, train_looked;
} store_overlap;
/* In place of what is known of the suite; a row only where something was looked for. */
gb_status store_data_overlap(store *s, int64_t suite_id, const store_overlap *overlap,
                             gb_error *err);

typedef struct store_planned {
    int64_t run_id;
    bool to_do;      /* false: finished, or failed and not to be retried */
    char status[16]; /* of the attempt that counts: planned when to_do */
    int64_t attempt;
    double lr_scale; /* of its learning rate: 1, or a power of a half (on_nan = halve_lr) */
} store_planned;

/* Puts the run into the plan. A finished run (ok) of this identity is kept, nan, oom, failed and
 * killed ones too unless `retry_failed`; interrupted ones are tried again as a new attempt, and so
 * are nan ones where `halves` says so and halvings are left. Attempts at a lower learning rate
 * count only while `halves` is true. What was refused without being started is planned anew. A cell
 * that has no run yet takes over the runs of this identity from a cell of the same suite that
 * has left the plan (the cell was renamed). A run that another runner has begun is not to do, and
 * says `running`. */
gb_status store_plan_run(store *s, int64_t suite_id, const store_run *run, bool retry_failed,
                         store_planned *out, gb_error *err);
/* Drops runs that were planned, never started, and are wanted no more. The caller commits, or rolls
 * back all of the plan. */
gb_status store_plan_end(store *s, int64_t suite_id, gb_error *err);

gb_status store_machine_put(store *s, const store_machine *machine, int64_t *machine_id,
                            gb_error *err);

/* ---- what a machine can do (store_peak.c) ---- */

/* What computes: a machine's backend at one precision with so many threads. */
typedef struct store_engine {
    int64_t machine_id;
    const char *backend, *precision;
    int64_t threads;
} store_engine;
/* What it can do at most: rates of a large product and of a large copy, and what the product keeps
 * up; 0 where that was never measured. */
typedef struct store_peak {
    double flops_per_s, copy_bytes_per_s, sustained_flops_per_s;
} store_peak;
gb_status store_peak_get(store *s, const store_engine *engine, store_peak *out, gb_error *err);
/* Of several measurements the best of each rate stays: whatever else is at work makes it slower,
 * never faster. Without flops_per_s nothing is written. */
gb_status store_peak_put(store *s, const store_engine *engine, const store_peak *peak,
                         gb_error *err);
/* The highest rate that a run or an arm of a timing session which ended ok has kept up on average,
 * in exact FLOPs per second; 0: there is none. Above the peak, the peak was not measured at its
 * best. */
gb_status store_rate_reached(store *s, const store_engine *engine, double *flops_per_s,
                             gb_error *err);

/* What each config has reached, on average over its runs and arms: owned by the caller (free). */
typedef struct store_rate {
    char config[128];
    double flops_per_step, flops_per_s;
} store_rate;
gb_status store_rates_list(store *s, const store_engine *engine, store_rate **out, int *n,
                           gb_error *err);
/* *machine_id is 0 where the database does not know it. */
gb_status store_machine_find(store *s, const store_machine *machine, int64_t *machine_id,
                             gb_error *err);

/* ---- rows of a run (store_run.c, store_attempt.c) ---- */

/* Plans another attempt at a run that has ended, at `lr_factor` times its learning rate, and
 * commits. */
gb_status store_run_plan_retry(store *s, int64_t run_id, double lr_factor, int64_t *again_id,
                               int64_t *attempt, gb_error *err);
/* A planned run cannot be started, since it needs more memory than there is: oom. */
gb_status store_run_refuse(store *s, int64_t run_id, int64_t planned_bytes, const char *message,
                           gb_error *err);

gb_status store_run_start(store *s, int64_t run_id, int64_t pid, gb_error *err);
/* Writes what an event says about the run; END is left to store_run_end. The ended_s of a step is
 * since the start of the run. */
gb_status store_run_event(store *s, int64_t run_id, const train_event *event, gb_error *err);

/* A look at the machine beside the run; its time and its counters are since the start. */
gb_status store_sample(store *s, int64_t run_id, const gb_sample *sample, gb_error *err);
/* DISTURBANCE_* of the first n steps of the run, or of its last segment where it was resumed. */
gb_status store_run_marks(store *s, int64_t run_id, const unsigned char *marks, size_t n,
                          gb_error *err);

typedef struct store_run_result {
    const char *status; /* one of the closed set */
    const char *message;
    int64_t steps_done;
    int64_t peak_memory_bytes; /* 0: NULL */
    int64_t warmup_steps;
    double profiled_ms; /* wall time of the profiled steps, 0 = none: `unattributed` is what the
                           op timers leave of it */
    int64_t profiled_steps;
    double energy_j; /* of the timed steps of the last segment; NAN: NULL */
    const char *energy_source, *sensors_missing;
} store_run_result;

/* Ends the run and commits. */
gb_status store_run_end(store *s, int64_t run_id, const store_run_result *result, gb_error *err);

#endif
