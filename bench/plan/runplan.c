#include "bench/plan/runplan_internal.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/keys_json.h"
#include "bench/run/identity.h"
#include "bench/run/machine.h"
#include "bench/run/schedule.h"
#include "model/flops.h"
#include "model/json_text.h"
#include "model/loader.h"
#include "version.h"

runplan_options runplan_options_default(void)
{
    return (runplan_options){.backend = "auto", .device_index = -1};
}

gb_status runplan_no_memory(gb_error *err)
{
    return gb_fail(err, GB_ERR_OOM, "no memory to plan the runs");
}

/* ---- data ---- */

static const data_facts *data_find(const runplan *plan, const char *spec, bool validation,
                                   int64_t vocab_size)
{
    for (int i = 0; i < plan->n_data; i++) {
        if (plan->data[i].vocab_size == vocab_size && plan->data[i].validation == validation &&
            strcmp(plan->data[i].spec, spec) == 0) {
            return &plan->data[i];
        }
    }
    return NULL;
}

/* Opened as the trainer opens it: synthetic validation data is another stretch than training. */
static gb_status data_open(runplan *plan, const char *spec, bool validation, const suite_cell *cell,
                           gb_error *err)
{
    int64_t vocab_size = cell->config.vocab_size;
    if (data_find(plan, spec, validation, vocab_size)) {
        return GB_OK;
    }
    token_source *source = NULL;
    gb_status status = validation ? token_source_open_val(&source, spec, vocab_size, err)
                                  : token_source_open(&source, spec, vocab_size, err);
    if (status != GB_OK) {
        return gb_error_prefix(err, "%s:%d: cell %s", plan->suite->path, cell->line, cell->name);
    }
    data_facts *facts = &plan->data[plan->n_data++];
    snprintf(facts->spec, sizeof facts->spec, "%s", spec);
    facts->validation = validation;
    facts->vocab_size = vocab_size;
    snprintf(facts->hash, sizeof facts->hash, "%s", token_source_hash(source));
    facts->entropy_rate_nats = token_source_entropy_rate(source);
    token_source_close(source);
    return GB_OK;
}

static gb_status data_check(runplan *plan, gb_error *err)
{
    plan->data = calloc((size_t)plan->suite->n_cells * 2, sizeof *plan->data);
    if (!plan->data) {
        return runplan_no_memory(err);
    }
    for (int i = 0; i < plan->suite->n_cells; i++) {
        const suite_cell *cell = &plan->suite->cells[i];
        GB_TRY(data_open(plan, cell->spec.train_data, false, cell, err));
        GB_TRY(data_open(plan, cell->spec.val_data, true, cell, err));
    }
    return GB_OK;
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
    int64_t vocab_size = cell->config.vocab_size;
    run_identity identity = {
        .config = &cell->config,
        .spec = &cell->spec,
        .train_data_hash = data_find(plan, cell->spec.train_data, false, vocab_size)->hash,
        .val_data_hash = data_find(plan, cell->spec.val_data, true, vocab_size)->hash,
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
    return selected ? GB_OK
                    : gb_fail(err, GB_ERR_USAGE,
                              "--only %s: no cell of suite %s has such a name; `gptbench plan %s`"
                              " lists them",
                              plan->options.only, asked->name, asked->path);
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
        status = data_check(plan, err);
    }
    if (status == GB_OK) {
        status = backends_check(plan, runner, err);
    }
    if (status == GB_OK) {
        status = runs_list(plan, err);
    }
    if (status == GB_OK) {
        status = runplan_hash(plan, err);
    }
    if (status != GB_OK) {
        runplan_free(plan);
        return status;
    }
    *out = plan;
    return GB_OK;
}

static void jobs_drop(runplan *plan)
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
    jobs_drop(plan);
    free(plan->jobs);
    for (int i = 0; i < plan->n_arms; i++) {
        free((char *)plan->arms[i].json);
    }
    free(plan->arms);
    free(plan->config_ids);
    free(plan->runs);
    free(plan->data);
    free(plan);
}

const runplan_run *runplan_runs(const runplan *plan, int *n)
{
    *n = plan->n_runs;
    return plan->runs;
}

/* ---- into the store ---- */

char *runplan_settings_json(const suite_cell *cell)
{
    json_t *json = keys_to_json(&cell->config, gpt_config_keys());
    json_t *spec = keys_to_json(&cell->spec, train_spec_keys());
    char *text = NULL;
    if (json && spec && json_object_update(json, spec) == 0) {
        text = json_text(json, JSON_SORT_KEYS);
    }
    json_decref(json);
    json_decref(spec);
    return text;
}

