/* process_limits.h: what the system lets this process take (`ulimit`); it is named in the message
 * where it was the reason that something failed. bench/main.c and the CPU backend look at it before
 * work begins: kernels/limits_check.h. */
#ifndef GPTBENCH_KERNELS_PROCESS_LIMITS_H
#define GPTBENCH_KERNELS_PROCESS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the program needs itself, whatever it does. */
#define GB_LIMITS_FILES_NEEDED 32
#define GB_LIMITS_STACK_NEEDED ((int64_t)512 << 10)

/* Call first in main, once. From then on
 * - standard descriptors that were closed are occupied, so that no file of ours gets their numbers;
 *   to read or write them fails as before;
 * - a file that would grow beyond `ulimit -f` is an error of write(), not a signal;
 * - soft limits of open files and of the stack are at least what the program needs, where the hard
 *   ones allow it;
 * - shortly before `ulimit -t` is used up, the process is asked to stop as by SIGTERM; where nobody
 *   catches that, it says why and exits with code 3. */
void gb_limits_prepare(void);

/* The soft limit of RLIMIT_...; -1: there is none. */
int64_t gb_limits_get(int resource);

/* Whether the process was asked to stop because its CPU time is nearly used up. */
bool gb_limits_cpu_spent(void);
/* A sentence about it, with the limit. Never NULL. */
const char *gb_limits_cpu_words(void);
/* The most CPU time that this process and those that it starts may take each; 0: no limit. */
int64_t gb_limits_cpu_s(void);

/* What strerror says, and the limit behind it where there is one:
 * "Too many open files: this process may have 8 open at a time (ulimit -n); raise that". Good until
 * the thread asks again. */
const char *gb_reason(int error_number);

/* The same where it is no longer known why a file could not be written: "is the disk full?", and
 * the limit of a file's size where there is one. */
const char *gb_write_doubt(void);

/* "; the address space is limited to 60 MiB (ulimit -v)", or "". */
void gb_limits_memory_words(char *out, size_t size);
/* `ulimit -v`; 0: no limit. */
int64_t gb_limits_address_space_bytes(void);
/* What is left of the address space and of the data segment, the less of them; -1: no limit. */
int64_t gb_limits_memory_left_bytes(void);

#endif
