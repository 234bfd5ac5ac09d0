/* run_ends.h: how the runs of a config ended. */
#ifndef GPTBENCH_BENCH_RUN_ENDS_H
#define GPTBENCH_BENCH_RUN_ENDS_H

#include "bench/analysis/findings.h"

/* A status, and how many runs have it by their newest attempt. */
typedef struct run_end {
    const char *status;
    int n, halved; /* runs; of them with a learning rate that was halved after a NaN */
} run_end;

enum { RUN_ENDS_MAX = 16 }; /* more than there are statuses */

/* Those of a config on a backend in a precision, `ok` first, then by name. Returns how many of
 * `out` (RUN_ENDS_MAX places) are filled. */
int run_ends_of(run_end *out, const facts *f, int config, const char *backend,
                const char *precision);

#endif
