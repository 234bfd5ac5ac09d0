/* gnuplot.h: runs gnuplot on script files. No shell is involved. */
#ifndef GPTBENCH_BENCH_GNUPLOT_H
#define GPTBENCH_BENCH_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/status.h"

/* Runs `gnuplot -d SCRIPT` with `directory` as working directory, stdin empty and stdout dropped;
 * ends it after GNUPLOT_TIMEOUT_S. GB_ERR_ENV when gnuplot is not installed: the message names the
 * package; and when the system ended it, or this process's memory is limited: it names the limit.
 * GB_ERR_FAILED with the last of what gnuplot said when it failed or took too long.
 * GB_ERR_IO when the system refused a fork or file. */
gb_status gnuplot_run(const char *directory, const char *script, gb_error *err);

#define GNUPLOT_TIMEOUT_S 120

/* "gnuplot 5.4 patchlevel 4"; false where it is not installed. */
bool gnuplot_version(char *out, size_t size);

#endif
