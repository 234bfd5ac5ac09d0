/* report.json: what the report says, for programs. Field by field in docs/REPORT_JSON.md. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bench/analysis/divergence.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/json_value.h"
#include "bench/report/report.h"
#include "bench/report/report_json_parts.h"
#include "bench/words/verdict_rows.h"
#include "kernels/process_limits.h"
#include "model/json_text.h"

enum { REPORT_JSON_VERSION = 1 };

/* ---- values ---- */

static json_t *interval(stats_interval x)
{
    return json_pack("{s:o, s:o, s:o}", "value", json_value_number(x.value), "low",
                     json_value_number(x.low), "high", json_value_number(x.high));
}

static json_t *numbers(const double *x, int64_t n)
{
    json_t *out = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(out, json_value_number(x[i]));
    }
    return out;
}

/* ---- suite, machines, configs ---- */

static json_t *suite_json(const findings *data)
{
    json_t *out = json_object();
    set(out, "name", json_value_text(data->facts->suite_name));
    set(out, "path", json_value_text(data->facts->suite_path));
    set(out, "baseline", json_value_text(data->facts->baseline_name));
    set(out, "replicates", json_integer(data->facts->replicates));
    set(out, "text", json_value_text(data->facts->suite_text));
    return out;
}

static json_t *rule_json(void)
{
    verdict_rule rule = verdict_rule_default();
    json_t *out = json_object();
    set(out, "alpha", json_value_number(rule.alpha));
    set(out, "band", json_value_number(rule.band));
    set(out, "power", json_value_number(rule.power));
    set(out, "correction", json_value_text("holm"));
    return out;
}

static json_t *machine_json(const machine_facts *m)
{
    json_t *out = json_object();
    set(out, "hostname", json_value_text(m->hostname));
    set(out, "os", json_value_text(m->os));
    set(out, "cpu", json_value_text(m->cpu));
    set(out, "cpu_count", json_integer(m->cpu_count));
    set(out, "memory_bytes", json_integer(m->memory_bytes));
    set(out, "device", json_value_text(m->device));
    set(out, "driver", text_or_null(m->driver));
    return out;
}

static json_t *positive_or_null(int64_t x)
{
    return x > 0 ? json_integer(x) : json_null();
}

/* What the keys come to; the keys themselves are in the suite. */
static void set_model(json_t *out, const gpt_config *c)
{
    bool latent = c->attention_type == GPT_ATTENTION_LATENT;
    set(out, "vocab_size", json_integer(c->vocab_size));
    set(out, "n_layer", json_integer(c->n_layer));
    set(out, "n_head", json_integer(c->n_head));
    set(out, "n_embd", json_integer(c->n_embd));
    set(out, "head_dim", json_integer(gpt_config_head_dim(c)));
    set(out, "attention_type",
        json_value_text(gpt_attention_name((gpt_attention)c->attention_type)));
    set(out, "n_kv_head", json_integer(gpt_config_kv_heads(c)));
    set(out, "window_size", positive_or_null(gpt_config_window(c)));
    set(out, "n_latent", positive_or_null(latent ? c->n_latent : 0));
    set(out, "mlp_hidden", json_integer(gpt_config_mlp_hidden(c)));
    set(out, "use_swiglu_mlp", json_boolean(c->use_swiglu_mlp));
    set(out, "post_norm", json_boolean(c->post_norm));
    set(out, "qk_norm", json_boolean(c->qk_norm));
}

static json_t *config_json(const config_facts *c)
{
    json_t *out = json_object();
    set(out, "name", json_value_text(c->name));
    set(out, "is_baseline", json_boolean(c->is_baseline));
    set(out, "n_params", json_integer(c->n_params));
    set(out, "flops_per_token", json_value_number(c->flops_per_token));
    if (c->model_known) {
        set_model(out, &c->model);
    }
    return out;
}

/* ---- verdicts ---- */

static const char *doubt_name(verdict_doubt doubt)
{
    static const char *const names[] = {
        [VERDICT_NO_DOUBT] = "none",           [VERDICT_NO_VALUE] = "no_value",
        [VERDICT_NO_INTERVAL] = "no_interval", [VERDICT_WIDE] = "wide",
        [VERDICT_CORRECTION] = "correction",   [VERDICT_FLOOR] = "floor"};
    return names[doubt];
}

