#include "kernels/cpu/cpu_env.h"

#include <cblas.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcasecmp(name, *names) == 0) {
            return 1;
        }
    }
    return 0;
}

int cpu_env_is_lesser_coretype(const char *coretype, int has_avx2, int has_avx512)
{
    static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
    static const char *const avx2[] = {"Haswell", "Zen", "Excavator", NULL};
    if (is_one_of(coretype, avx512)) {
        return 0;
    }
    if (is_one_of(coretype, avx2)) {
        return has_avx512;
    }
    return has_avx2;
}

const char *cpu_env_better_core(const char *core, int has_avx2, int has_avx512)
{
    static const char *const poor[] = {
        "Katmai",     "Coppermine",   "Northwood", "Banias",    "Core2",       "Penryn",
        "Dunnington", "Atom",         "Nano",      "Prescott",  "Nehalem",     "Athlon",
        "Opteron",    "Opteron_SSE3", "Bobcat",    "Barcelona", "Sandybridge", "Bulldozer",
        "Piledriver", "Steamroller",  NULL};
    if (!has_avx2 || !is_one_of(core, poor)) {
        return NULL;
    }
    return has_avx512 ? "SkylakeX" : "Haswell";
}

/* Whether OPENBLAS_CORETYPE was to be removed, or set, and is. */
static int coretype_put_right(void)
{
    const char *coretype = getenv("OPENBLAS_CORETYPE");
    const char *keep = getenv("GPTBENCH_KEEP_CORETYPE");
    if (keep != NULL && keep[0] == '1') {
        return 0;
    }
    const int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int has_avx512 = __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (coretype != NULL && coretype[0] != '\0') {
        return cpu_env_is_lesser_coretype(coretype, has_avx2, has_avx512) &&
               unsetenv("OPENBLAS_CORETYPE") == 0;
    }
    const char *better = cpu_env_better_core(openblas_get_corename(), has_avx2, has_avx512);
    return better != NULL && setenv("OPENBLAS_CORETYPE", better, 1) == 0;
}

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
    /* Twice at most: a core type is removed, and what OpenBLAS takes then is put right too. */
    static const char guard[] = "GPTBENCH_ENVIRONMENT_CHECKED";
    const char *before = getenv(guard);
    if (before != NULL && strcmp(before, "1") != 0) {
        return;
    }
    int changed = coretype_put_right();
    changed |= spin_bound();
    if (changed && setenv(guard, before == NULL ? "1" : "2", 1) == 0) {
        execv("/proc/self/exe", argv);
    }
}
