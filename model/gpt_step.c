/* A training step: its batch and numbers go to the device without waiting, its ops are recorded
 * once they have run a few times where the backend records, its results come back later. */
#include <math.h>

#include "model/gpt_internal.h"

/* By the second plain run everything is allocated and chosen. */
enum { PLAIN_RUNS = 2 };

/* ---- units ---- */

static gb_status unit_issue(gpt *g, gpt_unit_kind kind, gb_error *err)
{
    const double constant = g->units[kind].constant;
    if (kind != GPT_UNIT_UPDATE) {
        return gpt_forward_backward(g, constant, kind == GPT_UNIT_FIRST, err);
    }
    double *squares = constant > 0 ? &g->results[GPT_RESULT_GRAD_SQUARES] : NULL;
    if (squares) {
        gpt_set_scope(g, GB_PHASE_UPDATE, -1, GB_OP_GRAD_NORM);
        OP(g, sum_squares(g->dev, squares, g->grad, g->layout.slab_size));
    }
    gpt_set_scope(g, GB_PHASE_UPDATE, -1, GB_OP_ADAMW);
    OP(g, adamw(g->dev, g->weights, g->master, g->m, g->v, g->grad, g->layout.slab_size,
                g->data + GPT_DATA_ADAMW, &g->results[GPT_RESULT_LOSS], squares));
    return GB_OK;
}

static gb_status unit_record(gpt *g, gpt_unit_kind kind, gb_error *err)
{
    OP(g, record_begin(g->dev));
    gb_status status = unit_issue(g, kind, err);
    if (status != GB_OK) {
        gb_recording *broken = NULL;
        (void)g->be->record_end(g->dev, &broken); /* the first failure is the one to report */
        g->be->recording_free(g->dev, broken);
        return status;
    }
    OP(g, record_end(g->dev, &g->units[kind].recording));
    return GB_OK;
}

static gb_status unit_run(gpt *g, gpt_unit_kind kind, double constant, gb_error *err)
{
    gpt_unit *unit = &g->units[kind];
    if (unit->constant != constant) {
        if (unit->recording) {
            g->be->recording_free(g->dev, unit->recording);
        }
        *unit = (gpt_unit){.constant = constant};
    }
    if (!g->records || unit->runs < PLAIN_RUNS) {
        unit->runs++;
        return unit_issue(g, kind, err);
    }
    if (!unit->recording) {
        GB_TRY(unit_record(g, kind, err));
    }
    if (kind == GPT_UNIT_UPDATE) {
        gb_nvtx_scope(g->options.nvtx, GB_PHASE_UPDATE, -1);
    } else {
        gb_nvtx_pass(g->options.nvtx);
    }
    OP(g, replay(g->dev, unit->recording));
    return GB_OK;
}

void gpt_set_recording(gpt *g, bool on)
{
    gb_description about;
    g->be->describe(g->dev, &about);
    g->records = on && about.records;
}

/* ---- the step ---- */

static gb_status stage_batch(gpt *g, gb_phase phase, const int32_t *inputs, const int32_t *targets,
                             gb_error *err)
{
    const int64_t bytes = g->N * (int64_t)sizeof *inputs;
    gpt_set_scope(g, phase, -1, GB_OP_EMBED);
    OP(g, stage(g->dev, g->inputs, inputs, bytes));
    OP(g, stage(g->dev, g->targets, targets, bytes));
    return GB_OK;
}

gb_status gpt_stage_batch(gpt *g, const int32_t *inputs, const int32_t *targets, gb_error *err)
{
    return stage_batch(g, GB_PHASE_DATA, inputs, targets, err);
}

gb_status gpt_stage_eval_batch(gpt *g, const int32_t *inputs, const int32_t *targets, gb_error *err)
{
    return stage_batch(g, GB_PHASE_EVAL, inputs, targets, err);
}

/* The buffers hold B sequences; fewer lie at their beginning. */
gb_status gpt_evaluate(gpt *g, int64_t sequences, bool first, gb_error *err)
{
    const int64_t B = g->B;
    if (sequences < 1 || sequences > B) {
        return gb_fail(err, GB_ERR_INTERNAL, "%lld sequences of a batch of %lld",
                       (long long)sequences, (long long)B);
    }
    g->B = sequences;
    g->N = sequences * g->T;
    gb_status status = gpt_forward_only(g, first, err);
    g->B = B;
    g->N = B * g->T;
    return status;
}

gb_status gpt_accumulate(gpt *g, double grad_scale, bool first, gb_error *err)
{
    if (!g->options.training) {
        return gb_fail(err, GB_ERR_INTERNAL, "gradient asked of a model that does not train");
    }
    return unit_run(g, first ? GPT_UNIT_FIRST : GPT_UNIT_MORE, grad_scale, err);
}

gb_status gpt_update(gpt *g, const gpt_update_options *options, gb_error *err)
{
    const gb_adamw params = {.learning_rate = options->learning_rate,
                             .beta1 = 0.9,
                             .beta2 = 0.95,
                             .eps = 1e-8,
                             .weight_decay = options->weight_decay,
                             .grad_clip = options->grad_clip,
                             .step = (double)options->step};
    gpt_set_scope(g, GB_PHASE_DATA, -1, GB_OP_ADAMW);
    OP(g, stage(g->dev, g->data + GPT_DATA_ADAMW, &params, sizeof params));
    return unit_run(g, GPT_UNIT_UPDATE, options->grad_clip > 0, err);
}

/* ---- results ---- */

gb_status gpt_clock_start(gpt *g, gb_error *err)
{
    OP(g, clock_start(g->dev));
    return GB_OK;
}

gb_status gpt_results_post(gpt *g, gb_error *err)
{
    OP(g, results_post(g->dev, g->results, GPT_RESULTS));
    return GB_OK;
}

gb_status gpt_results_take(gpt *g, gpt_results *out, gb_error *err)
{
    double values[GB_RESULTS_MAX];
    OP(g, results_take(g->dev, values, &out->elapsed_ms));
    out->loss_sum = values[GPT_RESULT_LOSS];
    out->grad_norm =
        g->units[GPT_UNIT_UPDATE].constant > 0 ? sqrt(values[GPT_RESULT_GRAD_SQUARES]) : NAN;
    return GB_OK;
}

/* ---- one batch, waited for ---- */

static gb_status loss_download(gpt *g, double *loss_sum, gb_error *err)
{
    OP(g, download(g->dev, loss_sum, &g->results[GPT_RESULT_LOSS], sizeof *loss_sum));
    return GB_OK;
}

gb_status gpt_loss(gpt *g, const int32_t *inputs, const int32_t *targets, double *loss_sum,
                   gb_error *err)
{
    GB_TRY(gpt_stage_batch(g, inputs, targets, err));
    GB_TRY(gpt_evaluate(g, g->B, true, err));
    return loss_download(g, loss_sum, err);
}

gb_status gpt_loss_and_grad(gpt *g, const int32_t *inputs, const int32_t *targets,
                            double grad_scale, bool first, double *loss_sum, gb_error *err)
{
    GB_TRY(gpt_stage_batch(g, inputs, targets, err));
    GB_TRY(gpt_accumulate(g, grad_scale, first, err));
    return loss_download(g, loss_sum, err);
}
