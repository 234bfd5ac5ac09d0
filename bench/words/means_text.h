/* means_text.h: what is to be said where means of bursts contradict their medians. */
#ifndef GPTBENCH_BENCH_MEANS_TEXT_H
#define GPTBENCH_BENCH_MEANS_TEXT_H

#include "bench/analysis/means_check.h"
#include "bench/words/verdict_words.h"

/* "by the medians of its bursts is 9.9 to 10.1 % faster, which the verdict goes by, but by their
 * means ...", to stand behind the config's name. */
verdict_text means_contrast(const means_check *means);
/* "Warning: e2 by the medians ..."; empty where they do not disagree. */
verdict_text means_text(const char *config, const means_check *means);

#endif
