/* Timers of the ops, between two events on the stream; they are read when the ledger is, or when
 * all events are in use. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/nvtx.h"

enum { MAX_PENDING = 2048 };

/* One op whose events were recorded and not read yet. */
struct ledger_pending {
    cudaEvent_t begin, end;
    gb_scope scope;
};

struct cuda_timers {
    bool timing;
    bool begun; /* the next pending entry holds its begin event */
    bool started;
    cudaEvent_t start; /* of the last reset with timers on, or of the first op after it */
    double end_ms;     /* since `start`, of the last op read */
    int n_events, n_pending;
    ledger_pending pending[MAX_PENDING];
};

gb_status cuda_timers_open(gb_device *dev)
{
    dev->timers = (cuda_timers *)calloc(1, sizeof *dev->timers);
    dev->ledger = gb_ledger_open();
    if (dev->timers == NULL || dev->ledger == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory");
    }
    CUDA_TRY(dev, "open", cudaEventCreate(&dev->timers->start));
    return cuda_profiler_open(dev);
}

void cuda_timers_close(gb_device *dev)
{
    cuda_timers *timers = dev->timers;
    cuda_profiler_close(dev->profiler);
    gb_ledger_close(dev->recorded);
    gb_ledger_close(dev->ledger);
    if (timers == NULL) {
        return;
    }
    for (int i = 0; i < timers->n_events; i++) {
        cudaEventDestroy(timers->pending[i].begin);
        cudaEventDestroy(timers->pending[i].end);
    }
    if (timers->start != NULL) {
        cudaEventDestroy(timers->start);
    }
    free(timers);
}

/* Milliseconds from `start` to the begin of the i-th pending op, after those before it were read. A
 * float has 24 bits: after a second it counts in steps of 60 ns, longer than a gap between two ops,
 * which would seem to overlap. So it is counted from op to op; from `start`, whose time may be
 * long, once per round. */
static gb_status pending_begin_ms(gb_device *dev, int i, double *out)
{
    cuda_timers *timers = dev->timers;
    const cudaEvent_t begin = timers->pending[i].begin;
    float ms = 0;
    if (i > 0) {
        CUDA_TRY(dev, "timers", cudaEventElapsedTime(&ms, timers->pending[i - 1].end, begin));
        *out = timers->end_ms + (ms > 0 ? (double)ms : 0);
    } else {
        CUDA_TRY(dev, "timers", cudaEventElapsedTime(&ms, timers->start, begin));
        *out = (double)ms > timers->end_ms ? (double)ms : timers->end_ms;
    }
    return GB_OK;
}

/* Reads all pending events; waits for the last. */
static gb_status timers_drain(gb_device *dev)
{
    cuda_timers *timers = dev->timers;
    const int count = timers->n_pending;
    timers->n_pending = 0;
    if (count > 0) {
        CUDA_TRY(dev, "timers", cudaEventSynchronize(timers->pending[count - 1].end));
    }
    for (int i = 0; i < count; i++) {
        const ledger_pending *p = &timers->pending[i];
        double begin_ms = 0;
        float time_ms = 0;
        GB_TRY(pending_begin_ms(dev, i, &begin_ms));
        CUDA_TRY(dev, "timers", cudaEventElapsedTime(&time_ms, p->begin, p->end));
        timers->end_ms = begin_ms + (double)time_ms;
        (void)gb_ledger_add_span(dev->ledger, p->scope, begin_ms, timers->end_ms);
    }
    return GB_OK;
}

static gb_status pending_begin(gb_device *dev)
{
    cuda_timers *timers = dev->timers;
    if (timers->n_pending == MAX_PENDING) {
        GB_TRY(timers_drain(dev));
    }
    if (!timers->started) {
        CUDA_TRY(dev, "timers", cudaEventRecord(timers->start, dev->stream));
        timers->started = true;
        timers->end_ms = 0;
    }
    ledger_pending *p = &timers->pending[timers->n_pending];
    if (timers->n_pending == timers->n_events) {
        CUDA_TRY(dev, "timers", cudaEventCreate(&p->begin));
        cudaError_t code = cudaEventCreate(&p->end);
        if (code != cudaSuccess) {
            cudaEventDestroy(p->begin);
            CUDA_TRY(dev, "timers", code);
        }
        timers->n_events++;
    }
    CUDA_TRY(dev, "timers", cudaEventRecord(p->begin, dev->stream));
    timers->begun = true;
    return GB_OK;
}

gb_status cuda_op_begin(gb_device *dev, gb_op op)
{
    dev->op = gb_ledger_scope_of(dev->ledger, op);
    CUDA_TRY(dev, "device", cudaSetDevice(dev->ordinal)); /* a property of the calling thread */
    dev->timers->begun = false;
    gb_nvtx_op_begin(dev->options.nvtx, dev->op.op);
    cuda_profiler_op_begin(dev, dev->op);
    return dev->timers->timing ? pending_begin(dev) : GB_OK;
}

gb_status cuda_op_end(gb_device *dev, double flops)
{
    cuda_timers *timers = dev->timers;
    const gb_scope scope = dev->op;
    gb_ledger *ledger = dev->recorded != NULL ? dev->recorded : dev->ledger;
    cuda_profiler_op_end(dev);
    gb_nvtx_op_end(dev->options.nvtx);
    if (!gb_ledger_add(ledger, scope, 1, 0, flops) ||
        (dev->recorded != NULL && !cuda_profiler_mark(dev, scope))) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory for the ledger of ops");
    }
    if (timers->begun) {
        ledger_pending *p = &timers->pending[timers->n_pending];
        timers->begun = false;
        CUDA_TRY(dev, "timers", cudaEventRecord(p->end, dev->stream));
        p->scope = scope;
        timers->n_pending++;
    }
    return GB_OK;
}

void cuda_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    gb_ledger_set_scope(dev->ledger, phase, layer, which);
}

void cuda_backend_timers_enable(gb_device *dev, bool on)
{
    if (!on) {
        cuda_profiler_stop(dev);
        dev->timers->timing = false;
    } else if (!cuda_profiler_runs(dev)) {
        dev->timers->timing = !cuda_profiler_start(dev);
    }
}

bool cuda_timers_on(const gb_device *dev)
{
    return dev->timers->timing;
}

void cuda_backend_timers_reset(gb_device *dev)
{
    dev->timers->n_pending = 0; /* an event that is recorded again forgets what it was */
    dev->timers->started = false;
    dev->timers->end_ms = 0;
    gb_ledger_reset(dev->ledger);
}

int cuda_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    (void)timers_drain(dev); /* a failure is in last_error; its times are missing */
    return gb_ledger_read(dev->ledger, rows, capacity);
}

int cuda_backend_timers_spans(gb_device *dev, gb_op_span *spans, int capacity)
{
    (void)timers_drain(dev);
    return gb_ledger_spans(dev->ledger, spans, capacity);
}
