#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kernels/checked.h"
#include "kernels/clock.h"
#include "kernels/nvtx.h"
#include "kernels/process_memory.h"
#include "model/flops.h"
#include "model/trainer_internal.h"
#include "model/weights.h"

train_job train_job_default(void)
{
    return (train_job){.config = gpt_config_default(),
                       .spec = train_spec_default(),
                       .device_index = -1,
                       .profile_steps = 3};
}

gpt_options trainer_model_options(const train_spec *spec)
{
    return (gpt_options){.batch_size = spec->batch_size,
                         .sequence_length = spec->sequence_length,
                         .training = true,
                         .recompute = spec->recompute_activations};
}

static gb_options device_options(const train_job *job)
{
    const train_spec *spec = &job->spec;
    return (gb_options){
        .precision = (gb_precision)spec->precision,
        .threads = job->threads,
        .device_index = job->device_index,
        .shape = gpt_config_shape(&job->config, spec->batch_size, spec->sequence_length)};
}

void trainer_plan_memory(const train_job *job, int64_t bytes[GB_MEM_GROUPS])
{
    gb_options device = device_options(job);
    gpt_options options = trainer_model_options(&job->spec);
    int act_bytes = device.precision == GB_BF16 ? 2 : device.precision == GB_FP64 ? 8 : 4;
    int wide_bytes = device.precision == GB_FP64 ? 8 : 4;
    gpt_plan_memory(&job->config, &options, act_bytes, wide_bytes, bytes);
    bytes[GB_MEM_WORKSPACE] = job->backend->workspace_bytes(&device);
}

int64_t trainer_plan_overhead(const train_job *job)
{
    int64_t groups[GB_MEM_GROUPS] = {0};
    gb_options device = device_options(job);
    if (!job->backend->overhead_bytes) {
        return 0;
    }
    trainer_plan_memory(job, groups);
    return job->backend->overhead_bytes(&device, groups);
}

int64_t trainer_plan_memory_total(const train_job *job)
{
    int64_t groups[GB_MEM_GROUPS] = {0}, total = trainer_plan_overhead(job);
    trainer_plan_memory(job, groups);
    for (int g = 0; g < GB_MEM_GROUPS; g++) {
        total = gb_plus(total, groups[g]);
    }
    return total;
}

/* ---- start ---- */

gb_status trainer_open_train(token_loader *loader, token_source *source, const train_spec *spec,
                             int64_t replicate, gb_error *err)
{
    return token_loader_open(loader, source, spec->batch_size, spec->sequence_length, replicate,
                             err);
}

gb_status trainer_open_val(token_loader *loader, token_source *source, const train_spec *spec,
                           gb_error *err)
{
    const int64_t T = spec->sequence_length;
    GB_TRY(token_loader_open(loader, source, 1, T, 0, err));
    if (loader->batches < spec->val_tokens / T) {
        return gb_fail(err, GB_ERR_USAGE,
                       "val_tokens = %lld: %.200s holds only %lld whole sequences of %lld tokens; "
                       "val_tokens may be at most %lld",
                       (long long)spec->val_tokens, spec->val_data, (long long)loader->batches,
                       (long long)T, (long long)(loader->batches * T));
    }
    return GB_OK;
}

static gb_status open_data(trainer *t, gb_error *err)
{
    const train_spec *s = t->spec;
    int64_t vocab = t->job->config.vocab_size, batch = s->batch_size * s->sequence_length;
    GB_TRY(token_source_open(&t->train_source, s->train_data, vocab, err));
    GB_TRY(token_source_open_val(&t->val_source, s->val_data, vocab, err));
    GB_TRY(trainer_open_train(&t->train, t->train_source, s, t->job->replicate, err));
    GB_TRY(trainer_open_val(&t->val, t->val_source, s, err));
    GB_TRY(token_source_hash_stretch(t->val_source, s->sequence_length,
                                     s->val_tokens / s->sequence_length, t->val_hash, err));
    t->inputs = calloc((size_t)batch * 2, sizeof *t->inputs);
    if (!t->inputs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a batch of %lld tokens", (long long)batch);
    }
    t->targets = t->inputs + batch;
    return GB_OK;
}

