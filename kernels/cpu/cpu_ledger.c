/* Time and FLOPs by phase, layer and op. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cpu/cpu_device.h"

typedef struct cell {
    int64_t calls;
    double time_ms, flops;
} cell;

typedef cell layer_cells[GB_PHASE_COUNT][GB_OP_COUNT];

struct cpu_ledger {
    layer_cells *layers; /* layer -1 first */
    int n_layers;
    bool timing;
    gb_phase phase;
    int layer;
    gb_op which;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

cpu_ledger *cpu_ledger_open(void)
{
    cpu_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger != NULL) {
        ledger->layer = -1;
        ledger->which = GB_OP_LINEAR_QKV;
    }
    return ledger;
}

void cpu_ledger_close(cpu_ledger *ledger)
{
    if (ledger != NULL) {
        free(ledger->layers);
        free(ledger);
    }
}

double cpu_op_begin(gb_device *dev)
{
    /* The team is a property of the calling thread; OpenMP, OpenBLAS and oneDNN all follow it. */
    omp_set_num_threads(dev->threads);
    return dev->ledger->timing ? now_ms() : 0;
}

/* The cells of the layer in scope; NULL when memory is short: the row is lost then. */
static layer_cells *ledger_layer(cpu_ledger *ledger)
{
    int index = ledger->layer + 1;
    if (index >= ledger->n_layers) {
        layer_cells *grown = realloc(ledger->layers, ((size_t)index + 1) * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + ledger->n_layers, 0,
               ((size_t)index + 1 - (size_t)ledger->n_layers) * sizeof *grown);
        ledger->layers = grown;
        ledger->n_layers = index + 1;
    }
    return &ledger->layers[index];
}

void cpu_op_end(gb_device *dev, gb_op op, double start, double flops)
{
    cpu_ledger *ledger = dev->ledger;
    layer_cells *cells = ledger_layer(ledger);
    if (cells == NULL) {
        return;
    }
    cell *c = &(*cells)[ledger->phase][op == GB_OP_COUNT ? ledger->which : op];
    c->calls++;
    c->flops += flops;
    if (ledger->timing) {
        c->time_ms += now_ms() - start;
    }
}

void cpu_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    dev->ledger->phase = phase;
    dev->ledger->layer = layer < -1 ? -1 : layer;
    dev->ledger->which = which;
}

void cpu_backend_timers_enable(gb_device *dev, bool on)
{
    dev->ledger->timing = on;
}

void cpu_backend_timers_reset(gb_device *dev)
{
    if (dev->ledger->n_layers > 0) {
        memset(dev->ledger->layers, 0, (size_t)dev->ledger->n_layers * sizeof(layer_cells));
    }
}

int cpu_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    const cpu_ledger *ledger = dev->ledger;
    int count = 0;
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int layer = 0; layer < ledger->n_layers; layer++) {
            for (int op = 0; op < GB_OP_COUNT; op++) {
                const cell *c = &ledger->layers[layer][phase][op];
                if (c->calls == 0) {
                    continue;
                }
                if (count < capacity) {
                    rows[count] = (gb_op_time){.phase = (gb_phase)phase,
                                               .layer = layer - 1,
                                               .op = (gb_op)op,
                                               .calls = c->calls,
                                               .time_ms = c->time_ms,
                                               .flops = c->flops};
                }
                count++;
            }
        }
    }
    return count;
}
