/* staging.h: a directory in which files are made before they take their places, so that what fails
 * half-way (a full disk) leaves what was there before as it was. It lies inside of the directory
 * that it is for, under the name .gptbench-PID. */
#ifndef GPTBENCH_BENCH_STAGING_H
#define GPTBENCH_BENCH_STAGING_H

#include <stdbool.h>

#include "kernels/status.h"

typedef struct staging {
    const char *out_dir; /* borrowed */
    char dir[4096];
} staging;

/* Makes out_dir, with its parents, and the directory in it; removes those of processes that are
 * gone. GB_ERR_IO, GB_ERR_USAGE for a path that is too long. */
gb_status staging_begin(staging *st, const char *out_dir, gb_error *err);
/* GB_ERR_IO where a link, or what is no file or no folder, stands in the place of one; without
 * `replace` GB_ERR_USAGE where any file has the name of one. */
gb_status staging_check(const staging *st, bool replace, gb_error *err);
/* After staging_check: moves every file to its place, the one called `first` before the others, one
 * rename each: a reader sees the old or the new one, whole. GB_ERR_IO. */
gb_status staging_publish(staging *st, const char *first, gb_error *err);
/* Removes the directory and what is still in it. Fine after staging_publish, and needed after
 * staging_begin in any case. */
void staging_drop(staging *st);

/* Names files by their later places in a message. */
void staging_rename_in(const staging *st, char *message);

#endif