static gb_status open_model(trainer *t, gb_error *err)
{
    gb_options device = device_options(t->job);
    gpt_options options = trainer_model_options(t->spec);
    const char *why_not = t->be->unavailable(device.precision);
    if (why_not) {
        return gb_fail(err, GB_ERR_ENV, "backend %s cannot run %s here: %s", t->be->name,
                       gb_precision_name(device.precision), why_not);
    }
    t->nvtx = gb_nvtx_open((int)t->job->config.n_layer);
    device.nvtx = options.nvtx = t->nvtx;
    GB_TRY(t->be->open(&device, &t->dev, err));
    GB_TRY(gpt_create(&t->model, &t->job->config, &options, t->be, t->dev, err));
    GB_TRY(gpt_init_weights(t->model, (uint64_t)t->spec->seed, (uint32_t)t->job->replicate, err));
    return t->job->load_weights ? gpt_load_weights(t->model, t->job->load_weights, err) : GB_OK;
}

static void emit_start(trainer *t)
{
    train_event event = {.type = TRAIN_EVENT_START};
    train_start *start = &event.u.start;
    start->n_params = gpt_count_params(&t->job->config);
    start->flops_per_token = gpt_flops_exact(&t->job->config, t->spec->sequence_length);
    trainer_plan_memory(t->job, start->memory_plan_bytes);
    start->overhead_bytes = trainer_plan_overhead(t->job);
    start->process_memory_bytes = t->process_bytes;
    start->tokens_per_step = train_spec_tokens_per_step(t->spec);
    start->entropy_rate_nats = token_source_entropy_rate(t->val_source);
    start->entropy_spread_nats = token_source_entropy_spread(t->val_source);
    snprintf(start->train_data_hash, sizeof start->train_data_hash, "%s",
             token_source_hash(t->train_source));
    snprintf(start->val_data_hash, sizeof start->val_data_hash, "%s",
             token_source_hash(t->val_source));
    snprintf(start->val_stretch_hash, sizeof start->val_stretch_hash, "%s", t->val_hash);
    t->be->describe(t->dev, &start->device);
    t->steps_ahead = start->device.steps_ahead;
    trainer_emit(t, &event);
}

/* ---- one step ---- */

static double ledger_flops(trainer *t)
{
    double total = 0;
    int count = t->be->timers_read(t->dev, NULL, 0);
    gb_op_time *rows = calloc((size_t)count + 1, sizeof *rows);
    if (!rows) {
        return NAN;
    }
    count = t->be->timers_read(t->dev, rows, count);
    for (int i = 0; i < count; i++) {
        total += rows[i].phase == GB_PHASE_EVAL ? 0 : rows[i].flops;
    }
    free(rows);
    return total;
}

static gb_status issue_micro_batches(trainer *t, double *data_ms, gb_error *err)
{
    const int64_t count = t->spec->grad_accumulation_steps;
    const double grad_scale = 1.0 / (double)train_spec_tokens_per_step(t->spec);
    *data_ms = 0;
    for (int64_t i = 0; i < count; i++) {
        double started_ms = gb_monotonic_ms();
        gb_nvtx_scope(t->nvtx, GB_PHASE_DATA, -1);
        gb_nvtx_op_begin(t->nvtx, GB_OP_DATA);
        GB_TRY(token_loader_next(&t->train, t->inputs, t->targets, err));
        gb_nvtx_op_end(t->nvtx);
        *data_ms += gb_monotonic_ms() - started_ms;
        GB_TRY(gpt_stage_batch(t->model, t->inputs, t->targets, err));
        GB_TRY(gpt_accumulate(t->model, grad_scale, i == 0, err));
        trainer_alive(t);
    }
    return GB_OK;
}

