#include "bench/analysis/claims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"

/* ---- what arithmetic alone gives ---- */

/* Its steps; 0 tokens: not known. */
static circumstances side_planned(const pair_side *side)
{
    circumstances out = {.backend = "", .precision = "", .clock_mhz = NAN};
    if (side->arm) {
        out.precision = side->arm->facts->precision;
        out.tokens_per_step = side->arm->facts->tokens_per_step;
        return out;
    }
    for (int i = 0; i < side->data->facts->n_runs; i++) { /* planned ones know it too */
        const run_facts *run = &side->data->facts->runs[i];
        if (run->config == side->config) {
            out.precision = run->precision;
            out.tokens_per_step = run->tokens_per_step;
            return out;
        }
    }
    return out;
}

static cost_quantities quantities(const pair_side *side)
{
    const config_facts *c = &side->data->facts->configs[side->config];
    const double tokens = (double)side_planned(side).tokens_per_step;
    return (cost_quantities){.n_params = (double)c->n_params,
                             .flops_per_token = c->flops_per_token,
                             .tokens_per_step = tokens > 0 ? tokens : NAN,
                             .memory_bytes = NAN};
}

/* Where the claim lies beside what FLOPs give, in log(config / baseline) of the metric. */
static void prediction_compare(claim_result *r, double log_ratio)
{
    claim_region region = claim_region_of(&r->claim->expectation);
    bool rate = metric_is_rate(r->claim->expectation.metric);
    bool above = region.low > log_ratio, below = region.high < log_ratio;
    if (above || below) {
        bool faster = rate ? above : below;
        snprintf(r->prediction_note, sizeof r->prediction_note,
                 faster ? "promises more than FLOPs allow: at equal FLOP/s it would be %s; the "
                          "rest must come from a better rate"
                        : "expects less than FLOPs give: at equal FLOP/s it would be %s; the rest "
                          "must be lost to a worse rate",
                 number_percent_signed(r->predicted_percent / 100).text);
    }
}

/* Whether the two do not compare by what is known of them before anything has run. Of what does not
 * compare arithmetic says nothing. */
static bool sides_differ(const pair_side *base, const pair_side *config, metric_id metric)
{
    circumstances a = side_planned(base), b = side_planned(config);
    return comparability_of(&a, &b, metric).n > 0;
}

static void prediction_make(claim_result *r, const pair_side *base, const pair_side *config)
{
    const suite_expect *expect = &r->claim->expectation;
    cost_quantities q_base = quantities(base), q = quantities(config);
    if (sides_differ(base, config, expect->metric)) {
        return;
    }
    r->prediction = cost_claim_predict(&q, &q_base, expect, &r->predicted_percent);
    if (r->prediction == COST_CLAIM_FLOPS && !isnan(r->predicted_percent)) {
        double work = q.flops_per_token / q_base.flops_per_token;
        bool rate = metric_is_rate(expect->metric);
        prediction_compare(r, rate ? -log(work)
                                   : log(work * q.tokens_per_step / q_base.tokens_per_step));
    }
}

/* ---- the pair ---- */

static int config_find(const findings *data, const char *name)
{
    int i = 0;
    while (i < data->facts->n_configs && strcmp(data->facts->configs[i].name, name) != 0) {
        i++;
    }
    return i < data->facts->n_configs ? i : -1;
}

/* What became of a config without a finished run. */
static void reason_of_runs(claim_result *r, const pair_side *side)
{
    const char *name = pair_side_name(side);
    const run_facts *last = NULL;
    for (int i = 0; i < side->data->facts->n_runs; i++) {
        const run_facts *run = &side->data->facts->runs[i];
        if (run->config == side->config && strcmp(run->status, "planned") != 0) {
            last = run;
        }
    }
    if (last) {
        snprintf(r->reason, sizeof r->reason,
                 "no run of `%.100s` has finished; run %lld ended as %s%s%.160s", name,
                 (long long)last->run_id, last->status, last->message[0] ? ": " : "",
                 last->message);
    } else {
        snprintf(r->reason, sizeof r->reason, "`%.100s` has not been measured yet", name);
    }
}

static gb_status circumstances_check(claim_result *r, const pair_side *base,
                                     const pair_side *config, metric_id metric, gb_error *err)
{
    comparability c;
    GB_TRY(pair_comparability(&c, base, config, metric, err));
    if (c.n > 0) {
        snprintf(r->reason, sizeof r->reason, "%s does not compare: %.300s%s", metric_names[metric],
                 comparability_words(&c).text, comparability_rate_hint(&c, metric));
    }
    return GB_OK;
}

