/* ledger.h: time and FLOPs by phase, layer and op, and the single spans behind the times: what a
 * backend's set_scope, timers_read and timers_spans answer from. How a time is taken is the
 * backend's affair. Plain C, shared by the backends; not thread-safe. */
#ifndef GPTBENCH_KERNELS_LEDGER_H
#define GPTBENCH_KERNELS_LEDGER_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gb_ledger gb_ledger; /* opaque */

/* What an op belongs to. */
typedef struct gb_scope {
    gb_phase phase;
    int layer; /* -1 outside the blocks */
    gb_op op;
} gb_scope;

gb_ledger *gb_ledger_open(void); /* NULL when memory is short */
void gb_ledger_close(gb_ledger *ledger);

/* As set_scope. A layer below -1 counts as -1. */
void gb_ledger_set_scope(gb_ledger *ledger, gb_phase phase, int layer, gb_op which);
/* The scope that `op` has now; GB_OP_COUNT stands for the `which` of set_scope. */
gb_scope gb_ledger_scope_of(const gb_ledger *ledger, gb_op op);

/* Adds to the row of `scope`. False when memory is short: nothing was added then. */
bool gb_ledger_add(gb_ledger *ledger, gb_scope scope, int64_t calls, double time_ms, double flops);
/* Adds to how long the threads were busy; false when memory is short. */
bool gb_ledger_add_threads(gb_ledger *ledger, gb_scope scope, double mean_ms, double max_ms);
/* Adds every row of `from`, without its spans. False when memory is short. */
bool gb_ledger_add_all(gb_ledger *ledger, const gb_ledger *from);
/* Adds to the time of `scope` and keeps the span; times since the last reset. Spans beyond a
 * million are not kept, their time is. False when memory is short. */
bool gb_ledger_add_span(gb_ledger *ledger, gb_scope scope, double begin_ms, double end_ms);

/* Brings the spans, added in any order, into that of their begins. */
void gb_ledger_sort_spans(gb_ledger *ledger);
void gb_ledger_reset(gb_ledger *ledger);
/* As timers_read and timers_spans. */
int gb_ledger_read(const gb_ledger *ledger, gb_op_time *rows, int capacity);
int gb_ledger_spans(const gb_ledger *ledger, gb_op_span *spans, int capacity);

#ifdef __cplusplus
}
#endif
#endif
