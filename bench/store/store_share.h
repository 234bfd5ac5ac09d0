/* store_share.h: several runners on one database. Each has a row in table `runner` and, as long as
 * it lives, a lock on a byte of the database file, far behind its end, that is its own: a lock ends
 * with its process however that ended, and a reboot ends them all, so nothing is ever guessed from
 * process ids. (Open-file-description locks; SQLite's own lie elsewhere.) A runner takes a run by
 * changing its status from `planned` to `running` in one transaction: only one can.
 *
 * Two more bytes keep what must be measured alone apart from what goes on beside it: whoever works
 * holds the byte `work` shared, whoever measures alone holds it exclusively. Before either comes
 * the `gate`, so that one who waits to be alone sees no new work begin.
 *
 * All of them must be on one machine: SQLite's WAL, which the database uses, works on one only. */
#ifndef GPTBENCH_BENCH_STORE_SHARE_H
#define GPTBENCH_BENCH_STORE_SHARE_H

#include <signal.h>

#include "bench/store/store.h"

/* Registers this process as a runner of a suite, in the open transaction; `plan` tells apart what
 * differs in anything that decides which runs there are. Once: again is fine and does nothing. */
gb_status store_runner_begin(store *s, int64_t suite_id, const char *plan, gb_error *err);
/* Says that it has ended. Without it the end of the process does. */
gb_status store_runner_end(store *s, gb_error *err);

/* Whether the runner of this id lives; true for the caller's own. */
bool store_runner_lives(const store *s, int64_t runner_id);

/* In SQL, of readers too: state_now(run.status, run.runner_id) is `interrupted` for a run that says
 * `running` and whose runner is dead, for the reason STORE_DEAD_MESSAGE; else the status. */
#define STORE_DEAD_MESSAGE "gptbench itself ended while this run was going on"

/* Runners whose lock is gone are marked as ended, and their runs that say `running` become
 * `interrupted`; in the open transaction. */
gb_status store_runners_mark_dead(store *s, gb_error *err);
/* Counts the living runners of a suite other than this one. GB_ERR_USAGE when one of them works by
 * another plan. */
gb_status store_runners_count_others(store *s, const char *suite, const char *plan, int *others,
                                     gb_error *err);

/* planned -> running, for this runner. *taken is false when somebody else has begun it. */
gb_status store_run_claim(store *s, int64_t run_id, bool *taken, gb_error *err);
/* Back again: it could not be begun. */
gb_status store_run_unclaim(store *s, int64_t run_id, gb_error *err);

/* How a planned run (store.h) stands now. */
typedef struct store_run_state {
    int64_t run_id;    /* the attempt that counts */
    char status[16];   /* its; "" when there is none */
    int64_t other_pid; /* the living process, other than this one, that is doing it; 0: none */
} store_run_state;
gb_status store_run_state_get(store *s, int64_t config_id, int64_t replicate, const char *identity,
                              store_run_state *out, gb_error *err);

typedef enum store_lock { STORE_LOCK_GATE, STORE_LOCK_WORK } store_lock;
typedef enum store_lock_mode { STORE_FREE, STORE_SHARED, STORE_ALONE } store_lock_mode;
/* The two bytes: takes one, changes how it is held, or frees it, without waiting. False when others
 * are in the way. */
bool store_lock_set(store *s, store_lock lock, store_lock_mode mode);
/* Whether others hold the byte, in any way. */
bool store_lock_is_held(const store *s, store_lock lock);

#endif
