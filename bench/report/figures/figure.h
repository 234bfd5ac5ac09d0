/* figure.h: what a figure of the report is.
 *
 * To add the figure NAME (lower-case letters, digits and _):
 *   1. Write plots/NAME.gp. It loads 'plots/style.gp' and 'data/settings.gp', reads files in data/
 *      and draws figures/NAME.svg and figures/NAME.png. plots/drift.gp is one of the short ones.
 *   2. Write bench/report/figures/fig_NAME.c. It ends with `const figure figure_NAME = {...}`: the
 *      struct below, filled in. All else in it is static. See fig_model_size.c.
 *   3. `make`: the Makefile finds both files, and the figure stands in the report at its `order`.
 *   4. Make a report of a real suite and look at the figure; CONTRIBUTING.md says at what.
 * No other file is touched. tests/unit/report/test_figures.c holds script and struct together.
 *
 * What fig_*.c files share lies beside them: files (figure_file.h), colours, names, ticks and the
 * places of labels (figure_layout.h), what is asked of all configs (figure_entries.h), colours of
 * ops (figure_op_palette.h), changes against the baseline (figure_change.h). A figure draws what
 * the findings hold and never opens the database: page and figures show one snapshot. */
#ifndef GPTBENCH_BENCH_FIGURE_H
#define GPTBENCH_BENCH_FIGURE_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/report/figures/figure_choice.h"

typedef struct figure {
    const char *name; /* as above */
    const char *title;
    const char *caption; /* what is drawn and how to read it; plain text */

    /* Place on the page, rising within a section. No two figures have the same; steps of ten leave
     * room between them. */
    int order;

    /* Whether there is anything to draw of the configs in `data`. */
    bool (*has_data)(const findings *data);

    /* Writes the figure's files into DIR/data and its numbers as lines `x = 1` into `settings`
     * (data/settings.gp, which every script loads). Draws choice->drawn, or, where it is not about
     * single configs, choice->all. Also called where there is no data: then the files have a head
     * and no lines. GB_ERR_IO, GB_ERR_OOM. */
    gb_status (*write)(const figure_choice *choice, const char *dir, FILE *settings, gb_error *err);

    /* ---- optional ---- */

    /* Stands in the section on where the time goes. */
    bool of_why;
    /* A sentence that stands in its place where no config at all has data for it. */
    const char *absent;
    /* Place of its lines in data/settings.gp, where that is not `order`. Scripts do not depend on
     * it: two figures have it so that reports of all versions can be compared byte by byte. */
    int settings_order;
} figure;

#endif
