/* Runs whose memory is not there: said before anything is started. */
#include <stdio.h>
#include <string.h>

#include "bench/plan/runplan_internal.h"

memory_fit runplan_fit(const runplan *plan, int cell_index)
{
    const suite_cell *cell = &plan->suite->cells[cell_index];
    const event_probe *probe = &plan->environments[cell->spec.precision].probe;
    train_job work = train_job_default();
    work.config = cell->config;
    work.spec = cell->spec;
    work.threads = probe->device.threads;
    work.device_index = (int)plan->options.device_index;
    work.backend = gb_backend_find(probe->backend, (gb_precision)cell->spec.precision);
    if (!work.backend) {
        return (memory_fit){.fits = true};
    }
    return memory_fit_make(&work, probe->process_memory_bytes, probe->device.memory_bytes,
                           &plan->suite->limits);
}

gb_status runplan_refuse(runplan *plan, store *s, progress *display, gb_error *err)
{
    for (int i = 0; i < plan->n_runs; i++) {
        runplan_run *run = &plan->runs[i];
        memory_fit fit = {.fits = true};
        char words[128];
        if (run->selected && run->planned.to_do) {
            fit = runplan_fit(plan, run->cell);
        }
        if (fit.fits) {
            continue;
        }
        memory_fit_format(&fit, words, sizeof words);
        GB_TRY(store_run_refuse(s, run->planned.run_id, fit.needed_bytes, words, err));
        run->planned.to_do = false;
        run->refused = true;
        snprintf(run->planned.status, sizeof run->planned.status, "oom");
        if (run->replicate == 0) {
            progress_note(display, "oom: %s cannot be run: %s", plan->suite->cells[run->cell].name,
                          words);
        }
    }
    return GB_OK;
}