/* Busy until the step, which began at `started_ms`, has taken `drag` more of its time. */
static void drag_step(double started_ms, double drag)
{
    const double until_ms = started_ms + (gb_monotonic_ms() - started_ms) * (1 + drag);
    while (gb_monotonic_ms() < until_ms) {
    }
}

/* Bursts may go on beyond the schedule; they stay at its last rate. */
static double learning_rate_at(const trainer *t, int64_t step)
{
    int64_t last = t->spec->num_iterations - 1;
    return train_spec_learning_rate(t->spec, step < last ? step : last);
}

gb_status trainer_issue_step(trainer *t, trainer_purpose purpose, gb_error *err)
{
    step_under_way *s = &t->under_way[(t->first_under_way + t->n_under_way) % GB_RESULTS_UNDER_WAY];
    *s = (step_under_way){
        .purpose = purpose, .after_eval = t->after_eval, .after_checkpoint = t->after_checkpoint};
    s->step.step = t->steps_issued;
    s->step.session = t->session;
    s->step.learning_rate = learning_rate_at(t, t->steps_issued);
    gb_nvtx_step_begin(t->nvtx, t->steps_issued);
    if (t->n_under_way == 0) {
        getrusage(RUSAGE_SELF, &t->usage_before);
        GB_TRY(gpt_clock_start(t->model, err));
    }
    const double started_ms = gb_monotonic_ms();
    GB_TRY(issue_micro_batches(t, &s->data_ms, err));
    const gpt_update_options update = {.learning_rate = s->step.learning_rate,
                                       .weight_decay = t->spec->weight_decay,
                                       .grad_clip = t->spec->grad_clip,
                                       .step = t->steps_issued + 1};
    GB_TRY(gpt_update(t->model, &update, err));
    if (t->job->drag > 0) {
        drag_step(started_ms, t->job->drag);
    }
    GB_TRY(gpt_results_post(t->model, err));
    gb_nvtx_step_end(t->nvtx);
    double flops = ledger_flops(t);
    s->step.flops_issued = flops - t->flops_before;
    t->flops_before = flops;
    t->after_eval = t->after_checkpoint = false;
    t->steps_issued++;
    t->n_under_way++;
    return GB_OK;
}

static train_step_tag tag_of_step(const trainer *t, const step_under_way *s)
{
    return s->purpose == TRAINER_PROFILED               ? TRAIN_STEP_PROFILED
           : !t->may_time || s->purpose == TRAINER_LEAD ? TRAIN_STEP_WARMUP
           : s->after_checkpoint                        ? TRAIN_STEP_CHECKPOINT
           : s->after_eval                              ? TRAIN_STEP_EVAL
                                                        : TRAIN_STEP_TIMED;
}

/* What befell this process since the step before. */
static void usage_note(trainer *t, train_step *step)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    step->major_faults = now.ru_majflt - t->usage_before.ru_majflt;
    step->minor_faults = now.ru_minflt - t->usage_before.ru_minflt;
    step->preemptions = now.ru_nivcsw - t->usage_before.ru_nivcsw;
    t->usage_before = now;
}

