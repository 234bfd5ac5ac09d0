/* cpu_threads.h: how many threads the CPU backend has, and whether the machine gives as many. */
#ifndef GPTBENCH_KERNELS_CPU_THREADS_H
#define GPTBENCH_KERNELS_CPU_THREADS_H

#include <stddef.h>

#include "kernels/cpu/cpu_env.h" /* CPU_THREADS_MAX */
#include "kernels/status.h"

/* CPUs that this process may keep busy: those that it may run on, or fewer where the quota of its
 * cgroup (v2 or v1) is less: whole ones, since a team that has to wait for a part of one is held up
 * at each barrier. At least 1. */
int cpu_count_usable(void);
/* That quota in CPUs; 0: none. `root` stands before /proc and /sys: "" but for tests. */
double cpu_quota_read(const char *root);

/* The team's size: `asked` where that is above 0, else the first number of OMP_NUM_THREADS, else
 * cpu_count_usable(); never more than OMP_THREAD_LIMIT. GB_ERR_USAGE where OMP_NUM_THREADS is used
 * and is no list of numbers from 1 to CPU_THREADS_MAX. */
gb_status cpu_threads_choose(int asked, int *out, gb_error *err);

/* Makes OpenMP's team of so many, or says why there can be none (GB_ERR_ENV): OpenMP itself would
 * end the process. */
gb_status cpu_threads_start(int threads, gb_error *err);

/* What is to be said of such a team: that it is larger than the number of CPUs, and so slower; ""
 * where there is nothing to say. */
void cpu_threads_note(int threads, char *out, size_t size);

#endif