static json_t *verdict_json(const verdict *v, bool judged, const char *name, const char *reason)
{
    json_t *out = json_object();
    set(out, "verdict", json_value_text(name));
    set(out, "judged", json_boolean(judged));
    set(out, "reason", json_value_text(reason));
    if (!judged) {
        return out;
    }
    set(out, "doubt", json_value_text(doubt_name(v->doubt)));
    set(out, "n", json_integer((json_int_t)v->n));
    set(out, "change", interval(v->change));
    set(out, "corrected", interval(v->corrected));
    set(out, "level", json_value_number(v->level));
    set(out, "p_beyond", json_value_number(v->p_beyond));
    set(out, "p_within", json_value_number(v->p_within));
    set(out, "band", json_value_number(v->band));
    set(out, "floor", json_value_number(v->floor));
    set(out, "further", json_value_number(v->further));
    set(out, "further_unbounded", json_boolean(isinf(v->further)));
    set(out, "detectable", json_value_number(v->detectable));
    return out;
}

static json_t *speed_json(const findings *data, const config_verdict *row)
{
    if (row->is_baseline) {
        return json_null();
    }
    json_t *out = verdict_json(&row->speed, row->speed_judged, verdict_speed_name(row->speed.kind),
                               config_verdict_speed_words(data, row).text);
    set(out, "timing_id",
        row->session ? json_integer(row->session->facts->timing_id) : json_null());
    set(out, "mean_change", interval(row->mean_change));
    set(out, "means_disagree", json_boolean(row->means_disagree));
    set(out, "per_token", json_boolean(row->per_token));
    set(out, "not_compared",
        row->speed_refused ? json_value_text(row->speed_refused) : json_null());
    return out;
}

static json_t *loss_json(const config_verdict *row)
{
    if (row->is_baseline) {
        return json_null();
    }
    json_t *out = verdict_json(&row->loss, row->loss_judged, verdict_loss_name(row->loss.kind),
                               config_verdict_loss_words(row).text);
    set(out, "change_of", json_string(row->loss_in_nats ? "perplexity" : "loss"));
    set(out, "difference_nats", interval(row->loss_difference));
    set(out, "seed_noise", json_value_number(row->seed_noise));
    set(out, "not_compared", row->loss_refused ? json_value_text(row->loss_refused) : json_null());
    return out;
}

static void set_pace(json_t *out, const entry_pace *pace)
{
    set(out, "interleaved", json_boolean(pace->interleaved));
    set(out, "step_avg_ms", interval(pace->step_avg_ms));
    set(out, "step_median_ms", json_value_number(pace->step_median_ms));
    set(out, "timed_steps", json_integer(pace->n_timed));
    set(out, "tokens_per_s", interval(pace->tokens_per_s));
    set(out, "mfu", json_value_number(pace->mfu));
}

static void set_entry(json_t *out, const findings *data, const result_entry *e)
{
    const result_entry *base = e->baseline >= 0 ? &data->entries[e->baseline] : NULL;
    set(out, "machine", index_or_null(e->machine));
    set(out, "backend", json_value_text(e->backend));
    set(out, "precision", json_value_text(e->precision));
    set(out, "baseline", base ? json_value_text(base->label) : json_null());
    set(out, "replicates", json_integer(e->n_runs));
    set(out, "run_step_avg_ms", interval(e->step_avg_ms));
    set(out, "run_step_median_ms", json_value_number(e->step_median_ms));
    set(out, "run_timed_steps", json_integer(e->n_timed));
    set(out, "run_tokens_per_s", interval(e->tokens_per_s));
    set(out, "run_mfu", json_value_number(e->mfu));
    set(out, "final_val_loss", interval(e->val_loss));
    set(out, "best_val_loss", json_value_number(e->best_val_loss));
    entry_divergence diverged = divergence_of_entry(e);
    set(out, "diverged_runs", json_integer(diverged.n_runs));
    set(out, "divergence",
        diverged.run ? json_value_text(divergence_name(diverged.kind)) : json_null());
    set(out, "entropy_rate_nats", json_value_number(e->entropy_rate_nats));
    set(out, "peak_memory_bytes", json_value_number(e->peak_memory_bytes));
    set(out, "on_pareto_front", json_boolean(e->on_front));
    set(out, "pareto_front_probability", json_value_number(e->front_probability));
}

