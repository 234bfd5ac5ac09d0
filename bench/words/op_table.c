#include "bench/words/op_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry_floor.h"
#include "bench/base/numbers.h"
#include "bench/run/rates.h"

/* Below this the slowest thread is not worth a number. */
#define IMBALANCE_SHOWN 1.05

op_roof op_roof_of_entry(const report_entry *entry)
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

static void row_add(op_row *rows, int *n, const report_op *op)
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

gb_status op_rows_of_entry(op_row **rows, int *n, const report_data *data,
                           const report_entry *entry, gb_error *err)
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

/* ---- as a table ---- */

typedef struct columns {
    bool bytes, roof, imbalance;
} columns;

static columns columns_needed(const op_row *rows, int n, const op_roof *roof)
{
    columns c = {false, false, false};
    for (int i = 0; i < n; i++) {
        c.bytes |= rows[i].floor.bytes > 0;
        c.roof |= isfinite(op_row_share(&rows[i], roof));
        c.imbalance |= isfinite(op_row_imbalance(&rows[i]));
    }
    return c;
}

static table *table_begin(columns c)
{
    static const char *const headings[] = {"ms/step", "share", "calls/step", "FLOPs/step",
                                           "FLOP/s"};
    table *t = table_create();
    table_add_column(t, "op", TABLE_LEFT);
    table_add_column(t, "phase", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    if (c.bytes) {
        table_add_column(t, "bytes/step", TABLE_RIGHT);
        table_add_column(t, "GB/s", TABLE_RIGHT);
    }
    if (c.roof) {
        table_add_column(t, "of roofline", TABLE_RIGHT);
        table_add_column(t, "bound", TABLE_LEFT);
    }
    if (c.imbalance) {
        table_add_column(t, "imbalance", TABLE_RIGHT);
    }
    return t;
}

/* A rate, or an empty cell. */
static void add_rate(table *t, double per_step, double time_ms, bool gigas)
{
    double rate = per_step / (time_ms * 1e-3);
    if (!(per_step > 0) || !(time_ms > 0)) {
        table_add_cell(t, "%s", "");
    } else if (gigas) {
        table_add_cell(t, "%s", number_gigas(rate).text);
    } else {
        table_add_cell(t, "%s", number_short(rate).text);
    }
}

static void add_row(table *t, const op_row *row, double step_ms, const op_roof *roof, columns c)
{
    double share = op_row_share(row, roof), imbalance = op_row_imbalance(row);
    table_begin_row(t);
    table_add_cell(t, "%s", row->op);
    table_add_cell(t, "%s", row->phase);
    table_add_cell(t, "%.3f", row->time_ms);
    table_add_cell(t, "%s", number_percent(row->time_ms / step_ms).text);
    table_add_cell(t, "%g", row->calls);
    table_add_cell(t, "%s", row->flops > 0 ? number_short(row->flops).text : "");
    add_rate(t, row->flops, row->time_ms, false);
    if (c.bytes) {
        bool known = row->floor.bytes > 0;
        table_add_cell(t, "%s", known ? number_short(row->floor.bytes).text : "");
        add_rate(t, row->floor.bytes, row->time_ms, true);
    }
    if (c.roof) {
        table_add_cell(t, "%s", isfinite(share) ? number_percent(share).text : "");
        table_add_cell(t, "%s", op_bound_name(op_row_bound(row, roof)));
    }
    if (c.imbalance && imbalance >= IMBALANCE_SHOWN) {
        table_add_cell(t, "%.2f\xc3\x97", imbalance);
    }
}

gb_status op_table_make(table **out, const op_row *rows, int n, double step_ms, const op_roof *roof,
                        gb_error *err)
{
    columns c = columns_needed(rows, n, roof);
    table *t = table_begin(c);
    for (int i = 0; i < n; i++) {
        add_row(t, &rows[i], step_ms, roof, c);
    }
    *out = t;
    return t ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a table");
}
