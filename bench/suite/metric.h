/* metric.h: what compare and claims measure, by name. One table; its rows are METRICS below. */
#ifndef GPTBENCH_BENCH_METRIC_H
#define GPTBENCH_BENCH_METRIC_H

#include <stdbool.h>

/* What a value is, and so how it is shown and what it takes for two values to be comparable. */
typedef enum metric_kind {
    METRIC_TIME,   /* of a step, in ms; the same machine, and a speedup is less of it */
    METRIC_RATE,   /* made of a time: a speedup is more of it */
    METRIC_LOSS,   /* the same data and seeds */
    METRIC_MEMORY, /* in bytes; the same machine */
    METRIC_EXACT   /* a property of the model: always comparable, to the last bit */
} metric_kind;

/* Adding a metric:
 *   1. A row here: enum suffix; name in suites and on the command line; kind; unit, as it follows
 *      a number (METRIC_MEMORY chooses its own); what a config with more of it is called, and one
 *      with less ("is 3 % slower per step than"); its place, from 1, among the metrics that an
 *      error in a [claim] lists, or 0 when claims do not take it. `compare` shows the rows in this
 *      order.
 *   2. Where the value comes from: bench/analysis/pair.c, of a config or an entry (pair_side_value)
 *      and of a run (run_metric).
 *   3. What a plan can say of it before anything has run: cost_claim_predict in
 *      bench/plan/cost_estimate.c; a quantity that it lacks is a field of cost_quantities, which
 *      cost_row_quantities and, in bench/analysis/claims.c, quantities() fill.
 *   4. If --fail-on shall know it: bench/commands/compare_condition.c.
 *   5. docs/SUITES.md and man/gptbench.1 list the names; so do
 *      tests/unit/suite/test_suite_errors.c and tests/e2e/e2e_compare.sh. */
#define METRICS(X)                                                                                 \
    X(STEP_AVG, "step_avg", METRIC_TIME, "ms", "slower per step", "faster per step", 1)            \
    X(STEP_MEDIAN, "step_median", METRIC_TIME, "ms", "slower per step (median)",                   \
      "faster per step (median)", 2)                                                               \
    X(TOKENS_PER_S, "tokens_per_s", METRIC_RATE, "tokens/s", "faster in tokens/s",                 \
      "slower in tokens/s", 3)                                                                     \
    X(VAL_LOSS, "val_loss", METRIC_LOSS, "nats/token", "worse in loss", "better in loss", 4)       \
    X(BEST_VAL_LOSS, "best_val_loss", METRIC_LOSS, "nats/token", "worse in best loss",             \
      "better in best loss", 5)                                                                    \
    X(PEAK_MEMORY, "peak_memory", METRIC_MEMORY, "", "larger in peak memory",                      \
      "smaller in peak memory", 6)                                                                 \
    X(FLOPS, "flops", METRIC_EXACT, "FLOPs/token", "larger in FLOPs", "smaller in FLOPs", 8)       \
    X(N_PARAMS, "n_params", METRIC_EXACT, "parameters", "larger in parameters",                    \
      "smaller in parameters", 7)

typedef enum metric_id {
#define X(suffix, ...) METRIC_##suffix,
    METRICS(X)
#undef X
        METRIC_COUNT
} metric_id;

/* Names as in suites and on the command line, NULL at the end. */
extern const char *const metric_names[METRIC_COUNT + 1];

/* METRIC_COUNT when there is no such metric. */
metric_id metric_find(const char *name);
/* The names that a [claim] may use, NULL at the end. */
void metric_list_for_claims(const char *names[METRIC_COUNT + 1]);

bool metric_is_time(metric_id metric); /* the step times and tokens/s: what has a speedup */
bool metric_is_rate(metric_id metric); /* of these, more is faster */
bool metric_is_loss(metric_id metric);
bool metric_is_exact(metric_id metric); /* a property of the model */

/* "slower per step": what a config with more of it is, or with less. */
const char *metric_comparative(metric_id metric, bool more);

/* A value with its unit: "182 ms", "11,264 tokens/s", "1.2345 nats/token". */
typedef struct metric_text {
    char text[64];
} metric_text;
metric_text metric_format(metric_id metric, double value);

#endif
