#include "bench/plan/cost_estimate.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>

#include "bench/run/timing.h"
#include "model/flops.h"
#include "model/trainer.h"
#include "model/warmup.h"

static memory_fit cell_fit(const suite_cell *cell, const run_limits *limits,
                           const cost_options *options)
{
    train_job job = train_job_default();
    job.config = cell->config;
    job.spec = cell->spec;
    job.backend = options->backend;
    job.threads = options->threads;
    return memory_fit_make(&job, options->process_bytes, options->device_bytes, limits);
}

const cost_rate *cost_rate_like(const suite_cell *cell, const cost_options *options)
{
    const double flops = gpt_flops_exact(&cell->config, cell->spec.sequence_length) *
                         (double)train_spec_tokens_per_step(&cell->spec);
    const cost_rate *nearest = NULL;
    double least = log(COST_LIKE_FACTOR) * (1 + 1e-9);
    for (int i = 0; i < options->n_reached; i++) {
        const cost_rate *r = &options->reached[i];
        double distance = fabs(log(r->flops_per_step / flops));
        if (r->precision == cell->spec.precision && distance <= least) {
            nearest = nearest && distance == least ? nearest : r;
            least = distance;
        }
    }
    return nearest;
}

static void rate_choose(cost_row *row, const cost_options *options)
{
    const int64_t precision = row->cell->spec.precision;
    row->like = cost_rate_like(row->cell, options);
    if (row->like) {
        row->flops_per_s = row->like->flops_per_s;
    } else if (precision == GB_FP32 || precision == GB_BF16) {
        double peak = options->gemm_flops_per_s[precision];
        row->flops_per_s = peak > 0 ? COST_ASSUMED_EFFICIENCY * peak : 0;
    }
}

cost_row cost_row_make(const suite *from, int index, const cost_options *options)
{
    const suite_cell *cell = &from->cells[index];
    const suite_cell *baseline = &from->cells[from->baseline];
    const train_spec *spec = &cell->spec;
    cost_row row = {.cell = cell, .n_params = gpt_count_params(&cell->config), .run_ms = NAN};
    row.flops_per_token = gpt_flops_exact(&cell->config, spec->sequence_length);
    row.vs_baseline =
        row.flops_per_token / gpt_flops_exact(&baseline->config, baseline->spec.sequence_length) -
        1;
    row.fit = cell_fit(cell, &from->limits, options);
    row.memory_bytes = row.fit.needed_bytes;
    row.run_tokens = (double)train_spec_tokens_per_step(spec) * (double)spec->num_iterations;
    row.passes = options->train
                     ? data_passes(options->train, spec->batch_size * spec->sequence_length,
                                   spec->num_iterations * spec->grad_accumulation_steps)
                     : NAN;
    /* one validation per val_loss_every steps and one more; forward is a third of a step's work */
    double validations = ceil((double)spec->num_iterations / (double)spec->val_loss_every) + 1;
    double val_tokens = validations * (double)spec->val_tokens;
    row.run_flops = row.flops_per_token * (row.run_tokens + val_tokens / 3);
    rate_choose(&row, options);
    if (row.flops_per_s > 0) {
        row.run_ms = 1000 * row.run_flops / row.flops_per_s;
    }
    return row;
}

/* Time of a training step, by the same estimate as the runs. */
static double step_ms(const cost_row *row)
{
    double tokens = (double)train_spec_tokens_per_step(&row->cell->spec);
    return row->flops_per_s > 0 ? 1000 * row->flops_per_token * tokens / row->flops_per_s : NAN;
}

/* The session that bench/plan/runplan.h would ask for: the selected cells, the baseline, the
 * control. */
