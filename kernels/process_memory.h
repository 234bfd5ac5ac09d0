/* process_memory.h: what processes take of the host's memory, and how much of it there is; from
 * Linux's /proc and cgroups. */
#ifndef GPTBENCH_KERNELS_PROCESS_MEMORY_H
#define GPTBENCH_KERNELS_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Resident memory of a process; pid 0: this one. 0 when it cannot be read. */
int64_t gb_process_resident_bytes(pid_t pid);

/* The most that this program has had resident. The kernel's figure for getrusage also counts what
 * the process was before exec, which this one does not; it stands in where there is no other. */
int64_t gb_process_peak_bytes(void);

/* What a process here may take at most: the machine's memory, or less where a cgroup (v2 or v1)
 * or `ulimit -v` says so. 0 when it cannot be read. */
int64_t gb_memory_limit_bytes(void);

#endif
