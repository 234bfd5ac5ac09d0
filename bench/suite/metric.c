#include "bench/suite/metric.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"

const char *const metric_names[METRIC_COUNT + 1] = {
    [METRIC_STEP_AVG] = "step_avg",
    [METRIC_STEP_MEDIAN] = "step_median",
    [METRIC_TOKENS_PER_S] = "tokens_per_s",
    [METRIC_VAL_LOSS] = "val_loss",
    [METRIC_BEST_VAL_LOSS] = "best_val_loss",
    [METRIC_PEAK_MEMORY] = "peak_memory",
    [METRIC_FLOPS] = "flops",
    [METRIC_N_PARAMS] = "n_params",
};

metric_id metric_find(const char *name)
{
    int i = 0;
    while (i < METRIC_COUNT && strcmp(metric_names[i], name) != 0) {
        i++;
    }
    return (metric_id)i;
}

metric_text metric_format(metric_id metric, double value)
{
    metric_text out = {"-"};
    if (!isfinite(value)) {
        return out;
    }
    switch (metric) {
    case METRIC_STEP_AVG:
    case METRIC_STEP_MEDIAN:
        snprintf(out.text, sizeof out.text, "%.*f ms", value < 10 ? 3 : 2, value);
        break;
    case METRIC_TOKENS_PER_S:
        snprintf(out.text, sizeof out.text, "%s tokens/s", number_rounded(value).text);
        break;
    case METRIC_VAL_LOSS:
    case METRIC_BEST_VAL_LOSS:
        snprintf(out.text, sizeof out.text, "%.4f nats/token", value);
        break;
    case METRIC_PEAK_MEMORY:
        snprintf(out.text, sizeof out.text, "%s", number_bytes(value).text);
        break;
    case METRIC_FLOPS:
        snprintf(out.text, sizeof out.text, "%s FLOPs/token", number_rounded(value).text);
        break;
    case METRIC_N_PARAMS:
        snprintf(out.text, sizeof out.text, "%s parameters", number_rounded(value).text);
        break;
    case METRIC_COUNT:
        break;
    }
    return out;
}

bool metric_is_time(metric_id metric)
{
    return metric == METRIC_STEP_AVG || metric == METRIC_STEP_MEDIAN ||
           metric == METRIC_TOKENS_PER_S;
}

bool metric_is_loss(metric_id metric)
{
    return metric == METRIC_VAL_LOSS || metric == METRIC_BEST_VAL_LOSS;
}

bool metric_is_exact(metric_id metric)
{
    return metric == METRIC_FLOPS || metric == METRIC_N_PARAMS;
}
