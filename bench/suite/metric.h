/* metric.h: what compare and claims measure, by name. */
#ifndef GPTBENCH_BENCH_METRIC_H
#define GPTBENCH_BENCH_METRIC_H

#include <stdbool.h>

typedef enum metric_id {
    METRIC_STEP_AVG,
    METRIC_STEP_MEDIAN,
    METRIC_TOKENS_PER_S,
    METRIC_VAL_LOSS,
    METRIC_BEST_VAL_LOSS,
    METRIC_PEAK_MEMORY,
    METRIC_FLOPS,
    METRIC_N_PARAMS,
    METRIC_COUNT
} metric_id;

/* Names as on the command line, NULL at the end. */
extern const char *const metric_names[METRIC_COUNT + 1];

/* METRIC_COUNT when there is no such metric. */
metric_id metric_find(const char *name);

/* What it takes for two values to be comparable. */
bool metric_is_time(metric_id metric); /* the step times and tokens/s */
bool metric_is_loss(metric_id metric);
bool metric_is_exact(metric_id metric); /* a property of the model */

/* A value with its unit: "182 ms", "11,264 tokens/s", "1.2345 nats/token". */
typedef struct metric_text {
    char text[64];
} metric_text;
metric_text metric_format(metric_id metric, double value);

#endif
