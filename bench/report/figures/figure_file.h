/* figure_file.h: the files of a report. They appear under their names when they are complete
 * (bench/base/whole_file.h). Names are relative to the report's folder `dir`. */
#ifndef GPTBENCH_BENCH_FIGURE_FILE_H
#define GPTBENCH_BENCH_FIGURE_FILE_H

#include <stdio.h>

#include "kernels/status.h"

/* Opens DIR/NAME for writing; NULL with *err set. */
FILE *figure_file_open(const char *dir, const char *name, gb_error *err);
/* Closes it; GB_ERR_IO when anything written to it failed: there is no file then. */
gb_status figure_file_close(FILE *file, const char *dir, const char *name, gb_error *err);
/* The same at the end of work that may have failed: after `so_far` other than GB_OK there is no
 * file, and that is what is returned. `file` may be NULL. */
gb_status figure_file_finish(FILE *file, const char *dir, const char *name, gb_status so_far,
                             gb_error *err);

/* The same for n files. After a failure to open one, it and those that follow are NULL;
 * figure_files_finish is needed in any case. */
gb_status figure_files_open(FILE **files, const char *const *names, int n, const char *dir,
                            gb_error *err);
gb_status figure_files_finish(FILE *const *files, const char *const *names, int n, const char *dir,
                              gb_status so_far, gb_error *err);

#endif
