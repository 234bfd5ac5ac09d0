/* learning_rates.h: whether an entry's runs had the learning rate that was asked for. */
#ifndef GPTBENCH_BENCH_LEARNING_RATES_H
#define GPTBENCH_BENCH_LEARNING_RATES_H

#include "bench/analysis/findings.h"

/* "as asked", "halved 1x", "halved 1x in 1 of 3 runs", "halved up to 2x in 3 of 3 runs": the
 * learning rates of an entry's runs. */
typedef struct entry_rates {
    int halved; /* runs */
    char text[64];
} entry_rates;
entry_rates entry_rates_of(const result_entry *entry);

#endif
