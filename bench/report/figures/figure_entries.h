/* figure_entries.h: what several figures ask of the configs, and data/entries.tsv, which has the
 * name, colour, point and dash of each. */
#ifndef GPTBENCH_BENCH_FIGURE_ENTRIES_H
#define GPTBENCH_BENCH_FIGURE_ENTRIES_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/analysis/findings.h"

/* Writes data/entries.tsv and, for all scripts, the number of configs `n` and the width of their
 * names `label_px`. GB_ERR_IO. */
gb_status figure_entries_write(const findings *data, const char *dir, FILE *settings,
                               gb_error *err);

/* Pixels that the widest name takes. */
double figure_entries_label_px(const findings *data);
/* Whether any config has a final loss and a speed. */
bool figure_entries_any_loss(const findings *data);
/* Whether any config has a step_avg. */
bool figure_entries_any_step_avg(const findings *data);

#endif
