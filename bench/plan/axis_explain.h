/* axis_explain.h: what each axis of a suite changes between neighbouring cells, read off the step
 * that the model code issues for both (model/step_trace.h). */
#ifndef GPTBENCH_BENCH_AXIS_EXPLAIN_H
#define GPTBENCH_BENCH_AXIS_EXPLAIN_H

#include <stdio.h>

#include "bench/suite/suite.h"

/* From one value of an axis to the next. */
typedef struct axis_change {
    int n_pairs;  /* neighbours: cells that differ in this alone; 0: [exclude] left none */
    int from, to; /* cells of the pair that is described: the baseline's, else the first */
    char *text;   /* "mlp.c_fc 768x2304 → 768x3072, ..."; owned. Weights are (in x out) */
} axis_change;

/* Value `value` of the axis against the next. GB_ERR_OOM. */
gb_status axis_change_make(axis_change *out, const suite *suite, int axis, int value,
                           gb_error *err);
void axis_change_clear(axis_change *change);

/* All axes with more than one value, as text. Says so where there are none. */
gb_status axis_explain_write(const suite *suite, FILE *out, gb_error *err);

#endif
