/* From a suite to its session of interleaved timing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan/runplan_internal.h"
#include "bench/run/identity.h"
#include "bench/run/timing.h"
#include "model/trainer.h"
#include "version.h"

/* Host memory that a worker will take; 0 on a GPU, which has memory of its own. */
static int64_t host_memory_bytes(const worker_job *job)
{
    train_job work = train_job_default();
    work.config = job->config;
    work.spec = job->spec;
    work.threads = (int)job->threads;
    work.backend = gb_backend_find(job->backend, (gb_precision)job->spec.precision);
    return work.backend && strcmp(job->backend, "cpu") == 0 ? trainer_plan_memory_total(&work) : 0;
}

static gb_status arm_make(runplan *plan, int cell_index, bool is_control, gb_error *err)
{
    const suite_cell *cell = &plan->suite->cells[cell_index];
    const event_probe *probe = &plan->environments[cell->spec.precision].probe;
    worker_job job = runplan_job(plan, WORKER_TIMING, cell_index);
    timing_session_arm *arm = &plan->arms[plan->n_arms++];
    if (is_control) {
        snprintf(job.label, sizeof job.label, "%.100s (control)", cell->name);
    }
    *arm = (timing_session_arm){
        .label = cell->name,
        .json = worker_job_to_json(&job),
        .memory_bytes = host_memory_bytes(&job),
        .row = {.config_id = plan->config_ids[cell_index],
                .is_control = is_control,
                .is_baseline = !is_control && cell->is_baseline,
                .backend = probe->backend,
                .precision = gb_precision_name((gb_precision)cell->spec.precision),
                .isa = probe->device.isa,
                .threads = probe->device.threads,
                .tokens_per_step = train_spec_tokens_per_step(&cell->spec)}};
    return arm->json ? GB_OK : runplan_no_memory(err);
}

static const char *cell_identity(const runplan *plan, int cell)
{
    return plan->runs[(int64_t)cell * plan->suite->replicates].identity; /* of replicate 0 */
}

static bool cell_takes_part(const runplan *plan, int cell)
{
    const runplan_run *run = &plan->runs[(int64_t)cell * plan->suite->replicates];
    return (cell == plan->suite->baseline || run->selected) && runplan_fit(plan, cell).fits;
}

/* All that the session's numbers depend on. */
static gb_status identity_make(runplan *plan, gb_error *err)
{
    const suite *asked = plan->suite;
    const timing_options *o = &asked->timing;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return runplan_no_memory(err);
    }
    fprintf(out,
            "timing of %s\nblocks %lld..%lld\nprecision %.17g\nburst %lld\nprocess %lld\n"
            "seed %lld\n",
            cell_identity(plan, asked->baseline), (long long)o->blocks, (long long)o->max_blocks,
            o->stop_precision, (long long)o->burst_steps, (long long)o->process_blocks,
            (long long)o->seed);
    for (int c = 0; c < asked->n_cells; c++) {
        if (cell_takes_part(plan, c)) {
            fprintf(out, "arm %s\n", cell_identity(plan, c));
        }
    }
    if (fclose(out) != 0 || !text) {
        free(text);
        return runplan_no_memory(err);
    }
    identity_hash_text(text, plan->timing_identity);
    free(text);
    return GB_OK;
}

static gb_status arms_make(runplan *plan, int *baseline, gb_error *err)
{
    const suite *asked = plan->suite;
    plan->arms = calloc((size_t)asked->n_cells + 1, sizeof *plan->arms);
    if (!plan->arms) {
        return runplan_no_memory(err);
    }
    for (int c = 0; c < asked->n_cells; c++) {
        if (cell_takes_part(plan, c)) {
            *baseline = c == asked->baseline ? plan->n_arms : *baseline;
            GB_TRY(arm_make(plan, c, false, err));
        }
    }
    return arm_make(plan, asked->baseline, true, err);
}

/* The cells take turns, and the suite wants that. */
static int turns_count(const runplan *plan)
{
    int n_cells = 0;
    for (int c = 0; c < plan->suite->n_cells; c++) {
        n_cells += cell_takes_part(plan, c);
    }
    return plan->suite->timing.blocks == 0 || n_cells < 2 ||
                   !cell_takes_part(plan, plan->suite->baseline)
               ? 0
               : n_cells;
}

gb_status runplan_timing_wanted(runplan *plan, store *s, bool *wanted, gb_error *err)
{
    const suite *asked = plan->suite;
    int n_cells = turns_count(plan);
    int64_t known = 0;
    *wanted = false;
    if (n_cells == 0) {
        return GB_OK;
    }
    if (n_cells >= TIMING_MAX_ARMS) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: %d cells cannot take turns, %d can: name some with --only, or leave"
                       " interleaved timing out with blocks = 0 in [timing]",
                       asked->path, n_cells, TIMING_MAX_ARMS - 1);
    }
    GB_TRY(identity_make(plan, err));
    GB_TRY(store_timing_find(s, plan->suite_id, plan->timing_identity, plan->options.retry_failed,
                             &known, err));
    *wanted = known == 0;
    return GB_OK;
}

gb_status runplan_timing(runplan *plan, store *s, timing_session *session, bool *to_do,
                         gb_error *err)
{
    const suite *asked = plan->suite;
    const environment *env = &plan->environments[asked->cells[asked->baseline].spec.precision];
    GB_TRY(runplan_timing_wanted(plan, s, to_do, err));
    if (!*to_do) {
        return GB_OK;
    }
    *session = (timing_session){.row = {.suite_id = plan->suite_id,
                                        .machine_id = env->machine_id,
                                        .identity = plan->timing_identity,
                                        .program_version = GPTBENCH_VERSION,
                                        .program_commit = GPTBENCH_COMMIT,
                                        .compiler = identity_compiler(),
                                        .options = &asked->timing},
                                .bus_id = env->probe.device.bus_id};
    GB_TRY(arms_make(plan, &session->baseline, err));
    session->arms = plan->arms;
    session->n_arms = plan->n_arms;
    return GB_OK;
}
