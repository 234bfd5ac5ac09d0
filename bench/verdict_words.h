/* verdict_words.h: verdicts in words that a tired person understands. The one place where they are
 * made, so that the terminal, the report and `claims` say the same. Each function returns a struct
 * with the text, as those of numbers.h do.
 *
 * "7.4 % slower" always means: a step takes 7.4 % longer. */
#ifndef GPTBENCH_BENCH_VERDICT_WORDS_H
#define GPTBENCH_BENCH_VERDICT_WORDS_H

#include "bench/claim_test.h"
#include "bench/noise.h"

typedef struct verdict_text {
    char text[256];
} verdict_text;

/* What is counted, for words about how many more. */
typedef enum verdict_subject { VERDICT_OF_SPEED, VERDICT_OF_LOSS } verdict_subject;

/* "7.4 % slower, between 6.9 and 7.9 %"
 * "the same: between 0.1 % faster and 0.3 % slower, inside the band of +-0.5 %"
 * "cannot tell: between 1.2 % faster and 0.9 % slower; about 14 more blocks would tell"
 * "cannot tell: one replicate; two seeds of the baseline differ by 0.4 %" (seed_noise, a fraction;
 * NAN: not known). */
verdict_text verdict_reason(const verdict *v, verdict_subject subject, double seed_noise);

/* A change with its interval, without judging: "between 1.2 % faster and 0.9 % slower". */
verdict_text verdict_range(stats_interval change, verdict_subject subject);

/* "the baseline against itself: 0.1 % slower, between 0.2 % faster and 0.4 % slower; 0 of 200
 * random halves would have been called different" */
verdict_text verdict_control_words(const noise_control *control);

/* "steps became 1.3 % slower over 2.1 h, between 0.9 and 1.7 %" */
verdict_text verdict_drift_words(const noise_drift *drift);

/* "supported: speedup 17.2 %, between 16.1 and 18.4 %; the claim says >= 15 %" */
verdict_text verdict_claim_words(const claim_test *test, const suite_expect *expect);

#endif
