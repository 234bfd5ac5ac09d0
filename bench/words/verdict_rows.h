/* verdict_rows.h: the reasons of the verdicts on a config (bench/analysis/verdicts.h) in words. */
#ifndef GPTBENCH_BENCH_VERDICT_ROWS_H
#define GPTBENCH_BENCH_VERDICT_ROWS_H

#include "bench/analysis/verdicts.h"
#include "bench/words/verdict_words.h"

/* Also where nothing was judged: why not. */
verdict_text config_verdict_speed_words(const findings *data, const config_verdict *row);
verdict_text config_verdict_loss_words(const config_verdict *row);
/* What its change of loss is shown as. */
verdict_subject config_verdict_loss_subject(const config_verdict *row);

#endif
