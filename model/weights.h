/* weights.h: a model's weights and gradients as safetensors files, under PyTorch's names. */
#ifndef GPTBENCH_MODEL_WEIGHTS_H
#define GPTBENCH_MODEL_WEIGHTS_H

#include "model/gpt.h"

/* Float32, every tensor of the layout. Written to PATH.tmp and renamed. */
gb_status gpt_save_weights(gpt *model, const char *path, gb_error *err);

/* Every tensor of the layout must be there with its shape; lm_head.weight serves as the tied
 * matrix when transformer.wte.weight is absent, and must equal it when both are there. Tensors
 * that the model does not have are an error that names the first one. */
gb_status gpt_load_weights(gpt *model, const char *path, gb_error *err);

/* `loss` as one float64 and each gradient (float32) under its weight's name. */
gb_status gpt_save_grads(gpt *model, double loss, const char *path, gb_error *err);

#endif
