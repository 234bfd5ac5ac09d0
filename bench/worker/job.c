#include "bench/worker/job.h"

#include <stdio.h>
#include <string.h>

#include "model/json_text.h"
#include "model/keys_json.h"
#include "model/trainer.h"

worker_job worker_job_default(worker_mode mode)
{
    worker_job job = {.mode = mode,
                      .device_index = -1,
                      .config = gpt_config_default(),
                      .spec = train_spec_default()};
    train_spec_resolve(&job.spec);
    return job;
}

static const char *const mode_names[] = {
    [WORKER_TRAIN] = "train", [WORKER_TIMING] = "timing", [WORKER_PROBE] = "probe"};

static worker_mode mode_of(const char *name)
{
    return strcmp(name, mode_names[WORKER_PROBE]) == 0    ? WORKER_PROBE
           : strcmp(name, mode_names[WORKER_TIMING]) == 0 ? WORKER_TIMING
                                                          : WORKER_TRAIN;
}

/* ---- the job ---- */

char *worker_job_to_json(const worker_job *job)
{
    json_t *json = json_pack(
        "{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:f, s:s, s:o, s:o, s:o}", "mode",
        mode_names[job->mode], "measure_peak", (int)job->measure_peak, "label", job->label,
        "backend", job->backend, "threads", (json_int_t)job->threads, "device_index",
        (json_int_t)job->device_index, "replicate", (json_int_t)job->replicate, "profile_steps",
        (json_int_t)job->profile_steps, "checkpoint_dir", job->checkpoint_dir, "checkpoint_steps",
        (json_int_t)job->checkpoint_steps, "checkpoint_s", job->checkpoint_s, "identity",
        job->identity, "config", keys_to_json(&job->config, gpt_config_keys()), "train",
        keys_to_json(&job->spec, train_spec_keys()), "data",
        keys_to_json(&job->spec, train_spec_data_keys()));
    char *text = json ? json_text(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    return text;
}

/* A job comes from our own runner, and is checked all the same: what it says is divided by. */
static gb_status job_check(const worker_job *job, gb_error *err)
{
    const struct {
        const char *name;
        int64_t value, low, high;
    } numbers[] = {{"threads", job->threads, 0, 1 << 16},
                   {"device_index", job->device_index, -1, 1 << 16},
                   {"replicate", job->replicate, 0, 1 << 20},
                   {"profile_steps", job->profile_steps, 0, 1 << 20}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].value < numbers[i].low || numbers[i].value > numbers[i].high) {
            return gb_fail(err, GB_ERR_USAGE, "%s = %lld: must be between %lld and %lld",
                           numbers[i].name, (long long)numbers[i].value, (long long)numbers[i].low,
                           (long long)numbers[i].high);
        }
    }
    GB_TRY(gpt_config_validate(&job->config, err));
    if (job->mode == WORKER_PROBE) {
        return GB_OK;
    }
    GB_TRY(train_spec_validate(&job->spec, err));
    gpt_options options = trainer_model_options(&job->spec);
    return gpt_validate_memory(&job->config, &options, err);
}

static gb_status job_unpack(worker_job *job, json_t *json, gb_error *err)
{
    const char *mode = NULL, *label = NULL, *backend = NULL, *dir = NULL, *identity = NULL;
    json_t *config = NULL, *train = NULL, *data = NULL;
    json_int_t threads, device_index, replicate, profile_steps, checkpoint_steps;
    double checkpoint_s;
    json_error_t error;
    int measure_peak = 0;
    if (json_unpack_ex(
            json, &error, 0,
            "{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:F, s:s, s:o, s:o, s:o}", "mode",
            &mode, "measure_peak", &measure_peak, "label", &label, "backend", &backend, "threads",
            &threads, "device_index", &device_index, "replicate", &replicate, "profile_steps",
            &profile_steps, "checkpoint_dir", &dir, "checkpoint_steps", &checkpoint_steps,
            "checkpoint_s", &checkpoint_s, "identity", &identity, "config", &config, "train",
            &train, "data", &data) != 0) {
        return gb_fail(err, GB_ERR_FORMAT, "job: %s", error.text);
    }
    *job = worker_job_default(mode_of(mode));
    job->measure_peak = measure_peak != 0;
    snprintf(job->label, sizeof job->label, "%s", label);
    snprintf(job->backend, sizeof job->backend, "%s", backend);
    job->threads = threads;
    job->device_index = device_index;
    job->replicate = replicate;
    job->profile_steps = profile_steps;
    snprintf(job->checkpoint_dir, sizeof job->checkpoint_dir, "%s", dir);
    job->checkpoint_steps = checkpoint_steps;
    job->checkpoint_s = checkpoint_s;
    snprintf(job->identity, sizeof job->identity, "%s", identity);
    gb_status status = keys_from_json(&job->config, gpt_config_keys(), config, err);
    if (status == GB_OK) {
        status = keys_from_json(&job->spec, train_spec_keys(), train, err);
    }
    if (status == GB_OK) {
        status = keys_from_json(&job->spec, train_spec_data_keys(), data, err);
    }
    return status == GB_OK           ? job_check(job, err)
           : status == GB_ERR_FORMAT ? gb_error_prefix(err, "job")
                                     : status;
}

gb_status worker_job_from_json(worker_job *job, const char *text, gb_error *err)
{
    json_error_t error;
    json_memory_watch();
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json_memory_lacked()) {
        json_decref(json);
        return gb_fail(err, GB_ERR_OOM, "job: no memory to read it");
    }
    if (!json) {
        return gb_fail(err, GB_ERR_FORMAT, "job: line %d: %s", error.line, error.text);
    }
    gb_status status = job_unpack(job, json, err);
    json_decref(json);
    if (status == GB_ERR_USAGE && err) { /* as of a suite; but nobody typed this */
        gb_error_prefix(err, "job");
        err->status = GB_ERR_FORMAT;
    }
    return status == GB_ERR_USAGE ? GB_ERR_FORMAT : status;
}

char *worker_job_scale_rate(const char *text, double factor)
{
    worker_job job;
    if (worker_job_from_json(&job, text, NULL) != GB_OK) {
        return NULL;
    }
    job.spec.learning_rate *= factor;
    return worker_job_to_json(&job);
}
