#include "bench/read/report_data.h"

#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/report_verdicts.h"
#include "bench/read/report_reader.h"
#include "bench/read/report_resumed.h"
#include "bench/read/report_sensors.h"
#include "bench/store/store.h"
#include "bench/store/store_share.h"
#include "model/config.h"

/* ---- strings and arrays ---- */

static char *text_keep(report_data *data, char *text)
{
    if ((data->n_texts & (data->n_texts - 1)) == 0) { /* full at every power of two */
        int capacity = data->n_texts ? 2 * data->n_texts : 1;
        char **texts = realloc(data->texts, (size_t)capacity * sizeof *texts);
        if (!texts) {
            free(text);
            return NULL;
        }
        data->texts = texts;
    }
    data->texts[data->n_texts++] = text;
    return text;
}

char *report_data_text(report_data *data, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    return length < 0 ? NULL : text_keep(data, text);
}

/* ---- suite, machines, configs ---- */

static gb_status suite_choose(report_reader *r, const char *wanted)
{
    const char *names[65] = {NULL};
    int n = 0;
    bool row, found = false;
    GB_TRY(report_reader_open(r,
                              "SELECT name, path, text, baseline, replicates, suite_id FROM suite"
                              " ORDER BY name"));
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            break;
        }
        const char *whole = report_read_verbatim(r);
        r->column--;
        const char *name = report_read_text(r);
        if (n < 64) {
            names[n++] = name;
        }
        bool is_other = wanted && strcmp(name, wanted) != 0 && strcmp(whole, wanted) != 0;
        if (found || is_other) {
            found = found && wanted; /* a second one: the choice is not ours */
            continue;
        }
        found = n == 1 || wanted;
        report_data *data = r->data;
        data->suite_name = name;
        data->suite_path = report_read_text(r);
        data->suite_text = report_read_verbatim(r);
        data->baseline_name = report_read_text(r);
        data->replicates = report_read_int(r);
        data->suite_id = report_read_int(r);
    }
    if (found) {
        return GB_OK;
    }
    if (n == 0) {
        return gb_fail(r->err, GB_ERR_USAGE,
                       "%s: holds no suite yet; `gptbench run SUITE.ini` fills it",
                       r->data->db_path);
    }
    char list[512] = "";
    for (int i = 0, used = 0; i < n && used < (int)sizeof list; i++) {
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", i ? ", " : "", names[i]);
    }
    if (!wanted) {
        return gb_fail(r->err, GB_ERR_USAGE, "%s: holds %d suites; choose one with --suite: %s",
                       r->data->db_path, n, list);
    }
    const char *nearest = gb_nearest_name(wanted, names);
    return gb_fail(r->err, GB_ERR_USAGE, "%s: no suite `%s`%s%s%s It holds: %s", r->data->db_path,
                   wanted, nearest ? "; did you mean `" : "", nearest ? nearest : "",
                   nearest ? "`?" : ".", list);
}

static gb_status machines_read(report_reader *r)
{
    report_data *data = r->data;
    bool row;
    GB_TRY(report_reader_open(r, "SELECT machine_id, hostname, os, cpu, device, driver, cpu_count,"
                                 " memory_bytes FROM machine ORDER BY machine_id"));
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(data->machines, data->n_machines)) {
            r->out_of_memory = true;
            continue;
        }
        report_machine *m = &data->machines[data->n_machines++];
        m->machine_id = report_read_int(r);
        m->hostname = report_read_text(r);
        m->os = report_read_text(r);
        m->cpu = report_read_text(r);
        m->device = report_read_text(r);
        m->driver = report_read_text(r);
        m->cpu_count = report_read_int(r);
        m->memory_bytes = report_read_int(r);
    }
}

