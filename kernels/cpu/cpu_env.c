#include "kernels/cpu/cpu_env.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether a spin count was to be set, and is. */
static int spin_bound(void)
{
    return getenv("OMP_WAIT_POLICY") == NULL && getenv("GOMP_SPINCOUNT") == NULL &&
           setenv("GOMP_SPINCOUNT", CPU_ENV_SPIN_COUNT, 1) == 0;
}

/* With OMP_PROC_BIND the library has bound the thread that loaded it to one place already. */
static void main_thread_unbind(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int n = omp_get_place_num_procs(place);
        int *processors = calloc((size_t)n + 1, sizeof *processors);
        if (processors == NULL) {
            return;
        }
        omp_get_place_proc_ids(place, processors);
        for (int i = 0; i < n; i++) {
            if (processors[i] >= 0 && processors[i] < CPU_SETSIZE) {
                CPU_SET(processors[i], &all);
            }
        }
        free(processors);
    }
    if (CPU_COUNT(&all) > 0) {
        (void)sched_setaffinity(0, sizeof all, &all);
    }
}

void cpu_env_prepare(char **argv)
{
    main_thread_unbind();
    if (spin_bound()) {
        execv("/proc/self/exe", argv);
    }
}
