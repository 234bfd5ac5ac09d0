/* op_trace.h: a backend that computes nothing and writes down what it is asked for. Its buffers are
 * addresses without memory behind them, as a GPU's are to the host, so that a model of any size can
 * issue a step in microseconds: what the model code really does with a configuration, rather than
 * what somebody concludes about it. Not in the registry of backends: nobody can train on it. */
#ifndef GPTBENCH_MODEL_OP_TRACE_H
#define GPTBENCH_MODEL_OP_TRACE_H

#include "kernels/backend.h"

enum { OP_TRACE_NUMBERS = 8 };

/* A scalar argument, by its name in kernels/backend.h. */
typedef struct op_trace_number {
    const char *name;
    bool is_real;
    int64_t whole; /* sizes; 0 and 1 for flags */
    double real;
} op_trace_number;

/* One call of the table. */
typedef struct op_trace_call {
    const char *entry; /* "linear_forward" */
    gb_phase phase;
    int layer;
    gb_op op;     /* the row of the ledger that it belongs to; GB_OP_DATA: of none */
    double flops; /* as a backend's ledger counts them */
    int n_numbers;
    op_trace_number numbers[OP_TRACE_NUMBERS];
} op_trace_call;

/* Opened as any backend, at fp32 or bf16. A window that reaches over the whole sequence is written
 * as 0, full attention, since it is that. What is staged from NULL is data that nobody knows; of an
 * optimiser's numbers (gb_adamw) each is written. Downloads and results_take fail. */
extern const gb_backend op_trace_backend;

/* Forgets all calls so far. From now on calls are also kept one by one with `list`. */
void op_trace_begin(gb_device *dev, bool list);
/* Over the calls since op_trace_begin: entries, scopes, scalar arguments, and which buffers are the
 * same, numbered in the order in which they turn up, so that it does not depend on where they
 * lie. Equal sequences of calls give equal hashes, on one machine. */
uint64_t op_trace_hash(const gb_device *dev);
int64_t op_trace_count(const gb_device *dev);
/* The calls, op_trace_count of them; valid until the next call of the device. NULL without `list`,
 * or when there was no memory for them. */
const op_trace_call *op_trace_calls(const gb_device *dev);

#endif
