#include "model/warmup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_span(const double *values)
{
    double sorted[WARMUP_SPAN];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, WARMUP_SPAN, sizeof sorted[0], compare_doubles);
    return sorted[WARMUP_SPAN / 2];
}

bool warmup_add_step(warmup_state *state, double step_ms)
{
    memmove(state->recent_ms, state->recent_ms + 1,
            sizeof state->recent_ms - sizeof state->recent_ms[0]);
    state->recent_ms[2 * WARMUP_SPAN - 1] = step_ms;
    state->steps++;
    if (state->steps >= WARMUP_MIN_STEPS && !state->warm) {
        double before = median_of_span(state->recent_ms);
        double now = median_of_span(state->recent_ms + WARMUP_SPAN);
        state->warm = fabs(now - before) <= 0.05 * before || state->steps >= WARMUP_MAX_STEPS;
    }
    return state->warm;
}
