/* The sentences of a report. */
#include <math.h>
#include <string.h>

#include "bench/analysis/comparison.h"
#include "bench/analysis/divergence.h"
#include "bench/analysis/lead.h"
#include "bench/analysis/peers.h"
#include "bench/analysis/run_ends.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"
#include "bench/words/verdict_words.h"

enum { ANSWER_LINES = 12 }; /* configs with a line of their own; the table has them all */

/* ---- the answer ---- */

/* Where no verdict decides. */
#define BY_ESTIMATES ", by the estimates alone"

/* Of the entries that compare with the baseline; entries, -1: none, or only one there is. */
typedef struct best {
    int fastest, lowest_loss;
    int on_front;
} best;

static best find_best(const findings *data)
{
    best b = {-1, -1, 0};
    int lead = peers_lead(data), speeds = 0, losses = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        b.on_front += e->on_front;
        if (e->beside != lead) {
            continue;
        }
        speeds += e->speed_compares;
        losses += e->loss_compares;
        double rate = e->pace.tokens_per_s.value, loss = e->val_loss.value;
        if (isfinite(rate) && e->speed_compares &&
            (b.fastest < 0 || rate > data->entries[b.fastest].pace.tokens_per_s.value)) {
            b.fastest = i;
        }
        if (isfinite(loss) && e->loss_compares && !divergence_of_entry(e).run &&
            (b.lowest_loss < 0 || loss < data->entries[b.lowest_loss].val_loss.value)) {
            b.lowest_loss = i;
        }
    }
    bool alone = data->n_entries == 1;
    b.fastest = speeds > 1 || alone ? b.fastest : -1;
    b.lowest_loss = losses > 1 || alone ? b.lowest_loss : -1;
    return b;
}

static void front_text(const findings *data, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < data->n_entries && used < size; i++) {
        if (data->entries[i].on_front) {
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
                                     data->entries[i].label);
        }
    }
}

static bool several_platforms(const findings *data)
{
    for (int i = 1; i < data->n_entries; i++) {
        if (data->entries[i].machine != data->entries[0].machine ||
            strcmp(data->entries[i].backend, data->entries[0].backend) != 0) {
            return true;
        }
    }
    return false;
}

/* Of losses that were not all trained alike. */
static const char *terms_note(const findings *data)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row->terms.trained > 0 && !row->loss_refused) {
            return " Not all of them were trained on equally many tokens.";
        }
    }
    return "";
}

static gb_status write_best(document *doc, const findings *data, gb_error *err)
{
    best b = find_best(data);
    bool alone = data->n_entries == 1, shown;
    if (b.fastest >= 0) { /* without interleaved timing there is no verdict on it */
        const result_entry *e = &data->entries[b.fastest];
        document_paragraph(doc, "Most tokens per second%s: `%s` with %s (step_avg %s).",
                           alone ? "" : BY_ESTIMATES, e->label,
                           number_rounded(e->pace.tokens_per_s.value).text,
                           number_duration_ms(e->pace.step_avg_ms.value).text);
    }
    if (b.lowest_loss >= 0) {
        const result_entry *e = &data->entries[b.lowest_loss];
        GB_TRY(lead_is_lowest(&shown, data, b.lowest_loss, err));
        document_paragraph(doc, "Lowest final validation loss%s: `%s` with %.4f nats/token.%s%s",
                           shown ? "" : BY_ESTIMATES, e->label, e->val_loss.value,
                           e->n_runs == 1
                               ? " It stands on a single replicate: another seed may well "
                                 "give another order."
                               : "",
                           terms_note(data));
    }
    return GB_OK;
}

static gb_status write_front(document *doc, const findings *data, gb_error *err)
{
    best b = find_best(data);
    char front[1024];
    bool shown;
    if (data->n_entries < 2 || b.on_front == 0) {
        return GB_OK;
    }
    front_text(data, front, sizeof front);
    GB_TRY(lead_front_is_shown(&shown, data, err));
    if (b.on_front > 1) {
        document_paragraph(
            doc,
            "%s the Pareto front, where no other config is both faster and lower in loss: "
            "%s.%s",
            shown ? "On" : "By the estimates alone, on", front, terms_note(data));
    } else {
        document_paragraph(doc, "%s other config is as fast, and none as low in loss, as `%s`.%s",
                           shown ? "No" : "By the estimates alone, no", front, terms_note(data));
    }
    return GB_OK;
}

