/* Losses at equal budgets, in a report. */
#include <math.h>

#include "bench/analysis/equal_budget.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"

/* ---- text ---- */

typedef struct budget_text {
    char text[160];
} budget_text;

/* "-0.0123 (-0.0150 to -0.0096)", with true minus signs. */
static budget_text difference_text(const budget_equal *e)
{
    budget_text out;
    const stats_interval *d = &e->difference;
    const char *minus = "\xe2\x88\x92";
#define SIGNED(x) (x) < 0 ? minus : "+", fabs(x)
    if (!isfinite(d->value)) {
        snprintf(out.text, sizeof out.text, "-");
    } else if (isfinite(d->low)) {
        snprintf(out.text, sizeof out.text, "%s%.4f (%s%.4f to %s%.4f)", SIGNED(d->value),
                 SIGNED(d->low), SIGNED(d->high));
    } else {
        snprintf(out.text, sizeof out.text, "%s%.4f", SIGNED(d->value));
    }
#undef SIGNED
    return out;
}

/* "0.83x (0.79x to 0.88x)", "not reached". */
static budget_text reach_text(const budget_reach *r)
{
    budget_text out;
    const char *times = "\xc3\x97";
    if (r->n_pairs == 0) {
        snprintf(out.text, sizeof out.text, "-");
    } else if (r->n_reached == 0) {
        snprintf(out.text, sizeof out.text, "not reached");
    } else if (r->n_reached < r->n_pairs) {
        snprintf(out.text, sizeof out.text, "not reached in %d of %d", r->n_pairs - r->n_reached,
                 r->n_pairs);
    } else if (isfinite(r->ratio.low)) {
        snprintf(out.text, sizeof out.text, "%.3f%s (%.3f%s to %.3f%s)", r->ratio.value, times,
                 r->ratio.low, times, r->ratio.high, times);
    } else {
        snprintf(out.text, sizeof out.text, "%.3f%s", r->ratio.value, times);
    }
    return out;
}

/* "200 steps", "1.64M tokens", "33.1 s". */
static budget_text amount_text(budget_kind kind, double amount)
{
    budget_text out;
    if (!isfinite(amount)) {
        snprintf(out.text, sizeof out.text, "-");
    } else if (kind == BUDGET_SECONDS) {
        snprintf(out.text, sizeof out.text, "%s", number_duration_ms(1000 * amount).text);
    } else {
        snprintf(out.text, sizeof out.text, "%s",
                 kind == BUDGET_STEPS ? number_rounded(amount).text : number_short(amount).text);
    }
    return out;
}

/* ---- tables ---- */

/* Whether tokens say what steps say already, in every row. */
static bool tokens_follow_steps(const findings *data)
{
    for (int i = 1; i < data->n_entries; i++) {
        if (data->entries[i].runs[0]->tokens_per_step !=
            data->entries[0].runs[0]->tokens_per_step) {
            return false;
        }
    }
    return true;
}

static table *equal_table(bool no_tokens)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    for (int kind = 0; kind < BUDGET_KINDS; kind++) {
        if (kind == BUDGET_TOKENS && no_tokens) {
            continue;
        }
        char heading[64];
        snprintf(heading, sizeof heading, "at equal %s%s", budget_kind_name((budget_kind)kind),
                 kind == BUDGET_STEPS && no_tokens ? " and tokens" : "");
        table_add_column(t, budget_kind_name((budget_kind)kind), TABLE_RIGHT);
        table_add_column(t, heading, TABLE_RIGHT);
    }
    table_add_column(t, "pairs", TABLE_RIGHT);
    return t;
}

static table *reach_table(bool no_tokens)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    for (int kind = 0; kind < BUDGET_KINDS; kind++) {
        if (kind != BUDGET_TOKENS || !no_tokens) {
            table_add_column(t,
                             kind == BUDGET_STEPS && no_tokens
                                 ? "steps, tokens"
                                 : budget_kind_name((budget_kind)kind),
                             TABLE_RIGHT);
        }
    }
    table_add_column(t, "pairs", TABLE_RIGHT);
    return t;
}

static void rows_add(table *equal, table *reach, const char *label, const budget_comparison *c,
                     bool no_tokens)
{
    table_begin_row(equal);
    table_begin_row(reach);
    table_add_cell(equal, "%s", label);
    table_add_cell(reach, "%s", label);
    for (int kind = 0; kind < BUDGET_KINDS; kind++) {
        if (kind == BUDGET_TOKENS && no_tokens) {
            continue;
        }
        table_add_cell(equal, "%s", amount_text((budget_kind)kind, c->equal[kind].budget).text);
        table_add_cell(equal, "%s", difference_text(&c->equal[kind]).text);
        table_add_cell(reach, "%s", reach_text(&c->reach[kind]).text);
    }
    table_add_cell(equal, "%d", c->equal[BUDGET_STEPS].n_pairs);
    table_add_cell(reach, "%d", c->reach[BUDGET_STEPS].n_pairs);
}

