/* design_words.h: what a suite's design cannot give, said before it runs. */
#ifndef GPTBENCH_BENCH_DESIGN_WORDS_H
#define GPTBENCH_BENCH_DESIGN_WORDS_H

#include "bench/suite/suite.h"
#include "bench/words/verdict_words.h"

/* "blocks = 4: ..." where speeds are to be timed in turn in too few blocks for an interval; else
 * empty. A whole sentence, without "Warning:". */
verdict_text design_blocks_words(const suite *s);

#endif
