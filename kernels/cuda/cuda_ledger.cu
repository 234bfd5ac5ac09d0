/* Time and FLOPs by phase, layer and op. Times are between two events on the stream; they are read
 * when the ledger is, or when all events are in use. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_device.cuh"

enum { MAX_PENDING = 2048 };

struct ledger_cell {
    int64_t calls;
    double time_ms, flops;
};

struct ledger_layer {
    ledger_cell cells[GB_PHASE_COUNT][GB_OP_COUNT];
};

/* One op whose events were recorded and not read yet. */
struct ledger_pending {
    cudaEvent_t begin, end;
    int layer;
    gb_phase phase;
    gb_op op;
};

struct cuda_ledger_rows {
    ledger_layer *layers; /* layer -1 first */
    int n_layers;
};

struct cuda_ledger {
    cuda_ledger_rows rows;
    cuda_ledger_rows *recorded; /* while recording: where calls and FLOPs go */
    bool record_failed;         /* memory was short */
    bool timing;
    bool begun; /* the next pending entry holds its begin event */
    gb_phase phase;
    int layer;
    gb_op which;
    int n_events, n_pending;
    ledger_pending pending[MAX_PENDING];
};

cuda_ledger *cuda_ledger_open(void)
{
    cuda_ledger *ledger = (cuda_ledger *)calloc(1, sizeof *ledger);
    if (ledger != NULL) {
        ledger->layer = -1;
        ledger->which = GB_OP_LINEAR_QKV;
    }
    return ledger;
}

void cuda_ledger_close(cuda_ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    for (int i = 0; i < ledger->n_events; i++) {
        cudaEventDestroy(ledger->pending[i].begin);
        cudaEventDestroy(ledger->pending[i].end);
    }
    cuda_ledger_rows_free(ledger->recorded);
    free(ledger->rows.layers);
    free(ledger);
}

/* The cell of (phase, layer, op); NULL when memory is short: the row is lost then. */
static ledger_cell *rows_find(cuda_ledger_rows *rows, gb_phase phase, int layer, gb_op op)
{
    const int index = layer + 1;
    if (index >= rows->n_layers) {
        ledger_layer *grown =
            (ledger_layer *)realloc(rows->layers, ((size_t)index + 1) * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + rows->n_layers, 0,
               ((size_t)index + 1 - (size_t)rows->n_layers) * sizeof *grown);
        rows->layers = grown;
        rows->n_layers = index + 1;
    }
    return &rows->layers[index].cells[phase][op];
}

/* Reads all pending events; waits for the last. */
static gb_status ledger_drain(gb_device *dev)
{
    cuda_ledger *ledger = dev->ledger;
    const int count = ledger->n_pending;
    ledger->n_pending = 0;
    if (count > 0) {
        CUDA_TRY(dev, "timers", cudaEventSynchronize(ledger->pending[count - 1].end));
    }
    for (int i = 0; i < count; i++) {
        const ledger_pending *p = &ledger->pending[i];
        ledger_cell *cell = rows_find(&ledger->rows, p->phase, p->layer, p->op);
        float time_ms = 0;
        CUDA_TRY(dev, "timers", cudaEventElapsedTime(&time_ms, p->begin, p->end));
        if (cell != NULL) {
            cell->time_ms += (double)time_ms;
        }
    }
    return GB_OK;
}

gb_status cuda_op_begin(gb_device *dev)
{
    cuda_ledger *ledger = dev->ledger;
    CUDA_TRY(dev, "device", cudaSetDevice(dev->ordinal)); /* a property of the calling thread */
    ledger->begun = false;
    if (!ledger->timing) {
        return GB_OK;
    }
    if (ledger->n_pending == MAX_PENDING) {
        GB_TRY(ledger_drain(dev));
    }
    ledger_pending *p = &ledger->pending[ledger->n_pending];
    if (ledger->n_pending == ledger->n_events) {
        CUDA_TRY(dev, "timers", cudaEventCreate(&p->begin));
        cudaError_t code = cudaEventCreate(&p->end);
        if (code != cudaSuccess) {
            cudaEventDestroy(p->begin);
            CUDA_TRY(dev, "timers", code);
        }
        ledger->n_events++;
    }
    CUDA_TRY(dev, "timers", cudaEventRecord(p->begin, dev->stream));
    ledger->begun = true;
    return GB_OK;
}

