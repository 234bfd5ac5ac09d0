/* Runs: their rows, and what was measured in each of them. */
#include <math.h>
#include <stdlib.h>

#include "bench/read/facts_internal.h"
#include "bench/store/store_share.h"

/* ---- rows ---- */

#define RUN(column, type, field)                                                                   \
    {                                                                                              \
        column, type, offsetof(run_facts, field)                                                   \
    }
#define SAME(field, type)                                                                          \
    {                                                                                              \
#field, type, offsetof(run_facts, field)                                                   \
    }
/* Of the GPU where one was seen, else of the CPU. */
#define CLOCK_MEDIAN                                                                               \
    "(SELECT avg(mhz) FROM (SELECT mhz, row_number() OVER (ORDER BY mhz) AS rank, count(*) OVER "  \
    "() AS n FROM (SELECT coalesce(gpu_clock_mhz, cpu_clock_mhz) AS mhz FROM sample x "            \
    "WHERE x.run_id = r.run_id) WHERE mhz > 0) WHERE rank IN ((n + 1) / 2, (n + 2) / 2))"
static const row_field RUN_FIELDS[] = {
    RUN("r.run_id", ROW_INT, run_id),
    RUN("r.config_id", ROW_INT, config_id),
    RUN("coalesce(r.machine_id, -1)", ROW_INT, machine_id),
    SAME(replicate, ROW_INT),
    SAME(attempt, ROW_INT),
    RUN("state_now(status, r.runner_id)", ROW_TEXT, status),
    RUN("iif(state_now(status, r.runner_id) <> status, '" STORE_DEAD_MESSAGE "', message)",
        ROW_TEXT, message),
    SAME(identity, ROW_TEXT),
    RUN("r.backend", ROW_TEXT, backend),
    RUN("r.precision", ROW_TEXT, precision),
    SAME(isa, ROW_TEXT),
    SAME(precision_note, ROW_TEXT),
    SAME(libraries, ROW_TEXT),
    SAME(program_version, ROW_TEXT),
    SAME(program_commit, ROW_TEXT),
    SAME(compiler, ROW_TEXT),
    SAME(train_data, ROW_TEXT),
    SAME(val_data, ROW_TEXT),
    SAME(train_data_hash, ROW_TEXT),
    SAME(val_data_hash, ROW_TEXT),
    SAME(val_stretch_hash, ROW_TEXT),
    SAME(profile_note, ROW_TEXT),
    RUN("r.threads", ROW_INT, threads),
    SAME(seed, ROW_INT),
    SAME(batch_size, ROW_INT),
    SAME(sequence_length, ROW_INT),
    SAME(grad_accumulation_steps, ROW_INT),
    SAME(tokens_per_step, ROW_INT),
    SAME(num_iterations, ROW_INT),
    SAME(steps_done, ROW_INT),
    SAME(warmup_steps, ROW_INT),
    SAME(entropy_rate_nats, ROW_REAL),
    SAME(peak_memory_bytes, ROW_REAL),
    RUN("p.flops_per_s", ROW_REAL, gemm_peak_flops_per_s),
    RUN("p.copy_bytes_per_s", ROW_REAL, copy_bytes_per_s),
    RUN("p.sustained_flops_per_s", ROW_REAL, gemm_sustained_flops_per_s),
    SAME(planned_memory_bytes, ROW_REAL),
    SAME(process_memory_bytes, ROW_REAL),
    SAME(resumed_step, ROW_REAL),
    RUN("coalesce(val_tokens, 0)", ROW_INT, val_tokens),
    RUN(CLOCK_MEDIAN, ROW_REAL, clock_median_mhz),
    SAME(lr_scale, ROW_REAL),
    RUN("iif(json_valid(c.settings_json), json_extract(c.settings_json, '$.grad_clip'), NULL)",
        ROW_REAL, grad_clip),
    RUN("d.nan_in", ROW_TEXT, nan_in),
    RUN("d.nan_step", ROW_REAL, nan_step),
    RUN("d.last_good_step", ROW_REAL, last_good_step),
    RUN("d.last_good_loss", ROW_REAL, last_good_loss),
    RUN("d.last_good_grad_norm", ROW_REAL, last_good_grad_norm),
    RUN("d.learning_rate", ROW_REAL, nan_learning_rate),
};

/* Averages, as the view run_summary has them. Where steps are read, bench/analysis/run_numbers.c
 * fills these fields; a number that is not here is missing where they are not, as in the table that
 * `run` prints. */
static const row_field SUMMARY_FIELDS[] = {
    SAME(step_avg_ms, ROW_REAL),
    SAME(step_median_ms, ROW_REAL),
    SAME(final_val_loss, ROW_REAL),
    SAME(best_val_loss, ROW_REAL),
    SAME(first_val_loss, ROW_REAL),
    RUN("disturbed_steps", ROW_INT, sensors.timed_marked),
    RUN("iif(disturbed_steps IS NULL, 0, timed_steps)", ROW_INT, sensors.timed_known),
};
static const row_table SUMMARY = ROW_TABLE(SUMMARY_FIELDS, run_facts);

