/* cpu_env.h: what the CPU backend wants of the process's environment before anything else runs. */
#ifndef GPTBENCH_KERNELS_CPU_ENV_H
#define GPTBENCH_KERNELS_CPU_ENV_H

/* How often a thread looks before it goes to sleep at a barrier. */
#define CPU_ENV_SPIN_COUNT "3000"

/* Call first in main. Three things are put right, two of them by starting over, once
 * or twice, from /proc/self/exe with the same arguments. Returns when there is nothing to do, or
 * when starting over failed: the program works either way.
 *
 * OpenBLAS picks its kernels when it is loaded, and obeys OPENBLAS_CORETYPE
 * even where that names an older core than this one (Haswell on an AVX-512 machine halves the
 * rate). Where the variable is set to such a core type, it is removed. CPUs newer than OpenBLAS it
 * takes for ones of 2004 (0.3.21 an Emerald Rapids for a Prescott): where it did, the variable is
 * set to a core type that this CPU can be. GPTBENCH_KEEP_CORETYPE=1 leaves all as it is.
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

/* True when `coretype` names an OpenBLAS core that has less than this CPU: no AVX-512 where the
 * CPU has it, no AVX2 where it has that. An unknown name counts as less: OpenBLAS falls back to a
 * generic core on some of them. */
int cpu_env_is_lesser_coretype(const char *coretype, int has_avx2, int has_avx512);

/* The OpenBLAS core to ask for where it chose one without AVX2 for a CPU that has it; else NULL. */
const char *cpu_env_better_core(const char *core, int has_avx2, int has_avx512);

#endif
