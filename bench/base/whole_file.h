/* whole_file.h: files that appear under their name when they are complete, and not before: they are
 * written beside it, as PATH.tmp-PID. What had the name stays until then. */
#ifndef GPTBENCH_BENCH_WHOLE_FILE_H
#define GPTBENCH_BENCH_WHOLE_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "kernels/status.h"

/* NULL with *err set, GB_ERR_IO; also where `path` is something else than a regular file. */
FILE *whole_file_open(const char *path, gb_error *err);
/* Closes it, and gives it its name where `keep` and everything could be written; else the file is
 * gone. GB_ERR_IO when it could not be kept. */
gb_status whole_file_close(FILE *file, const char *path, bool keep, gb_error *err);

#endif
