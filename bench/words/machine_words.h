/* machine_words.h: what disturbed the machine while a suite was measured, in a sentence. */
#ifndef GPTBENCH_BENCH_MACHINE_WORDS_H
#define GPTBENCH_BENCH_MACHINE_WORDS_H

#include "bench/analysis/findings.h"
#include "bench/words/verdict_words.h"

/* "The machine was disturbed: 3.1 % of the timed steps are marked, the clock went from 2100 to 3000
 * MHz, and the baseline differs from itself by 1.3 %." Of what is worth a word: at least 1 % of the
 * steps; a clock that varied by more than 5 %; a noise floor above the band of practical equality.
 * Of the sessions, without any of the finished runs. Empty where nothing is known of it. */
verdict_text machine_words(const findings *data);

#endif