static gb_status configs_read(report_reader *r)
{
    report_data *data = r->data;
    bool row;
    GB_TRY(report_reader_open(
        r, "SELECT config_id, c.name, is_baseline, attention_type, n_layer, n_head,"
           " n_embd, n_params, flops_per_token, vocab_size, head_dim, n_kv_head,"
           " mlp_hidden, window_size, n_latent, use_swiglu_mlp, post_norm, qk_norm"
           " FROM config c"
           " WHERE c.suite_id = ?1 AND c.in_plan = 1 ORDER BY position, config_id"));
    sqlite3_bind_int64(r->stmt, 1, data->suite_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(data->configs, data->n_configs)) {
            r->out_of_memory = true;
            continue;
        }
        report_config *c = &data->configs[data->n_configs++];
        c->config_id = report_read_int(r);
        c->name = report_read_text(r);
        c->is_baseline = report_read_int(r) != 0;
        c->attention_type = report_read_text(r);
        c->n_layer = report_read_int(r);
        c->n_head = report_read_int(r);
        c->n_embd = report_read_int(r);
        c->n_params = report_read_int(r);
        c->flops_per_token = report_read_double(r);
        c->vocab_size = report_read_int(r);
        c->head_dim = report_read_int(r);
        c->n_kv_head = report_read_int(r);
        c->mlp_hidden = report_read_int(r);
        c->window_size = report_read_int(r);
        c->n_latent = report_read_int(r);
        c->use_swiglu_mlp = report_read_int(r) != 0;
        c->post_norm = report_read_int(r) != 0;
        c->qk_norm = report_read_int(r) != 0;
    }
}

/* ---- runs ---- */

static int machine_index(const report_data *data, double machine_id)
{
    for (int i = 0; i < data->n_machines; i++) {
        if ((double)data->machines[i].machine_id == machine_id) {
            return i;
        }
    }
    return -1;
}

static int config_index(const report_data *data, int64_t config_id)
{
    for (int i = 0; i < data->n_configs; i++) {
        if (data->configs[i].config_id == config_id) {
            return i;
        }
    }
    return -1;
}

static void run_read(report_reader *r, report_run *run)
{
    *run = (report_run){.step_avg_ms = NAN,
                        .step_median_ms = NAN,
                        .final_val_loss = NAN,
                        .best_val_loss = NAN,
                        .sensors = {.started_at = "", .missing = "", .energy_per_token_j = NAN}};
    run->run_id = report_read_int(r);
    run->config = config_index(r->data, report_read_int(r));
    run->replicate = report_read_int(r);
    run->attempt = report_read_int(r);
    run->machine = machine_index(r->data, report_read_double(r));
    run->status = report_read_text(r);
    run->message = report_read_text(r);
    run->backend = report_read_text(r);
    run->precision = report_read_text(r);
    run->isa = report_read_text(r);
    run->precision_note = report_read_text(r);
    run->libraries = report_read_text(r);
    run->program_version = report_read_text(r);
    run->program_commit = report_read_text(r);
    run->compiler = report_read_text(r);
    run->train_data = report_read_text(r);
    run->val_data = report_read_text(r);
    run->train_data_hash = report_read_text(r);
    run->val_data_hash = report_read_text(r);
    run->profile_note = report_read_text(r);
    run->threads = report_read_int(r);
    run->seed = report_read_int(r);
    run->batch_size = report_read_int(r);
    run->sequence_length = report_read_int(r);
    run->grad_accumulation_steps = report_read_int(r);
    run->tokens_per_step = report_read_int(r);
    run->num_iterations = report_read_int(r);
    run->steps_done = report_read_int(r);
    run->warmup_steps = report_read_int(r);
    run->entropy_rate_nats = report_read_double(r);
    run->peak_memory_bytes = report_read_double(r);
    run->gemm_peak_flops_per_s = report_read_double(r);
    run->copy_bytes_per_s = report_read_double(r);
    run->planned_memory_bytes = report_read_double(r);
    run->lr_scale = report_read_double(r);
    run->nan_in = report_read_text(r);
    run->nan_step = report_read_double(r);
    run->last_good_step = report_read_double(r);
    run->last_good_loss = report_read_double(r);
    run->last_good_grad_norm = report_read_double(r);
    run->nan_learning_rate = report_read_double(r);
}

