#include "bench/analysis/op_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry_floor.h"
#include "bench/run/rates.h"

op_roof op_roof_of_entry(const result_entry *entry)
{
    return (op_roof){entry_rates(entry), rates_start_ms(entry->backend)};
}

double op_row_share(const op_row *row, const op_roof *roof)
{
    double floor_ms = op_floor_ms(&row->floor, roof->rates);
    return floor_ms > 0 && row->time_ms > 0 ? floor_ms / row->time_ms : NAN;
}

op_bound op_row_bound(const op_row *row, const op_roof *roof)
{
    return op_floor_bound(&row->floor, roof->rates, row->calls, row->time_ms, roof->start_ms);
}

double op_row_imbalance(const op_row *row)
{
    bool known = row->thread_mean_ms > 0 && row->thread_max_ms > 0;
    return known ? row->thread_max_ms / row->thread_mean_ms : NAN;
}

static int slower_first(const void *a, const void *b)
{
    const op_row *x = a, *y = b;
    if (x->time_ms != y->time_ms) {
        return x->time_ms < y->time_ms ? 1 : -1;
    }
    int order = strcmp(x->op, y->op);
    return order ? order : strcmp(x->phase, y->phase);
}

void op_rows_sort(op_row *rows, int n)
{
    qsort(rows, (size_t)n, sizeof *rows, slower_first);
}

/* ---- of an entry ---- */

static double or_zero(double x)
{
    return isfinite(x) ? x : 0;
}

static void row_add(op_row *rows, int *n, const op_facts *op)
{
    int i = 0;
    while (i < *n && (strcmp(rows[i].op, op->op) != 0 || strcmp(rows[i].phase, op->phase) != 0)) {
        i++;
    }
    if (i == *n) {
        rows[(*n)++] = (op_row){.op = op->op, .phase = op->phase};
    }
    rows[i].calls += or_zero(op->calls);
    rows[i].time_ms += or_zero(op->time_ms);
    rows[i].flops += or_zero(op->flops);
    rows[i].thread_mean_ms += or_zero(op->thread_mean_ms);
    rows[i].thread_max_ms += or_zero(op->thread_max_ms);
}

gb_status op_rows_of_entry(op_row **rows, int *n, const findings *data, const result_entry *entry,
                           gb_error *err)
{
    size_t most = 1;
    int runs = 0;
    *n = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        most += (size_t)entry->runs[r]->n_ops;
        runs += entry->runs[r]->n_ops > 0;
    }
    *rows = calloc(most, sizeof **rows);
    if (!*rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the ops of a step");
    }
    for (int r = 0; r < entry->n_runs; r++) {
        for (int64_t i = 0; i < entry->runs[r]->n_ops; i++) {
            row_add(*rows, n, &entry->runs[r]->ops[i]);
        }
    }
    for (int i = 0; i < *n; i++) {
        op_row *row = &(*rows)[i];
        row->calls /= runs;
        row->time_ms /= runs;
        row->flops /= runs;
        row->thread_mean_ms /= runs;
        row->thread_max_ms /= runs;
        row->floor = entry_op_floor(data, entry, row->phase, row->op);
    }
    op_rows_sort(*rows, *n);
    return GB_OK;
}
