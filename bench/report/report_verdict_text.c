/* What a report begins with: the verdict table, and what it comes to in a few sentences. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/analysis/comparison.h"
#include "bench/analysis/lead.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"
#include "bench/report/report_limits.h"
#include "bench/words/control_text.h"
#include "bench/words/divergence_words.h"
#include "bench/words/loss_terms_text.h"
#include "bench/words/machine_words.h"
#include "bench/words/means_text.h"
#include "bench/words/verdict_rows.h"

/* ---- the table ---- */

/* The change of step_avg from run to run: what there is without a session, and no verdict. */
static gb_status add_plain_speed(table *t, const findings *data, const config_verdict *row,
                                 gb_error *err)
{
    const result_entry *e = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    if (!e || e->baseline < 0) {
        table_add_cell(t, "-");
        return GB_OK;
    }
    comparison c;
    bool per_token;
    GB_TRY(comparison_of_speed(&c, &per_token, data, &data->entries[e->baseline], e, err));
    if (c.refused) {
        table_add_cell(t, "no verdict: %s", c.method);
    } else {
        table_add_cell(
            t, "no verdict: %s%s, %s", verdict_change(c.change.value, VERDICT_OF_SPEED).text,
            per_token ? " per token" : "", verdict_range(c.change, VERDICT_OF_SPEED).text);
    }
    return GB_OK;
}

/* Behind the name of a verdict. */
static const char *verdict_stop(const verdict *v)
{
    return v->kind == VERDICT_LESS || v->kind == VERDICT_MORE ? ": " : ". ";
}

static gb_status add_row(table *t, const findings *data, const config_verdict *row, gb_error *err)
{
    const result_entry *e = row->entry >= 0 ? &data->entries[row->entry] : NULL;
    table_begin_row(t);
    table_add_cell(t, "%s", row->label);
    if (row->is_baseline) {
        table_add_cell(t, "baseline");
        table_add_cell(t, "baseline");
    } else {
        if (speed_report_any(data)) {
            table_add_cell(t, "%s%s%s",
                           row->speed_refused ? "" : verdict_speed_name(row->speed.kind),
                           row->speed_refused ? "" : verdict_stop(&row->speed),
                           config_verdict_speed_words(data, row).text);
        } else {
            GB_TRY(add_plain_speed(t, data, row, err));
        }
        table_add_cell(t, "%s%s%s", row->loss_refused ? "" : verdict_loss_name(row->loss.kind),
                       row->loss_refused ? "" : verdict_stop(&row->loss),
                       config_verdict_loss_words(row).text);
    }
    table_add_cell(t, "%s", row->is_baseline ? "-" : number_percent_signed(row->flops_change).text);
    table_add_cell(t, "%s", number_duration_ms(row->pace.step_avg_ms.value).text);
    if (e && isfinite(e->val_loss.value)) {
        table_add_cell(t, "%.4f", e->val_loss.value);
    } else {
        table_add_cell(t, "-");
    }
    return GB_OK;
}

static gb_status write_table(document *doc, const findings *data, gb_error *err)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "speed", TABLE_LEFT);
    table_add_column(t, "loss", TABLE_LEFT);
    table_add_column(t, "FLOPs vs base", TABLE_RIGHT);
    table_add_column(t, "step_avg", TABLE_RIGHT);
    table_add_column(t, "val loss", TABLE_RIGHT);
    gb_status status = GB_OK;
    for (int i = 0; i < data->verdicts->n && status == GB_OK; i++) {
        status = add_row(t, data, &data->verdicts->rows[i], err);
    }
    if (status == GB_OK) {
        status = document_table(doc, t, err);
    }
    table_free(t);
    return status;
}

/* ---- lists of names ---- */

typedef struct name_list {
    char text[512];
    size_t used;
    int n, shown;
} name_list;

static void name_add(name_list *list, const char *name)
{
    if (list->n++ < 6 && list->used + strlen(name) + 3 < sizeof list->text) {
        list->used += (size_t)snprintf(list->text + list->used, sizeof list->text - list->used,
                                       "%s%s", list->shown ? ", " : "", name);
        list->shown++;
    }
}

