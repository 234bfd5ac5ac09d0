/* The part of a report on claims: what somebody expected, and what became of it. */
#include <stdlib.h>

#include "bench/report/report.h"
#include "bench/words/claims_text.h"

typedef struct claims {
    suite_claim *claims;
    claim_result *results;
    int n;
} claims;

static void claims_free(claims *c)
{
    free(c->claims);
    free(c->results);
}

static gb_status claims_make(claims *c, const findings *data, gb_error *err)
{
    *c = (claims){.n = 0};
    GB_TRY(claims_of_facts(&c->claims, &c->n, data->facts, err));
    c->results = calloc((size_t)c->n + 1, sizeof *c->results);
    gb_status status = c->results ? claims_test(c->results, data, c->claims, c->n, err)
                                  : gb_fail(err, GB_ERR_OOM, "no memory for %d claims", c->n);
    if (status != GB_OK) {
        claims_free(c);
    }
    return status;
}

static void write_reading(document *doc, const claim_result *r)
{
    const char *outcome = claim_outcome_name(r->test.outcome);
    const char *source = r->claim->source;
    char said[320] = "";
    if (source[0]) {
        snprintf(said, sizeof said, " (%s)", source);
    }
    verdict_text means = claim_means_words(r);
    if (r->reason[0]) {
        document_list_item(doc, "%s%s is %s: %s.", r->claim->name, said, outcome, r->reason);
    } else {
        verdict_text terms = claim_terms_words(r);
        document_list_item(doc, "%s%s is %s: %s; %s.%s%s%s%s%s%s%s", r->claim->name, said, outcome,
                           claim_result_words(r).text, r->method,
                           r->prediction_note[0] ? " It " : "", r->prediction_note,
                           r->prediction_note[0] ? "." : "", means.text[0] ? " " : "", means.text,
                           terms.text[0] ? " " : "", terms.text);
    }
}

static void write_count(document *doc, const claims *c)
{
    int count[3] = {0};
    for (int i = 0; i < c->n; i++) {
        count[c->results[i].test.outcome]++;
    }
    document_paragraph(
        doc,
        "Of %d claim%s %d %s supported, %d refuted and %d unsettled. p is how likely data that "
        "speak "
        "so much for a claim are if it just fails. The last column is what arithmetic alone gives: "
        "exact FLOPs at equal FLOP/s for speeds, the truth for parameters and FLOPs.",
        c->n, c->n == 1 ? "" : "s", count[CLAIM_SUPPORTED],
        count[CLAIM_SUPPORTED] == 1 ? "is" : "are", count[CLAIM_REFUTED], count[CLAIM_UNSETTLED]);
}

gb_status report_write_claims(document *doc, const findings *data, gb_error *err)
{
    claims c;
    GB_TRY(claims_make(&c, data, err));
    gb_status status = GB_OK;
    if (c.n > 0) {
        table *t = claims_table(c.results, c.n);
        document_heading(doc, "Claims");
        write_count(doc, &c);
        status = document_table(doc, t, err);
        table_free(t);
        document_list_begin(doc);
        for (int i = 0; i < c.n; i++) {
            write_reading(doc, &c.results[i]);
        }
        document_list_end(doc);
    }
    claims_free(&c);
    return status;
}

gb_status report_claims_json(json_t **out, const findings *data, gb_error *err)
{
    claims c;
    GB_TRY(claims_make(&c, data, err));
    *out = json_array();
    for (int i = 0; i < c.n; i++) {
        json_array_append_new(*out, claim_result_json(&c.results[i]));
    }
    claims_free(&c);
    return GB_OK;
}