static json_t *result_json(const findings *data, const config_verdict *row)
{
    json_t *out = json_object();
    set(out, "label", json_value_text(row->label));
    set(out, "config", config_name(data, row->config));
    set(out, "is_baseline", json_boolean(row->is_baseline));
    set(out, "finished", json_boolean(row->entry >= 0));
    set(out, "speed", speed_json(data, row));
    set(out, "loss", loss_json(row));
    set(out, "flops_change", json_value_number(row->flops_change));
    set(out, "time_change", interval(row->time_change));
    set_pace(out, &row->pace);
    if (row->entry >= 0) {
        set_entry(out, data, &data->entries[row->entry]);
    }
    return out;
}

/* ---- sessions ---- */

static json_t *arm_json(const findings *data, const speed_session *s, const speed_arm *arm)
{
    json_t *out = json_object();
    set(out, "config", config_name(data, arm->facts->config));
    set(out, "is_control", json_boolean(arm->facts->is_control));
    set(out, "is_baseline", json_boolean(arm->facts->is_baseline));
    set(out, "status", json_value_text(arm->facts->status));
    set(out, "message", text_or_null(arm->facts->message));
    set(out, "backend", json_value_text(arm->facts->backend));
    set(out, "precision", json_value_text(arm->facts->precision));
    set(out, "isa", json_value_text(arm->facts->isa));
    set(out, "threads", json_integer(arm->facts->threads));
    set(out, "tokens_per_step", json_integer(arm->facts->tokens_per_step));
    set(out, "processes", json_integer(arm->facts->processes));
    set(out, "warmup_steps", json_integer(arm->facts->warmup_steps));
    set(out, "timed_steps", json_integer((json_int_t)arm->facts->n_timed));
    set(out, "marked_steps", json_integer(arm->facts->marked));
    set(out, "outliers_above", json_integer((json_int_t)arm->outliers.above));
    set(out, "outliers_below", json_integer((json_int_t)arm->outliers.below));
    set(out, "step_avg_ms", json_value_number(arm->step_avg_ms));
    set(out, "step_median_ms", json_value_number(arm->step_median_ms));
    set(out, "burst_ms", interval(arm->burst_ms));
    set(out, "burst_medians_ms", numbers(arm->facts->median_ms, s->facts->blocks));
    set(out, "burst_means_ms", numbers(arm->facts->mean_ms, s->facts->blocks));
    return out;
}

static json_t *control_json(const speed_session *s)
{
    if (s->facts->control < 0) {
        return json_null();
    }
    json_t *out = json_object();
    set(out, "n", json_integer((json_int_t)s->aa.n));
    set(out, "change", interval(s->aa.change));
    set(out, "floor", json_value_number(s->aa.floor));
    set(out, "subsets", json_integer((json_int_t)s->aa.subsets));
    set(out, "false_alarm_rate", json_value_number(s->aa.false_alarm_rate));
    return out;
}

static json_t *drift_json(const speed_session *s)
{
    json_t *out = json_object();
    set(out, "per_hour", interval(s->drift.per_hour));
    set(out, "total", interval(s->drift.total));
    set(out, "hours", json_value_number(s->drift.hours));
    set(out, "effect_sd", json_value_number(s->drift.effect_sd));
    set(out, "lag1", json_value_number(s->drift.lag1));
    set(out, "block_hours", numbers(s->hours, s->facts->blocks));
    set(out, "block_effects", numbers(s->drift_effects, s->facts->blocks));
    return out;
}

static void set_design(json_t *out, const speed_session *s)
{
    set(out, "seed", json_integer(s->facts->seed));
    set(out, "blocks", json_integer(s->facts->blocks));
    set(out, "min_blocks", json_integer(s->facts->min_blocks));
    set(out, "max_blocks", json_integer(s->facts->max_blocks));
    set(out, "process_blocks", json_integer(s->facts->process_blocks));
    set(out, "lead_steps", json_integer(s->facts->lead_steps));
    set(out, "burst_steps", json_integer(s->facts->timed_steps));
    set(out, "stop_precision", json_value_number(s->facts->stop_precision));
    set(out, "precision_reached",
        isfinite(s->facts->stop_precision) ? json_boolean(s->facts->precision_reached)
                                           : json_null());
    set(out, "blocks_for_one_percent", json_value_number(s->needed_blocks));
}