static void name_list_end(name_list *list)
{
    if (list->n > list->shown && list->used < sizeof list->text) {
        snprintf(list->text + list->used, sizeof list->text - list->used, " and %d more",
                 list->n - list->shown);
    }
}

/* ---- what it comes to ---- */

typedef struct side {
    verdict_subject subject;
    const char *superlative, *comparative, *what; /* "fastest", "faster", "speed" */
} side;

static const side sides[] = {{VERDICT_OF_SPEED, "Fastest", "faster", "speed"},
                             {VERDICT_OF_LOSS, "Lowest in loss", "better in loss", "loss"}};

static const verdict *verdict_of_side(const config_verdict *row, const side *s)
{
    return s->subject == VERDICT_OF_SPEED ? &row->speed : &row->loss;
}

static bool judged_on_side(const config_verdict *row, const side *s)
{
    return s->subject == VERDICT_OF_SPEED ? row->speed_judged : row->loss_judged;
}

/* What the estimates are ordered by: losses by their difference, since some may be judged by the
 * ratio and some in nats. */
static double gain_of_side(const config_verdict *row, const side *s)
{
    return s->subject == VERDICT_OF_SPEED ? row->speed.change.value : row->loss_difference.value;
}

/* Whether the verdict calls it better than the baseline, and nothing contradicts that. */
static bool is_shown(const config_verdict *row, const side *s)
{
    return judged_on_side(row, s) && verdict_of_side(row, s)->kind == VERDICT_LESS &&
           !(s->subject == VERDICT_OF_SPEED && row->means_disagree);
}

/* The one with the best estimate among those that are shown to be better; `but` is left out. */
static const config_verdict *best_of(const findings *data, const side *s, const config_verdict *but)
{
    const config_verdict *best = NULL;
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row != but && is_shown(row, s) &&
            (!best || gain_of_side(row, s) < gain_of_side(best, s))) {
            best = row;
        }
    }
    return best;
}

static int judged_count(const findings *data, const side *s)
{
    int n = 0;
    for (int i = 0; i < data->verdicts->n; i++) {
        n += judged_on_side(&data->verdicts->rows[i], s);
    }
    return n;
}

/* Verdicts FASTER that the means contradict. */
static int count_contradicted(const findings *data, const side *s)
{
    int n = 0;
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        n += s->subject == VERDICT_OF_SPEED && row->speed_judged && row->means_disagree &&
             row->speed.kind == VERDICT_LESS;
    }
    return n;
}

/* The next best one that is shown to be better than the baseline, and all that the best one is not
 * told apart from. */
typedef struct rivals {
    const config_verdict *next; /* NULL: none */
    name_list open;
} rivals;

static gb_status rivals_find(rivals *out, const findings *data, const side *s,
                             const config_verdict *best, gb_error *err)
{
    lead_in in = s->subject == VERDICT_OF_SPEED ? LEAD_IN_SPEED : LEAD_IN_LOSS;
    *out = (rivals){.next = best_of(data, s, best)};
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        bool shown;
        if (row == best || !judged_on_side(row, s)) {
            continue;
        }
        GB_TRY(lead_is_shown(&shown, data, in, best, row, err));
        if (!shown) {
            name_add(&out->open, row->label);
        }
    }
    name_list_end(&out->open);
    return GB_OK;
}

/* ", and ahead of c, the next"; "; b, c are not told apart from it". */
static gb_status lead_text(char *out, size_t size, const findings *data, const side *s,
                           const config_verdict *best, gb_error *err)
{
    rivals r;
    GB_TRY(rivals_find(&r, data, s, best, err));
    out[0] = '\0';
    if (r.open.n > 0) {
        snprintf(out, size, "; %s %s not told apart from it", r.open.text,
                 r.open.n == 1 ? "is" : "are");
    } else if (r.next) {
        snprintf(out, size, ", and ahead of %s, the next", r.next->label);
    }
    return GB_OK;
}