static gb_status runs_read(report_reader *r)
{
    report_data *data = r->data;
    bool row;
    GB_TRY(report_reader_open(
        r,
        "SELECT r.run_id, config_id, replicate, attempt, r.machine_id,"
        " state_now(status, r.runner_id), iif(state_now(status, r.runner_id) <> status,"
        " '" STORE_DEAD_MESSAGE "', message), r.backend,"
        " r.precision, isa, precision_note, libraries, program_version, program_commit, compiler,"
        " train_data, val_data, train_data_hash, val_data_hash, profile_note, r.threads, seed,"
        " batch_size, sequence_length, grad_accumulation_steps, tokens_per_step, num_iterations, "
        "steps_done,"
        " warmup_steps, entropy_rate_nats, peak_memory_bytes, p.flops_per_s,"
        " p.copy_bytes_per_s, planned_memory_bytes, lr_scale, d.nan_in, d.nan_step,"
        " d.last_good_step, d.last_good_loss, d.last_good_grad_norm, d.learning_rate"
        " FROM run r JOIN config c USING (config_id)"
        " LEFT JOIN run_divergence d ON d.run_id = r.run_id"
        " LEFT JOIN gemm_peak p ON p.machine_id = r.machine_id AND p.backend = r.backend"
        " AND p.precision = r.precision AND p.threads = r.threads"
        " WHERE c.suite_id = ?1 AND r.in_plan = 1 AND c.in_plan = 1"
        " ORDER BY position, config_id, replicate, r.run_id"));
    sqlite3_bind_int64(r->stmt, 1, data->suite_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(data->runs, data->n_runs)) {
            r->out_of_memory = true;
            continue;
        }
        run_read(r, &data->runs[data->n_runs++]);
    }
}

