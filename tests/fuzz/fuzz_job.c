/* Fuzzes the reader of a worker's job: any text is refused with a message, or is a job that can be
 * worked on: its model is valid, its sizes fit, and written again it is the same job.
 *
 * A first byte below 128: the rest is the text. Else lines, each with a byte that picks a member of
 * a sound job and the JSON to put in its place. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/worker/job.h"
#include "model/flops.h"
#include "model/trainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void job_check(const worker_job *job)
{
    worker_job again;
    char *text = worker_job_to_json(job);
    if (!text || worker_job_from_json(&again, text, NULL) != GB_OK ||
        !gpt_config_equal(&job->config, &again.config)) {
        abort();
    }
    free(text);
    gpt_options options = trainer_model_options(&job->spec);
    int64_t bytes[GB_MEM_GROUPS];
    if (job->mode == WORKER_PROBE) {
        return;
    }
    gpt_plan_memory(&job->config, &options, 4, 4, bytes);
    for (int i = 0; i < GB_MEM_GROUPS; i++) {
        if (bytes[i] < 0) {
            abort();
        }
    }
    if (gpt_count_params(&job->config) <= 0 || train_spec_tokens_per_step(&job->spec) <= 0 ||
        !(gpt_flops_exact(&job->config, job->spec.sequence_length) > 0)) {
        abort();
    }
    train_spec_learning_rate(&job->spec, job->spec.num_iterations - 1);
}

/* Puts `value` in the place of the n-th member of `json` that holds no members itself. */
static bool member_set(json_t *json, int *n, json_t *value)
{
    const char *name;
    json_t *member;
    json_object_foreach(json, name, member)
    {
        if (json_is_object(member) && member_set(member, n, value)) {
            return true;
        }
        if (!json_is_object(member) && (*n)-- == 0) {
            json_object_set(json, name, value);
            return true;
        }
    }
    return false;
}

static char *job_changed(const uint8_t *data, size_t size)
{
    worker_job job = worker_job_default(WORKER_TRAIN);
    snprintf(job.spec.train_data, sizeof job.spec.train_data, "synth:vocab=256,seed=1");
    snprintf(job.spec.val_data, sizeof job.spec.val_data, "synth:vocab=256,seed=2");
    char *text = worker_job_to_json(&job);
    json_t *json = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    while (size > 1) {
        const uint8_t *end = memchr(data + 1, '\n', size - 1);
        size_t length = end ? (size_t)(end - data) : size;
        json_t *value = json_loadb((const char *)data + 1, length - 1, JSON_DECODE_ANY, NULL);
        int n = data[0] % 48;
        if (value) {
            member_set(json, &n, value);
        }
        json_decref(value);
        length += end != NULL;
        data += length;
        size -= length;
    }
    text = json_dumps(json, 0);
    json_decref(json);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    char *text = data[0] & 128 ? job_changed(data + 1, size - 1) : malloc(size);
    if (!text) {
        return 0;
    }
    if (!(data[0] & 128)) {
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
    }
    worker_job job;
    gb_error err = {GB_OK, ""};
    gb_status status = worker_job_from_json(&job, text, &err);
    if (status == GB_OK) {
        job_check(&job);
    } else if (status != GB_ERR_FORMAT || strncmp(err.message, "job", 3) != 0) {
        abort();
    }
    free(text);
    return 0;
}
