/* gptbench show: one run in full. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/load.h"
#include "bench/analysis/run_numbers.h"
#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/read/run_texts.h"
#include "bench/read/snapshot.h"
#include "bench/run/rates.h"
#include "bench/stats/stats.h"
#include "bench/store/store.h"
#include "bench/words/divergence_words.h"
#include "bench/words/grad_norm_text.h"
#include "bench/words/op_table.h"

enum { FACT_COLUMN = 24 };

static void fact_print(const char *name, const char *text)
{
    terminal_say(stdout, FACT_COLUMN, "%-*s%s\n", FACT_COLUMN, name, text);
}

static void fact_say(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fact_say(const char *name, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0) {
        fact_print(name, text);
        free(text);
    }
}

/* "name  value" lines, headings between them. */
static void texts_print(const run_texts *texts)
{
    for (int i = 0; i < texts->n; i++) {
        if (texts->items[i].text) {
            fact_print(texts->items[i].name, texts->items[i].text);
        } else {
            printf("\n%s\n", texts->items[i].name);
        }
    }
}

/* Every key that matters, as the key table has them, and what they come to. */
static void model_print(const config_facts *config)
{
    printf("\nmodel\n");
    for (const gb_key *key = gpt_config_keys(); config->model_known && key->name; key++) {
        char text[320];
        gb_key_format(&config->model, key, text, sizeof text);
        if (gpt_config_key_matters(&config->model, key->name, NULL)) {
            fact_print(key->name, text);
        }
    }
    if (config->model_known) {
        fact_say("head_dim", "%lld", (long long)gpt_config_head_dim(&config->model));
        fact_say("mlp_hidden", "%lld", (long long)gpt_config_mlp_hidden(&config->model));
    }
    fact_say("n_params", "%lld", (long long)config->n_params);
    fact_say("flops_per_token", "%.15g", config->flops_per_token);
}

/* ---- memory, divergence ---- */

static void memory_print(const run_facts *run)
{
    double planned = run->planned_memory_bytes, peak = run->peak_memory_bytes;
    if (!(planned > 0)) {
        return;
    }
    bool known = run->process_memory_bytes > 0;
    printf("\nmemory\n");
    fact_say("planned", "%s%s%s", number_bytes(planned).text,
             known ? ", of it the process before " : "",
             known ? number_bytes(run->process_memory_bytes).text : "");
    if (peak > 0) {
        fact_say("measured", "%s, the plan is off by %s", number_bytes(peak).text,
                 number_percent_signed(planned / peak - 1).text);
    }
}

static void divergence_print(const run_facts *run)
{
    divergence_text words = divergence_of_run_words(run);
    if (!*run->nan_in && !words.text[0]) {
        return;
    }
    printf("\ndiverged\n");
    if (words.text[0]) {
        fact_say("validation", "%s", words.text);
    }
    if (!*run->nan_in) {
        return;
    }
    fact_say("not finite", "%s, at step %.0f, learning rate %.4g", run->nan_in, run->nan_step,
             run->nan_learning_rate);
    if (isfinite(run->last_good_step)) {
        fact_say("last good step", "%.0f, loss %.4f, gradient norm %s", run->last_good_step,
                 run->last_good_loss, grad_norm_text(run).text);
    }
}

/* ---- timing ---- */

static void tags_print(const run_facts *run)
{
    /* By name. A damaged file may hold others. */
    static const char *const tags[] = {"checkpoint", "eval", "profiled", "timed", "warmup", "?"};
    for (size_t t = 0; t < sizeof tags / sizeof *tags; t++) {
        int64_t n = 0;
        double sum_ms = 0;
        for (int64_t i = 0; i < run->n_steps; i++) {
            bool other = strchr("ceptw", run->steps[i].tag) == NULL;
            if (run->steps[i].tag == *tags[t] || (other && *tags[t] == '?')) {
                n++;
                sum_ms += run->steps[i].step_ms;
            }
        }
        if (n > 0) {
            fact_say(tags[t], "%lld steps, %s", (long long)n, number_duration_ms(sum_ms).text);
        }
    }
}

