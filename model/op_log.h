/* op_log.h: the list of calls behind op_trace.h, and its hash; private to op_trace.c. */
#ifndef GPTBENCH_MODEL_OP_LOG_H
#define GPTBENCH_MODEL_OP_LOG_H

#include "model/op_trace.h"

enum { OP_LOG_BUFFERS = 10 };

/* A buffer that turned up, and its number. */
typedef struct op_log_buffer {
    const void *address; /* NULL: a free place */
    uint64_t number;
} op_log_buffer;

/* Starts zeroed; ended by op_log_clear. */
typedef struct op_log {
    op_log_buffer *seen; /* open addressing; at most half full */
    size_t n_seen, seen_capacity;
    uint64_t hash;
    int64_t count;
    bool list, lost; /* calls are kept; one could not be */
    op_trace_call *calls;
    int64_t capacity;
} op_log;

/* Forgets everything; the hash starts at `seed`. */
void op_log_begin(op_log *log, bool list, uint64_t seed);
/* One call, whose buffers (at most OP_LOG_BUFFERS) are these. False when memory is short. */
bool op_log_add(op_log *log, const op_trace_call *call, const void *const *buffers, int n_buffers);
void op_log_clear(op_log *log);

#endif