static gb_status steps_read(report_reader *r, report_run *run)
{
    bool row;
    GB_TRY(report_reader_open(r, "SELECT tag, step_ms FROM step WHERE run_id = ?1 ORDER BY step"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        const unsigned char *tag = sqlite3_column_text(r->stmt, r->column++);
        double ms = report_read_double(r);
        if (!REPORT_GROW(run->steps, run->n_steps) || !REPORT_GROW(run->timed_ms, run->n_timed)) {
            r->out_of_memory = true;
            continue;
        }
        char letter = tag ? (char)tag[0] : '?';
        run->steps[run->n_steps++] = (report_step){letter, ms};
        if (letter == 't' && isfinite(ms)) {
            run->timed_ms[run->n_timed++] = ms;
        }
    }
}

static gb_status evals_read(report_reader *r, report_run *run)
{
    bool row;
    GB_TRY(report_reader_open(r, "SELECT step, val_loss, train_time_ms, val_tokens FROM eval WHERE "
                                 "run_id = ?1 ORDER BY step"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(run->evals, run->n_evals)) {
            r->out_of_memory = true;
            continue;
        }
        report_eval *e = &run->evals[run->n_evals++];
        e->step = report_read_int(r);
        e->val_loss = report_read_double(r);
        e->train_time_ms = report_read_double(r);
        e->val_tokens = report_read_int(r);
        run->final_val_loss = e->val_loss;
        if (isfinite(e->val_loss) && !(e->val_loss >= run->best_val_loss)) {
            run->best_val_loss = e->val_loss;
        }
    }
}

/* Whether the comparison that is asked for may need this run; a label begins with the name. */
static bool run_is_wanted(const report_reader *r, const report_run *run)
{
    const report_config *c = run->config >= 0 ? &r->data->configs[run->config] : NULL;
    bool wanted = !r->only || (c && c->is_baseline);
    for (int i = 0; c && !wanted && r->only[i]; i++) {
        wanted = strncmp(r->only[i], c->name, strlen(c->name)) == 0;
    }
    return wanted;
}

static gb_status run_details_read(report_reader *r, report_run *run)
{
    if (!run_is_wanted(r, run)) {
        return GB_OK;
    }
    GB_TRY(steps_read(r, run));
    GB_TRY(evals_read(r, run));
    GB_TRY(report_ledger_read(r, run));
    GB_TRY(report_resumed_read(r, run));
    run->step_avg_ms = stats_mean(run->timed_ms, (size_t)run->n_timed);
    GB_TRY(stats_median(run->timed_ms, (size_t)run->n_timed, &run->step_median_ms, r->err));
    return report_sensors_read_run(r->data, run, r->db, r->err);
}

static gb_status speeds_read(report_reader *r, const char *suite_name)
{
    GB_TRY(suite_choose(r, suite_name));
    GB_TRY(machines_read(r));
    GB_TRY(configs_read(r));
    return speed_report_read(&r->data->speeds, r, r->data->suite_id);
}

static gb_status all_read(report_reader *r, const char *suite_name)
{
    GB_TRY(speeds_read(r, suite_name));
    GB_TRY(runs_read(r));
    for (int i = 0; i < r->data->n_runs; i++) {
        GB_TRY(run_details_read(r, &r->data->runs[i]));
    }
    return GB_OK;
}

gb_status report_data_read_configs(report_data **out, const char *db_path, const char *suite_name,
                                   const char *const *names, gb_error *err)
{
    store *s = NULL;
    report_data *data = calloc(1, sizeof *data);
    gb_status status = data ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory to read %s", db_path);
    if (status != GB_OK) {
        return status;
    }
    data->partial = names != NULL;
    data->db_path = report_data_text(data, "%s", db_path);
    if (!data->db_path) {
        status = gb_fail(err, GB_ERR_OOM, "no memory to read the database");
        goto free_data;
    }
    status = store_open(&s, db_path, STORE_READ, err);
    if (status != GB_OK) {
        goto free_data;
    }
    report_reader r = {.data = data, .db = store_sqlite(s), .only = names, .err = err};
    /* One read transaction: a run that ends meanwhile is seen whole or not at all. */
    sqlite3_exec(r.db, "BEGIN", NULL, NULL, NULL);
    status = all_read(&r, suite_name);
    sqlite3_finalize(r.stmt);
    sqlite3_exec(r.db, "ROLLBACK", NULL, NULL, NULL);
    store_close(s);
    if (status == GB_OK) {
        status = report_data_make_entries(data, err);
    }
    if (status == GB_OK) {
        *out = data;
        return GB_OK;
    }
free_data:
    report_data_free(data);
    return status;
}

gb_status report_data_read(report_data **out, const char *db_path, const char *suite_name,
                           gb_error *err)
{
    return report_data_read_configs(out, db_path, suite_name, NULL, err);
}

gb_status report_data_read_speeds(report_data **out, store *s, const char *suite_name,
                                  gb_error *err)
{
    report_data *data = calloc(1, sizeof *data);
    gb_status status = data ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for speeds");
    if (status == GB_OK) {
        report_reader r = {.data = data, .db = store_sqlite(s), .err = err};
        data->db_path = store_path(s);
        status = speeds_read(&r, suite_name);
        sqlite3_finalize(r.stmt);
    }
    if (status == GB_OK) {
        *out = data;
    } else {
        report_data_free(data);
    }
    return status;
}

void report_data_free(report_data *data)
{
    if (!data) {
        return;
    }
    for (int i = 0; i < data->n_runs; i++) {
        free(data->runs[i].steps);
        report_sensors_free(&data->runs[i].sensors);
        free(data->runs[i].timed_ms);
        free(data->runs[i].evals);
        free(data->runs[i].sessions);
        free(data->runs[i].ops);
        free(data->runs[i].spans);
        free(data->runs[i].kernels);
    }
    for (int i = 0; i < data->n_entries; i++) {
        free(data->entries[i].runs);
    }
    report_verdicts_free(data->verdicts);
    speed_report_free(data->speeds);
    for (int i = 0; i < data->n_texts; i++) {
        free(data->texts[i]);
    }
    free(data->machines);
    free(data->configs);
    free(data->runs);
    free(data->entries);
    free(data->texts);
    free(data);
}