static gb_status write_difference(document *doc, const findings *data, const result_entry *e,
                                  gb_error *err)
{
    const result_entry *base = &data->entries[e->baseline];
    comparison time, loss;
    bool per_token;
    char interval[96] = "", loss_text[160] = "";
    GB_TRY(comparison_of_speed(&time, &per_token, data, base, e, err));
    GB_TRY(comparison_make(&loss, data, base, e, METRIC_VAL_LOSS, err));
    if (isfinite(time.change.low)) {
        snprintf(interval, sizeof interval, " (95 %% interval %s to %s)",
                 number_percent_signed(time.change.low).text,
                 number_percent_signed(time.change.high).text);
    }
    if (isfinite(loss.change.value)) {
        bool known = isfinite(loss.change.low);
        snprintf(
            loss_text, sizeof loss_text, " Final validation loss %s%s%s%s%s%s.",
            verdict_signed(loss.change.value, loss.in_nats).text, known ? " (95 % interval " : "",
            known ? verdict_signed(loss.change.low, loss.in_nats).text : "", known ? " to " : "",
            known ? verdict_signed(loss.change.high, loss.in_nats).text : "", known ? ")" : "");
    }
    if (isfinite(time.change.value)) {
        double change = time.change.value;
        bool unsettled = time.change.low <= 0 && time.change.high >= 0;
        document_list_item(doc, "`%s`: %s %s%s against `%s`, %s; exact FLOPs say %s.%s", e->label,
                           per_token ? "time per token" : "step_avg",
                           number_percent_signed(change).text, interval, base->label,
                           unsettled                ? "which leaves the direction open"
                           : isnan(time.change.low) ? "by the estimate alone"
                           : change > 0             ? "slower"
                           : change < 0             ? "faster"
                                                    : "the same",
                           number_percent_signed(e->flops_fraction).text, loss_text);
    }
    return GB_OK;
}

static gb_status write_differences(document *doc, const findings *data, gb_error *err)
{
    int lines = 0, left = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (e->baseline < 0 || e->baseline == i) {
            continue;
        }
        if (lines == ANSWER_LINES) {
            left++;
            continue;
        }
        if (lines++ == 0) {
            document_list_begin(doc);
        }
        GB_TRY(write_difference(doc, data, e, err));
    }
    if (lines > 0) {
        document_list_end(doc);
    }
    if (left > 0) {
        document_paragraph(doc, "%d more are in the table.", left);
    }
    if (lines > 0) {
        document_paragraph(
            doc,
            "An interval that holds 0 means that the direction itself is not settled; no interval "
            "here accounts for what drifted on the machine from one run to the next.");
    }
    return GB_OK;
}

/* What is left out above, and why. */
static void write_refusals(document *doc, const findings *data)
{
    int n = 0;
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        const char *const why[2] = {row->speed_refused, row->loss_refused};
        for (int k = 0; k < 2; k++) {
            if (!why[k]) {
                continue;
            }
            if (n++ == 0) {
                document_list_begin(doc);
            }
            document_list_item(doc, "`%s` and its baseline do not compare in %s: %s.", row->label,
                               k == 0 ? "speed" : "loss", why[k]);
        }
    }
    if (n > 0) {
        document_list_end(doc);
    }
}

void report_write_intro(document *doc, const findings *data)
{
    const run_count runs = run_count_of(data->facts);
    if (data->n_entries == 0) {
        document_paragraph(doc,
                           "Suite `%s`: %d configs, and none of its %lld runs has finished yet.",
                           data->facts->suite_name, data->facts->n_configs, (long long)runs.wanted);
        return;
    }
    const result_entry *first = &data->entries[0];
    const char *device = first->machine >= 0 ? data->facts->machines[first->machine].device : "";
    document_paragraph(
        doc, "Suite `%s`: %d config%s, %lld of %lld runs finished%s%s%s. Baseline: `%s`.",
        data->facts->suite_name, data->facts->n_configs, data->facts->n_configs == 1 ? "" : "s",
        (long long)runs.finished, (long long)runs.wanted,
        *device && !several_platforms(data) ? ", on " : "", several_platforms(data) ? "" : device,
        several_platforms(data) ? ", on several machines or backends: only configs on "
                                  "the same one are compared"
                                : "",
        data->facts->baseline_name);
}

gb_status report_write_answer(document *doc, const findings *data, gb_error *err)
{
    if (data->n_entries == 0) {
        return GB_OK;
    }
    if (!speed_report_any(data)) {
        GB_TRY(write_best(doc, data, err));
    }
    GB_TRY(write_front(doc, data, err));
    write_refusals(doc, data);
    return speed_report_any(data) ? GB_OK : write_differences(doc, data, err);
}
