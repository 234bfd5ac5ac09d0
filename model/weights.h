/* weights.h: a model's weights and gradients as safetensors files, under PyTorch's names. */
#ifndef GPTBENCH_MODEL_WEIGHTS_H
#define GPTBENCH_MODEL_WEIGHTS_H

#include "model/gpt.h"

/* Float32, every tensor of the layout. Written to PATH.tmp and renamed. The file's metadata say
 * what model it is: `gptbench.config`, a JSON object of the model keys; `gptbench.version`, the
 * program's (NULL: not said); `gptbench.steps_done`; and `format` = `pt`, which says that the
 * tensors have PyTorch's names. */
gb_status gpt_save_weights(gpt *model, const char *version, int64_t steps_done, const char *path,
                           gb_error *err);

/* The model that a file is of, as its metadata say it; *known has bit i for each key of
 * gpt_config_keys() that they name (the others were no keys yet: *config has their defaults), 0
 * where they name none: a file of PyTorch's, or of an older version. GB_ERR_FORMAT when they are
 * damaged; else as safetensors_read. */
gb_status gpt_read_weights_config(const char *path, gpt_config *config, uint64_t *known,
                                  gb_error *err);

/* Every tensor of the layout must be there with its shape; lm_head.weight serves as the tied
 * matrix when transformer.wte.weight is absent, and must equal it when both are there. Tensors
 * that the model does not have are an error that names the first one. */
gb_status gpt_load_weights(gpt *model, const char *path, gb_error *err);

/* `loss` as one float64 and each gradient (float32) under its weight's name. */
gb_status gpt_save_grads(gpt *model, double loss, const char *path, gb_error *err);

#endif
