/* claims.h: the claims of a suite held against what was measured. */
#ifndef GPTBENCH_BENCH_CLAIMS_H
#define GPTBENCH_BENCH_CLAIMS_H

#include "bench/analysis/claim_judge.h"
#include "bench/analysis/pair.h"
#include "bench/plan/cost_estimate.h"

typedef struct claim_result {
    const suite_claim *claim; /* borrowed */
    claim_test test;
    pair_basis basis;
    bool in_nats;         /* of losses near their floor: the percentages are of the perplexity */
    loss_terms terms;     /* of losses: what they should not be read without */
    means_check means;    /* of times: whether the means of bursts tell another story */
    char method[256];     /* how it was measured; empty when there is no value */
    char reason[400];     /* why there is no value, so that the claim is unsettled; else empty */
    bool by_medians_only; /* so judged by medians and otherwise by means: unsettled for that */

    /* What arithmetic alone gives, in the claim's terms: for speeds what the exact FLOPs would at
     * equal FLOP/s, for parameters and FLOPs the truth. NAN: it tells nothing (losses, memory). */
    double predicted_percent;
    cost_claim_basis prediction;
    char prediction_note[256]; /* for speeds that were claimed to differ from it; else empty */
} claim_result;

/* out[i] of claims[i], which must live as long as the results. Each claim has its own pair of
 * configs, looked up by name. Estimates are those of pair_estimate_make; a config that is not in
 * the database, that failed, or whose metric does not compare (bench/analysis/comparability.h)
 * makes the claim unsettled. GB_ERR_OOM. */
gb_status claims_test(claim_result *out, const findings *data, const suite_claim *claims, int n,
                      gb_error *err);

/* The claims of the suite as it was last run, by name. *out (n of them) is to be freed.
 * GB_ERR_FORMAT when one is not understood; GB_ERR_OOM. */
gb_status claims_of_facts(suite_claim **out, int *n, const facts *f, gb_error *err);

#endif
