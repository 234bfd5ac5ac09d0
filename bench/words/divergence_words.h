/* divergence_words.h: runs that diverged without a NaN (bench/analysis/divergence.h), in a
 * sentence. */
#ifndef GPTBENCH_BENCH_DIVERGENCE_WORDS_H
#define GPTBENCH_BENCH_DIVERGENCE_WORDS_H

#include "bench/analysis/divergence.h"

typedef struct divergence_text {
    char text[400];
} divergence_text;

/* "2 of 3 runs diverged: in replicate 0 the final loss, 8.1234, lies above the first, 4.1712. Its
 * losses are not compared." Empty where none did. */
divergence_text divergence_words(const result_entry *entry);
/* "the final loss, 8.1234, lies above the first, 4.1712" of one run; empty where it did not. */
divergence_text divergence_of_run_words(const run_facts *run);

#endif
