#include "bench/analysis/peers.h"

#include "bench/analysis/comparability.h"
#include "bench/analysis/verdicts.h"

/* The baseline, or where there is none, the first one of the same machine and backend. */
static int held_beside(const findings *data, int entry)
{
    const result_entry *e = &data->entries[entry];
    if (e->baseline >= 0) {
        return e->baseline;
    }
    for (int i = 0; i < entry; i++) {
        if (data->entries[i].beside == i && data->entries[i].baseline < 0) {
            return i;
        }
    }
    return entry;
}

/* How the speed that is quoted of an entry was measured. */
static gb_status pace_circumstances(circumstances *out, const findings *data, int entry, bool timed,
                                    gb_error *err)
{
    const config_verdict *row = config_verdict_of(data, entry);
    if (timed && row && row->session) {
        *out = circumstances_of_arm(data->facts, row->session->facts, row->arm->facts);
        return GB_OK;
    }
    return circumstances_of_entry(out, data->facts, &data->entries[entry], err);
}

static gb_status speeds_compare(bool *out, const findings *data, int a, int b, gb_error *err)
{
    const result_entry *entries = data->entries;
    const config_verdict *one = config_verdict_of(data, a), *two = config_verdict_of(data, b);
    bool timed = entries[a].pace.interleaved && entries[b].pace.interleaved;
    circumstances of_a, of_b;
    if (entries[a].pace.interleaved != entries[b].pace.interleaved) {
        *out = false; /* the one took turns, the other did not */
        return GB_OK;
    }
    GB_TRY(pace_circumstances(&of_a, data, a, timed, err));
    GB_TRY(pace_circumstances(&of_b, data, b, timed, err));
    if (timed && one && two && one->session == two->session) {
        of_a.clock_mhz = of_b.clock_mhz; /* they shared it */
    }
    comparability c = comparability_of(&of_a, &of_b, METRIC_TOKENS_PER_S);
    *out = c.n == 0;
    return GB_OK;
}

gb_status peers_make(findings *data, gb_error *err)
{
    for (int i = 0; i < data->n_entries; i++) {
        data->entries[i].beside = -1;
    }
    for (int i = 0; i < data->n_entries; i++) {
        result_entry *e = &data->entries[i];
        comparability loss = {.n = 0}, steps = {.n = 0};
        e->beside = held_beside(data, i);
        e->speed_compares = true;
        if (e->beside != i) {
            GB_TRY(speeds_compare(&e->speed_compares, data, e->beside, i, err));
            GB_TRY(comparability_of_entries(&loss, data->facts, &data->entries[e->beside], e,
                                            METRIC_VAL_LOSS, err));
            GB_TRY(comparability_of_entries(&steps, data->facts, &data->entries[e->beside], e,
                                            METRIC_STEP_AVG, err));
        }
        e->loss_compares = loss.n == 0;
        e->steps_compare = steps.n == 0;
    }
    return GB_OK;
}

int peers_lead(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (data->entries[i].is_baseline) {
            return i;
        }
    }
    return data->n_entries > 0 ? 0 : -1;
}

static bool compares(const result_entry *e)
{
    return e->speed_compares && e->loss_compares;
}

bool peers_may_lead_front(const findings *data, int entry)
{
    const result_entry *e = &data->entries[entry];
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *other = &data->entries[i];
        if (i != entry && other->beside == e->beside && compares(other)) {
            return compares(e);
        }
    }
    return data->n_entries == 1;
}

bool peers_share_front(const findings *data, int a, int b)
{
    return data->entries[a].beside == data->entries[b].beside && peers_may_lead_front(data, a) &&
           peers_may_lead_front(data, b);
}
