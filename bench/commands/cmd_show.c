/* gptbench show: one run in full. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/load.h"
#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/run/rates.h"
#include "bench/stats/stats.h"
#include "bench/store/store.h"
#include "bench/store/store_share.h"
#include "bench/words/op_table.h"
#include "kernels/checked.h"

/* Columns come out as "name  value" lines, in this order; NULLs are left out. */
static const char RUN_SQL[] =
    "SELECT r.run_id AS run, s.name AS suite, c.name AS config, r.replicate, r.attempt,"
    " state_now(r.status, r.runner_id) AS status, iif(state_now(r.status, r.runner_id) <> r.status,"
    " '" STORE_DEAD_MESSAGE
    "', nullif(r.message, '')) AS message, CASE r.in_plan AND c.in_plan WHEN 1 THEN 'yes'"
    " ELSE 'no: the suite asks for something else now' END AS in_plan,"
    " r.steps_done || ' of ' || r.num_iterations AS steps,"
    " 'run ' || r.resumed_from || ', from its checkpoint at step ' || r.resumed_step AS "
    "goes_on_from,"
    " r.started_at, r.ended_at, r.identity,"
    " NULL AS 'model', c.attention_type, c.n_layer, c.n_head, c.n_kv_head, c.n_embd, c.head_dim,"
    " c.window_size, c.n_latent, c.mlp_expansion_factor, c.mlp_hidden,"
    " iif(c.use_swiglu_mlp, 'true', 'false') AS use_swiglu_mlp,"
    " iif(c.post_norm, 'true', 'false') AS post_norm, iif(c.qk_norm, 'true', 'false') AS qk_norm,"
    " c.vocab_size, c.n_params, c.flops_per_token,"
    " NULL AS 'training', r.batch_size, r.sequence_length, r.grad_accumulation_steps,"
    " r.tokens_per_step, r.learning_rate, iif(r.lr_scale < 1, printf('%g of what the suite asks "
    "for, after a NaN',"
    " r.lr_scale), NULL) AS lr_scale, r.seed, r.train_data, r.train_data_hash, r.val_data,"
    " r.val_data_hash, r.entropy_rate_nats,"
    " NULL AS 'provenance', r.program_version AS program, r.program_commit AS 'commit',"
    " r.compiler, r.backend, r.precision, r.threads, r.isa,"
    " nullif(r.precision_note, '') AS precision_note, r.libraries, m.hostname, m.os, m.cpu,"
    " m.cpu_count, m.memory_bytes, m.device, nullif(m.driver, '') AS driver"
    " FROM run r JOIN config c USING (config_id) JOIN suite s USING (suite_id)"
    " LEFT JOIN machine m USING (machine_id) WHERE r.run_id = ?";

static const char *const HEADINGS[] = {"model", "training", "provenance"};

static bool is_heading(const char *name)
{
    for (size_t i = 0; i < sizeof HEADINGS / sizeof HEADINGS[0]; i++) {
        if (strcmp(name, HEADINGS[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void fact_print(const char *name, const char *text)
{
    printf("%-24s", name);
    table_write_escaped(stdout, text, TABLE_TEXT);
    printf("\n");
}

static gb_status facts_print(store *s, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err, RUN_SQL, "i", run_id));
    GB_TRY(store_step(s, row, &found, err));
    if (!found) {
        return gb_fail(err, GB_ERR_USAGE, "%s: no run %lld; `gptbench list --db %s` lists them",
                       store_path(s), (long long)run_id, store_path(s));
    }
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        const char *name = sqlite3_column_name(row, i);
        const char *text = (const char *)sqlite3_column_text(row, i);
        if (is_heading(name)) {
            printf("\n%s\n", name);
        } else if (text) {
            fact_print(name, text);
        } else if (sqlite3_errcode(store_sqlite(s)) == SQLITE_NOMEM) { /* to make it a text */
            sqlite3_reset(row);
            return gb_fail(err, GB_ERR_OOM, "%s: out of memory", store_path(s));
        }
    }
    sqlite3_reset(row);
    return GB_OK;
}

/* ---- timing ---- */

static gb_status timed_read(store *s, int64_t run_id, double **out, size_t *n, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    int64_t count;
    bool found;
    GB_TRY(store_get_int(s, &count, 0, err,
                         "SELECT count(*) FROM step WHERE run_id = ? AND tag = 'timed'", "i",
                         run_id));
    *n = 0;
    *out = malloc((size_t)gb_times(count + 1, sizeof **out));
    if (!*out) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %lld steps", (long long)count);
    }
    GB_TRY(store_query(s, &row, err,
                       "SELECT step_ms FROM step WHERE run_id = ? AND tag = 'timed' ORDER BY step",
                       "i", run_id));
    for (;;) {
        GB_TRY(store_step(s, row, &found, err));
        if (!found || *n == (size_t)count) {
            sqlite3_reset(row);
            return GB_OK;
        }
        (*out)[(*n)++] = sqlite3_column_double(row, 0);
    }
}

/* A damaged file may hold others. */
static const char *tag_name(const char *tag)
{
    static const char *const tags[] = {"warmup", "timed", "profiled", "eval", "checkpoint"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strcmp(tag, tags[i]) == 0) {
            return tags[i];
        }
    }
    return "?";
}

