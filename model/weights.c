#include "model/weights.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/json_text.h"
#include "model/keys_json.h"
#include "model/safetensors.h"

#define CONFIG_NOTE "gptbench.config"

static const char wte_name[] = "transformer.wte.weight";
static const char lm_head_name[] = "lm_head.weight"; /* PyTorch's second name of the tied matrix */

/* ---- out ---- */

typedef gb_status (*read_fn)(gpt *model, int tensor, double *values, gb_error *err);

static gb_status save_all(gpt *model, read_fn read_tensor, const double *loss,
                          const safetensors_note *notes, const char *path, gb_error *err)
{
    const gpt_layout *layout = gpt_get_layout(model);
    int extra = loss ? 1 : 0, n = layout->n_tensors + extra;
    gb_status status = GB_ERR_OOM;
    safetensor_out *out = calloc((size_t)n, sizeof *out);
    gpt_tensor *tensors = calloc((size_t)layout->n_tensors, sizeof *tensors);
    double *values = malloc((size_t)layout->n_params * sizeof *values);
    if (!out || !tensors || !values) {
        gb_fail(err, status, "no memory to write %.200s", path);
        goto done;
    }
    if (loss) {
        out[0] = (safetensor_out){"loss", 1, {1}, loss, 1};
    }
    double *at = values;
    for (int i = 0; i < layout->n_tensors; i++) {
        tensors[i] = gpt_layout_tensor(layout, i);
        status = read_tensor(model, i, at, err);
        if (status != GB_OK) {
            goto done;
        }
        out[i + extra] =
            (safetensor_out){tensors[i].name, 2, {tensors[i].rows, tensors[i].cols}, at, 0};
        at += tensors[i].rows * tensors[i].cols;
    }
    status = safetensors_write_noted(path, notes, out, n, err);
done:
    free(values);
    free(tensors);
    free(out);
    return status;
}

gb_status gpt_save_weights(gpt *model, const char *version, int64_t steps_done, const char *path,
                           gb_error *err)
{
    char steps[24];
    json_memory_watch();
    json_t *json = keys_to_json(&gpt_get_layout(model)->config, gpt_config_keys());
    char *config = json && !json_memory_lacked() ? json_text(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!config) {
        return gb_fail(err, GB_ERR_OOM, "no memory to write %.200s", path);
    }
    snprintf(steps, sizeof steps, "%lld", (long long)steps_done);
    const safetensors_note notes[] = {{"format", "pt"},
                                      {CONFIG_NOTE, config},
                                      {"gptbench.steps_done", steps},
                                      {version ? "gptbench.version" : NULL, version},
                                      {NULL, NULL}};
    gb_status status = save_all(model, gpt_read_weight, NULL, notes, path, err);
    free(config);
    return status;
}

gb_status gpt_save_grads(gpt *model, double loss, const char *path, gb_error *err)
{
    return save_all(model, gpt_read_grad, &loss, NULL, path, err);
}

/* ---- in ---- */

static gb_status config_parse(const char *text, gpt_config *config, uint64_t *known, gb_error *err)
{
    json_error_t why;
    json_memory_watch();
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    gb_status status = GB_OK;
    if (json_memory_lacked()) {
        status = gb_fail(err, GB_ERR_OOM, "no memory to read it");
    } else if (!json_is_object(json)) {
        status = gb_fail(err, GB_ERR_FORMAT, "no JSON object of a model's keys");
    } else if (json_object_size(json) == 0) {
        status = gb_fail(err, GB_ERR_FORMAT, "has no key of a model");
    } else {
        status = keys_from_part(config, gpt_config_keys(), json, err);
        *known = keys_in_json(gpt_config_keys(), json);
    }
    json_decref(json);
    return status == GB_OK ? gpt_config_validate(config, err) : status;
}