static gb_status config_store(const runplan *plan, store *s, int64_t suite_id, int index,
                              int64_t *config_id, gb_error *err)
{
    const suite_cell *cell = &plan->suite->cells[index];
    const gpt_config *c = &cell->config;
    int64_t T = cell->spec.sequence_length;
    char *settings = runplan_settings_json(cell);
    if (!settings) {
        return runplan_no_memory(err);
    }
    store_config row = {.name = cell->name,
                        .position = index,
                        .is_baseline = cell->is_baseline,
                        .vocab_size = c->vocab_size,
                        .n_layer = c->n_layer,
                        .n_head = c->n_head,
                        .n_embd = c->n_embd,
                        .head_dim = gpt_config_head_dim(c),
                        .attention_type = gpt_attention_name((gpt_attention)c->attention_type),
                        .n_kv_head = gpt_config_kv_heads(c),
                        .window_size = gpt_config_window(c),
                        .n_latent = c->attention_type == GPT_ATTENTION_LATENT ? c->n_latent : 0,
                        .mlp_expansion_factor = c->mlp_expansion_factor,
                        .mlp_hidden = gpt_config_mlp_hidden(c),
                        .use_swiglu_mlp = c->use_swiglu_mlp,
                        .post_norm = c->post_norm,
                        .qk_norm = c->qk_norm,
                        .n_params = gpt_count_params(c),
                        .flops_per_token = gpt_flops_exact(c, T),
                        .flops_per_token_6n = gpt_flops_6n(c),
                        .flops_per_token_nanogpt = gpt_flops_nanogpt(c, T),
                        .flops_per_token_llmc = gpt_flops_llmc(c, T),
                        .settings_json = settings};
    gb_status status = store_plan_config(s, suite_id, &row, config_id, err);
    free(settings);
    return status;
}

static gb_status run_store(const runplan *plan, store *s, int64_t suite_id, int64_t config_id,
                           runplan_run *run, gb_error *err)
{
    const suite_cell *cell = &plan->suite->cells[run->cell];
    const train_spec *spec = &cell->spec;
    const environment *env = &plan->environments[spec->precision];
    const data_facts *val = data_find(plan, spec->val_data, true, cell->config.vocab_size);
    store_run row = {.config_id = config_id,
                     .replicate = run->replicate,
                     .identity = run->identity,
                     .backend = env->probe.backend,
                     .precision = gb_precision_name((gb_precision)spec->precision),
                     .threads = env->probe.device.threads,
                     .isa = env->probe.device.isa,
                     .precision_note = env->probe.device.precision_note,
                     .libraries = env->probe.device.libraries,
                     .machine_id = env->machine_id,
                     .program_version = GPTBENCH_VERSION,
                     .program_commit = GPTBENCH_COMMIT,
                     .compiler = identity_compiler(),
                     .seed = spec->seed,
                     .batch_size = spec->batch_size,
                     .sequence_length = spec->sequence_length,
                     .grad_accumulation_steps = spec->grad_accumulation_steps,
                     .tokens_per_step = train_spec_tokens_per_step(spec),
                     .num_iterations = spec->num_iterations,
                     .learning_rate = spec->learning_rate,
                     .train_data = spec->train_data,
                     .val_data = spec->val_data,
                     .train_data_hash =
                         data_find(plan, spec->train_data, false, cell->config.vocab_size)->hash,
                     .val_data_hash = val->hash,
                     .entropy_rate_nats = val->entropy_rate_nats,
                     .halves = plan->suite->limits.on_nan == LIMITS_NAN_HALVE_LR};
    bool retry = plan->options.retry_failed && run->selected;
    return store_plan_run(s, suite_id, &row, retry, &run->planned, err);
}

gb_status runplan_store(runplan *plan, store *s, gb_error *err)
{
    const suite *asked = plan->suite;
    runplan_checkpoints_place(plan, s);
    store_suite row = {asked->name,       asked->path,
                       asked->text,       asked->cells[asked->baseline].name,
                       asked->replicates, plan->hash};
    GB_TRY(store_plan_begin(s, &row, &plan->suite_id, err));
    for (int i = 0; i < PRECISIONS; i++) {
        environment *env = &plan->environments[i];
        if (env->used) {
            GB_TRY(store_machine_put(s, &env->machine, &env->machine_id, err));
        }
    }
    /* All cells first: a cell may take over runs only from one that has left the plan. */
    for (int pass = 0, run = 0; pass < 2; pass++) {
        for (int c = 0; c < asked->n_cells; c++) {
            GB_TRY(config_store(plan, s, plan->suite_id, c, &plan->config_ids[c], err));
            for (int64_t r = 0; pass == 1 && r < asked->replicates; r++) {
                GB_TRY(run_store(plan, s, plan->suite_id, plan->config_ids[c], &plan->runs[run++],
                                 err));
            }
        }
    }
    for (int i = 0; i < asked->n_claims; i++) {
        const suite_claim *claim = &asked->claims[i];
        GB_TRY(store_plan_claim(s, plan->suite_id, claim->name, claim->config, claim->baseline,
                                claim->expect, claim->source, err));
    }
    return store_plan_end(s, plan->suite_id, err);
}

/* ---- jobs ---- */

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
    jobs_drop(plan);
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