/* Waits for the oldest step under way and tells of it. */
static gb_status take_step(trainer *t, gb_error *err)
{
    const step_under_way *s = &t->under_way[t->first_under_way];
    train_event event = {.type = TRAIN_EVENT_STEP};
    train_step *step = &event.u.step;
    gpt_results results;
    GB_TRY(gpt_results_take(t->model, &results, err));
    t->first_under_way = (t->first_under_way + 1) % GB_RESULTS_UNDER_WAY;
    t->n_under_way--;
    *step = s->step;
    step->tag = tag_of_step(t, s);
    step->train_loss = results.loss_sum / (double)train_spec_tokens_per_step(t->spec);
    step->grad_norm = results.grad_norm;
    step->step_ms = results.elapsed_ms;
    usage_note(t, step);
    step->ended_s = gb_monotonic_ms() / 1e3;
    t->train_time_ms += step->step_ms;
    t->timed_steps += step->tag == TRAIN_STEP_TIMED;
    if (s->purpose == TRAINER_PROFILED) {
        t->profiled_steps++;
        t->profiled_ms += step->step_ms;
        t->data_ms += s->data_ms;
        t->data_calls += t->spec->grad_accumulation_steps;
    } else {
        t->may_time = warmup_add_step(&t->warmup, step->step_ms);
    }
    t->steps_done++;
    trainer_emit(t, &event);
    if (!isfinite(step->train_loss)) {
        return gb_fail(err, GB_ERR_NAN, "training loss is not finite at step %lld",
                       (long long)step->step);
    }
    return GB_OK;
}

gb_status trainer_take_steps(trainer *t, int count, gb_error *err)
{
    while (t->n_under_way > count) {
        GB_TRY(take_step(t, err));
    }
    return GB_OK;
}

/* ---- the run ---- */

gb_status trainer_interrupt(trainer *t, gb_error *err)
{
    char kept[64] = "";
    GB_TRY(trainer_take_steps(t, 0, err));
    trainer_checkpoint_write(t);
    if (t->checkpointed_steps > 0) {
        snprintf(kept, sizeof kept, "; a checkpoint at step %lld is kept",
                 (long long)t->checkpointed_steps);
    }
    return gb_fail(err, GB_ERR_INTERRUPTED, "asked to stop after %lld of %lld steps%s",
                   (long long)t->steps_done, (long long)t->spec->num_iterations, kept);
}

/* The last steps are the profiled ones: by then everything is warm, and nothing that is timed
 * comes after them. A run too short to be timed at all keeps its steps for timing. */
static int64_t first_profiled_step(const trainer *t)
{
    int64_t n = t->spec->num_iterations, wanted = t->job->profile_steps;
    return wanted > 0 && n > wanted + 1 ? n - wanted : n;
}

/* Whether something is to be done once `steps` are done, so that none may be under way: a
 * validation, a checkpoint, the profiled steps one by one, the end. */
static bool pauses_after(const trainer *t, int64_t steps)
{
    return steps >= t->profile_from || steps % t->spec->val_loss_every == 0 ||
           trainer_checkpoint_due(t, steps);
}

static gb_status between_steps(trainer *t, gb_error *err)
{
    const bool last = t->steps_done == t->n_steps;
    if (last && t->profile_from < t->n_steps) {
        GB_TRY(trainer_profile_end(t, err));
    }
    /* Within the profiled window too: no step's time has it, and the profile leaves out its phase.
     */
    if (last || t->steps_done % t->spec->val_loss_every == 0) {
        GB_TRY(trainer_validate(t, err));
    }
    if (trainer_checkpoint_due(t, t->steps_done)) {
        trainer_checkpoint_write(t);
    }
    if (t->steps_done == t->profile_from && !last) {
        trainer_profile_begin(t);
    }
    return GB_OK;
}

/* Where the profiled steps wait for timed ones: begins them once these are done, and lets the run
 * end with them. */
static gb_status profile_when_timed(trainer *t, gb_error *err)
{
    const int64_t wanted = t->job->timed_steps;
    if (wanted == 0 || t->timed_steps < wanted || t->steps_issued >= t->profile_from) {
        return GB_OK;
    }
    GB_TRY(trainer_take_steps(t, 0, err));
    t->profile_from = t->steps_done;
    t->n_steps = t->steps_done + t->job->profile_steps;
    trainer_profile_begin(t);
    return GB_OK;
}

static gb_status weights_save(trainer *t, gb_error *err)
{
    const train_job *job = t->job;
    return job->save_weights ? gpt_save_weights(t->model, job->program_version, t->steps_done,
                                                job->save_weights, err)
                             : GB_OK;
}

