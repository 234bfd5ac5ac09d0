/* ledger_text.h: a ledger as a person reads it: a table whose columns add up, and sentences that
 * say no more than the numbers do. */
#ifndef GPTBENCH_BENCH_LEDGER_TEXT_H
#define GPTBENCH_BENCH_LEDGER_TEXT_H

#include "bench/analysis/ledger.h"
#include "bench/base/table.h"

/* The table of rows; below it their sum, and how that leads to step_avg. *out is the caller's:
 * table_free. GB_ERR_OOM, GB_ERR_FORMAT. */
gb_status ledger_table(table **out, const ledger *l, gb_error *err);

/* Text of any length; `text` is the caller's to free, NULL without memory. Names in it are as the
 * database has them: whoever prints it escapes it. */
typedef struct ledger_sentences {
    char **texts;
    int n;
} ledger_sentences;

/* What the rows say, most important first: the step as a whole, then at most `rows` single rows.
 * Rows within noise are not spoken of. */
gb_status ledger_read(ledger_sentences *out, const ledger *l, int rows, gb_error *err);
/* What must be known to read it rightly: replicates, different conditions. */
gb_status ledger_notes(ledger_sentences *out, const ledger *l, gb_error *err);
void ledger_sentences_free(ledger_sentences *s);

#endif
