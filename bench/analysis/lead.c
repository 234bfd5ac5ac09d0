#include "bench/analysis/lead.h"

#include <math.h>

#include "bench/analysis/comparability.h"
#include "bench/analysis/peers.h"
#include "bench/analysis/runs_pair.h"

static const verdict *verdict_in(const config_verdict *row, lead_in in)
{
    return in == LEAD_IN_SPEED ? &row->speed : &row->loss;
}

static bool is_judged(const config_verdict *row, lead_in in)
{
    return in == LEAD_IN_SPEED ? row->speed_judged && !row->means_disagree : row->loss_judged;
}

static bool is_less(const estimate *e, double floor, gb_status *status, gb_error *err)
{
    verdict v = {.kind = VERDICT_UNCLEAR};
    verdict_rule rule = verdict_rule_default();
    rule.floor = floor;
    *status = verdict_judge(&v, &e, 1, &rule, err);
    return *status == GB_OK && v.kind == VERDICT_LESS;
}

/* ---- two that are no baseline ---- */

static gb_status speed_pair_shown(bool *shown, const config_verdict *first,
                                  const config_verdict *second, gb_error *err)
{
    estimate ratio;
    gb_status status;
    if (first->session != second->session) {
        return GB_OK;
    }
    GB_TRY(speed_pair_judged(&ratio, first->session, second->arm, first->arm, false, err));
    *shown = is_less(&ratio, first->speed.floor, &status, err);
    estimate_free(&ratio);
    return status;
}

static gb_status loss_pair_shown(bool *shown, const findings *data, const config_verdict *first,
                                 const config_verdict *second, gb_error *err)
{
    const result_entry *base = &data->entries[second->entry], *e = &data->entries[first->entry];
    comparability c;
    runs_pair p;
    gb_status status;
    GB_TRY(comparability_of_entries(&c, data->facts, base, e, METRIC_VAL_LOSS, err));
    if (c.n > 0) {
        return GB_OK;
    }
    GB_TRY(runs_pair_make(&p, base, e, METRIC_VAL_LOSS, true, err));
    *shown = is_less(&p.ratio, 0, &status, err);
    return status;
}

/* Of one session, or of losses in one scale: intervals of changes from the same baseline. */
static bool intervals_apart(lead_in in, const config_verdict *first, const config_verdict *second)
{
    const verdict *a = verdict_in(first, in), *b = verdict_in(second, in);
    double least = fmax(in == LEAD_IN_SPEED ? a->floor : 0, verdict_rule_default().band);
    bool alike = in == LEAD_IN_SPEED ? first->session == second->session
                                     : first->loss_in_nats == second->loss_in_nats;
    return alike && log1p(b->change.low) - log1p(a->change.high) > least; /* false with NAN */
}

/* ---- any two ---- */

gb_status lead_is_shown(bool *shown, const findings *data, lead_in in, const config_verdict *first,
                        const config_verdict *second, gb_error *err)
{
    bool one = is_judged(first, in), two = is_judged(second, in);
    bool less = one && verdict_in(first, in)->kind == VERDICT_LESS;
    bool more = two && verdict_in(second, in)->kind == VERDICT_MORE;
    *shown = false;
    if (first->is_baseline || second->is_baseline) {
        *shown = first->is_baseline ? more : less;
        return GB_OK;
    }
    if (!one || !two ||
        (in == LEAD_IN_LOSS &&
         data->entries[first->entry].baseline != data->entries[second->entry].baseline)) {
        return GB_OK;
    }
    *shown = (less && more) || intervals_apart(in, first, second);
    if (*shown) {
        return GB_OK;
    }
    return in == LEAD_IN_SPEED ? speed_pair_shown(shown, first, second, err)
                               : loss_pair_shown(shown, data, first, second, err);
}

gb_status lead_is_lowest(bool *shown, const findings *data, int entry, gb_error *err)
{
    const result_entry *e = &data->entries[entry];
    *shown = true;
    for (int i = 0; i < data->n_entries && *shown; i++) {
        const result_entry *other = &data->entries[i];
        if (i != entry && other->beside == e->beside && other->loss_compares &&
            isfinite(other->val_loss.value)) {
            GB_TRY(lead_is_shown(shown, data, LEAD_IN_LOSS, config_verdict_of(data, entry),
                                 config_verdict_of(data, i), err));
        }
    }
    return GB_OK;
}

/* ---- fronts ---- */

static bool has_place(const findings *data, int entry)
{
    const result_entry *e = &data->entries[entry];
    return peers_may_lead_front(data, entry) && isfinite(e->pace.tokens_per_s.value) &&
           isfinite(e->val_loss.value);
}

/* `first` is ahead of `second` in one of the two, or in both. */
static gb_status ahead(bool *shown, bool in_both, const findings *data, int first, int second,
                       gb_error *err)
{
    const config_verdict *a = config_verdict_of(data, first), *b = config_verdict_of(data, second);
    GB_TRY(lead_is_shown(shown, data, LEAD_IN_LOSS, a, b, err));
    if (*shown != in_both) {
        return GB_OK;
    }
    return lead_is_shown(shown, data, LEAD_IN_SPEED, a, b, err);
}

/* Of one entry: that it is on its front, or that it is not. */
static gb_status place_shown(bool *shown, const findings *data, int entry, gb_error *err)
{
    bool on_front = data->entries[entry].on_front;
    *shown = on_front;
    for (int i = 0; i < data->n_entries && *shown == on_front; i++) {
        if (i == entry || !has_place(data, i) || !peers_share_front(data, i, entry)) {
            continue;
        }
        if (on_front) {
            GB_TRY(ahead(shown, false, data, entry, i, err));
        } else if (data->entries[i].on_front) {
            GB_TRY(ahead(shown, true, data, i, entry, err));
        }
    }
    return GB_OK;
}

gb_status lead_front_is_shown(bool *shown, const findings *data, gb_error *err)
{
    *shown = true;
    for (int i = 0; i < data->n_entries && *shown; i++) {
        if (has_place(data, i)) {
            GB_TRY(place_shown(shown, data, i, err));
        }
    }
    return GB_OK;
}