static gb_status tags_print(store *s, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err,
                       "SELECT tag, count(*), sum(step_ms) FROM step WHERE run_id = ?"
                       " GROUP BY tag ORDER BY tag",
                       "i", run_id));
    for (;;) {
        GB_TRY(store_step(s, row, &found, err));
        if (!found) {
            return GB_OK;
        }
        printf("%-24s%lld steps, %s\n", tag_name(store_text(row, 0)),
               (long long)sqlite3_column_int64(row, 1),
               number_duration_ms(sqlite3_column_double(row, 2)).text);
    }
}

static gb_status rates_print(store *s, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err,
                       "SELECT r.tokens_per_step * 1000.0 / t.step_avg_ms, c.flops_per_token *"
                       " r.tokens_per_step * 1000.0 / t.step_avg_ms / p.flops_per_s,"
                       " p.flops_per_s, p.copy_bytes_per_s"
                       " FROM run r JOIN config c USING (config_id)"
                       " JOIN run_timing t ON t.run_id = r.run_id"
                       " LEFT JOIN gemm_peak p ON p.machine_id = r.machine_id"
                       " AND p.backend = r.backend AND p.precision = r.precision"
                       " AND p.threads = r.threads WHERE r.run_id = ?",
                       "i", run_id));
    GB_TRY(store_step(s, row, &found, err));
    if (!found) {
        return GB_OK;
    }
    printf("%-24s%s\n", "tokens/s", number_rounded(sqlite3_column_double(row, 0)).text);
    if (sqlite3_column_type(row, 1) != SQLITE_NULL) {
        printf("%-24s%s of a measured GEMM peak of %.0f GFLOP/s, exact FLOPs\n", "MFU",
               number_percent(sqlite3_column_double(row, 1)).text,
               sqlite3_column_double(row, 2) / 1e9);
        if (sqlite3_column_double(row, 1) > 1) {
            printf("%-24s%s\n", "", rates_peak_beaten);
        }
    }
    if (sqlite3_column_type(row, 3) != SQLITE_NULL) {
        printf("%-24s%.1f GB/s, measured on a large copy\n", "memory",
               sqlite3_column_double(row, 3) / 1e9);
    }
    sqlite3_reset(row);
    return GB_OK;
}

/* What the sensors saw; nothing where none was read. */
static gb_status sensors_print(store *s, int64_t run_id, gb_error *err)
{
    static const char sql[] =
        "WITH x AS (SELECT *, coalesce(gpu_clock_mhz, cpu_clock_mhz) AS clock FROM sample WHERE"
        " run_id = ?1), t AS (SELECT disturbance AS d FROM step WHERE run_id = ?1 AND tag ="
        " 'timed' AND disturbance IS NOT NULL)"
        " SELECT NULL AS 'the machine meanwhile',"
        " nullif((SELECT count(*) FROM x), 0) AS samples,"
        " (SELECT iif(count(*), sum(d <> '') || ' of ' || count(*) || ' timed steps', NULL)"
        " FROM t) AS disturbed,"
        " (SELECT group_concat(n || ' ' || d, '; ') FROM (SELECT d, count(*) AS n FROM t"
        " WHERE d <> '' GROUP BY d)) AS marks,"
        " (SELECT iif(count(clock), printf('%.0f MHz (%.0f to %.0f)', avg(clock), min(clock),"
        " max(clock)), NULL) FROM x) AS clock,"
        " (SELECT iif(count(gpu_power_w), printf('%.0f W (%.0f to %.0f)', avg(gpu_power_w),"
        " min(gpu_power_w), max(gpu_power_w)), NULL) FROM x) AS gpu_power,"
        " (SELECT iif(count(gpu_temperature_c), printf('%.0f degrees Celsius at most',"
        " max(gpu_temperature_c)), NULL) FROM x) AS gpu_temperature,"
        " (SELECT iif(count(cpu_steal), printf('%.1f %% of the CPU time at most', 100 *"
        " max(cpu_steal)), NULL) FROM x) AS steal,"
        " printf('%.4g J in the timed steps%s, by ', r.energy_j, iif(r.resumed_step IS NULL, '',"
        " ' of the last session')) || r.energy_source AS energy,"
        " iif(r.energy_j IS NULL, NULL, printf('%.4g mJ', 1e3 * r.energy_j / ((SELECT"
        " count(*) FROM step WHERE run_id = ?1 AND tag = 'timed' AND step >="
        " coalesce(r.resumed_step, 0)) * r.tokens_per_step))) AS energy_per_token,"
        " nullif(r.sensors_missing, '') AS not_read FROM run r WHERE r.run_id = ?1";
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err, sql, "i", run_id));
    GB_TRY(store_step(s, row, &found, err));
    if (found && sqlite3_column_type(row, 1) != SQLITE_NULL) {
        printf("\n%s\n", sqlite3_column_name(row, 0));
        for (int i = 1; i < sqlite3_column_count(row); i++) {
            const char *text = (const char *)sqlite3_column_text(row, i);
            if (text) {
                fact_print(sqlite3_column_name(row, i), text);
            }
        }
    }
    sqlite3_reset(row);
    return GB_OK;
}

