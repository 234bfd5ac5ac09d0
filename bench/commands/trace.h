/* trace.h: the ops of one step as a trace that chrome://tracing and Perfetto open: ops, layers and
 * phases, one track each. */
#ifndef GPTBENCH_BENCH_TRACE_H
#define GPTBENCH_BENCH_TRACE_H

#include "kernels/backend.h"

/* Spans that arrive one after the other; start from a zeroed struct. */
typedef struct trace {
    gb_op_span *spans; /* owned */
    int count, capacity;
    bool failed;   /* memory was short; trace_write says so */
    double zero_s; /* CLOCK_MONOTONIC at the spans' zero; 0: unknown */
} trace;

void trace_add(trace *t, const gb_op_span *span);
void trace_free(trace *t);

/* Writes the JSON object format of the Trace Event Format: complete events ("ph": "X") with
 * microseconds; args of an op are its phase and layer; otherData.zero_monotonic_s is zero_s, where
 * it is known, so that samples can be laid beside. `process` names the process track. GB_ERR_IO
 * names the file; an existing file is replaced. */
gb_status trace_write(const trace *t, const char *path, const char *process, gb_error *err);

#endif