static const char *difference_words(const stats_interval *difference)
{
    if (isnan(difference->low)) {
        return "one pair of replicates: no interval, so the sign may be chance";
    }
    return difference->high < 0  ? "the whole interval is below 0: lower"
           : difference->low > 0 ? "the whole interval is above 0: higher"
                                 : "the interval holds 0: the direction is open";
}

/* What a config comes to for the same time, in a sentence; time is what people pay. */
static void sentence_add(document *doc, const result_entry *entry, const result_entry *base,
                         const budget_comparison *c)
{
    const budget_equal *seconds = &c->equal[BUDGET_SECONDS];
    const budget_reach *reach = &c->reach[BUDGET_SECONDS];
    if (seconds->n_pairs == 0) {
        document_list_item(doc,
                           "`%s` and `%s` have no common training time at which both were "
                           "validated.",
                           entry->label, base->label);
        return;
    }
    char sooner[256] = "";
    if (reach->n_pairs > 0 && reach->n_reached == reach->n_pairs) {
        snprintf(sooner, sizeof sooner,
                 " The baseline's final loss takes it %s of training, and the baseline %s.",
                 number_duration_ms(1000 * reach->config).text,
                 number_duration_ms(1000 * reach->base).text);
    } else if (reach->n_pairs > 0) {
        snprintf(sooner, sizeof sooner,
                 " Reached the baseline's final loss in %d of %d replicate%s.", reach->n_reached,
                 reach->n_pairs, reach->n_pairs == 1 ? "" : "s");
    }
    document_list_item(doc, "After %s of training `%s` is at %.4f, `%s` at %.4f nats/token (%s).%s",
                       number_duration_ms(1000 * seconds->budget).text, entry->label,
                       seconds->config, base->label, seconds->base,
                       difference_words(&seconds->difference), sooner);
}

static void explain(document *doc, const findings *data)
{
    document_paragraph(
        doc,
        "Difference of validation loss from the baseline's, in nats/token, negative is better, "
        "once both have had the same number of steps, tokens, exact FLOPs or seconds of training. "
        "The budget is what all compared runs reached: the smallest end. Between two validations a "
        "curve is read off linearly in the logarithm of the budget, beyond its end not at all. "
        "Seconds are steps times step_avg (%s); validations cost nothing. A run that is read off "
        "before its end had not finished its warm-down: trained for just this budget it would have "
        "come lower, so at equal FLOPs and seconds the cheaper config is favoured. In parentheses "
        "95 %% "
        "paired t intervals over the replicates that both have; one pair has none.",
        speed_report_any(data)
            ? "from interleaved timing where both configs have it, else each run's own"
            : "each run's own");
}

static gb_status comparisons_write(document *doc, const findings *data, table *equal, table *reach,
                                   gb_error *err)
{
    enum { SENTENCES = 12 };
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *entry = &data->entries[i];
        if (entry->baseline < 0 || entry->baseline == i || !isfinite(entry->val_loss.value)) {
            continue;
        }
        const result_entry *base = &data->entries[entry->baseline];
        budget_comparison c;
        GB_TRY(equal_budget_compare(&c, data, base, entry, err));
        if (c.n_shared == 0) {
            continue;
        }
        if (n == 0) {
            document_heading(doc, "At equal budgets");
            document_list_begin(doc);
        }
        const config_verdict *row = config_verdict_of(data, i);
        if (n < SENTENCES && row->speed_refused) {
            document_list_item(doc, "`%s` and `%s` do not compare by seconds: %s.", entry->label,
                               base->label, row->speed_refused);
        } else if (n < SENTENCES) {
            sentence_add(doc, entry, base, &c);
        }
        n++;
        rows_add(equal, reach, entry->label, &c, tokens_follow_steps(data));
    }
    if (n > 0) {
        document_list_end(doc);
    }
    return GB_OK;
}

gb_status report_write_budgets(document *doc, const findings *data, gb_error *err)
{
    bool no_tokens = tokens_follow_steps(data);
    table *equal = equal_table(no_tokens), *reach = reach_table(no_tokens);
    gb_status status = comparisons_write(doc, data, equal, reach, err);
    if (status == GB_OK && table_row_count(equal) > 0) {
        explain(doc, data);
        status = document_table(doc, equal, err);
        if (status == GB_OK) {
            document_paragraph(doc,
                               "What each needs until its loss is for the first time as low as the "
                               "baseline's last one of the same replicate, over what the baseline "
                               "needed for that:");
            status = document_table(doc, reach, err);
        }
    }
    table_free(equal);
    table_free(reach);
    return status;
}
