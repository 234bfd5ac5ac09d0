/* directories.h: mkdir -p. */
#ifndef GPTBENCH_BENCH_DIRECTORIES_H
#define GPTBENCH_BENCH_DIRECTORIES_H

#include <stdbool.h>

#include "kernels/status.h"

/* Makes the directories that `path` lies in, and with `last` the path itself as one, where they are
 * missing. GB_ERR_IO names the one that cannot be made; GB_ERR_OOM. */
gb_status directories_make(const char *path, bool last, gb_error *err);

#endif
