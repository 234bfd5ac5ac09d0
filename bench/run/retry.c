#include "bench/run/retry.h"

#include <math.h>
#include <string.h>

int64_t retry_halvings_of(double lr_scale)
{
    return lr_scale > 0 && lr_scale < 1 ? llround(-log2(lr_scale)) : 0;
}

void retry_begin(retry *r, const run_limits *limits, double lr_scale, int64_t first_wait_ms)
{
    *r = (retry){
        .limits = *limits, .halvings = retry_halvings_of(lr_scale), .next_wait_ms = first_wait_ms};
}

retry_action retry_next(retry *r, const char *status, bool transient, int64_t *wait_ms)
{
    *wait_ms = 0;
    if (strcmp(status, "nan") == 0) {
        if (r->limits.on_nan != LIMITS_NAN_HALVE_LR || r->halvings >= LIMITS_MAX_HALVINGS) {
            return RETRY_LEAVE;
        }
        r->halvings++;
        return RETRY_HALVE;
    }
    if (!transient || r->retries >= r->limits.max_retries) {
        return RETRY_LEAVE;
    }
    r->retries++;
    *wait_ms = r->next_wait_ms;
    r->next_wait_ms =
        r->next_wait_ms < RETRY_MOST_WAIT_MS / 2 ? 2 * r->next_wait_ms : RETRY_MOST_WAIT_MS;
    return RETRY_AGAIN;
}
