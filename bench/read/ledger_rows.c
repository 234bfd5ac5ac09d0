/* Ops, spans and kernels of the profiled steps of a run. */
#include "bench/read/facts_internal.h"

#define OP(column, type, field)                                                                    \
    {                                                                                              \
        column, type, offsetof(op_facts, field)                                                    \
    }
/* Rows are sums over `steps` steps. */
static const row_field OP_FIELDS[] = {
    OP("phase", ROW_TEXT, phase),
    OP("op", ROW_TEXT, op),
    OP("layer", ROW_INT, layer),
    OP("calls * 1.0 / steps", ROW_REAL, calls),
    OP("time_ms / steps", ROW_REAL, time_ms),
    OP("flops / steps", ROW_REAL, flops),
    OP("thread_mean_ms / steps", ROW_REAL, thread_mean_ms),
    OP("thread_max_ms / steps", ROW_REAL, thread_max_ms),
};

#define SPAN(column, type, field)                                                                  \
    {                                                                                              \
        column, type, offsetof(span_facts, field)                                                  \
    }
static const row_field SPAN_FIELDS[] = {
    SPAN("phase", ROW_TEXT, phase),   SPAN("op", ROW_TEXT, op),
    SPAN("layer", ROW_INT, layer),    SPAN("begin_ms", ROW_REAL, begin_ms),
    SPAN("end_ms", ROW_REAL, end_ms),
};

#define KERNEL(column, type, field)                                                                \
    {                                                                                              \
        column, type, offsetof(kernel_facts, field)                                                \
    }
static const row_field KERNEL_FIELDS[] = {
    KERNEL("name", ROW_TEXT, name),
    KERNEL("phase", ROW_TEXT, phase),
    KERNEL("op", ROW_TEXT, op),
    KERNEL("grid", ROW_TEXT, grid),
    KERNEL("block", ROW_TEXT, block),
    KERNEL("registers", ROW_INT, registers),
    KERNEL("shared_bytes", ROW_INT, shared_bytes),
    KERNEL("sum(calls) * 1.0 / steps", ROW_REAL, calls),
    KERNEL("sum(time_ms) / steps AS ms", ROW_REAL, time_ms),
};

gb_status ledger_rows_read(row_reader *r, run_facts *run)
{
    static const row_table ops = ROW_TABLE(OP_FIELDS, op_facts);
    static const row_table spans = ROW_TABLE(SPAN_FIELDS, span_facts);
    static const row_table kernels = ROW_TABLE(KERNEL_FIELDS, kernel_facts);
    /* Evaluation is not part of a training step. */
    GB_TRY(rows_read(r, &ops,
                     "FROM op_time WHERE run_id = ?1 AND phase <> 'eval' AND steps > 0"
                     " ORDER BY phase, op, layer",
                     run->run_id, (void **)&run->ops, &run->n_ops));
    GB_TRY(rows_read(r, &spans,
                     "FROM op_span WHERE run_id = ?1 AND phase <> 'eval' ORDER BY position",
                     run->run_id, (void **)&run->spans, &run->n_spans));
    return rows_read(r, &kernels,
                     "FROM kernel, (SELECT max(steps) AS steps FROM op_time WHERE run_id = ?1)"
                     " WHERE run_id = ?1 AND phase <> 'eval' AND steps > 0"
                     " GROUP BY name, phase, op, grid, block, registers, shared_bytes"
                     " ORDER BY ms DESC, name, phase, op, grid, block",
                     run->run_id, (void **)&run->kernels, &run->n_kernels);
}
