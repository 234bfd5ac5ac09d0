#include "bench/words/op_table.h"

#include <math.h>

#include "bench/base/numbers.h"

/* Below this the slowest thread is not worth a number. */
#define IMBALANCE_SHOWN 1.05

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
    static const int ranks[] = {1, 1, 5, 6, 3};
    table *t = table_create();
    table_add_column(t, "op", TABLE_LEFT);
    table_add_column(t, "phase", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, ranks[i]);
    }
    if (c.bytes) {
        table_add_column(t, "bytes/step", TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, 7);
        table_add_column(t, "GB/s", TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, 4);
    }
    if (c.roof) {
        table_add_column(t, "of roofline", TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, 2);
        table_add_column(t, "bound", TABLE_LEFT);
        table_column_fit(t, TABLE_MOVE, 2);
    }
    if (c.imbalance) {
        table_add_column(t, "imbalance", TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, 4);
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
