/* verdict_words.h: verdicts in words that a tired person understands. The one place where they are
 * made, so that the terminal, the report and `claims` say the same. Each function returns a struct
 * with the text, as those of numbers.h do.
 *
 * "7.4 % slower" always means: a step takes 7.4 % longer. "7.4 % faster": it takes 7.4 % less. */
#ifndef GPTBENCH_BENCH_VERDICT_WORDS_H
#define GPTBENCH_BENCH_VERDICT_WORDS_H

#include "bench/analysis/claim_judge.h"
#include "bench/base/numbers.h"
#include "bench/stats/drift.h"
#include "bench/stats/noise.h"

typedef struct verdict_text {
    char text[480];
} verdict_text;

/* What a change is a change of: faster and slower by blocks, or better and worse by replicates. Of
 * VERDICT_OF_NATS, losses near their floor (bench/analysis/runs_pair.h), the change is that of the
 * perplexity, and the words have its logarithm: nats. */
typedef enum verdict_subject { VERDICT_OF_SPEED, VERDICT_OF_LOSS, VERDICT_OF_NATS } verdict_subject;

/* "7.4 % slower", "0.4 % better", "0.0012 nats worse", "no different"; "unknown" for NAN. */
verdict_text verdict_change(double change, verdict_subject subject);
/* "6.9 to 7.9 % slower", "1.2 % faster to 0.9 % slower"; "no interval" without. */
verdict_text verdict_range(stats_interval change, verdict_subject subject);

/* The reason of a verdict, without its name, in whole sentences:
 *   "7.4 % slower. 95 % interval: 6.9 to 7.9 % slower."
 *   "No difference found (-0.1 % to +0.3 %)."
 *   "Cannot tell: estimate 0.1 % faster, 95 % interval 1.2 % faster to 0.9 % slower; about 14 more
 *    blocks needed."
 *   "95 % interval: 24.9 to 60.2 % faster. Not significant after correction for 13 comparisons."
 *   "Cannot tell: 0.6 % slower, but the baseline differs from itself by 0.8 %."
 *   "Cannot tell: estimate 2.0 % worse, no interval from 1 replicate. Other seeds alone change it
 * by 0.4 %." seed_noise: what the same config with other seeds differs by, a fraction, or nats; NAN
 * when not known. */
verdict_text verdict_reason(const verdict *v, verdict_subject subject, double seed_noise);

/* "0.1 % slower than itself (95 % interval: 0.2 % faster to 0.4 % slower); judged on 200
 * random halves of the blocks, it was falsely called different 3 times" */
verdict_text verdict_control_words(const noise_control *control);

/* "1.3 % slower over 2.1 h (95 % interval: 0.9 to 1.7 % slower)" */
verdict_text verdict_drift_words(const drift *d);

/* "+2.1 %" or, of losses near their floor, "+0.0012 nats": a change of a metric with its sign. */
number_text verdict_signed(double change, bool in_nats);

/* "speedup +17.2 %, 95 % interval +16.1 to +18.4 %; claimed: >= 15 %", with what would settle it
 * where it is unsettled. */
verdict_text verdict_claim_words(const claim_test *test, const suite_expect *expect,
                                 verdict_subject subject);

#endif
