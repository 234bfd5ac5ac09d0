/* memory_fit.h: whether a run's memory, as planned, is there: below max_memory, and below what the
 * machine (or its cgroup) or the GPU has. */
#ifndef GPTBENCH_BENCH_MEMORY_FIT_H
#define GPTBENCH_BENCH_MEMORY_FIT_H

#include <stdbool.h>

#include "bench/suite/limits.h"
#include "model/trainer.h"

typedef struct memory_fit {
    int64_t needed_bytes;    /* the process included where it is the host's memory */
    int64_t available_bytes; /* 0: not known; then everything fits */
    bool by_limit;           /* max_memory is the less of the two */
    bool fits;
} memory_fit;

/* `process_bytes` is what a worker takes before it opens anything, `device_bytes` the memory of the
 * device: both as a probe found them; 0: not known. Where the backend computes in the host's
 * memory, device_bytes does not count. Pure but for a look at the machine's memory and cgroup. */
memory_fit memory_fit_make(const train_job *job, int64_t process_bytes, int64_t device_bytes,
                           const run_limits *limits);

/* "needs 31.2 GiB, 23.5 GiB are there" */
void memory_fit_format(const memory_fit *fit, char *out, size_t size);

#endif
