/* divergence.h: runs that ended with a finite loss and yet did not train. By the validation losses,
 * which are all of the same tokens, so that their noise is only that of the weights:
 *
 * - above its start: final > first by more than 1 % and 0.05 nats. Below that it is the noise of a
 *   run that is too short, or too finely tuned already, to move.
 * - uniform: |final - ln(vocab_size)| <= 1e-5 nats, chance to the last bits of fp32, as where
 *   overflowed weights make all logits equal. Not where the source's own entropy is known to be
 *   within 1 % of ln(vocab_size): no model can do better there.
 * - did not come back: more than half of what was gained (first - lowest) is lost again at the end,
 *   and more than 0.05 nats. A spike that was made good is none, nor is the slow rise of a run that
 *   has seen its data too often, unless that takes half of the gain.
 *
 * Needs a validation before the first step; between two validations nothing is seen. Runs whose
 * loss is not finite have status nan. */
#ifndef GPTBENCH_BENCH_DIVERGENCE_H
#define GPTBENCH_BENCH_DIVERGENCE_H

#include "bench/analysis/findings.h"

typedef enum divergence {
    DIVERGENCE_NONE,
    DIVERGENCE_ABOVE_START,
    DIVERGENCE_UNIFORM,
    DIVERGENCE_NOT_BACK
} divergence;

/* Of losses in nats per token; NAN where one is not known, which then shows nothing. */
typedef struct loss_course {
    double first, lowest, last;
    double uniform; /* ln(vocab_size) */
    double entropy; /* of the source; NAN: not known */
} loss_course;

divergence divergence_of(const loss_course *course);
divergence divergence_of_run(const run_facts *run);

/* Of an entry's runs: how many, and the first one's kind and losses. */
typedef struct entry_divergence {
    int n_runs;
    divergence kind;
    const run_facts *run; /* NULL: none */
    char text[96];        /* "none", "2 of 3, above its start" */
} entry_divergence;
entry_divergence divergence_of_entry(const result_entry *entry);

/* Whether a config diverged: a run of its entry did, or, where it has no entry (NULL) with a loss,
 * one ended nan. */
bool divergence_of_side(const facts *f, int config, const result_entry *entry);

/* "above its start", "at ln(vocab_size)", "a rise that did not come back"; "" of none. */
const char *divergence_name(divergence kind);

#endif
