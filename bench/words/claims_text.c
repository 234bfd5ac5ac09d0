#include "bench/words/claims_text.h"

#include <math.h>
#include <stdio.h>

#include "bench/base/json_value.h"
#include "bench/base/numbers.h"
#include "bench/words/loss_terms_text.h"
#include "bench/words/means_text.h"

/* In the claim's terms: `within` is about the size of a change, which has no sign. */
static number_text percent_text(const claim_result *r, double percent)
{
    return r->claim->expectation.relation == SUITE_WITHIN ? number_percent(percent / 100)
                                                          : number_percent_signed(percent / 100);
}

static void cell_add_p(table *t, const claim_test *test)
{
    if (test->exact || isnan(test->p)) {
        table_add_cell(t, "%s", test->exact ? "exact" : "-");
    } else {
        table_add_cell(t, test->p < 0.001 ? "< 0.001" : "%.3f", test->p);
    }
}

table *claims_table(const claim_result *results, int n)
{
    table *t = table_create();
    static const char *const headings[] = {"claim", "outcome", "config", "baseline", "expect"};
    static const int ranks[] = {0, 1, 5, 5, 3};
    for (int i = 0; i < 5; i++) {
        table_add_column(t, headings[i], TABLE_LEFT);
        table_column_fit(t, TABLE_MOVE, ranks[i]);
    }
    table_add_column(t, "measured", TABLE_RIGHT);
    table_add_column(t, "95 % interval", TABLE_RIGHT);
    table_add_column(t, "p", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 4);
    table_add_column(t, "by arithmetic", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 6);
    for (int i = 0; i < n; i++) {
        const claim_result *r = &results[i];
        stats_interval percent = r->test.percent;
        table_begin_row(t);
        table_add_cell(t, "%s", r->claim->name);
        table_add_cell(t, "%s", claim_outcome_name(r->test.outcome));
        table_add_cell(t, "%s", r->claim->config);
        table_add_cell(t, "%s", r->claim->baseline);
        table_add_cell(t, "%s", r->claim->expect);
        table_add_cell(t, "%s", percent_text(r, percent.value).text);
        if (r->test.exact || isnan(percent.low)) {
            table_add_cell(t, "%s", r->test.exact ? "exact" : "-");
        } else {
            table_add_cell(t, "%s to %s", percent_text(r, percent.low).text,
                           percent_text(r, percent.high).text);
        }
        cell_add_p(t, &r->test);
        table_add_cell(t, "%s", percent_text(r, r->predicted_percent).text);
    }
    return t;
}

verdict_text claim_terms_words(const claim_result *result)
{
    return loss_terms_words(&result->terms, result->claim->baseline);
}

json_t *claim_result_json(const claim_result *r)
{
    static const char *const bases[] = {[COST_CLAIM_EXACT] = "exact",
                                        [COST_CLAIM_FLOPS] = "equal FLOP/s",
                                        [COST_CLAIM_MEMORY] = "memory plan",
                                        [COST_CLAIM_UNKNOWN] = ""};
    const suite_claim *c = r->claim;
    const claim_test *test = &r->test;
    bool predicted = isfinite(r->predicted_percent);
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:s, s:o, s:o, s:o, s:o, "
        "s:o, s:b, s:o}",
        "name", json_value_text(c->name), "config", json_value_text(c->config), "baseline",
        json_value_text(c->baseline), "expect", json_value_text(c->expect), "source",
        json_value_text(c->source), "outcome", claim_outcome_name(test->outcome), "percent",
        json_value_number(test->percent.value), "low", json_value_number(test->percent.low), "high",
        json_value_number(test->percent.high), "exact", test->exact, "p",
        json_value_number(test->p), "further", json_value_number(test->further), "basis",
        pair_basis_name(r->basis), "method", json_value_text(r->method), "reason",
        r->reason[0] ? json_value_text(r->reason) : json_null(), "predicted_percent",
        json_value_number(r->predicted_percent), "predicted_by",
        predicted ? json_value_text(bases[r->prediction]) : json_null(), "prediction_note",
        r->prediction_note[0] ? json_value_text(r->prediction_note) : json_null(), "means_disagree",
        r->means.disagree, "remark",
        claim_terms_words(r).text[0] ? json_value_text(claim_terms_words(r).text) : json_null());
}

verdict_text claim_result_words(const claim_result *result)
{
    bool of_blocks = result->basis == PAIR_BLOCKS || result->basis == PAIR_SESSIONS;
    return verdict_claim_words(&result->test, &result->claim->expectation,
                               of_blocks         ? VERDICT_OF_SPEED
                               : result->in_nats ? VERDICT_OF_NATS
                                                 : VERDICT_OF_LOSS);
}

verdict_text claim_means_words(const claim_result *result)
{
    verdict_text out = means_text(result->claim->config, &result->means);
    if (result->by_medians_only) {
        verdict_text warning = out;
        snprintf(
            out.text, sizeof out.text,
            "Judged by the means the claim would come out otherwise, so it is unsettled. %.400s",
            warning.text);
    }
    return out;
}
