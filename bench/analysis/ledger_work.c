#include "bench/analysis/ledger_work.h"

#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry_floor.h"

int ledger_row_gemms(const ledger *l, const ledger_row *row, bool of_base,
                     gpt_gemm out[GPT_GEMMS_MAX])
{
    gb_op op = gpt_op_find(row->op);
    bool any = *row->phase == '\0';
    gpt_config model;
    op_floor_shape batch;
    if (op == GB_OP_COUNT ||
        !entry_work(l->data, of_base ? l->base : l->new_entry, &model, &batch)) {
        return 0;
    }
    const gb_shape shape = gpt_config_shape(&model, batch.batch_size, batch.sequence_length);
    return gpt_op_gemms(&shape, op, any || strcmp(row->phase, "forward") == 0,
                        any || strcmp(row->phase, "backward") == 0, out);
}

double ledger_row_bytes(const ledger *l, const ledger_row *row, bool of_base)
{
    static const char *const phases[] = {"forward", "backward", "update"};
    const result_entry *e = of_base ? l->base : l->new_entry;
    double bytes = 0;
    if (*row->phase || !*row->op) {
        return entry_op_floor(l->data, e, row->phase, row->op).bytes;
    }
    for (int i = 0; i < 3; i++) {
        bytes += entry_op_floor(l->data, e, phases[i], row->op).bytes;
    }
    return bytes;
}

gb_status ledger_row_op(const ledger *l, const ledger_row *row, bool of_base, op_row *out,
                        bool *known)
{
    op_row *rows = NULL;
    int n = 0;
    const result_entry *e = of_base ? l->base : l->new_entry;
    *known = false;
    if (!*row->phase) {
        return GB_OK;
    }
    GB_TRY(op_rows_of_entry(&rows, &n, l->data, e, NULL));
    for (int i = 0; i < n && !*known; i++) {
        *known = strcmp(rows[i].op, row->op) == 0 && strcmp(rows[i].phase, row->phase) == 0;
        *out = rows[i];
    }
    free(rows);
    out->time_ms = of_base ? row->base_ms : row->new_ms; /* over the replicates of the ledger */
    return GB_OK;
}
