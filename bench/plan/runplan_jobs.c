/* What workers are told: the jobs of the runs that are to be done, in the order of doing. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/plan/runplan_internal.h"
#include "bench/run/schedule.h"
#include "model/flops.h"

worker_job runplan_job(const runplan *plan, worker_mode mode, int cell_index)
{
    const suite_cell *cell = &plan->suite->cells[cell_index];
    const event_probe *probe = &plan->environments[cell->spec.precision].probe;
    worker_job job = worker_job_default(mode);
    snprintf(job.label, sizeof job.label, "%s", cell->name);
    snprintf(job.backend, sizeof job.backend, "%s", probe->backend);
    job.threads = probe->device.threads;
    job.device_index = plan->options.device_index;
    job.config = cell->config;
    job.spec = cell->spec;
    return job;
}

static gb_status job_make(runplan *plan, const runplan_run *run, runner_job *out, gb_error *err)
{
    const suite_cell *cell = &plan->suite->cells[run->cell];
    const event_probe *probe = &plan->environments[cell->spec.precision].probe;
    worker_job job = runplan_job(plan, WORKER_TRAIN, run->cell);
    job.replicate = run->replicate;
    job.profile_steps = plan->suite->profile_steps;
    job.spec.learning_rate *= run->planned.lr_scale;
    int64_t tokens = train_spec_tokens_per_step(&cell->spec);
    out->run_id = run->planned.run_id;
    out->label =
        (progress_run){.config = cell->name,
                       .replicate = run->replicate,
                       .attempt = run->planned.attempt,
                       .lr_scale = run->planned.lr_scale,
                       .num_iterations = cell->spec.num_iterations,
                       .tokens_per_step = tokens,
                       .flops = gpt_flops_exact(&cell->config, cell->spec.sequence_length) *
                                (double)tokens * (double)cell->spec.num_iterations};
    out->bus_id = probe->device.bus_id;
    char *dir;
    GB_TRY(runplan_checkpoints_tell(plan, run, &job, &dir, err));
    out->checkpoint_dir = dir;
    out->json = worker_job_to_json(&job);
    return out->json ? GB_OK : runplan_no_memory(err);
}

gb_status runplan_jobs(runplan *plan, const runner_job **jobs, int *n, gb_error *err)
{
    schedule_item *items = calloc((size_t)plan->n_runs, sizeof *items);
    runplan_jobs_drop(plan);
    int n_items = 0;
    gb_status status = items ? GB_OK : runplan_no_memory(err);
    for (int i = 0; i < plan->n_runs && status == GB_OK; i++) {
        const runplan_run *run = &plan->runs[i];
        if (run->selected && run->planned.to_do) {
            items[n_items++] = (schedule_item){run->cell, run->replicate, i};
        }
    }
    schedule_order(items, n_items);
    for (int i = 0; i < n_items && status == GB_OK; i++) {
        status = job_make(plan, &plan->runs[items[i].index], &plan->jobs[plan->n_jobs++], err);
    }
    free(items);
    *jobs = plan->jobs;
    *n = plan->n_jobs;
    return status;
}