gb_status gpt_read_weights_config(const char *path, gpt_config *config, uint64_t *known,
                                  gb_error *err)
{
    char *text;
    *known = 0;
    GB_TRY(safetensors_read_note(&text, path, CONFIG_NOTE, err));
    if (!text) {
        return GB_OK;
    }
    *config = gpt_config_default();
    gb_status status = config_parse(text, config, known, err);
    free(text);
    if (status != GB_OK) {
        gb_error_prefix(err, "%s: its metadata, " CONFIG_NOTE, path);
    }
    if (status == GB_ERR_USAGE && err) { /* of a value out of its range; but nobody typed it */
        err->status = GB_ERR_FORMAT;
    }
    return status == GB_ERR_USAGE ? GB_ERR_FORMAT : status;
}

static gb_status check_shape(const safetensor *found, const gpt_tensor *wanted, const char *path,
                             gb_error *err)
{
    if (found->n_dims != 2 || found->dims[0] != wanted->rows || found->dims[1] != wanted->cols) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%.200s: %s has %d dimensions (%lld x %lld), the model wants (%lld, %lld)",
                       path, found->name, found->n_dims,
                       (long long)(found->n_dims > 0 ? found->dims[0] : 1),
                       (long long)(found->n_dims > 1 ? found->dims[1] : 1), (long long)wanted->rows,
                       (long long)wanted->cols);
    }
    return GB_OK;
}

static gb_status check_nothing_left(const gpt_layout *layout, const safetensors_file *file,
                                    const char *path, gb_error *err)
{
    for (int j = 0; j < file->n_tensors; j++) {
        bool known = strcmp(file->tensors[j].name, lm_head_name) == 0;
        for (int i = 0; i < layout->n_tensors && !known; i++) {
            known = strcmp(gpt_layout_tensor(layout, i).name, file->tensors[j].name) == 0;
        }
        if (!known) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%.200s: %s is no weight of this model; check the "
                           "model's keys (--model, --set)",
                           path, file->tensors[j].name);
        }
    }
    return GB_OK;
}

static const safetensor *find_tensor(const safetensors_file *file, const char *name)
{
    const safetensor *found = safetensors_find(file, name);
    return !found && strcmp(name, wte_name) == 0 ? safetensors_find(file, lm_head_name) : found;
}

static gb_status check_tied(const safetensors_file *file, const char *path, gb_error *err)
{
    const safetensor *wte = safetensors_find(file, wte_name);
    const safetensor *head = safetensors_find(file, lm_head_name);
    if (wte && head &&
        (wte->count != head->count ||
         memcmp(wte->values, head->values, (size_t)wte->count * sizeof *wte->values) != 0)) {
        return gb_fail(err, GB_ERR_FORMAT, "%.200s: %s differs from %s, but the model ties them",
                       path, lm_head_name, wte_name);
    }
    return GB_OK;
}

static gb_status load_all(gpt *model, const safetensors_file *file, const char *path, gb_error *err)
{
    const gpt_layout *layout = gpt_get_layout(model);
    GB_TRY(check_tied(file, path, err));
    GB_TRY(check_nothing_left(layout, file, path, err));
    for (int i = 0; i < layout->n_tensors; i++) {
        gpt_tensor wanted = gpt_layout_tensor(layout, i);
        const safetensor *found = find_tensor(file, wanted.name);
        if (!found) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%.200s: no tensor %s, which the model wants as "
                           "(%lld, %lld)",
                           path, wanted.name, (long long)wanted.rows, (long long)wanted.cols);
        }
        GB_TRY(check_shape(found, &wanted, path, err));
        GB_TRY(gpt_write_weight(model, i, found->values, err));
    }
    return gpt_refresh_weights(model, err);
}

gb_status gpt_load_weights(gpt *model, const char *path, gb_error *err)
{
    safetensors_file file = {0};
    GB_TRY(safetensors_read(&file, path, err));
    gb_status status = load_all(model, &file, path, err);
    safetensors_close(&file);
    return status;
}
