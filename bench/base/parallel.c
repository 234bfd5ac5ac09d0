#include "bench/base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

enum { SHARES_MAX = 64 };

typedef struct helper {
    pthread_t thread;
    void (*work)(void *user, int share);
    void *user;
    int share;
    bool runs;
} helper;

int parallel_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int parallel_shares(size_t items, size_t least)
{
    int most = parallel_processors();
    size_t worth = items / least;
    most = most < SHARES_MAX ? most : SHARES_MAX;
    return worth <= 1 ? 1 : worth < (size_t)most ? (int)worth : most;
}

size_t parallel_first(size_t items, int share, int shares)
{
    size_t each = items / (size_t)shares, over = items % (size_t)shares, at = (size_t)share;
    return at * each + (at < over ? at : over);
}

static void *helper_run(void *argument)
{
    helper *h = argument;
    h->work(h->user, h->share);
    return NULL;
}

void parallel_run(int shares, void (*work)(void *user, int share), void *user)
{
    helper helpers[SHARES_MAX];
    sigset_t all, before;
    int first = shares > SHARES_MAX ? shares - SHARES_MAX : 1; /* those below are done here */
    sigfillset(&all);
    bool masked = shares > 1 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    for (int share = first; share < shares; share++) {
        helper *h = &helpers[share - first];
        *h = (helper){.work = work, .user = user, .share = share};
        h->runs = masked && pthread_create(&h->thread, NULL, helper_run, h) == 0;
    }
    if (masked) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    for (int share = 0; share < first && share < shares; share++) {
        work(user, share);
    }
    for (int share = first; share < shares; share++) {
        if (!helpers[share - first].runs) {
            work(user, share);
        }
    }
    for (int share = first; share < shares; share++) {
        if (helpers[share - first].runs) {
            pthread_join(helpers[share - first].thread, NULL);
        }
    }
}
