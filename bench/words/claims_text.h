/* claims_text.h: results of claims as a table and as JSON; `gptbench claims` and the report show
 * the same. */
#ifndef GPTBENCH_BENCH_CLAIMS_TEXT_H
#define GPTBENCH_BENCH_CLAIMS_TEXT_H

#include <jansson.h>

#include "bench/analysis/claims.h"
#include "bench/base/table.h"
#include "bench/words/verdict_words.h"

/* A row per claim: outcome, what was measured with its interval, p, what arithmetic gives. To be
 * freed; as table_create without memory. */
table *claims_table(const claim_result *results, int n);

/* The fields of docs/REPORT_JSON.md under `claims`. NULL without memory. */
json_t *claim_result_json(const claim_result *result);

/* "17.2 %, between 16.1 and 18.4 %; ..." as verdict_claim_words says it, with blocks or replicates
 * as the result came from. */
/* Where means of bursts contradict their medians: a warning, and what it does to the claim. Else
 * empty. */
verdict_text claim_means_words(const claim_result *result);
/* What its losses should not be read without; else empty. */
verdict_text claim_terms_words(const claim_result *result);
verdict_text claim_result_words(const claim_result *result);

#endif
