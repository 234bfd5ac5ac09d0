/* comparison.h: the difference between two entries of a report in one metric, with an interval and
 * the name of the method that gave it. */
#ifndef GPTBENCH_BENCH_COMPARISON_H
#define GPTBENCH_BENCH_COMPARISON_H

#include "bench/report_data.h"

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

typedef struct comparison {
    metric_id metric;
    double base, new_value; /* as in the report's table */
    /* new / base - 1 with a 95 % interval; low and high are NAN where there is none. */
    stats_interval change;
    bool exact; /* a property of the model: the interval is the value itself */
    char method[192];
} comparison;

/* The change is taken over the replicates that both entries finished, where there are any; `base`
 * and `new_value` are over all that each has. With two or more: paired (t interval of the
 * mean log ratio, taken back by exp). Else, for times, over the timed steps (Welch for the mean,
 * bootstrap for the median). Else no interval, and `method` says why. GB_ERR_OOM. */
gb_status comparison_make(comparison *out, const report_data *data, const report_entry *base,
                          const report_entry *new_entry, metric_id metric, gb_error *err);

/* A value with its unit: "182 ms", "11,264 tokens/s", "1.2345 nats/token". */
typedef struct metric_text {
    char text[64];
} metric_text;
metric_text metric_format(metric_id metric, double value);

#endif
