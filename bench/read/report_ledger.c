/* The ledger of a run, from the database into report_run. */
#include "bench/read/report_reader.h"

static gb_status ops_read(report_reader *r, report_run *run)
{
    bool row;
    /* Rows are sums over `steps` steps; evaluation is not part of a training step. */
    GB_TRY(report_reader_open(
        r, "SELECT phase, op, layer, calls * 1.0 / steps, time_ms / steps, flops / steps,"
           " thread_mean_ms / steps, thread_max_ms / steps FROM op_time"
           " WHERE run_id = ?1 AND phase <> 'eval' AND steps > 0 ORDER BY phase, op, layer"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(run->ops, run->n_ops)) {
            r->out_of_memory = true;
            continue;
        }
        report_op *op = &run->ops[run->n_ops++];
        op->phase = report_read_text(r);
        op->op = report_read_text(r);
        op->layer = report_read_int(r);
        op->calls = report_read_double(r);
        op->time_ms = report_read_double(r);
        op->flops = report_read_double(r);
        op->thread_mean_ms = report_read_double(r);
        op->thread_max_ms = report_read_double(r);
    }
}

static gb_status spans_read(report_reader *r, report_run *run)
{
    bool row;
    GB_TRY(report_reader_open(r, "SELECT phase, op, layer, begin_ms, end_ms FROM op_span"
                                 " WHERE run_id = ?1 AND phase <> 'eval' ORDER BY position"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(run->spans, run->n_spans)) {
            r->out_of_memory = true;
            continue;
        }
        report_span *span = &run->spans[run->n_spans++];
        span->phase = report_read_text(r);
        span->op = report_read_text(r);
        span->layer = report_read_int(r);
        span->begin_ms = report_read_double(r);
        span->end_ms = report_read_double(r);
    }
}

static gb_status kernels_read(report_reader *r, report_run *run)
{
    bool row;
    GB_TRY(report_reader_open(r,
                              "SELECT name, phase, op, grid, block, registers, shared_bytes,"
                              " sum(calls) * 1.0 / steps, sum(time_ms) / steps AS ms FROM kernel,"
                              " (SELECT max(steps) AS steps FROM op_time WHERE run_id = ?1)"
                              " WHERE run_id = ?1 AND phase <> 'eval' AND steps > 0"
                              " GROUP BY name, phase, op, grid, block, registers, shared_bytes"
                              " ORDER BY ms DESC, name, phase, op, grid, block"));
    sqlite3_bind_int64(r->stmt, 1, run->run_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(run->kernels, run->n_kernels)) {
            r->out_of_memory = true;
            continue;
        }
        report_kernel *k = &run->kernels[run->n_kernels++];
        k->name = report_read_text(r);
        k->phase = report_read_text(r);
        k->op = report_read_text(r);
        k->grid = report_read_text(r);
        k->block = report_read_text(r);
        k->registers = report_read_int(r);
        k->shared_bytes = report_read_int(r);
        k->calls = report_read_double(r);
        k->time_ms = report_read_double(r);
    }
}

gb_status report_ledger_read(report_reader *r, report_run *run)
{
    GB_TRY(ops_read(r, run));
    GB_TRY(spans_read(r, run));
    return kernels_read(r, run);
}