gb_status cuda_op_end(gb_device *dev, gb_op op, double flops)
{
    cuda_ledger *ledger = dev->ledger;
    const gb_op row = op == GB_OP_COUNT ? ledger->which : op;
    cuda_ledger_rows *rows = ledger->recorded != NULL ? ledger->recorded : &ledger->rows;
    ledger_cell *cell = rows_find(rows, ledger->phase, ledger->layer, row);
    if (cell == NULL) {
        ledger->record_failed = true;
    } else {
        cell->calls++;
        cell->flops += flops;
    }
    if (ledger->begun) {
        ledger_pending *p = &ledger->pending[ledger->n_pending];
        ledger->begun = false;
        CUDA_TRY(dev, "timers", cudaEventRecord(p->end, dev->stream));
        p->phase = ledger->phase;
        p->layer = ledger->layer;
        p->op = row;
        ledger->n_pending++;
    }
    return GB_OK;
}

void cuda_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    dev->ledger->phase = phase;
    dev->ledger->layer = layer < -1 ? -1 : layer;
    dev->ledger->which = which;
}

void cuda_backend_timers_enable(gb_device *dev, bool on)
{
    dev->ledger->timing = on;
}

void cuda_backend_timers_reset(gb_device *dev)
{
    cuda_ledger *ledger = dev->ledger;
    ledger->n_pending = 0; /* an event that is recorded again forgets what it was */
    cuda_ledger_rows *rows = &ledger->rows;
    if (rows->n_layers > 0) {
        memset(rows->layers, 0, (size_t)rows->n_layers * sizeof *rows->layers);
    }
}

int cuda_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    const cuda_ledger *ledger = dev->ledger;
    int count = 0;
    (void)ledger_drain(dev); /* a failure is in last_error; its times are missing */
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int layer = 0; layer < ledger->rows.n_layers; layer++) {
            for (int op = 0; op < GB_OP_COUNT; op++) {
                const ledger_cell *c = &ledger->rows.layers[layer].cells[phase][op];
                if (c->calls == 0) {
                    continue;
                }
                if (count < capacity) {
                    gb_op_time row = {};
                    row.phase = (gb_phase)phase;
                    row.layer = layer - 1;
                    row.op = (gb_op)op;
                    row.calls = c->calls;
                    row.time_ms = c->time_ms;
                    row.flops = c->flops;
                    rows[count] = row;
                }
                count++;
            }
        }
    }
    return count;
}

/* ---- recordings ---- */

gb_status cuda_ledger_record_begin(gb_device *dev)
{
    cuda_ledger *ledger = dev->ledger;
    if (ledger->timing || ledger->recorded != NULL) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "record: %s",
                       ledger->timing ? "timers are on" : "another recording is under way");
    }
    ledger->record_failed = false;
    ledger->recorded = (cuda_ledger_rows *)calloc(1, sizeof *ledger->recorded);
    return ledger->recorded != NULL
               ? GB_OK
               : gb_fail(&dev->error, GB_ERR_OOM, "record: out of host memory");
}

cuda_ledger_rows *cuda_ledger_record_end(gb_device *dev)
{
    cuda_ledger *ledger = dev->ledger;
    cuda_ledger_rows *rows = ledger->recorded;
    ledger->recorded = NULL;
    if (ledger->record_failed) {
        cuda_ledger_rows_free(rows);
        return NULL;
    }
    return rows;
}

gb_status cuda_ledger_add(gb_device *dev, const cuda_ledger_rows *rows)
{
    for (int layer = 0; layer < rows->n_layers; layer++) {
        for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
            for (int op = 0; op < GB_OP_COUNT; op++) {
                const ledger_cell *from = &rows->layers[layer].cells[phase][op];
                if (from->calls == 0) {
                    continue;
                }
                ledger_cell *to =
                    rows_find(&dev->ledger->rows, (gb_phase)phase, layer - 1, (gb_op)op);
                if (to == NULL) {
                    return gb_fail(&dev->error, GB_ERR_OOM, "replay: out of host memory");
                }
                to->calls += from->calls;
                to->flops += from->flops;
            }
        }
    }
    return GB_OK;
}

void cuda_ledger_rows_free(cuda_ledger_rows *rows)
{
    if (rows != NULL) {
        free(rows->layers);
        free(rows);
    }
}