static void rates_print(const config_facts *config, const run_facts *run)
{
    double rate = run_tokens_per_s(run->tokens_per_step, run->step_avg_ms);
    double share = run_mfu(config->flops_per_token, rate, run->gemm_peak_flops_per_s);
    if (!isfinite(rate)) {
        return;
    }
    fact_say("tokens/s", "%s", number_rounded(rate).text);
    if (isfinite(share)) {
        fact_say("MFU", "%s of a measured GEMM peak of %.0f GFLOP/s, exact FLOPs",
                 number_percent(share).text, run->gemm_peak_flops_per_s / 1e9);
        if (share > 1) {
            fact_say("", "%s", rates_peak_beaten);
        }
    }
    if (isfinite(run->gemm_sustained_flops_per_s)) {
        fact_say("", "a large product keeps up %.0f GFLOP/s",
                 run->gemm_sustained_flops_per_s / 1e9);
    }
    if (isfinite(run->copy_bytes_per_s)) {
        fact_say("memory", "%s GB/s, measured on a large copy",
                 number_gigas(run->copy_bytes_per_s).text);
    }
}

static void timing_print(const config_facts *config, const run_facts *run)
{
    stats_interval mean = run_step_avg(run);
    bool known = isfinite(mean.low);
    printf("\ntiming\n");
    fact_say("step_avg", "%s%s%s%s%s", number_duration_ms(mean.value).text,
             known ? ", 95 % CI " : "", known ? number_duration_ms(mean.low).text : "",
             known ? " to " : "", known ? number_duration_ms(mean.high).text : "");
    fact_say("step_median", "%s", number_duration_ms(run->step_median_ms).text);
    fact_say("timed steps", "%lld", (long long)run->n_timed);
    tags_print(run);
    rates_print(config, run);
}

/* ---- segments, validations ---- */

