/* parallel.h: a loop over shares of one task, on several processors for as long as it takes.
 *
 * Threads are made for the call and joined before it returns: nothing keeps a processor busy
 * afterwards, when a suite may be timing steps, and fork() finds a single thread. They take no
 * signals, so that handlers run in the main thread. */
#ifndef GPTBENCH_BENCH_PARALLEL_H
#define GPTBENCH_BENCH_PARALLEL_H

#include <stddef.h>

/* Processors that this process may run on; at least 1. */
int parallel_processors(void);

/* The number of shares to cut `items` into, so that each has `least` or more:
 * between 1 and the number of processors. least >= 1. */
int parallel_shares(size_t items, size_t least);

/* First item of a share; that of share `shares` is the end. */
size_t parallel_first(size_t items, int share, int shares);

/* Calls work(user, share) once for each share in [0, shares). Where a thread cannot be had, the
 * calling one does its share too; so there is nothing that can fail. */
void parallel_run(int shares, void (*work)(void *user, int share), void *user);

#endif
