/* ledger_work.h: what a row of a ledger had to do: its products, its least bytes, its place under
 * the roof. */
#ifndef GPTBENCH_BENCH_LEDGER_WORK_H
#define GPTBENCH_BENCH_LEDGER_WORK_H

#include "bench/analysis/ledger.h"
#include "bench/analysis/op_rows.h"
#include "model/gemm_shape.h"

/* Products of a row in the base (or the new entry), as gpt_op_gemms; 0 for rows that are none. */
int ledger_row_gemms(const ledger *l, const ledger_row *row, bool of_base,
                     gpt_gemm out[GPT_GEMMS_MAX]);

/* Bytes per step that a row must move at least; 0 where that is not known, and for layers. */
double ledger_row_bytes(const ledger *l, const ledger_row *row, bool of_base);

/* A row as an op against the roof, with the row's time; *known is false for rows that are no op of
 * one phase, and where the entry has none. GB_ERR_OOM. */
gb_status ledger_row_op(const ledger *l, const ledger_row *row, bool of_base, op_row *out,
                        bool *known);

#endif