static gb_status write_best(document *doc, const findings *data, const side *s, gb_error *err)
{
    const config_verdict *best = best_of(data, s, NULL);
    char lead[640];
    if (judged_count(data, s) == 0) {
        return GB_OK;
    }
    if (!best && count_contradicted(data, s) > 0) {
        document_list_item(doc,
                           "None is called fastest: what is FASTER by its typical bursts is not so "
                           "by their means.");
        return GB_OK;
    }
    if (!best) {
        document_list_item(doc, "No config is shown to be %s than the baseline `%s`.",
                           s->comparative, data->facts->baseline_name);
        return GB_OK;
    }
    bool of_loss = s->subject == VERDICT_OF_LOSS;
    verdict_subject of = of_loss ? config_verdict_loss_subject(best) : s->subject;
    verdict_text terms = {""};
    if (of_loss) {
        terms = loss_terms_words(&best->terms, "the baseline");
    }
    GB_TRY(lead_text(lead, sizeof lead, data, s, best, err));
    document_list_item(doc, "%s: `%s`, %s%s than the baseline `%s` (%s)%s.%s%s", s->superlative,
                       best->label, verdict_change(verdict_of_side(best, s)->change.value, of).text,
                       !of_loss && best->per_token ? " per token" : "", data->facts->baseline_name,
                       verdict_range(verdict_of_side(best, s)->change, of).text, lead,
                       terms.text[0] ? " " : "", terms.text);
    return GB_OK;
}

/* More blocks or replicates than this are no advice. */
enum { FURTHER_MANY = 100 };

/* The unclear ones of one side, by what stands in the way. */
typedef struct unclear {
    name_list names;
    int near, far, without_interval, floor;
    double most; /* blocks or replicates that would settle the `near` ones */
} unclear;

static void unclear_count(unclear *u, const findings *data, const side *s)
{
    *u = (unclear){.most = 0};
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        const verdict *v = verdict_of_side(row, s);
        if (!judged_on_side(row, s) || v->kind != VERDICT_UNCLEAR) {
            continue;
        }
        name_add(&u->names, row->label);
        u->without_interval += v->doubt == VERDICT_NO_INTERVAL;
        u->floor += v->doubt == VERDICT_FLOOR;
        if (v->further <= FURTHER_MANY) { /* false for NAN */
            u->near++;
            u->most = fmax(u->most, ceil(v->further));
        } else if (!isnan(v->further)) {
            u->far++;
        }
    }
    name_list_end(&u->names);
}

/* Which are unclear, and what would settle them. */
static void write_unclear(document *doc, const findings *data, const side *s)
{
    unclear u;
    unclear_count(&u, data, s);
    if (u.names.n == 0) {
        return;
    }
    bool speed = s->subject == VERDICT_OF_SPEED;
    const char *unit = speed ? "blocks" : "replicates";
    char near[192] = "", far[96] = "", floor[96] = "", which[32] = "it";
    if (u.names.n > 1) {
        snprintf(which, sizeof which, u.near == u.names.n ? "them" : "%d of them", u.near);
    }
    if (u.near > 0) {
        snprintf(near, sizeof near,
                 " About %.0f more %s would settle %s: raise `%s` and run again%s.", u.most, unit,
                 which, unit, speed ? " (all blocks are then timed anew)" : "");
    }
    if (u.far > 0) {
        snprintf(far, sizeof far, " %d would take more than %d %s.", u.far, FURTHER_MANY, unit);
    }
    if (u.floor > 0) {
        snprintf(floor, sizeof floor, " %d differ%s no more than the baseline from itself.",
                 u.floor, u.floor == 1 ? "s" : "");
    }
    document_list_item(doc, "Unclear in %s: %s.%s%s%s%s", s->what, u.names.text, near, far, floor,
                       u.without_interval == 0 ? ""
                       : speed                 ? " An interval takes at least 8 blocks."
                                               : " An interval takes at least two replicates.");
}

