/* figures.h: the figures of a report, drawn and put into its page. How to add one stands in
 * figure.h. */
#ifndef GPTBENCH_BENCH_FIGURES_H
#define GPTBENCH_BENCH_FIGURES_H

#include "bench/base/document.h"
#include "bench/report/figures/figure.h"

/* The figure that follows `f` on the page, the first for NULL; NULL after the last. */
const figure *figure_next(const figure *f);
/* The figure of that name, or NULL. */
const figure *figure_find(const char *name);

/* Writes every file in DIR/data that the scripts in plots/ read. GB_ERR_IO, GB_ERR_OOM. */
gb_status figures_write_data(const figure_choice *choice, const char *dir, gb_error *err);

/* Writes DIR/data/ and DIR/plots/ and draws DIR/figures/ of every figure that has data. DIR
 * exists. GB_ERR_IO, also for a picture that is not whole; GB_ERR_ENV without gnuplot (data and
 * scripts are written then); GB_ERR_FAILED with what gnuplot said. */
gb_status figures_write(const figure_choice *choice, const char *dir, gb_error *err);

/* A figure of an earlier report in `dir` must not stand in for one that could not be drawn: removes
 * those that the new report, in `from`, does not have. */
void figures_remove_others(const char *dir, const char *from);

/* Puts those that were drawn into a report: of the section on where the time goes, or the others.
 * Says what was left out, where anything was. */
gb_status figures_document(document *doc, const figure_choice *choice, bool of_why, gb_error *err);

#endif
