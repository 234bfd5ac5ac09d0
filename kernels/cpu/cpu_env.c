#include "kernels/cpu/cpu_env.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- before OpenMP is loaded ---- */

/* Runs before anything that a sanitizer needs is there, and so without it and without libc. */
#define BEFORE_ALL __attribute__((no_sanitize("address"))) __attribute__((no_sanitize("undefined")))

BEFORE_ALL static const char *blanks_skip(const char *at)
{
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

BEFORE_ALL int cpu_env_list_first(const char *text)
{
    int first = 0;
    for (const char *at = text;; at++) {
        int n = 0;
        at = blanks_skip(at);
        while (*at >= '0' && *at <= '9' && n <= CPU_THREADS_MAX) {
            n = n * 10 + (*at++ - '0');
        }
        if (n < 1 || n > CPU_THREADS_MAX) {
            return 0;
        }
        first = first ? first : n;
        at = blanks_skip(at);
        if (*at != ',') {
            return *at == '\0' ? first : 0;
        }
    }
}

/* The value behind `name` and '=' in an entry of the environment, else NULL. */
BEFORE_ALL static char *value_of(char *entry, const char *name)
{
    while (*name && *entry == *name) {
        entry++;
        name++;
    }
    return !*name && *entry == '=' ? entry + 1 : NULL;
}

BEFORE_ALL static void threads_set_aside(int argc, char **argv, char **environment)
{
    static const char name[] = CPU_ENV_THREADS, other[] = CPU_ENV_THREADS_REFUSED;
    (void)argc;
    (void)argv;
    for (; *environment; environment++) {
        const char *value = value_of(*environment, name);
        for (size_t i = 0; value && cpu_env_list_first(value) == 0 && i < sizeof other - 1; i++) {
            (*environment)[i] = other[i];
        }
    }
}

/* The loader calls these of the program before it lets the libraries begin. */
__attribute__((section(".preinit_array"),
               used)) static void (*const first_of_all)(int, char **, char **) = threads_set_aside;

_Static_assert(sizeof CPU_ENV_THREADS == sizeof CPU_ENV_THREADS_REFUSED, "renamed in place");

const char *cpu_env_threads(void)
{
    const char *given = getenv("OMP_NUM_THREADS"), *aside = getenv(CPU_ENV_THREADS_REFUSED);
    const bool refused = aside && cpu_env_list_first(aside) == 0;
    return given ? given : refused ? aside : NULL;
}

/* ---- what OpenMP makes of it ---- */

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
