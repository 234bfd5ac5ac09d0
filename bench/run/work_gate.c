#include "bench/run/work_gate.h"

#include <time.h>

static gb_status wait_for(store *s, store_byte byte, store_hold hold, const char *what,
                          const runner_options *options, gb_error *err)
{
    bool noted = false;
    while (!store_byte_lock(s, byte, hold)) {
        if (worker_stops_wanted(&options->worker) > 0) {
            return gb_fail(err, GB_ERR_INTERRUPTED, "stopped while waiting for another runner");
        }
        if (!noted) {
            progress_note(options->display, "waiting: %s", what);
            noted = true;
        }
        nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    }
    return GB_OK;
}

gb_status work_gate_join(store *s, const runner_options *options, gb_error *err)
{
    GB_TRY(wait_for(s, STORE_BYTE_GATE, STORE_SHARED,
                    "another runner on this database measures speeds, for which it must be alone",
                    options, err));
    gb_status status =
        wait_for(s, STORE_BYTE_WORK, STORE_SHARED,
                 "another runner on this database still measures speeds", options, err);
    store_byte_lock(s, STORE_BYTE_GATE, STORE_FREE);
    return status;
}

gb_status work_gate_close(store *s, const runner_options *options, gb_error *err)
{
    return wait_for(s, STORE_BYTE_GATE, STORE_ALONE,
                    "another runner on this database measures speeds, for which it must be alone",
                    options, err);
}

gb_status work_gate_empty(store *s, const runner_options *options, gb_error *err)
{
    return wait_for(s, STORE_BYTE_WORK, STORE_ALONE,
                    "speeds are to be measured alone, as soon as the runs in the hands of other"
                    " runners on this database are done",
                    options, err);
}

bool work_gate_try_alone(store *s)
{
    if (store_byte_lock(s, STORE_BYTE_GATE, STORE_ALONE) &&
        store_byte_lock(s, STORE_BYTE_WORK, STORE_ALONE)) {
        return true;
    }
    work_gate_leave(s);
    return false;
}

void work_gate_leave(store *s)
{
    store_byte_lock(s, STORE_BYTE_WORK, STORE_FREE);
    store_byte_lock(s, STORE_BYTE_GATE, STORE_FREE);
}