static json_t *session_json(const findings *data, const speed_session *s)
{
    json_t *out = json_object(), *arms = json_array();
    set(out, "timing_id", json_integer(s->facts->timing_id));
    set(out, "machine", index_or_null(s->facts->machine));
    set(out, "started_at", json_value_text(s->facts->started_at));
    set(out, "ended_at", text_or_null(s->facts->ended_at));
    set(out, "program_version", json_value_text(s->facts->program_version));
    set(out, "program_commit", json_value_text(s->facts->program_commit));
    set(out, "compiler", json_value_text(s->facts->compiler));
    set_design(out, s);
    set(out, "samples", json_integer(s->facts->samples));
    set(out, "clock_mean_mhz", json_value_number(s->facts->clock_mean_mhz));
    set(out, "clock_low_mhz", json_value_number(s->facts->clock_low));
    set(out, "clock_high_mhz", json_value_number(s->facts->clock_high));
    set(out, "temperature_high_c", json_value_number(s->facts->temperature_high_c));
    set(out, "power_mean_w", json_value_number(s->facts->power_mean_w));
    set(out, "sensors_missing", text_or_null(s->facts->sensors_missing));
    set(out, "control", control_json(s));
    set(out, "drift", drift_json(s));
    for (int a = 0; a < s->n_arms; a++) {
        json_array_append_new(arms, arm_json(data, s, &s->arms[a]));
    }
    set(out, "arms", arms);
    return out;
}

/* ---- all ---- */

static json_t *report_json(const findings *data, json_t *claims)
{
    json_t *out = json_object(), *machines = json_array(), *configs = json_array();
    json_t *results = json_array(), *sessions = json_array(), *runs = json_array();
    for (int i = 0; i < data->facts->n_machines; i++) {
        json_array_append_new(machines, machine_json(&data->facts->machines[i]));
    }
    for (int i = 0; i < data->facts->n_configs; i++) {
        json_array_append_new(configs, config_json(&data->facts->configs[i]));
    }
    for (int i = 0; i < data->verdicts->n; i++) {
        json_array_append_new(results, result_json(data, &data->verdicts->rows[i]));
    }
    for (int i = 0; data->speeds && i < data->speeds->n_sessions; i++) {
        json_array_append_new(sessions, session_json(data, &data->speeds->sessions[i]));
    }
    for (int i = 0; i < data->facts->n_runs; i++) {
        json_array_append_new(runs, report_run_json(data, &data->facts->runs[i]));
    }
    set(out, "schema_version", json_integer(REPORT_JSON_VERSION));
    set(out, "database", json_value_text(data->facts->db_path));
    set(out, "suite", suite_json(data));
    set(out, "rule", rule_json());
    set(out, "machines", machines);
    set(out, "configs", configs);
    set(out, "results", results);
    set(out, "claims", claims);
    set(out, "sessions", sessions);
    set(out, "runs", runs);
    set(out, "data", report_data_json(data));
    return out;
}

gb_status report_write_json(const findings *data, FILE *out, gb_error *err)
{
    json_t *claims = NULL;
    json_memory_watch();
    GB_TRY(report_claims_json(&claims, data, err));
    json_t *root = report_json(data, claims);
    bool whole = !json_memory_lacked();
    errno = 0;
    int failed = whole ? json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : 0;
    const int why = errno;
    json_decref(root);
    if (!whole) {
        return gb_fail(err, GB_ERR_OOM, "no memory for report.json");
    }
    fputc('\n', out);
    return !failed                ? GB_OK
           : json_memory_lacked() ? gb_fail(err, GB_ERR_OOM, "no memory for report.json")
                                  : gb_fail(err, GB_ERR_IO, "report.json: writing failed: %s",
                                            why ? gb_reason(why) : gb_write_doubt());
}
