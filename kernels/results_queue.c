#include "kernels/results_queue.h"

#include <string.h>

#include "kernels/clock.h"

void gb_results_queue_start(gb_results_queue *queue)
{
    queue->mark_ms = gb_monotonic_ms();
}

gb_status gb_results_queue_post(gb_results_queue *queue, const double *src, int count,
                                gb_error *err)
{
    const double at_ms = gb_monotonic_ms();
    if (count < 0 || count > GB_RESULTS_MAX || queue->n == GB_RESULTS_UNDER_WAY) {
        return gb_fail(err, GB_ERR_INTERNAL, "results_post: %d values, %d posts under way", count,
                       queue->n);
    }
    const int at = (queue->first + queue->n++) % GB_RESULTS_UNDER_WAY;
    memcpy(queue->entries[at].values, src, (size_t)count * sizeof *src);
    queue->entries[at].count = count;
    queue->entries[at].elapsed_ms = at_ms - queue->mark_ms;
    queue->mark_ms = at_ms;
    return GB_OK;
}

gb_status gb_results_queue_take(gb_results_queue *queue, double *values, double *elapsed_ms,
                                gb_error *err)
{
    if (queue->n == 0) {
        return gb_fail(err, GB_ERR_INTERNAL, "results_take: nothing was posted");
    }
    const int at = queue->first;
    memcpy(values, queue->entries[at].values, (size_t)queue->entries[at].count * sizeof *values);
    *elapsed_ms = queue->entries[at].elapsed_ms;
    queue->first = (at + 1) % GB_RESULTS_UNDER_WAY;
    queue->n--;
    return GB_OK;
}