static void timing_add(cost_estimate *p)
{
    const timing_options *o = &p->suite->timing;
    double baseline_ms = step_ms(&p->baseline), sum_ms = baseline_ms; /* of the control */
    bool has_baseline = false;
    int arms = 1;
    for (int i = 0; i < p->n_rows; i++) {
        has_baseline = has_baseline || p->rows[i].cell->is_baseline;
        sum_ms += step_ms(&p->rows[i]);
        arms++;
    }
    if (!has_baseline) {
        sum_ms += baseline_ms;
        arms++;
    }
    if (o->blocks == 0 || arms < 3) {
        return;
    }
    train_burst burst = timing_burst_size(o, isfinite(baseline_ms) ? baseline_ms : 1);
    double processes =
        o->process_blocks > 0 ? ceil((double)o->blocks / (double)o->process_blocks) : 1;
    double steps = processes * WARMUP_MIN_STEPS +
                   (double)o->blocks * (double)(burst.lead_steps + burst.timed_steps);
    p->timing_arms = arms;
    p->timing_ms = steps * sum_ms;
}

gb_status cost_estimate_make(cost_estimate **out, const suite *from, const cost_options *options,
                             gb_error *err)
{
    *out = NULL;
    cost_estimate *p = calloc(1, sizeof *p);
    if (!p || !(p->rows = calloc((size_t)from->n_cells, sizeof *p->rows))) {
        cost_estimate_free(p);
        return gb_fail(err, GB_ERR_OOM, "no memory left for the plan");
    }
    p->suite = from;
    p->baseline = cost_row_make(from, from->baseline, options);
    for (int i = 0; i < from->n_cells; i++) {
        if (options->only && fnmatch(options->only, from->cells[i].name, 0) != 0) {
            continue;
        }
        cost_row *row = &p->rows[p->n_rows++];
        *row = cost_row_make(from, i, options);
        p->total_tokens += (double)from->replicates * row->run_tokens;
        p->total_ms += (double)from->replicates * row->run_ms;
    }
    p->n_runs = p->n_rows * from->replicates;
    timing_add(p);
    if (p->n_rows == 0) {
        cost_estimate_free(p);
        return gb_fail(err, GB_ERR_USAGE, "--only %s: no cell of suite %s has such a name; %s",
                       options->only, from->name, suite_cells_listed(from).text);
    }
    *out = p;
    return GB_OK;
}

void cost_estimate_free(cost_estimate *p)
{
    if (p) {
        free(p->rows);
        free(p);
    }
}

cost_quantities cost_row_quantities(const cost_row *row)
{
    return (cost_quantities){.n_params = (double)row->n_params,
                             .flops_per_token = row->flops_per_token,
                             .tokens_per_step =
                                 (double)train_spec_tokens_per_step(&row->cell->spec),
                             .memory_bytes = (double)row->memory_bytes};
}

cost_claim_basis cost_claim_predict(const cost_quantities *config, const cost_quantities *baseline,
                                    const suite_expect *expect, double *percent)
{
    double work = config->flops_per_token / baseline->flops_per_token;
    double step = work * config->tokens_per_step / baseline->tokens_per_step;
    switch (expect->metric) {
    case METRIC_STEP_AVG:
    case METRIC_STEP_MEDIAN:
        *percent = suite_expect_percent(expect, step, 1);
        return COST_CLAIM_FLOPS;
    case METRIC_TOKENS_PER_S:
        *percent = suite_expect_percent(expect, 1, work);
        return COST_CLAIM_FLOPS;
    case METRIC_PEAK_MEMORY:
        *percent = suite_expect_percent(expect, config->memory_bytes, baseline->memory_bytes);
        return COST_CLAIM_MEMORY;
    case METRIC_N_PARAMS:
        *percent = suite_expect_percent(expect, config->n_params, baseline->n_params);
        return COST_CLAIM_EXACT;
    case METRIC_FLOPS:
        *percent = suite_expect_percent(expect, work, 1);
        return COST_CLAIM_EXACT;
    case METRIC_VAL_LOSS:
    case METRIC_BEST_VAL_LOSS:
    case METRIC_COUNT:
        break;
    }
    *percent = NAN;
    return COST_CLAIM_UNKNOWN;
}
