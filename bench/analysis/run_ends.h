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
enum { RUN_PLACE_ANY = -2 };

/* Which runs: those of a config on a backend in a precision, and of one machine. */
typedef struct run_place {
    int config, machine; /* RUN_PLACE_ANY: wherever they ran */
    const char *backend, *precision;
    bool also_unplaced; /* also what has not begun, or of a machine on which none has finished */
} run_place;

/* `ok` first, then by name. Returns how many of `out` (RUN_ENDS_MAX places) are filled. */
int run_ends_of(run_end *out, const facts *f, const run_place *place);

/* How far a suite is. */
typedef struct run_count {
    int64_t wanted;   /* configs by replicates, as the suite's text asks for */
    int64_t finished; /* of these, however many attempts each took, on any backend */
} run_count;
run_count run_count_of(const facts *f);

#endif
