/* data_words.h: what is to be known of the data before losses are compared, for plan, run and
 * report. */
#ifndef GPTBENCH_BENCH_DATA_WORDS_H
#define GPTBENCH_BENCH_DATA_WORDS_H

#include "bench/plan/data_use.h"

typedef struct data_warnings {
    char texts[5][640]; /* whole sentences, without "Warning:" */
    int n;
} data_warnings;
data_warnings data_warnings_make(const data_use *use);

typedef struct data_passes_text {
    char text[80];
} data_passes_text;
/* 0.0123 -> "0.012", 1.7 -> "1.7", 12.3 -> "12"; not known: "-". */
data_passes_text data_passes_number(double passes);
/* "a run reads them 1.7 times (epochs)", "runs read them 0.5 to 1.7 times (epochs)"; "" where that
 * is not known. */
data_passes_text data_passes_format(const data_use *use);

#endif