/* Of a run that was interrupted and gone on with: each segment has a warm-up of its own. */
static gb_status segments_print(const run_facts *run, gb_error *err)
{
    static const char *const headings[] = {"session", "started", "first_step", "steps",
                                           "warmup",  "timed",   "step_avg"};
    if (run->n_segments == 0) {
        return GB_OK;
    }
    table *t = table_create();
    for (int i = 0; i < 7; i++) {
        table_add_column(t, headings[i], i == 1 ? TABLE_LEFT : TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, i == 1 ? 2 : 1);
    }
    for (int64_t i = 0; i < run->n_segments; i++) {
        const segment_facts *s = &run->segments[i];
        table_begin_row(t);
        table_add_cell(t, "%lld", (long long)s->segment);
        table_add_cell(t, "%s", s->started_at);
        table_add_cell(t, "%lld", (long long)s->first_step);
        table_add_cell(t, "%lld", (long long)s->steps);
        table_add_cell(t, "%lld", (long long)s->warmup_steps);
        table_add_cell(t, "%lld", (long long)s->timed_steps);
        table_add_cell(t, "%s", number_duration_ms(s->step_avg_ms).text);
    }
    printf("\nsessions\n");
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

static gb_status evals_print(const run_facts *run, gb_error *err)
{
    static const char *const headings[] = {"step", "val_loss", "train_time", "eval_time", "tokens"};
    if (run->n_evals == 0) {
        return GB_OK;
    }
    table *t = table_create();
    for (int i = 0; i < 5; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int64_t i = 0; i < run->n_evals; i++) {
        const eval_facts *e = &run->evals[i];
        table_begin_row(t);
        table_add_cell(t, "%lld", (long long)e->step);
        table_add_cell(t, isfinite(e->val_loss) ? "%.4f" : "not finite", e->val_loss);
        table_add_cell(t, "%s", number_duration_ms(e->train_time_ms).text);
        table_add_cell(t, "%s", number_duration_ms(e->eval_ms).text);
        table_add_cell(t, "%s", number_count(e->val_tokens).text);
    }
    printf("\nvalidations\n");
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

/* ---- ops ---- */

/* The run as an entry of its own: means over one run. */
static gb_status ops_print(const findings *data, const run_facts *run, gb_error *err)
{
    op_row *rows = NULL;
    table *t = NULL;
    int n = 0;
    double step_ms = 0;
    const result_entry entry = {.config = run->config,
                                .backend = run->backend,
                                .precision = run->precision,
                                .runs = &run,
                                .n_runs = 1};
    const op_roof roof = op_roof_of_entry(&entry);
    GB_TRY(op_rows_of_entry(&rows, &n, data, &entry, err));
    for (int i = 0; i < n; i++) {
        step_ms += rows[i].time_ms;
    }
    gb_status status = op_table_make(&t, rows, n, step_ms, &roof, err);
    if (status == GB_OK && n > 0) {
        printf("\nops of a profiled step of %.3f ms\n", step_ms);
        status = table_show(t, stdout, err);
    }
    table_free(t);
    free(rows);
    return status;
}

/* ---- all ---- */

typedef struct shown {
    findings *data;
    run_texts before_model, after_model, sensors;
} shown;

static gb_status shown_print(const shown *x, gb_error *err)
{
    const facts *f = x->data->facts;
    if (f->n_runs == 0 || f->runs[0].config < 0) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: the run belongs to no config", f->db_path);
    }
    const run_facts *run = &f->runs[0];
    const config_facts *config = &f->configs[run->config];
    fact_print("database", f->db_path);
    texts_print(&x->before_model);
    model_print(config);
    texts_print(&x->after_model);
    memory_print(run);
    divergence_print(run);
    timing_print(config, run);
    GB_TRY(segments_print(run, err));
    texts_print(&x->sensors);
    GB_TRY(evals_print(run, err));
    return ops_print(x->data, run, err);
}

static gb_status shown_read(shown *x, store *s, int64_t run_id, gb_error *err)
{
    GB_TRY(findings_read_run(&x->data, s, run_id, err));
    GB_TRY(run_texts_read(&x->before_model, &x->after_model, s, run_id, err));
    return run_texts_read_sensors(&x->sensors, s, run_id, err);
}

/* One snapshot: a run that goes on meanwhile is shown as it was at one moment. */
static gb_status run_print(store *s, int64_t run_id, gb_error *err)
{
    shown x = {.data = NULL};
    bool begun = snapshot_begin(s);
    gb_status status = shown_read(&x, s, run_id, err);
    snapshot_end(s, begun);
    if (status == GB_OK) {
        status = shown_print(&x, err);
    }
    run_texts_free(&x.before_model);
    run_texts_free(&x.after_model);
    run_texts_free(&x.sensors);
    findings_free(x.data);
    return status;
}

gb_status cmd_show(int argc, char **argv, gb_error *err)
{
    const char *db = NULL, *text = NULL;
    bool help = false;
    int n;
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: the newest in results/)", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench show RUN [options]",
        "Shows one run: configuration, status, timing, validations, provenance.",
        options,
        1,
        1,
        "RUN  its number, as `gptbench list` gives it",
        NULL};
    GB_TRY(cli_parse(&command, argc, argv, &text, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    char *end, path[4096];
    errno = 0;
    long long run_id = strtoll(text, &end, 10);
    if (errno || end == text || *end || run_id < 1) {
        return gb_fail(err, GB_ERR_USAGE,
                       "show %s: RUN is a number; `gptbench list` gives those there are", text);
    }
    store *s = NULL;
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    GB_TRY(store_open(&s, path, STORE_READ, err));
    gb_status status = run_print(s, run_id, err);
    store_close(s);
    return status == GB_ERR_USAGE
               ? dbfile_tell_others(path, &(dbfile_wanted){.run_id = run_id}, err)
               : status;
}
