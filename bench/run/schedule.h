/* schedule.h: in which order the runs of a suite are done. */
#ifndef GPTBENCH_BENCH_SCHEDULE_H
#define GPTBENCH_BENCH_SCHEDULE_H

#include <stdint.h>

typedef struct schedule_item {
    int64_t cell; /* position in the suite */
    int64_t replicate;
    int index; /* the caller's */
} schedule_item;

/* Sorts the items into the order of doing: replicate 0 of every cell, then replicate 1, ..., cells
 * in the suite's order, so that a suite that is broken off still compares like with like. */
void schedule_order(schedule_item *items, int n);

#endif
