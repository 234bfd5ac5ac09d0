/* Timers of the ops, on the monotonic clock. */
#include <omp.h>

#include "kernels/clock.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/nvtx.h"

cpu_op cpu_op_begin(gb_device *dev, gb_op op)
{
    const gb_scope scope = gb_ledger_scope_of(dev->ledger, op);
    /* The team is a property of the calling thread; OpenMP and oneDNN follow it. */
    omp_set_num_threads(dev->threads);
    gb_nvtx_op_begin(dev->options.nvtx, scope.op);
    return (cpu_op){scope, dev->timing ? gb_monotonic_ms() : 0};
}

double *cpu_op_ends(gb_device *dev)
{
    return dev->timing ? dev->ends : NULL;
}

/* How long the threads took from the start of the op for their shares, where the op's kernel noted
 * it and there are two or more of them; the notes are cleared for the next op. */
static void threads_add(gb_device *dev, gb_scope scope, double start)
{
    double sum_ms = 0, max_ms = 0;
    int n = 0;
    for (int i = 0; i < dev->threads; i++) {
        double *end = &dev->ends[CPU_ENDS_STRIDE * i];
        if (*end > 0) {
            double took = *end - start;
            sum_ms += took;
            max_ms = took > max_ms ? took : max_ms;
            n++;
        }
        *end = 0;
    }
    if (n >= 2) {
        (void)gb_ledger_add_threads(dev->ledger, scope, sum_ms / n, max_ms);
    }
}

/* Where memory is short a row is lost, and its time is in `unattributed`. */
void cpu_op_end(gb_device *dev, cpu_op op, double flops)
{
    (void)gb_ledger_add(dev->ledger, op.scope, 1, 0, flops);
    if (dev->timing) {
        (void)gb_ledger_add_span(dev->ledger, op.scope, op.start_ms - dev->timers_start_ms,
                                 gb_monotonic_ms() - dev->timers_start_ms);
        threads_add(dev, op.scope, op.start_ms);
    }
    gb_nvtx_op_end(dev->options.nvtx);
}

void cpu_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    gb_ledger_set_scope(dev->ledger, phase, layer, which);
}

void cpu_backend_timers_enable(gb_device *dev, bool on)
{
    dev->timing = on;
}

void cpu_backend_timers_reset(gb_device *dev)
{
    gb_ledger_reset(dev->ledger);
    dev->timers_start_ms = gb_monotonic_ms();
}

int cpu_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    return gb_ledger_read(dev->ledger, rows, capacity);
}

int cpu_backend_timers_spans(gb_device *dev, gb_op_span *spans, int capacity)
{
    return gb_ledger_spans(dev->ledger, spans, capacity);
}

double cpu_backend_timers_zero_s(gb_device *dev)
{
    return dev->timers_start_ms * 1e-3;
}