#define RUN_TABLES                                                                                 \
    "FROM run r JOIN config c USING (config_id)"                                                   \
    " LEFT JOIN run_divergence d ON d.run_id = r.run_id"                                           \
    " LEFT JOIN gemm_peak p ON p.machine_id = r.machine_id AND p.backend = r.backend"              \
    " AND p.precision = r.precision AND p.threads = r.threads"

gb_status run_rows_read(row_reader *r, facts *f, int64_t run_id)
{
    static const row_table runs = ROW_TABLE(RUN_FIELDS, run_facts);
    const char *rest = run_id ? RUN_TABLES " WHERE r.run_id = ?1"
                              : RUN_TABLES
                           " WHERE c.suite_id = ?1 AND r.in_plan = 1 AND c.in_plan = 1"
                           " ORDER BY position, config_id, replicate, r.run_id";
    GB_TRY(rows_read_few(r, &runs, rest, run_id ? run_id : f->suite_id, (void **)&f->runs,
                         &f->n_runs));
    for (int i = 0; i < f->n_runs; i++) {
        run_facts *run = &f->runs[i];
        run->config = facts_find_config(f, run->config_id);
        run->machine = facts_find_machine(f, run->machine_id);
        row_forget(&SUMMARY, run);
        run->uniform_nats = NAN;
        run->sensors.started_at = run->sensors.missing = "";
        run->sensors.energy_j = NAN;
    }
    return GB_OK;
}

gb_status run_summaries_read(row_reader *r, facts *f)
{
    for (int i = 0; i < f->n_runs; i++) {
        run_facts *row = NULL;
        int64_t n = 0;
        gb_status status = rows_read(r, &SUMMARY, "FROM run_summary WHERE run_id = ?1",
                                     f->runs[i].run_id, (void **)&row, &n);
        if (status == GB_OK && n > 0) {
            row_copy(&SUMMARY, &f->runs[i], row);
        }
        free(row);
        GB_TRY(status);
    }
    return GB_OK;
}

/* ---- steps and validations ---- */

#define STEP(column, type, field)                                                                  \
    {                                                                                              \
        column, type, offsetof(step_row, field)                                                    \
    }
static const row_field STEP_FIELDS[] = {
    STEP("step", ROW_INT, step),
    STEP("tag", ROW_LETTER, tag),
    STEP("step_ms", ROW_REAL, step_ms),
    STEP("ended_s", ROW_REAL, ended_s),
    STEP("disturbance IS NOT NULL", ROW_BOOL, watched),
    STEP("disturbance", ROW_MARKS, mask),
};

/* False without memory. */
static bool steps_keep(run_facts *run, const step_row *rows, int64_t n)
{
    run->steps = calloc((size_t)n + 1, sizeof *run->steps);
    run->timed_ms = calloc((size_t)n + 1, sizeof *run->timed_ms);
    if (!run->steps || !run->timed_ms) {
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        run->steps[run->n_steps++] = (step_facts){rows[i].tag, rows[i].step_ms};
        if (rows[i].tag == 't' && isfinite(rows[i].step_ms)) {
            run->timed_ms[run->n_timed++] = rows[i].step_ms;
            run->n_timed_last += !((double)rows[i].step < run->resumed_step);
        }
    }
    return sensor_marks_add(&run->sensors, rows, n);
}

static gb_status steps_read(row_reader *r, run_facts *run)
{
    static const row_table steps = ROW_TABLE(STEP_FIELDS, step_row);
    step_row *rows = NULL;
    int64_t n = 0;
    gb_status status = rows_read(r, &steps, "FROM step WHERE run_id = ?1 ORDER BY step",
                                 run->run_id, (void **)&rows, &n);
    if (status == GB_OK && !steps_keep(run, rows, n)) {
        status = gb_fail(r->err, GB_ERR_OOM, "no memory to read %s", r->path);
    }
    free(rows);
    return status;
}

#define EVAL(field, type)                                                                          \
    {                                                                                              \
#field, type, offsetof(eval_facts, field)                                                  \
    }
static const row_field EVAL_FIELDS[] = {
    EVAL(step, ROW_INT),     EVAL(val_loss, ROW_REAL),  EVAL(train_time_ms, ROW_REAL),
    EVAL(eval_ms, ROW_REAL), EVAL(val_tokens, ROW_INT),
};

gb_status run_details_read(row_reader *r, run_facts *run)
{
    static const row_table evals = ROW_TABLE(EVAL_FIELDS, eval_facts);
    GB_TRY(sensor_rows_read(r, run));
    GB_TRY(steps_read(r, run));
    GB_TRY(rows_read(r, &evals, "FROM eval WHERE run_id = ?1 ORDER BY step", run->run_id,
                     (void **)&run->evals, &run->n_evals));
    GB_TRY(ledger_rows_read(r, run));
    return segment_rows_read(r, run);
}
