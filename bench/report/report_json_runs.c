/* Of report.json what was run: each run with its losses and where it comes from, and the data. */
#include "bench/analysis/divergence.h"
#include "bench/report/report_json_parts.h"
#include "bench/report/report_resumed.h"
#include "bench/words/data_words.h"

/* ---- runs: losses and provenance ---- */

static json_t *evals_json(const run_facts *run)
{
    json_t *out = json_array();
    for (int64_t i = 0; i < run->n_evals; i++) {
        const eval_facts *e = &run->evals[i];
        json_t *eval = json_object();
        set(eval, "step", json_integer(e->step));
        set(eval, "val_loss", json_value_number(e->val_loss));
        set(eval, "val_tokens", json_integer(e->val_tokens));
        set(eval, "train_time_ms", json_value_number(e->train_time_ms));
        json_array_append_new(out, eval);
    }
    return out;
}

static json_t *provenance_json(const run_facts *run)
{
    json_t *out = json_object();
    set(out, "program_version", json_value_text(run->program_version));
    set(out, "program_commit", json_value_text(run->program_commit));
    set(out, "compiler", json_value_text(run->compiler));
    set(out, "libraries", text_or_null(run->libraries));
    set(out, "isa", text_or_null(run->isa));
    set(out, "precision_note", text_or_null(run->precision_note));
    set(out, "train_data", json_value_text(run->train_data));
    set(out, "val_data", json_value_text(run->val_data));
    set(out, "train_data_hash", text_or_null(run->train_data_hash));
    set(out, "val_data_hash", text_or_null(run->val_data_hash));
    set(out, "val_stretch_hash", text_or_null(run->val_stretch_hash));
    set(out, "gemm_peak_flops_per_s", json_value_number(run->gemm_peak_flops_per_s));
    set(out, "gemm_sustained_flops_per_s", json_value_number(run->gemm_sustained_flops_per_s));
    return out;
}

json_t *report_run_json(const findings *data, const run_facts *run)
{
    json_t *out = json_object();
    set(out, "run_id", json_integer(run->run_id));
    set(out, "config", config_name(data, run->config));
    set(out, "replicate", json_integer(run->replicate));
    set(out, "attempt", json_integer(run->attempt));
    set(out, "status", json_value_text(run->status));
    set(out, "message", text_or_null(run->message));
    set(out, "machine", index_or_null(run->machine));
    set(out, "backend", json_value_text(run->backend));
    set(out, "precision", json_value_text(run->precision));
    set(out, "threads", json_integer(run->threads));
    set(out, "seed", json_integer(run->seed));
    set(out, "batch_size", json_integer(run->batch_size));
    set(out, "sequence_length", json_integer(run->sequence_length));
    set(out, "grad_accumulation_steps", json_integer(run->grad_accumulation_steps));
    set(out, "tokens_per_step", json_integer(run->tokens_per_step));
    set(out, "num_iterations", json_integer(run->num_iterations));
    set(out, "steps_done", json_integer(run->steps_done));
    set(out, "warmup_steps", json_integer(run->warmup_steps));
    set(out, "timed_steps", json_integer(run->n_timed));
    set(out, "step_avg_ms", json_value_number(run->step_avg_ms));
    set(out, "step_median_ms", json_value_number(run->step_median_ms));
    set(out, "final_val_loss", json_value_number(run->final_val_loss));
    set(out, "best_val_loss", json_value_number(run->best_val_loss));
    set(out, "peak_memory_bytes", json_value_number(run->peak_memory_bytes));
    set(out, "planned_memory_bytes", json_value_number(run->planned_memory_bytes));
    set(out, "lr_scale", json_value_number(run->lr_scale));
    set(out, "evals", evals_json(run));
    set(out, "sessions", report_resumed_json(run));
    set(out, "provenance", provenance_json(run));
    return out;
}

/* ---- data ---- */

static json_t *shards_json(const data_shard *shards, int n)
{
    json_t *out = json_array();
    for (int i = 0; i < n; i++) {
        json_t *shard = json_object();
        set(shard, "path", json_value_text(shards[i].path));
        set(shard, "hash", json_value_text(shards[i].hash));
        set(shard, "tokens", shards[i].tokens > 0 ? json_integer(shards[i].tokens) : json_null());
        json_array_append_new(out, shard);
    }
    return out;
}

json_t *report_data_json(const findings *data)
{
    const data_use *use = &data->data;
    const data_overlap *x = &use->overlap;
    json_t *out = json_object(), *warnings = json_array();
    data_warnings w = data_warnings_make(use);
    for (int i = 0; i < w.n; i++) {
        json_array_append_new(warnings, json_value_text(w.texts[i]));
    }
    set(out, "train", shards_json(data->facts->train_shards, data->facts->n_train_shards));
    set(out, "val", shards_json(data->facts->val_shards, data->facts->n_val_shards));
    set(out, "shared_shards", json_integer(use->shared));
    set(out, "overlap_tokens", x->val_looked > 0 ? json_integer(x->found) : json_null());
    set(out, "overlap_looked_tokens", json_integer(x->val_looked));
    set(out, "overlap_train_looked_tokens", json_integer(x->train_looked));
    set(out, "repeated_shards", json_integer(use->repeated));
    set(out, "epochs_low", json_value_number(use->passes_low));
    set(out, "epochs_high", json_value_number(use->passes_high));
    set(out, "val_tokens_low",
        use->val_tokens_low > 0 ? json_integer(use->val_tokens_low) : json_null());
    set(out, "warnings", warnings);
    return out;
}
