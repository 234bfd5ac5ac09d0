/* What a row of a ledger had to do: its products, its least bytes, its place under the roof. */
#include <stdlib.h>
#include <string.h>

#include "bench/entry_floor.h"
#include "bench/ledger_text.h"

gb_shape ledger_entry_shape(const report_data *data, const report_entry *entry)
{
    const report_config *c = &data->configs[entry->config];
    const report_run *run = entry->runs[0];
    return (gb_shape){.batch_size = run->batch_size,
                      .sequence_length = run->sequence_length,
                      .n_embd = c->n_embd,
                      .n_head = c->n_head,
                      .n_kv_head = c->n_kv_head,
                      .head_dim = c->head_dim,
                      .mlp_hidden = c->mlp_hidden,
                      .vocab_size = c->vocab_size,
                      .swiglu = c->use_swiglu_mlp};
}

int ledger_row_gemms(const ledger *l, const ledger_row *row, bool of_base,
                     gpt_gemm out[GPT_GEMMS_MAX])
{
    gb_op op = gpt_op_find(row->op);
    bool any = *row->phase == '\0';
    if (op == GB_OP_COUNT) {
        return 0;
    }
    gb_shape shape = ledger_entry_shape(l->data, of_base ? l->base : l->new_entry);
    return gpt_op_gemms(&shape, op, any || strcmp(row->phase, "forward") == 0,
                        any || strcmp(row->phase, "backward") == 0, out);
}

double ledger_row_bytes(const ledger *l, const ledger_row *row, bool of_base)
{
    static const char *const phases[] = {"forward", "backward", "update"};
    const report_entry *e = of_base ? l->base : l->new_entry;
    double bytes = 0;
    if (*row->phase || !*row->op) {
        return entry_op_floor(l->data, e, row->phase, row->op).bytes;
    }
    for (int i = 0; i < 3; i++) {
        bytes += entry_op_floor(l->data, e, phases[i], row->op).bytes;
    }
    return bytes;
}

bool ledger_row_op(const ledger *l, const ledger_row *row, bool of_base, op_row *out)
{
    op_row *rows = NULL;
    int n = 0;
    bool found = false;
    const report_entry *e = of_base ? l->base : l->new_entry;
    if (!*row->phase || op_rows_of_entry(&rows, &n, l->data, e, NULL) != GB_OK) {
        return false;
    }
    for (int i = 0; i < n && !found; i++) {
        found = strcmp(rows[i].op, row->op) == 0 && strcmp(rows[i].phase, row->phase) == 0;
        *out = rows[i];
    }
    free(rows);
    out->time_ms = of_base ? row->base_ms : row->new_ms; /* over the replicates of the ledger */
    return found;
}
