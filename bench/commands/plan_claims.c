#include "bench/commands/plan_claims.h"

#include <math.h>
#include <stdio.h>

#include "bench/analysis/comparability.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"

/* The two sides of a claim, and what arithmetic gives. */
typedef struct claim_plan {
    const suite_claim *claim;
    comparability obstacles;
    cost_claim_basis basis;
    double percent; /* NAN: none */
} claim_plan;

/* As the two will be measured: here, with the same threads. */
static circumstances cell_circumstances(const suite_cell *cell, const cost_options *options)
{
    return (circumstances){.backend = options->backend->name,
                           .precision = gb_precision_name((gb_precision)cell->spec.precision),
                           .tokens_per_step = train_spec_tokens_per_step(&cell->spec),
                           .clock_mhz = NAN};
}

static claim_plan claim_predict(const suite *s, const suite_claim *claim,
                                const cost_options *options)
{
    cost_row row = cost_row_make(s, suite_cell_find(s, claim->config), options);
    cost_row base_row = cost_row_make(s, suite_cell_find(s, claim->baseline), options);
    circumstances own = cell_circumstances(row.cell, options);
    circumstances base = cell_circumstances(base_row.cell, options);
    claim_plan out = {.claim = claim, .basis = COST_CLAIM_UNKNOWN, .percent = NAN};
    out.obstacles = comparability_of(&base, &own, claim->expectation.metric);
    if (out.obstacles.n == 0) {
        cost_quantities config = cost_row_quantities(&row);
        cost_quantities baseline = cost_row_quantities(&base_row);
        out.basis = cost_claim_predict(&config, &baseline, &claim->expectation, &out.percent);
    }
    return out;
}

/* "reduction of 18.4 %": the percentage of a claim, whose sign the relation gives. */
static void prediction_add(table *t, const claim_plan *p)
{
    static const char *const basis_names[] = {"exact", "at equal FLOP/s", "memory plan", "-"};
    if (isnan(p->percent)) {
        table_add_cell(t, "-");
    } else {
        table_add_cell(t, "%s", number_percent_signed(p->percent / 100).text);
    }
    table_add_cell(t, "%s", p->obstacles.n > 0 ? "not compared" : basis_names[p->basis]);
    table_add_cell(t, "%s",
                   isnan(p->percent)                                        ? "-"
                   : suite_expect_holds(&p->claim->expectation, p->percent) ? "yes"
                                                                            : "no");
}

static void obstacles_say(const claim_plan *p)
{
    metric_id metric = p->claim->expectation.metric;
    if (p->obstacles.n > 0) {
        terminal_say(stdout, 2, "claim %s: %s does not compare: %s%s\n", p->claim->name,
                     metric_names[metric], comparability_words(&p->obstacles).text,
                     comparability_rate_hint(&p->obstacles, metric));
    }
}

static table *claims_table_begin(void)
{
    static const char *const headings[] = {"claim", "config", "baseline", "expect"};
    static const int ranks[] = {0, 4, 4, 3};
    table *t = table_create();
    for (int i = 0; i < 4; i++) {
        table_add_column(t, headings[i], TABLE_LEFT);
        table_column_fit(t, TABLE_MOVE, ranks[i]);
    }
    table_add_column(t, "predicted", TABLE_RIGHT);
    table_add_column(t, "by", TABLE_LEFT);
    table_column_fit(t, TABLE_MOVE, 2);
    table_add_column(t, "holds", TABLE_LEFT);
    return t;
}

gb_status plan_claims_print(const suite *s, const cost_options *options, gb_error *err)
{
    if (s->n_claims == 0) {
        return GB_OK;
    }
    terminal_say(stdout, 0, "\nClaims, and what arithmetic alone gives for them:\n\n");
    table *t = claims_table_begin();
    for (int i = 0; i < s->n_claims; i++) {
        claim_plan p = claim_predict(s, &s->claims[i], options);
        table_begin_row(t);
        table_add_cell(t, "%s", p.claim->name);
        table_add_cell(t, "%s", p.claim->config);
        table_add_cell(t, "%s", p.claim->baseline);
        table_add_cell(t, "%s", p.claim->expect);
        prediction_add(t, &p);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    for (int i = 0; i < s->n_claims && status == GB_OK; i++) {
        claim_plan p = claim_predict(s, &s->claims[i], options);
        obstacles_say(&p);
    }
    return status;
}