/* What was planned, what was measured, and where a run stopped being finite. */
static gb_status limits_print(store *s, int64_t run_id, gb_error *err)
{
    static const char sql[] =
        "SELECT r.peak_memory_bytes, r.planned_memory_bytes, r.process_memory_bytes, d.nan_in,"
        " d.nan_step, d.last_good_step, d.last_good_loss, d.last_good_grad_norm, d.learning_rate"
        " FROM run r LEFT JOIN run_divergence d USING (run_id) WHERE r.run_id = ?";
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err, sql, "i", run_id));
    GB_TRY(store_step(s, row, &found, err));
    double peak = sqlite3_column_double(row, 0), planned = sqlite3_column_double(row, 1);
    if (found && planned > 0) {
        printf("\nmemory\n%-24s%s", "planned", number_bytes(planned).text);
        if (sqlite3_column_int64(row, 2) > 0) {
            printf(", of it the process before %s",
                   number_bytes(sqlite3_column_double(row, 2)).text);
        }
        printf("\n");
        if (peak > 0) {
            printf("%-24s%s, the plan is off by %s\n", "measured", number_bytes(peak).text,
                   number_percent_signed(planned / peak - 1).text);
        }
    }
    if (found && sqlite3_column_type(row, 3) != SQLITE_NULL) {
        printf("\ndiverged\n%-24s%s, at step %lld, learning rate %.4g\n", "not finite",
               (const char *)sqlite3_column_text(row, 3), (long long)sqlite3_column_int64(row, 4),
               sqlite3_column_double(row, 8));
        if (sqlite3_column_type(row, 5) != SQLITE_NULL) {
            printf("%-24s%lld, loss %.4f, gradient norm ", "last good step",
                   (long long)sqlite3_column_int64(row, 5), sqlite3_column_double(row, 6));
            if (sqlite3_column_type(row, 7) != SQLITE_NULL) {
                printf("%.4g\n", sqlite3_column_double(row, 7));
            } else {
                printf("not computed (grad_clip = 0)\n");
            }
        }
    }
    sqlite3_reset(row);
    return GB_OK;
}

static gb_status timing_print(store *s, int64_t run_id, gb_error *err)
{
    double *ms = NULL, median = NAN;
    size_t n = 0;
    gb_status status = timed_read(s, run_id, &ms, &n, err);
    if (status == GB_OK && n > 0) {
        status = stats_median(ms, n, &median, err);
    }
    if (status == GB_OK) {
        stats_interval mean = stats_mean_interval(ms, n, 0.95);
        printf("\ntiming\n");
        printf("%-24s%s", "step_avg", number_duration_ms(mean.value).text);
        if (isfinite(mean.low)) {
            printf(", 95 %% CI %s to %s", number_duration_ms(mean.low).text,
                   number_duration_ms(mean.high).text);
        }
        printf("\n%-24s%s\n%-24s%zu\n", "step_median", number_duration_ms(median).text,
               "timed steps", n);
        status = tags_print(s, run_id, err);
    }
    if (status == GB_OK) {
        status = rates_print(s, run_id, err);
    }
    free(ms);
    return status;
}

/* ---- sessions ---- */

