/* parallel.h: a loop over shares of one task, on several processors for as long as it takes.
 *
 * Threads are made for the call and joined before it returns: nothing keeps a processor busy
 * afterwards, when a suite may be timing steps, and a fork meets one thread alone. They take no
 * signals, so that handlers run where they always do. */
#ifndef GPTBENCH_BENCH_PARALLEL_H
#define GPTBENCH_BENCH_PARALLEL_H

#include <stddef.h>

/* Processors that this process may run on; at least 1. */
int parallel_processors(void);

/* Into how many shares `items` are worth being cut when a share should have `least` or more:
 * between 1 and the number of processors. least >= 1. */
int parallel_shares(size_t items, size_t least);

/* First item of a share; that of share `shares` is the end. */
size_t parallel_first(size_t items, int share, int shares);

/* Calls work(user, share) once for each share in [0, shares). Where a thread cannot be had, the
 * calling one does its share too; so there is nothing that can fail. */
void parallel_run(int shares, void (*work)(void *user, int share), void *user);

#endif
