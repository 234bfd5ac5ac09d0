/* The run plan into the database: suite, configs, claims, and what is already known of each run. */
#include <stdlib.h>

#include "bench/plan/runplan_internal.h"
#include "bench/run/identity.h"
#include "model/json_text.h"
#include "model/keys_json.h"
#include "version.h"

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
    char *settings = runplan_settings_json(cell);
    if (!settings) {
        return runplan_no_memory(err);
    }
    store_config row = {.name = cell->name,
                        .position = index,
                        .is_baseline = cell->is_baseline,
                        .model = &cell->config,
                        .sequence_length = cell->spec.sequence_length,
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
    const data_facts *val = data_check_find(plan->data, cell, true);
    store_run row = {.config_id = config_id,
                     .replicate = run->replicate,
                     .identity = run->identity,
                     .spec = spec,
                     .backend = env->probe.backend,
                     .threads = env->probe.device.threads,
                     .isa = env->probe.device.isa,
                     .precision_note = env->probe.device.precision_note,
                     .libraries = env->probe.device.libraries,
                     .machine_id = env->machine_id,
                     .program_version = GPTBENCH_VERSION,
                     .program_commit = GPTBENCH_COMMIT,
                     .compiler = identity_compiler(),
                     .train_data_hash = data_check_find(plan->data, cell, false)->hash,
                     .val_data_hash = val->hash,
                     .entropy_rate_nats = val->entropy_rate_nats,
                     .halves = plan->suite->limits.on_nan == LIMITS_NAN_HALVE_LR};
    bool retry = plan->options.retry_failed && run->selected;
    return store_plan_run(s, suite_id, &row, retry, &run->planned, err);
}

static gb_status data_store(const runplan *plan, store *s, gb_error *err)
{
    for (int validation = 0; validation < 2; validation++) {
        const data_shards *shards =
            &data_check_find(plan->data, &plan->suite->cells[0], validation)->shards;
        GB_TRY(store_data_begin(s, plan->suite_id, validation, err));
        for (int64_t i = 0; i < shards->n; i++) {
            const data_shard *x = &shards->items[i];
            GB_TRY(store_data_shard(
                s, plan->suite_id, validation,
                &(store_shard){
                    .position = i, .path = x->path, .hash = x->hash, .tokens = x->tokens},
                err));
        }
    }
    const data_overlap *x = data_check_overlap(plan->data);
    return store_data_overlap(s, plan->suite_id,
                              &(store_overlap){.val_path = x->val_path,
                                               .train_path = x->train_path,
                                               .val_tokens = x->val_tokens,
                                               .val_looked = x->val_looked,
                                               .found = x->found,
                                               .train_tokens = x->train_tokens,
                                               .train_looked = x->train_looked},
                              err);
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
    GB_TRY(data_store(plan, s, err));
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
        const store_claim claim_row = {claim->name, claim->config, claim->baseline, claim->expect,
                                       claim->source};
        GB_TRY(store_plan_claim(s, plan->suite_id, &claim_row, err));
    }
    return store_plan_end(s, plan->suite_id, err);
}
