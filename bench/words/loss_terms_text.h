/* loss_terms_text.h: what two losses should not be compared without, though they compare. */
#ifndef GPTBENCH_BENCH_LOSS_TERMS_TEXT_H
#define GPTBENCH_BENCH_LOSS_TERMS_TEXT_H

#include "bench/analysis/comparability.h"
#include "bench/words/verdict_words.h"

/* "Trained on 40k tokens, the baseline on 80k. Predicted from up to 128 tokens before, the baseline
 * from 256."; `base` is the name of the other side. Empty where they are alike. */
verdict_text loss_terms_words(const loss_terms *terms, const char *base);

#endif
