/* timing_session.h: one session of interleaved timing, from the first worker to the last row in the
 * store: timing.h says when which arm takes its turn, timing_pool.h has the workers. */
#ifndef GPTBENCH_BENCH_TIMING_SESSION_H
#define GPTBENCH_BENCH_TIMING_SESSION_H

#include "bench/run/runner.h"
#include "bench/run/timing.h"
#include "bench/store/store_timing.h"

typedef struct timing_session_arm {
    const char *label;    /* what the display says; borrowed */
    const char *json;     /* the worker's job; borrowed */
    int64_t memory_bytes; /* of the host; see timing_pool.h */
    store_timing_arm row;
} timing_session_arm;

typedef struct timing_session {
    store_timing row;
    const timing_session_arm *arms;
    int n_arms, baseline;
    const char *bus_id; /* of the GPU that computes; NULL or empty on the CPU */
} timing_session;

typedef struct timing_session_result {
    int64_t timing_id;
    timing_outcome outcome;
    int arms_failed;
} timing_session_result;

/* Measures and stores. GB_OK also when arms other than the baseline failed. GB_ERR_FAILED,
 * GB_ERR_NAN, GB_ERR_OOM when the baseline did; GB_ERR_INTERRUPTED when the user stopped it; the
 * session's row then says so. Other errors as the store and the system give. */
gb_status timing_session_run(store *s, const timing_session *session, const runner_options *options,
                             timing_session_result *result, gb_error *err);

#endif