static gb_status sessions_read(store *s, table *t, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err,
                       "SELECT session, started_at, first_step, steps, warmup_steps, timed_steps,"
                       " step_avg_ms FROM session_summary WHERE run_id = ? ORDER BY session",
                       "i", run_id));
    for (;;) {
        GB_TRY(store_step(s, row, &found, err));
        if (!found) {
            return GB_OK;
        }
        bool timed = sqlite3_column_type(row, 6) != SQLITE_NULL;
        table_begin_row(t);
        for (int i = 0; i < 6; i++) {
            table_add_cell(t, "%s", (const char *)sqlite3_column_text(row, i));
        }
        table_add_cell(t, "%s",
                       timed ? number_duration_ms(sqlite3_column_double(row, 6)).text : "-");
    }
}

/* Of a run that was interrupted and gone on with: each session has a warm-up of its own. */
static gb_status sessions_print(store *s, int64_t run_id, gb_error *err)
{
    static const char *const headings[] = {"session", "started", "first_step", "steps",
                                           "warmup",  "timed",   "step_avg"};
    table *t = table_create();
    for (int i = 0; i < 7; i++) {
        table_add_column(t, headings[i], i == 1 ? TABLE_LEFT : TABLE_RIGHT);
    }
    gb_status status = sessions_read(s, t, run_id, err);
    if (status == GB_OK && table_row_count(t) > 1) {
        printf("\nsessions\n");
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    return status;
}

/* ---- validations ---- */

static gb_status evals_read(store *s, table *t, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found;
    GB_TRY(store_query(s, &row, err,
                       "SELECT step, val_loss, train_time_ms, eval_ms, val_tokens FROM eval"
                       " WHERE run_id = ? ORDER BY step",
                       "i", run_id));
    for (;;) {
        GB_TRY(store_step(s, row, &found, err));
        if (!found) {
            return GB_OK;
        }
        bool finite = sqlite3_column_type(row, 1) != SQLITE_NULL;
        table_begin_row(t);
        table_add_cell(t, "%lld", (long long)sqlite3_column_int64(row, 0));
        table_add_cell(t, finite ? "%.4f" : "not finite", sqlite3_column_double(row, 1));
        table_add_cell(t, "%s", number_duration_ms(sqlite3_column_double(row, 2)).text);
        table_add_cell(t, "%s", number_duration_ms(sqlite3_column_double(row, 3)).text);
        table_add_cell(t, "%s", number_count(sqlite3_column_int64(row, 4)).text);
    }
}

static gb_status evals_print(store *s, int64_t run_id, gb_error *err)
{
    static const char *const headings[] = {"step", "val_loss", "train_time", "eval_time", "tokens"};
    table *t = table_create();
    for (int i = 0; i < 5; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    gb_status status = evals_read(s, t, run_id, err);
    if (status == GB_OK && table_row_count(t) > 0) {
        printf("\nvalidations\n");
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    return status;
}

/* ---- ops ---- */

/* The run as an entry of its own: means over one run. */
static gb_status ops_of_run(const report_data *data, const report_run *run, gb_error *err)
{
    op_row *rows = NULL;
    table *t = NULL;
    int n = 0;
    double step_ms = 0;
    const report_entry entry = {.config = run->config,
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
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    free(rows);
    return status;
}

/* Of runs that the suite asks for; a run without a ledger has no such table. */
static gb_status ops_print(store *s, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    report_data *data = NULL;
    char suite[256] = "", config[256] = "";
    const char *const wanted[] = {config, NULL};
    bool found;
    GB_TRY(store_query(s, &row, err,
                       "SELECT s.name, c.name FROM run r JOIN config c USING (config_id)"
                       " JOIN suite s USING (suite_id) WHERE r.run_id = ? AND EXISTS"
                       " (SELECT 1 FROM op_time o WHERE o.run_id = r.run_id)",
                       "i", run_id));
    GB_TRY(store_step(s, row, &found, err));
    if (!found) {
        return GB_OK;
    }
    snprintf(suite, sizeof suite, "%s", store_text(row, 0));
    snprintf(config, sizeof config, "%s", store_text(row, 1));
    sqlite3_reset(row);
    gb_status status = report_data_read_configs(&data, store_path(s), suite, wanted, err);
    for (int i = 0; status == GB_OK && i < data->facts->n_runs; i++) {
        if (data->facts->runs[i].run_id == run_id) {
            status = ops_of_run(data, &data->facts->runs[i], err);
        }
    }
    report_data_free(data);
    return status;
}

static gb_status run_print(store *s, int64_t run_id, gb_error *err)
{
    GB_TRY(facts_print(s, run_id, err));
    GB_TRY(limits_print(s, run_id, err));
    GB_TRY(timing_print(s, run_id, err));
    GB_TRY(sessions_print(s, run_id, err));
    GB_TRY(sensors_print(s, run_id, err));
    GB_TRY(evals_print(s, run_id, err));
    return ops_print(s, run_id, err);
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
    return status;
}
