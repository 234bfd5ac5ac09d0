/* dbfile.h: which database a command means when it is not told. `run` writes results/SUITE.db; the
 * others look there. */
#ifndef GPTBENCH_BENCH_DBFILE_H
#define GPTBENCH_BENCH_DBFILE_H

#include <stddef.h>

#include "kernels/status.h"

#define DBFILE_PATTERN "results/*.db"

/* `given` when it is not NULL, else the newest of results/ (all files there match DBFILE_PATTERN).
 * GB_ERR_USAGE when there is none or the path does not fit. */
gb_status dbfile_choose(char *out, size_t size, const char *given, gb_error *err);

#endif
