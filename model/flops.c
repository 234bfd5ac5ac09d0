#include "model/flops.h"

#include "model/layout.h"

int64_t gpt_count_params(const gpt_config *config)
{
    gpt_layout layout;
    gpt_layout_init(&layout, config);
    return layout.n_params;
}

int64_t gpt_attention_pairs(int64_t T, int64_t window)
{
    if (window <= 0 || window >= T) {
        window = T - 1;
    }
    /* The first `window` queries see 1..window keys, every later one window + 1. */
    return window * (window + 1) / 2 + (T - window) * (window + 1);
}

double gpt_flops_6n(const gpt_config *config)
{
    return 6.0 * (double)gpt_count_params(config);
}

double gpt_flops_exact(const gpt_config *config, int64_t T)
{
    /* Every parameter is a matmul parameter: there are no biases and no norm weights, and the
     * tied matrix multiplies once, as the output map. */
    double pairs = (double)gpt_attention_pairs(T, gpt_config_window(config));
    double heads_width = (double)(config->n_head * gpt_config_head_dim(config));
    return gpt_flops_6n(config) + 12.0 * (double)config->n_layer * heads_width * pairs / (double)T;
}

double gpt_flops_nanogpt(const gpt_config *config, int64_t T)
{
    double heads_width = (double)(config->n_head * gpt_config_head_dim(config));
    return gpt_flops_6n(config) + 12.0 * (double)config->n_layer * heads_width * (double)T;
}

double gpt_flops_llmc(const gpt_config *config, int64_t T)
{
    return gpt_flops_6n(config) + 6.0 * (double)(config->n_layer * config->n_embd * T);
}
