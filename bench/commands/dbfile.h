/* dbfile.h: which database a command means when it is not told. `run` writes results/SUITE.db; the
 * others look there. */
#ifndef GPTBENCH_BENCH_DBFILE_H
#define GPTBENCH_BENCH_DBFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#define DBFILE_PATTERN "results/*.db"

/* `given` when it is not NULL, else the newest of results/ (all files there match DBFILE_PATTERN).
 * GB_ERR_USAGE when there is none or the path does not fit. */
gb_status dbfile_choose(char *out, size_t size, const char *given, gb_error *err);

/* "suite quick in results/quick.db", a line on standard output: what a command speaks of, whether
 * it was named or chosen. */
void dbfile_say(const char *path, const char *suite);

/* What a command looks for in a database. */
typedef struct dbfile_wanted {
    const char *suite;      /* NULL: any */
    const char *configs[2]; /* names or labels ("d12 (cpu fp32)"); NULL: none more */
    int64_t run_id;         /* 0: none */
    const char *option;     /* that names the file; NULL: --db */
} dbfile_wanted;

/* After a look into database `path` failed with *err, whose status is returned: where `path` lacks
 * what was wanted and another file of results/ has it, the message ends by saying which. */
gb_status dbfile_tell_others(const char *path, const dbfile_wanted *wanted, gb_error *err);

#endif
