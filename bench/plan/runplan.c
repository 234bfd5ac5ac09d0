#include "bench/plan/runplan_internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/run/identity.h"
#include "bench/run/machine.h"
#include "version.h"

runplan_options runplan_options_default(void)
{
    return (runplan_options){.backend = "auto", .device_index = -1};
}

/* ---- backends ---- */

gb_status runplan_probe(const runplan *plan, int64_t precision, bool measure_peak,
                        const runner_options *runner, event_probe *out, gb_error *err)
{
    worker_job job = worker_job_default(WORKER_PROBE);
    job.measure_peak = measure_peak;
    job.threads = plan->options.threads;
    job.device_index = plan->options.device_index;
    job.spec.precision = precision;
    snprintf(job.backend, sizeof job.backend, "%s", plan->options.backend);
    char *json = worker_job_to_json(&job);
    if (!json) {
        return runplan_no_memory(err);
    }
    gb_status status = runner_probe(json, runner, out, err);
    free(json);
    return status;
}

static gb_status backends_check(runplan *plan, const runner_options *runner, gb_error *err)
{
    for (int i = 0; i < plan->suite->n_cells; i++) {
        int64_t precision = plan->suite->cells[i].spec.precision;
        environment *env = &plan->environments[precision];
        if (!env->used) {
            GB_TRY(runplan_probe(plan, precision, false, runner, &env->probe, err));
            machine_describe(&env->machine, &env->probe.device);
            if (i == 0 && env->probe.device.threads_note[0]) {
                progress_note(runner->display, "warning: %s", env->probe.device.threads_note);
            }
            env->used = true;
        }
    }
    return GB_OK;
}

/* ---- runs ---- */

static void run_identify(const runplan *plan, runplan_run *run)
{
    const suite_cell *cell = &plan->suite->cells[run->cell];
    const event_probe *probe = &plan->environments[cell->spec.precision].probe;
    const data_facts *val = data_check_find(plan->data, cell, true);
    run_identity identity = {.config = &cell->config,
                             .spec = &cell->spec,
                             .train_data_hash = data_check_find(plan->data, cell, false)->hash,
                             .val_data_hash = val->hash,
                             .val_in_shards = val->shards.n > 1,
                             .replicate = run->replicate,
                             .profile_steps = plan->suite->profile_steps,
                             .backend = probe->backend,
                             .device = probe->device.device,
                             .isa = probe->device.isa,
                             .threads = probe->device.threads,
                             .version = GPTBENCH_VERSION,
                             .code = GPTBENCH_CODE,
                             .compiler = identity_compiler()};
    identity_hash(&identity, run->identity);
}

static gb_status runs_list(runplan *plan, gb_error *err)
{
    const suite *asked = plan->suite;
    int64_t n = asked->replicates * asked->n_cells;
    int selected = 0;
    if (n > INT32_MAX || !(plan->runs = calloc((size_t)n, sizeof *plan->runs)) ||
        !(plan->jobs = calloc((size_t)n, sizeof *plan->jobs)) ||
        !(plan->config_ids = calloc((size_t)asked->n_cells, sizeof *plan->config_ids))) {
        return runplan_no_memory(err);
    }
    for (int c = 0; c < asked->n_cells; c++) {
        for (int64_t r = 0; r < asked->replicates; r++) {
            runplan_run *run = &plan->runs[plan->n_runs++];
            run->cell = c;
            run->replicate = r;
            run->selected =
                !plan->options.only || fnmatch(plan->options.only, asked->cells[c].name, 0) == 0;
            selected += run->selected;
            run_identify(plan, run);
        }
    }
    return selected
               ? GB_OK
               : gb_fail(err, GB_ERR_USAGE, "--only %s: no cell of suite %s has such a name; %s",
                         plan->options.only, asked->name, suite_cells_listed(asked).text);
}

/* The hash of all that decides which runs there are. */
static gb_status hash_make(runplan *plan, gb_error *err)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return runplan_no_memory(err);
    }
    fprintf(out, "%s\n", plan->suite->text);
    for (int i = 0; i < plan->n_runs; i++) {
        fprintf(out, "%s\n", plan->runs[i].identity);
    }
    if (fclose(out) != 0 || !text) {
        free(text);
        return runplan_no_memory(err);
    }
    identity_hash_text(text, plan->hash);
    free(text);
    return GB_OK;
}

gb_status runplan_create(runplan **out, suite *asked, const runplan_options *options,
                         const runner_options *runner, gb_error *err)
{
    *out = NULL;
    runplan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        return runplan_no_memory(err);
    }
    plan->suite = asked;
    plan->options = *options;
    gb_status status = suite_override_data(asked, options->train_data, options->val_data, err);
    if (status == GB_OK) {
        status = data_check_make(&plan->data, asked, err);
    }
    if (status == GB_OK) {
        status = backends_check(plan, runner, err);
    }
    if (status == GB_OK) {
        status = runs_list(plan, err);
    }
    if (status == GB_OK) {
        status = hash_make(plan, err);
    }
    if (status != GB_OK) {
        runplan_free(plan);
        return status;
    }
    *out = plan;
    return GB_OK;
}

void runplan_jobs_drop(runplan *plan)
{
    for (int i = 0; i < plan->n_jobs; i++) {
        free((char *)plan->jobs[i].json);
        free((char *)plan->jobs[i].checkpoint_dir);
    }
    plan->n_jobs = 0;
}

void runplan_free(runplan *plan)
{
    if (!plan) {
        return;
    }
    runplan_jobs_drop(plan);
    free(plan->jobs);
    for (int i = 0; i < plan->n_arms; i++) {
        free((char *)plan->arms[i].json);
    }
    free(plan->arms);
    free(plan->config_ids);
    free(plan->runs);
    data_check_free(plan->data);
    free(plan);
}

const data_check *runplan_data(const runplan *plan)
{
    return plan->data;
}

const runplan_run *runplan_runs(const runplan *plan, int *n)
{
    *n = plan->n_runs;
    return plan->runs;
}