/* What depends on all steps is not settled by the typical one where the slow ones decide
 * otherwise. A claim on step_median is about typical steps. */
static void means_heed(claim_result *r, const pair_estimate *p)
{
    const suite_expect *expect = &r->claim->expectation;
    r->means = p->means;
    if (p->means.disagree && expect->metric != METRIC_STEP_MEDIAN) {
        claim_test by_means = claim_test_judge(expect, &p->mean_ratio);
        if (by_means.outcome != r->test.outcome) {
            r->by_medians_only = true;
            r->test.outcome = CLAIM_UNSETTLED;
            r->test.further = NAN; /* more blocks would show the same */
        }
    }
}

static gb_status pair_test(claim_result *r, const pair_side *base, const pair_side *config,
                           gb_error *err)
{
    metric_id metric = r->claim->expectation.metric;
    pair_estimate p;
    GB_TRY(circumstances_check(r, base, config, metric, err));
    if (r->reason[0]) {
        return GB_OK;
    }
    GB_TRY(pair_estimate_make(&p, base, config, metric, err));
    r->basis = p.basis;
    r->in_nats = p.in_nats;
    if (metric_is_loss(metric) && base->entry && config->entry) {
        r->terms = comparability_loss_terms(base->entry, config->entry);
    }
    r->test = claim_test_judge(&r->claim->expectation, &p.ratio);
    means_heed(r, &p);
    if (p.basis != PAIR_NOTHING) {
        snprintf(r->method, sizeof r->method, "%s", p.method);
    } else if ((!base->entry || !config->entry) &&
               !(metric_is_time(metric) && pair_is_timed(base, config))) {
        reason_of_runs(r, base->entry ? config : base);
    } else {
        snprintf(r->reason, sizeof r->reason, "%s", p.method);
    }
    pair_estimate_free(&p);
    return GB_OK;
}

static gb_status claim_judge(claim_result *r, const findings *data, gb_error *err)
{
    const suite_claim *claim = r->claim;
    estimate nothing = estimate_exact(NAN);
    r->basis = PAIR_NOTHING;
    r->test = claim_test_judge(&claim->expectation, &nothing);
    r->predicted_percent = NAN;
    r->prediction = COST_CLAIM_UNKNOWN;
    int base_index = config_find(data, claim->baseline), index = config_find(data, claim->config);
    if (base_index < 0 || index < 0) {
        snprintf(r->reason, sizeof r->reason, "the database has no config `%s`",
                 base_index < 0 ? claim->baseline : claim->config);
        return GB_OK;
    }
    pair_side base = pair_side_of(data, base_index), config = pair_side_of(data, index);
    pair_align(&base, &config, claim->baseline);
    prediction_make(r, &base, &config);
    return pair_test(r, &base, &config, err);
}

gb_status claims_test(claim_result *out, const findings *data, const suite_claim *claims, int n,
                      gb_error *err)
{
    for (int i = 0; i < n; i++) {
        out[i] = (claim_result){.claim = &claims[i]};
        GB_TRY(claim_judge(&out[i], data, err));
    }
    return GB_OK;
}

/* ---- as stored ---- */

static gb_status claim_parse(suite_claim *out, const claim_row *row, const facts *f, gb_error *err)
{
    gb_error why = {GB_OK, ""};
    *out = (suite_claim){.line = 0};
    snprintf(out->name, sizeof out->name, "%s", row->name);
    snprintf(out->config, sizeof out->config, "%s", row->config);
    snprintf(out->baseline, sizeof out->baseline, "%s", row->baseline);
    snprintf(out->expect, sizeof out->expect, "%s", row->expect);
    snprintf(out->source, sizeof out->source, "%s", row->source);
    if (suite_expect_parse(&out->expectation, out->expect, &why) != GB_OK) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: claim `%s`: %.300s", f->db_path, out->name,
                       why.message);
    }
    return GB_OK;
}

gb_status claims_of_facts(suite_claim **out, int *n, const facts *f, gb_error *err)
{
    suite_claim *claims = calloc((size_t)f->n_claims + 1, sizeof *claims);
    *out = NULL;
    *n = 0;
    if (!claims) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d claims", f->n_claims);
    }
    for (int i = 0; i < f->n_claims; i++) {
        gb_status status = claim_parse(&claims[i], &f->claims[i], f, err);
        if (status != GB_OK) {
            free(claims);
            return status;
        }
    }
    *out = claims;
    *n = f->n_claims;
    return GB_OK;
}
