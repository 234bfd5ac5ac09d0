/* figure_change.h: a table of changes against the baseline, one line per config, with intervals,
 * and the axis that shows them. */
#ifndef GPTBENCH_BENCH_FIGURE_CHANGE_H
#define GPTBENCH_BENCH_FIGURE_CHANGE_H

#include <stdio.h>

#include "bench/analysis/verdicts.h"

/* One line of the figure; a change that is not known leaves it empty but for its text. */
typedef struct figure_change {
    const char *label, *word; /* "SLOWER" */
    stats_interval change;    /* as a fraction */
    double flops;             /* what exact FLOPs say, as a fraction; NAN: nothing */
    int color;
    bool in_nats; /* of losses near their floor, the change is that of the perplexity: the words
                     have nats */
} figure_change;

typedef struct figure_changes {
    FILE *out;
    int n, widest_chars;
    double value_max, interval_max; /* of the absolute changes, in per cent */
} figure_changes;

/* Opens DIR/NAME, to be closed with figure_file_close. GB_ERR_IO. */
gb_status figure_changes_begin(figure_changes *changes, const char *dir, const char *name,
                               gb_error *err);
void figure_changes_add(figure_changes *changes, const figure_change *line);
/* Writes PREFIX_n, PREFIX_label_px, PREFIX_low, PREFIX_high and PREFIX_ticks. `low` and `high`, in
 * per cent, are inside of the axis whatever the intervals are. */
void figure_changes_settings(const figure_changes *changes, const char *prefix, double low,
                             double high, FILE *settings);

/* The colour of a config's line, grey where none of its runs has finished. */
int figure_change_color(const config_verdict *row);

#endif