static void write_floor(document *doc, const findings *data)
{
    for (int i = 0; data->speeds && i < data->speeds->n_sessions; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        verdict_text means = control_means_text(s);
        if (s->facts->control < 0) {
            document_list_item(doc, "Noise floor: not known, the baseline was not timed twice.");
        } else {
            document_list_item(doc,
                               "Noise floor%s: timed a second time under another name, the "
                               "baseline is %s. No difference of this size or smaller is called "
                               "real.%s%s",
                               data->speeds->n_sessions > 1 ? " of a session" : "",
                               verdict_control_words(&s->aa).text, means.text[0] ? " " : "",
                               means.text);
        }
    }
}

static void write_machine(document *doc, const findings *data)
{
    verdict_text words = machine_words(data);
    if (words.text[0]) {
        document_list_item(doc, "%s", words.text);
    }
}

static void write_disagreements(document *doc, const findings *data)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row->means_disagree) {
            means_check means = means_check_of(row->speed.change, row->mean_change);
            document_list_item(doc, "Warning: `%s` %s", row->label, means_contrast(&means).text);
        }
    }
}

static void write_diverged(document *doc, const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        divergence_text words = divergence_words(&data->entries[i]);
        if (words.text[0]) {
            document_list_item(doc, "Warning: `%s`: %s", data->entries[i].label, words.text);
        }
    }
}

static void write_no_session(document *doc)
{
    document_paragraph(
        doc,
        "There is no verdict on speed: this database holds no interleaved timing (`blocks = 0`, or "
        "made before there was any). What stands in its place compares runs that were made one "
        "after the other, without an A/A control: what drifts on the machine between two runs "
        "looks like a difference between configs, and no interval here accounts for it.");
}

static gb_status write_summary(document *doc, const findings *data, gb_error *err)
{
    gb_status status = GB_OK;
    bool diverged = false;
    for (int i = 0; i < data->n_entries; i++) {
        diverged = diverged || divergence_of_entry(&data->entries[i]).run;
    }
    if (!speed_report_any(data) && judged_count(data, &sides[1]) == 0 && !diverged) {
        return GB_OK; /* an empty list */
    }
    document_list_begin(doc);
    for (size_t i = 0; i < 2 && status == GB_OK; i++) {
        status = write_best(doc, data, &sides[i], err);
    }
    if (status == GB_OK) {
        write_floor(doc, data);
        write_machine(doc, data);
        write_unclear(doc, data, &sides[0]);
        write_unclear(doc, data, &sides[1]);
        write_disagreements(doc, data);
        write_diverged(doc, data);
    }
    document_list_end(doc);
    return status;
}

/* Of the verdicts that there are. */
static bool loss_any_in_nats(const findings *data)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        if (data->verdicts->rows[i].loss_judged && data->verdicts->rows[i].loss_in_nats) {
            return true;
        }
    }
    return false;
}

static void write_what_it_means(document *doc, const findings *data)
{
    bool speed = judged_count(data, &sides[0]) > 0, loss = judged_count(data, &sides[1]) > 0;
    if (!speed && !loss) {
        return;
    }
    document_paragraph(
        doc,
        "Each 95 %% interval is of that config alone. Verdicts are corrected for the number of "
        "configs: the chance of even one false %s is at most 5 %%%s. Differences below %s count as "
        "none.%s%s",
        speed ? "FASTER or SLOWER" : "BETTER or WORSE",
        speed && loss ? ", and so is that of a false BETTER or WORSE" : "",
        number_percent(verdict_rule_default().band).text,
        loss_any_in_nats(data)
            ? " Losses below 1 nat, or less than 0.1 nats above a known entropy, are "
              "compared by their "
              "difference in nats, and there 0.005 nats count as none."
            : "",
        speed
            ? " Speed is judged block by block, with all configs taking turns on the same machine."
            : "");
}

gb_status report_write_verdicts(document *doc, const findings *data, gb_error *err)
{
    document_heading(doc, "Verdicts");
    report_write_intro(doc, data);
    report_write_data_warnings(doc, data);
    if (data->verdicts->n == 0) {
        return GB_OK;
    }
    GB_TRY(write_table(doc, data, err));
    GB_TRY(write_summary(doc, data, err));
    if (!speed_report_any(data)) {
        write_no_session(doc);
    }
    write_what_it_means(doc, data);
    return GB_OK;
}
