/* results_queue.h: clock_start, results_post and results_take of kernels/backend.h for backends
 * whose ops have finished when they return. Times are of kernels/clock.h. */
#ifndef GPTBENCH_KERNELS_RESULTS_QUEUE_H
#define GPTBENCH_KERNELS_RESULTS_QUEUE_H

#include "kernels/backend.h"

/* Start from a zeroed struct. */
typedef struct gb_results_queue {
    struct {
        double values[GB_RESULTS_MAX];
        int count;
        double elapsed_ms;
    } entries[GB_RESULTS_UNDER_WAY];
    int first, n;
    double mark_ms;
} gb_results_queue;

void gb_results_queue_start(gb_results_queue *queue);
/* GB_ERR_INTERNAL when too many values, or too many posts, are under way; when none is. */
gb_status gb_results_queue_post(gb_results_queue *queue, const double *src, int count,
                                gb_error *err);
gb_status gb_results_queue_take(gb_results_queue *queue, double *values, double *elapsed_ms,
                                gb_error *err);

#endif
