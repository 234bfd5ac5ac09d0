#include "kernels/ledger.h"

#include <stdlib.h>
#include <string.h>

enum { SPANS_MAX = 1 << 20 };

typedef struct cell {
    int64_t calls;
    double time_ms, flops;
    double thread_mean_ms, thread_max_ms;
} cell;

typedef cell layer_cells[GB_PHASE_COUNT][GB_OP_COUNT];

struct gb_ledger {
    layer_cells *layers; /* layer -1 first */
    int n_layers;
    gb_op_span *spans;
    int n_spans, span_capacity;
    gb_phase phase;
    int layer;
    gb_op which;
};

gb_ledger *gb_ledger_open(void)
{
    gb_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger) {
        ledger->layer = -1;
        ledger->which = GB_OP_LINEAR_QKV;
    }
    return ledger;
}

void gb_ledger_close(gb_ledger *ledger)
{
    if (ledger) {
        free(ledger->layers);
        free(ledger->spans);
        free(ledger);
    }
}

void gb_ledger_set_scope(gb_ledger *ledger, gb_phase phase, int layer, gb_op which)
{
    ledger->phase = phase;
    ledger->layer = layer < -1 ? -1 : layer;
    ledger->which = which;
}

gb_scope gb_ledger_scope_of(const gb_ledger *ledger, gb_op op)
{
    return (gb_scope){ledger->phase, ledger->layer, op == GB_OP_COUNT ? ledger->which : op};
}

static cell *ledger_find(gb_ledger *ledger, gb_scope scope)
{
    const int index = scope.layer + 1;
    if (index >= ledger->n_layers) {
        layer_cells *grown = realloc(ledger->layers, ((size_t)index + 1) * sizeof *grown);
        if (!grown) {
            return NULL;
        }
        memset(grown + ledger->n_layers, 0,
               ((size_t)index + 1 - (size_t)ledger->n_layers) * sizeof *grown);
        ledger->layers = grown;
        ledger->n_layers = index + 1;
    }
    return &ledger->layers[index][scope.phase][scope.op];
}

bool gb_ledger_add(gb_ledger *ledger, gb_scope scope, int64_t calls, double time_ms, double flops)
{
    cell *c = ledger_find(ledger, scope);
    if (!c) {
        return false;
    }
    c->calls += calls;
    c->time_ms += time_ms;
    c->flops += flops;
    return true;
}

bool gb_ledger_add_threads(gb_ledger *ledger, gb_scope scope, double mean_ms, double max_ms)
{
    cell *c = ledger_find(ledger, scope);
    if (!c) {
        return false;
    }
    c->thread_mean_ms += mean_ms;
    c->thread_max_ms += max_ms;
    return true;
}

bool gb_ledger_add_all(gb_ledger *ledger, const gb_ledger *from)
{
    bool ok = true;
    for (int index = 0; index < from->n_layers; index++) {
        for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
            for (int op = 0; op < GB_OP_COUNT; op++) {
                const cell *c = &from->layers[index][phase][op];
                const gb_scope scope = {(gb_phase)phase, index - 1, (gb_op)op};
                ok =
                    (c->calls == 0 ||
                     (gb_ledger_add(ledger, scope, c->calls, c->time_ms, c->flops) &&
                      gb_ledger_add_threads(ledger, scope, c->thread_mean_ms, c->thread_max_ms))) &&
                    ok;
            }
        }
    }
    return ok;
}

bool gb_ledger_add_span(gb_ledger *ledger, gb_scope scope, double begin_ms, double end_ms)
{
    if (!gb_ledger_add(ledger, scope, 0, end_ms - begin_ms, 0)) {
        return false;
    }
    if (ledger->n_spans == SPANS_MAX) {
        return true;
    }
    if (ledger->n_spans == ledger->span_capacity) {
        const int capacity = ledger->span_capacity ? 2 * ledger->span_capacity : 1024;
        gb_op_span *grown = realloc(ledger->spans, (size_t)capacity * sizeof *grown);
        if (!grown) {
            return false;
        }
        ledger->spans = grown;
        ledger->span_capacity = capacity;
    }
    ledger->spans[ledger->n_spans++] =
        (gb_op_span){scope.phase, scope.layer, scope.op, begin_ms, end_ms};
    return true;
}

/* Of two that begin at once, one took no time by the clock: that was first. */
static int earlier_first(const void *x, const void *y)
{
    const gb_op_span *a = x, *b = y;
    if (a->begin_ms < b->begin_ms || a->begin_ms > b->begin_ms) {
        return a->begin_ms < b->begin_ms ? -1 : 1;
    }
    return (a->end_ms > b->end_ms) - (a->end_ms < b->end_ms);
}

void gb_ledger_sort_spans(gb_ledger *ledger)
{
    if (ledger->n_spans > 0) {
        qsort(ledger->spans, (size_t)ledger->n_spans, sizeof *ledger->spans, earlier_first);
    }
}

void gb_ledger_reset(gb_ledger *ledger)
{
    if (ledger->n_layers > 0) {
        memset(ledger->layers, 0, (size_t)ledger->n_layers * sizeof *ledger->layers);
    }
    ledger->n_spans = 0;
}

int gb_ledger_read(const gb_ledger *ledger, gb_op_time *rows, int capacity)
{
    int count = 0;
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int index = 0; index < ledger->n_layers; index++) {
            for (int op = 0; op < GB_OP_COUNT; op++) {
                const cell *c = &ledger->layers[index][phase][op];
                if (c->calls == 0 && !(c->time_ms > 0)) {
                    continue;
                }
                if (count < capacity) {
                    rows[count] = (gb_op_time){.phase = (gb_phase)phase,
                                               .layer = index - 1,
                                               .op = (gb_op)op,
                                               .calls = c->calls,
                                               .time_ms = c->time_ms,
                                               .flops = c->flops,
                                               .thread_mean_ms = c->thread_mean_ms,
                                               .thread_max_ms = c->thread_max_ms};
                }
                count++;
            }
        }
    }
    return count;
}

int gb_ledger_spans(const gb_ledger *ledger, gb_op_span *spans, int capacity)
{
    const int n = ledger->n_spans < capacity ? ledger->n_spans : capacity;
    if (n > 0) {
        memcpy(spans, ledger->spans, (size_t)n * sizeof *spans);
    }
    return ledger->n_spans;
}
