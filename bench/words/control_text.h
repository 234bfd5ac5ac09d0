/* control_text.h: what is to be said of the A/A control beside the noise floor. */
#ifndef GPTBENCH_BENCH_CONTROL_TEXT_H
#define GPTBENCH_BENCH_CONTROL_TEXT_H

#include "bench/analysis/speed.h"
#include "bench/words/verdict_words.h"

/* The noise floor goes by the medians of bursts, as verdicts do. Where the mean steps of the two,
 * which the view timing_summary shows, differ the other way: a sentence that says so. Else empty.
 */
verdict_text control_means_text(const speed_session *session);

#endif
