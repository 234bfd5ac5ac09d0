#include "bench/run/schedule.h"

#include <stdlib.h>

static int item_compare(const void *a, const void *b)
{
    const schedule_item *x = a, *y = b;
    if (x->replicate != y->replicate) {
        return x->replicate < y->replicate ? -1 : 1;
    }
    return (x->cell > y->cell) - (x->cell < y->cell);
}

void schedule_order(schedule_item *items, int n)
{
    if (n > 1) {
        qsort(items, (size_t)n, sizeof *items, item_compare);
    }
}
