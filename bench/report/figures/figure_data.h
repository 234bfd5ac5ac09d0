/* figure_data.h: the files that the figures are drawn from. */
#ifndef GPTBENCH_BENCH_FIGURE_DATA_H
#define GPTBENCH_BENCH_FIGURE_DATA_H

#include <stdio.h>

#include "bench/report/figures/figure_choice.h"

/* Writes every file in DIR/data that the scripts in plots/ read. GB_ERR_IO, GB_ERR_OOM. */
gb_status figure_data_write(const figure_choice *choice, const char *dir, gb_error *err);

/* Opens DIR/NAME for writing (bench/base/whole_file.h); NULL with *err set. */
FILE *figure_file_open(const char *dir, const char *name, gb_error *err);
/* Closes it; GB_ERR_IO when anything written to it failed: there is no file then. */
gb_status figure_file_close(FILE *file, const char *dir, const char *name, gb_error *err);
/* The same at the end of work that may have failed: after `so_far` other than GB_OK there is no
 * file, and that is what is returned. `file` may be NULL. */
gb_status figure_file_finish(FILE *file, const char *dir, const char *name, gb_status so_far,
                             gb_error *err);

/* One per figure (figure_data_time.c); each adds its settings to `settings`. */
gb_status figure_data_write_step_avg(const report_data *data, const char *dir, FILE *settings,
                                     gb_error *err);
gb_status figure_data_write_step_times(const report_data *data, const char *dir, FILE *settings,
                                       gb_error *err);
gb_status figure_data_write_op_time(const report_data *data, const char *dir, FILE *settings,
                                    gb_error *err);
/* Has the runs of all configs; those that are left out of the other figures share a colour. */
gb_status figure_data_write_clocks(const figure_choice *choice, const char *dir, FILE *settings,
                                   gb_error *err);
gb_status figure_data_write_size(const report_data *data, const char *dir, FILE *settings,
                                 gb_error *err);
/* figure_data_why.c */
gb_status figure_data_write_waterfall(const report_data *data, const char *dir, FILE *settings,
                                      gb_error *err);
/* figure_data_roofline.c */
gb_status figure_data_write_roofline(const report_data *data, const char *dir, FILE *settings,
                                     gb_error *err);
/* Whether it has any point. */
bool figure_data_has_roofline(const report_data *data);

/* figure_data_timeline.c */
gb_status figure_data_write_timeline(const report_data *data, const char *dir, FILE *settings,
                                     gb_error *err);
/* Whether any config has the ops of a step one by one. */
bool figure_data_has_timeline(const report_data *data);

/* figure_data_verdict.c */
gb_status figure_data_write_speed_ratio(const report_data *data, const char *dir, FILE *settings,
                                        gb_error *err);
gb_status figure_data_write_loss_ratio(const report_data *data, const char *dir, FILE *settings,
                                       gb_error *err);
gb_status figure_data_write_drift(const report_data *data, const char *dir, FILE *settings,
                                  gb_error *err);
/* Whether any loss can be held against a baseline's. */
bool figure_data_has_loss_ratio(const report_data *data);

/* The colour of an op in op_time, for figures beside it. */
int figure_op_color(const report_data *data, const char *op);

#endif
