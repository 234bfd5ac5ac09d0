/* flops.h: FLOPs per token by every convention that people quote, each by its name; one
 * multiply-add is 2 FLOPs. And the parameters. Sources: docs/MODEL.md. */
#ifndef GPTBENCH_MODEL_FLOPS_H
#define GPTBENCH_MODEL_FLOPS_H

#include "model/config.h"

/* All parameters, the tied matrix once; padding never counts. */
int64_t gpt_count_params(const gpt_config *config);

/* Exact, forward and backward, per token at sequence length T:
 * 6 * (matmul parameters, the output matrix once) + 12 * L * H * D * (mean keys seen per query),
 * mean keys = (T+1)/2 when causal, fewer in a window. */
double gpt_flops_exact(const gpt_config *config, int64_t T);
double gpt_flops_6n(const gpt_config *config);                 /* 6N */
double gpt_flops_nanogpt(const gpt_config *config, int64_t T); /* 6N + 12*L*H*D*T (nanoGPT) */
double gpt_flops_llmc(const gpt_config *config, int64_t T);    /* 6N + 6*L*C*T (llm.c) */

/* Keys seen, summed over the T queries of one sequence: sum_i min(i, window) + 1. */
int64_t gpt_attention_pairs(int64_t T, int64_t window);

#endif
