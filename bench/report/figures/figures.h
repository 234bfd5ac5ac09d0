/* figures.h: the figures of a report: data files, gnuplot scripts and their SVG and PNG. */
#ifndef GPTBENCH_BENCH_FIGURES_H
#define GPTBENCH_BENCH_FIGURES_H

#include "bench/base/document.h"
#include "bench/report/figures/figure_choice.h"

typedef struct figure {
    const char *name; /* plots/NAME.gp -> figures/NAME.svg, figures/NAME.png */
    const char *title;
    const char *caption; /* what is drawn and how to read it */
    bool of_why;         /* stands in the section on where the time goes */
} figure;

enum { FIGURE_COUNT = 13 };
extern const figure figure_list[FIGURE_COUNT];

/* Whether there is anything to draw: at least one finished run with timed steps, for op_time a
 * ledger, for waterfall two that can be compared, for roofline ops whose least bytes are known, for
 * timeline the ops of a step one by one, for the loss figures a validation. */
bool figure_has_data(const report_data *data, const figure *f);

/* A figure of an earlier report in `dir` must not stand in for one that could not be drawn: removes
 * those that the new report, in `from`, does not have. */
void figures_remove_others(const char *dir, const char *from);

/* Writes DIR/data/ and DIR/plots/ and draws DIR/figures/ of every figure that has data, with the
 * configs that were chosen; only `clocks`, which is about the machine, has the runs of all. DIR
 * exists. GB_ERR_IO, also for a picture that is not whole; GB_ERR_ENV without gnuplot (data and
 * scripts are written then); GB_ERR_FAILED with what gnuplot said. */
gb_status figures_write(const figure_choice *choice, const char *dir, gb_error *err);

/* Puts those that were drawn into a report: of the section on where the time goes, or the others.
 * Says what was left out, where anything was. */
gb_status figures_document(document *doc, const figure_choice *choice, bool of_why, gb_error *err);

#endif