/* What has been done is kept: a checkpoint, where there is a folder for it, and the weights. */
static gb_status train_interrupt(trainer *t, gb_error *err)
{
    gb_error why = {GB_OK, ""};
    gb_status status = trainer_interrupt(t, err);
    if (status == GB_ERR_INTERRUPTED && t->steps_done > 0 && weights_save(t, &why) != GB_OK) {
        return gb_fail(err, why.status, "stopped after %lld of %lld steps; %s",
                       (long long)t->steps_done, (long long)t->spec->num_iterations, why.message);
    }
    return status;
}

static gb_status train_loop(trainer *t, void *user, gb_error *err)
{
    (void)user;
    t->n_steps = t->spec->num_iterations;
    t->profile_from = first_profiled_step(t);
    GB_TRY(trainer_resume(t, err));
    if (t->steps_done == 0) {
        GB_TRY(trainer_validate(t, err));
    } else if (t->steps_done == t->profile_from) {
        trainer_profile_begin(t);
    }
    while (t->steps_done < t->n_steps) {
        if (trainer_stop_wanted(t)) {
            return train_interrupt(t, err);
        }
        GB_TRY(trainer_issue_step(
            t, t->steps_issued >= t->profile_from ? TRAINER_PROFILED : TRAINER_PLAIN, err));
        bool pause = pauses_after(t, t->steps_issued);
        GB_TRY(trainer_take_steps(t, pause ? 0 : t->steps_ahead, err));
        if (pause) {
            GB_TRY(between_steps(t, err));
        }
        GB_TRY(profile_when_timed(t, err));
    }
    return weights_save(t, err);
}

static int64_t peak_memory_bytes(const trainer *t)
{
    int64_t used[GB_MEM_GROUPS], total = 0;
    if (strcmp(t->be->name, "cuda") != 0) {
        return gb_process_peak_bytes();
    }
    if (!t->dev) {
        return 0;
    }
    t->be->memory_used(t->dev, used);
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        total += used[group];
    }
    return total;
}

static void emit_end(trainer *t, gb_status status, const gb_error *err)
{
    train_event event = {.type = TRAIN_EVENT_END};
    event.u.end.status = status;
    event.u.end.steps_done = t->steps_done;
    event.u.end.peak_memory_bytes = peak_memory_bytes(t);
    event.u.end.train_time_ms = t->train_time_ms;
    if (status != GB_OK) {
        snprintf(event.u.end.message, sizeof event.u.end.message, "%.511s", err->message);
    }
    trainer_emit(t, &event);
}

static gb_status trainer_body(trainer *t, trainer_work work, void *user, gb_error *err)
{
    GB_TRY(gpt_config_validate(&t->job->config, err));
    GB_TRY(train_spec_validate(t->spec, err));
    GB_TRY(open_data(t, err));
    GB_TRY(open_model(t, err));
    emit_start(t);
    return work(t, user, err);
}

gb_status trainer_with(const train_job *job, const train_observer *observer, trainer_work work,
                       void *user, gb_error *err)
{
    gb_error local = {GB_OK, ""};
    trainer t = {.job = job, .spec = &job->spec, .be = job->backend, .session = 1};
    if (observer) {
        t.observer = *observer;
    }
    t.process_bytes =
        job->backend && job->backend->overhead_bytes ? gb_process_resident_bytes(0) : 0;
    gb_status status = trainer_body(&t, work, user, &local);
    emit_end(&t, status, &local);
    trainer_checkpoint_end(&t);
    gpt_destroy(t.model);
    if (t.be) {
        t.be->close(t.dev);
    }
    gb_nvtx_close(t.nvtx);
    free(t.inputs);
    token_source_close(t.train_source);
    token_source_close(t.val_source);
    if (err && status != GB_OK) {
        *err = local;
    }
    return status;
}

gb_status trainer_run(const train_job *job, const train_observer *observer, gb_error *err)
{
    return trainer_with(job, observer, train_loop, NULL, err);
}
