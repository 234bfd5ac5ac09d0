/* The run plan among other runners of the same suite (bench/store/store_share.h). */
#include <string.h>
#include <time.h>

#include "bench/plan/runplan_internal.h"
#include "bench/store/store_share.h"

gb_status runplan_register(runplan *plan, store *s, gb_error *err)
{
    return store_runner_begin(s, plan->suite_id, plan->hash, err);
}

gb_status runplan_store_again(runplan *plan, store *s, gb_error *err)
{
    plan->options.retry_failed = false; /* once was asked for */
    gb_status status = runplan_store(plan, s, err);
    if (status != GB_OK) {
        store_rollback(s);
        return status;
    }
    return store_commit(s, err);
}

gb_status runplan_state_get(const runplan *plan, store *s, runplan_state *out, gb_error *err)
{
    *out = (runplan_state){0};
    for (int i = 0; i < plan->n_runs; i++) {
        const runplan_run *run = &plan->runs[i];
        store_run_state known;
        if (!run->selected) {
            continue;
        }
        GB_TRY(store_run_state_get(s, plan->config_ids[run->cell], run->replicate, run->identity,
                                   &known, err));
        bool open = strcmp(known.status, "planned") == 0 || strcmp(known.status, "running") == 0 ||
                    strcmp(known.status, "interrupted") == 0 || !known.status[0];
        out->n++;
        if (strcmp(known.status, "ok") == 0) {
            out->ok++;
        } else if (known.other_pid != 0) {
            out->elsewhere++;
            out->other_pid = known.other_pid;
        } else if (open) {
            out->open++;
        } else {
            out->not_ok_run = out->not_ok++ == 0 ? known.run_id : out->not_ok_run;
        }
    }
    return GB_OK;
}

gb_status runplan_wait_for_others(const runplan *plan, store *s, const runner_options *runner,
                                  bool *again, gb_error *err)
{
    runplan_state state;
    bool noted = false;
    *again = false;
    while (true) {
        GB_TRY(runplan_state_get(plan, s, &state, err));
        if (state.open > 0 || state.elsewhere == 0) {
            *again = state.open > 0;
            return GB_OK;
        }
        if (worker_stops_wanted(&runner->worker) > 0) {
            return gb_fail(err, GB_ERR_INTERRUPTED, "stopped while waiting for another runner");
        }
        if (!noted) {
            progress_note(runner->display,
                          "waiting for %d run%s in the hands of other runners (process %lld%s);"
                          " what they leave is done here",
                          state.elsewhere, state.elsewhere == 1 ? "" : "s",
                          (long long)state.other_pid, state.elsewhere == 1 ? "" : " and others");
            noted = true;
        }
        nanosleep(&(struct timespec){0, 300 * 1000 * 1000}, NULL);
    }
}
