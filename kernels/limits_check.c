#include "kernels/limits_check.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kernels/process_limits.h"

gb_status gb_limits_check(gb_error *err)
{
    int64_t files = gb_limits_get(RLIMIT_NOFILE), stack = gb_limits_get(RLIMIT_STACK);
    if (files >= 0 && files < GB_LIMITS_FILES_NEEDED) {
        return gb_fail(
            err, GB_ERR_ENV,
            "this process may have %lld files open at a time (ulimit -n); at least %d are"
            " needed",
            (long long)files, GB_LIMITS_FILES_NEEDED);
    }
    if (stack >= 0 && stack < GB_LIMITS_STACK_NEEDED) {
        return gb_fail(err, GB_ERR_ENV,
                       "the stack may have %lld KiB (ulimit -s); at least %lld KiB are needed",
                       (long long)(stack >> 10), (long long)(GB_LIMITS_STACK_NEEDED >> 10));
    }
    return GB_OK;
}

/* ---- threads ---- */

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
} gate;

static void *gate_wait(void *argument)
{
    gate *g = argument;
    pthread_mutex_lock(&g->lock);
    while (!g->open) {
        pthread_cond_wait(&g->opened, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* Makes up to n threads that live together, and ends them; returns how many there were. */
static int threads_try(pthread_t *threads, int n, int *why)
{
    gate g = {.open = false};
    int made = 0;
    pthread_mutex_init(&g.lock, NULL);
    pthread_cond_init(&g.opened, NULL);
    while (made < n && (*why = pthread_create(&threads[made], NULL, gate_wait, &g)) == 0) {
        made++;
    }
    pthread_mutex_lock(&g.lock);
    g.open = true;
    pthread_cond_broadcast(&g.opened);
    pthread_mutex_unlock(&g.lock);
    for (int i = 0; i < made; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_cond_destroy(&g.opened);
    pthread_mutex_destroy(&g.lock);
    return made;
}

gb_status gb_limits_threads_check(int n, gb_error *err)
{
    if (n <= 0) {
        return GB_OK;
    }
    pthread_t *threads = calloc((size_t)n, sizeof *threads);
    int why = ENOMEM, made = threads ? threads_try(threads, n, &why) : 0;
    free(threads);
    if (made == n) {
        return GB_OK;
    }
    char memory[128];
    int64_t most = gb_limits_get(RLIMIT_NPROC);
    gb_limits_memory_words(memory, sizeof memory);
    return gb_fail(err, GB_ERR_ENV,
                   "%d threads were asked for, and the system gives %d: %s%s; ask for fewer with"
                   " --threads, or raise the limit",
                   n + 1, made + 1,
                   /* EAGAIN is also what a lack of room for a stack is called. */
                   memory[0] || most < 0 ? strerror(why) : gb_reason(why), memory);
}
