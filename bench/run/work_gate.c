#include "bench/run/work_gate.h"

#include <time.h>

/* What is waited for, and what is said about it. */
typedef struct gate_wait {
    store_lock lock;
    store_lock_mode mode;
    const char *what;
} gate_wait;

static gb_status wait_for(store *s, const gate_wait *wait, const worker_options *worker,
                          progress *display, gb_error *err)
{
    bool noted = false;
    while (!store_lock_set(s, wait->lock, wait->mode)) {
        if (worker_stops_wanted(worker) > 0) {
            return gb_fail(err, GB_ERR_INTERRUPTED, "stopped while waiting for another runner");
        }
        if (!noted) {
            progress_note(display, "waiting: %s", wait->what);
            noted = true;
        }
        nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    }
    return GB_OK;
}

static const char another_measures[] =
    "another runner on this database measures speeds, for which it must be alone";

gb_status work_gate_enter_shared(store *s, const worker_options *worker, progress *display,
                                 gb_error *err)
{
    static const gate_wait gate = {STORE_LOCK_GATE, STORE_SHARED, another_measures};
    static const gate_wait work = {STORE_LOCK_WORK, STORE_SHARED,
                                   "another runner on this database still measures speeds"};
    GB_TRY(wait_for(s, &gate, worker, display, err));
    gb_status status = wait_for(s, &work, worker, display, err);
    store_lock_set(s, STORE_LOCK_GATE, STORE_FREE);
    return status;
}

gb_status work_gate_block_new(store *s, const worker_options *worker, progress *display,
                              gb_error *err)
{
    static const gate_wait gate = {STORE_LOCK_GATE, STORE_ALONE, another_measures};
    return wait_for(s, &gate, worker, display, err);
}

gb_status work_gate_wait_idle(store *s, const worker_options *worker, progress *display,
                              gb_error *err)
{
    static const gate_wait work = {
        STORE_LOCK_WORK, STORE_ALONE,
        "speeds are to be measured alone, as soon as the runs in the hands of other runners on this"
        " database are done"};
    return wait_for(s, &work, worker, display, err);
}

bool work_gate_try_alone(store *s)
{
    if (store_lock_set(s, STORE_LOCK_GATE, STORE_ALONE) &&
        store_lock_set(s, STORE_LOCK_WORK, STORE_ALONE)) {
        return true;
    }
    work_gate_leave(s);
    return false;
}

void work_gate_leave(store *s)
{
    store_lock_set(s, STORE_LOCK_WORK, STORE_FREE);
    store_lock_set(s, STORE_LOCK_GATE, STORE_FREE);
}
