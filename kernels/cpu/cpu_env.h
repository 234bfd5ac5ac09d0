/* cpu_env.h: what the CPU backend wants of the process's environment before anything else runs. */
#ifndef GPTBENCH_KERNELS_CPU_ENV_H
#define GPTBENCH_KERNELS_CPU_ENV_H

/* How often a thread looks before it goes to sleep at a barrier. */
#define CPU_ENV_SPIN_COUNT "3000"

/* Call first in main. Two things are put right, one of them by starting over from /proc/self/exe
 * with the same arguments. Returns when there is nothing to do, or when starting over failed: the
 * program works either way.
 *
 * OpenMP's threads spin at barriers, by default so long that on a machine with other work a thread
 * spins away the time that the one it waits for should get: steps then take ten times as long and
 * more. Where neither OMP_WAIT_POLICY nor GOMP_SPINCOUNT is set, GOMP_SPINCOUNT is, to
 * CPU_ENV_SPIN_COUNT.
 *
 * With OMP_PROC_BIND or OMP_PLACES set, OpenMP binds the first thread to one of its places as soon
 * as it is loaded. What is started from there, this program anew and its workers, would take that
 * place for the whole machine and put all its threads there; so the first thread may use all places
 * again. The other threads of a team are bound as asked. */
void cpu_env_prepare(char **argv);

/* OpenMP reads OMP_NUM_THREADS as it is loaded, before main, and complains of what it cannot read,
 * once for every process. Our own message says more, so the program looks earlier still and gives
 * such a value another name, CPU_ENV_THREADS_REFUSED. */
#define CPU_ENV_THREADS         "OMP_NUM_THREADS"
#define CPU_ENV_THREADS_REFUSED "GPT_NUM_THREADS" /* as long */
/* As many as --threads may ask for. */
#define CPU_THREADS_MAX 4096

/* The value of OMP_NUM_THREADS, or what was set aside as above; NULL: there is none. */
const char *cpu_env_threads(void);
/* The first of "4" or "4,2"; 0 where that is no list of numbers from 1 to CPU_THREADS_MAX. */
int cpu_env_list_first(const char *text);

#endif
