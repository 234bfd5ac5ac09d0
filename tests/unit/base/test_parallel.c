/* A loop in shares: what is cut, what is called, and that nothing hangs on how many threads there
 * are. No expected number is a measured one: all follow from what bench/base/parallel.h says.
 *
 * kinds: plain sanitized threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/base/parallel.h"
#include "bench/stats/bootstrap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { SHARES_TRIED = 100 }; /* more than there are ever threads */

typedef struct calls {
    int of[SHARES_TRIED]; /* how often each share was done */
    bool signals_taken[SHARES_TRIED];
    pthread_t by[SHARES_TRIED];
} calls;

static void note(void *user, int share)
{
    calls *c = user;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    c->of[share]++;
    c->signals_taken[share] = !sigismember(&blocked, SIGTERM);
    c->by[share] = pthread_self();
}

static void test_each_share_once(void **state)
{
    (void)state;
    const int tried[] = {0, 1, 2, 7, 64, 65, SHARES_TRIED};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        calls c = {.of = {0}};
        parallel_run(tried[i], note, &c);
        for (int share = 0; share < SHARES_TRIED; share++) {
            assert_int_equal(c.of[share], share < tried[i]);
            if (share < tried[i] && !pthread_equal(c.by[share], pthread_self())) {
                assert_false(c.signals_taken[share]); /* handlers run where they always do */
            }
        }
    }
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
}

/* Without room for a thread's stack there is none: the shares are done all the same. */
static void test_without_threads(void **state)
{
    (void)state;
#ifdef SANITIZED
    print_message("skip: a sanitizer needs the address space\n");
#else
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, before.rlim_max}), 0);
    calls c = {.of = {0}};
    parallel_run(40, note, &c);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    int elsewhere = 0; /* the C library keeps the stacks of a few threads that ended */
    for (int share = 0; share < 40; share++) {
        assert_int_equal(c.of[share], 1);
        elsewhere += !pthread_equal(c.by[share], pthread_self());
    }
    assert_true(elsewhere < 39);
#endif
}

static void test_shares(void **state)
{
    (void)state;
    const int all = parallel_processors();
    assert_true(all >= 1);
    assert_int_equal(parallel_shares(0, 10), 1);
    assert_int_equal(parallel_shares(19, 10), 1);
    assert_int_equal(parallel_shares(20, 10), all < 2 ? 1 : 2);
    assert_int_equal(parallel_shares(SIZE_MAX, 1), all < 64 ? all : 64);
    /* Whole, in order, and none larger than another by more than one. */
    for (size_t items = 0; items < 30; items++) {
        for (int shares = 1; shares < 9; shares++) {
            assert_int_equal(parallel_first(items, 0, shares), 0);
            assert_int_equal(parallel_first(items, shares, shares), items);
            for (int i = 0; i < shares; i++) {
                size_t n = parallel_first(items, i + 1, shares) - parallel_first(items, i, shares);
                assert_true(n == items / (size_t)shares || n == items / (size_t)shares + 1);
            }
        }
    }
}

enum { VALUES = 23, RESAMPLES = 40000 };

static bootstrap *resampled(void)
{
    double x[VALUES];
    bootstrap *b;
    for (int i = 0; i < VALUES; i++) {
        x[i] = (double)(i * 7 % VALUES) * 0.01 + (i == 5 ? 3 : 0);
    }
    assert_int_equal(bootstrap_create(&b, (stats_sample){x, VALUES}, RESAMPLES, 9, NULL), GB_OK);
    return b;
}

/* The same resamples, to the bit, whatever the number of threads: draws are counted, not drawn one
 * after the other. */
static void test_resamples_do_not_depend_on_threads(void **state)
{
    (void)state;
    if (parallel_processors() < 2) {
        print_message("skip: one processor\n");
        return;
    }
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int first = 0;
    while (!CPU_ISSET(first, &all)) {
        first++;
    }
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    bootstrap *together = resampled();
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(parallel_processors(), 1);
    bootstrap *alone = resampled();
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    for (int k = 0; k + 1 < RESAMPLES; k++) { /* between two neighbours: every resample counts */
        double level = (k + 0.5) / (RESAMPLES - 1);
        stats_interval a = bootstrap_interval(together, level);
        stats_interval b = bootstrap_interval(alone, level);
        assert_memory_equal(&a, &b, sizeof a);
    }
    bootstrap_free(together);
    bootstrap_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_share_once),
        cmocka_unit_test(test_without_threads),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_resamples_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
