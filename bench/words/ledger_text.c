#include "bench/words/ledger_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparability.h"
#include "bench/analysis/ledger_work.h"
#include "bench/base/numbers.h"
#include "bench/words/means_text.h"

#define MINUS "\xe2\x88\x92" /* U+2212 */

/* ---- numbers ---- */

/* Whole units as a decimal number, with a sign where `sign`. */
static number_text units_text(int64_t value, int decimals, bool sign)
{
    number_text out;
    uint64_t size = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value, scale = 1;
    for (int i = 0; i < decimals; i++) {
        scale *= 10;
    }
    snprintf(out.text, sizeof out.text, "%s%" PRIu64 ".%0*" PRIu64,
             value < 0 ? MINUS : (sign && value > 0 ? "+" : ""), size / scale, decimals,
             size % scale);
    return out;
}

static number_text ms_signed(double ms, int decimals)
{
    return units_text(llround(ms * pow(10, decimals)), decimals, true);
}

/* In 10^9 of FLOPs or bytes per second: "210". */
static number_text rate_text(double work, double ms)
{
    const number_text none = {"-"};
    return work > 0 && ms > 0 ? number_gigas(work / ms * 1e3) : none;
}

static number_text ratio_text(double new_value, double base)
{
    number_text out = {"-"};
    if (base > 0 && new_value >= 0 && isfinite(new_value / base)) {
        snprintf(out.text, sizeof out.text, "%.3f", new_value / base);
    }
    return out;
}

/* ---- the table ---- */

static table *table_begin(const ledger *l)
{
    static const struct {
        const char *heading;
        table_align align;
        int rank;
    } columns[] = {{"base ms", TABLE_RIGHT, 3},     {"new ms", TABLE_RIGHT, 3},
                   {"difference", TABLE_RIGHT, 1},  {"95 % \xc2\xb1", TABLE_RIGHT, 1},
                   {"share", TABLE_RIGHT, 2},       {"time ratio", TABLE_RIGHT, 5},
                   {"FLOPs ratio", TABLE_RIGHT, 6}, {"base GFLOP/s", TABLE_RIGHT, 7},
                   {"new GFLOP/s", TABLE_RIGHT, 7}, {"", TABLE_LEFT, 4}};
    table *t = table_create();
    table_add_column(t, l->by == LEDGER_BY_LAYER ? "layer" : "op", TABLE_LEFT);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        table_add_column(t, columns[i].heading, columns[i].align);
        table_column_fit(t, TABLE_MOVE, columns[i].rank);
    }
    return t;
}

static void add_interval(table *t, stats_interval x, int decimals)
{
    if (isfinite(x.low)) {
        table_add_cell(t, "%.*f", decimals, (x.high - x.low) / 2);
    } else {
        table_add_cell(t, "-");
    }
}

static void add_row(table *t, const ledger *l, const ledger_units *u, int i)
{
    const ledger_row *row = &l->rows[i];
    int64_t change = u->new_value[i] - u->base[i], total = u->new_total - u->base_total;
    table_begin_row(t);
    table_add_cell(t, "%s", ledger_row_name(row).text);
    table_add_cell(t, "%s", units_text(u->base[i], u->decimals, false).text);
    table_add_cell(t, "%s", units_text(u->new_value[i], u->decimals, false).text);
    table_add_cell(t, "%s", units_text(change, u->decimals, true).text);
    add_interval(t, row->change_ms, u->decimals);
    if (total != 0) {
        table_add_cell(t, "%s", number_percent_signed((double)change / (double)total).text);
    } else {
        table_add_cell(t, "-");
    }
    table_add_cell(t, "%s", ratio_text(row->new_ms, row->base_ms).text);
    bool both = row->base_flops > 0 && row->new_flops > 0;
    table_add_cell(t, "%s", both ? ratio_text(row->new_flops, row->base_flops).text : "-");
    table_add_cell(t, "%s", rate_text(row->base_flops, row->base_ms).text);
    table_add_cell(t, "%s", rate_text(row->new_flops, row->new_ms).text);
    table_add_cell(t, "%s", ledger_within_noise(row->change_ms) == 1 ? "within noise" : "");
}

static void add_total(table *t, const char *name, int64_t base, int64_t new_value, int decimals,
                      stats_interval change)
{
    table_begin_row(t);
    table_add_cell(t, "%s", name);
    table_add_cell(t, "%s", units_text(base, decimals, false).text);
    table_add_cell(t, "%s", units_text(new_value, decimals, false).text);
    table_add_cell(t, "%s", units_text(new_value - base, decimals, true).text);
    add_interval(t, change, decimals);
    table_add_cell(t, "%s", "");
    table_add_cell(t, "%s",
                   isfinite(change.value) ? ratio_text((double)new_value, (double)base).text : "");
}

static void add_totals(table *t, const ledger *l, const ledger_units *u)
{
    const stats_interval none = {NAN, NAN, NAN};
    add_total(t, "= profiled step", u->base_total, u->new_total, u->decimals,
              l->profiled.change_ms);
    double base = l->timed.base_ms * u->scale, new_value = l->timed.new_ms * u->scale;
    if (!(fabs(base) < 1e15) || !(fabs(new_value) < 1e15)) {
        return; /* no timed steps */
    }
    int64_t timed_base = llround(base), timed_new = llround(new_value);
    add_total(t, MINUS " beyond a timed step", u->base_total - timed_base, u->new_total - timed_new,
              u->decimals, none);
    add_total(t, "= step_avg, of the runs", timed_base, timed_new, u->decimals, l->timed.change_ms);
}

gb_status ledger_table(table **out, const ledger *l, gb_error *err)
{
    ledger_units units;
    GB_TRY(ledger_units_make(&units, l, err));
    table *t = table_begin(l);
    for (int i = 0; i < l->n_rows; i++) {
        add_row(t, l, &units, i);
    }
    add_totals(t, l, &units);
    ledger_units_free(&units);
    *out = t;
    return t ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a table");
}

/* ---- sentences ---- */

enum { SENTENCES_MAX = 32 };

__attribute__((format(printf, 2, 3))) static gb_status say(ledger_sentences *s, const char *format,
                                                           ...)
{
    if (!s->texts) {
        s->texts = calloc(SENTENCES_MAX, sizeof *s->texts);
    }
    if (!s->texts || s->n == SENTENCES_MAX) {
        return s->texts ? GB_OK : GB_ERR_OOM;
    }
    va_list args;
    va_start(args, format);
    int length = vasprintf(&s->texts[s->n], format, args);
    va_end(args);
    s->n += length >= 0;
    return length >= 0 ? GB_OK : GB_ERR_OOM;
}

void ledger_sentences_free(ledger_sentences *s)
{
    for (int i = 0; i < s->n; i++) {
        free(s->texts[i]);
    }
    free(s->texts);
    *s = (ledger_sentences){NULL, 0};
}

static int sentence_decimals(const ledger *l)
{
    double largest = fmax(l->profiled.base_ms, l->profiled.new_ms);
    return largest < 10 ? 3 : largest < 1000 ? 2 : 1;
}

/* " (95 % interval -3.10 to -1.02 ms)" */
static void interval_text(stats_interval x, int decimals, char *out, size_t size)
{
    out[0] = '\0';
    if (isfinite(x.low)) {
        snprintf(out, size, " (95 %% interval %s to %s ms)", ms_signed(x.low, decimals).text,
                 ms_signed(x.high, decimals).text);
    }
}

static gb_status say_step(ledger_sentences *s, const ledger *l)
{
    const ledger_total *p = &l->profiled;
    double base_flops = 0, new_flops = 0, change = p->change_ms.value;
    char interval[96];
    int noise = ledger_within_noise(p->change_ms);
    interval_text(p->change_ms, sentence_decimals(l), interval, sizeof interval);
    for (int i = 0; i < l->n_rows; i++) {
        base_flops += l->rows[i].base_flops;
        new_flops += l->rows[i].new_flops;
    }
    return say(
        s, "A profiled step takes %s ms in %s and %s ms in %s: %s ms, %s%s%s. Its FLOPs: %s.",
        units_text(llround(p->base_ms * pow(10, sentence_decimals(l))), sentence_decimals(l), false)
            .text,
        l->base->label,
        units_text(llround(p->new_ms * pow(10, sentence_decimals(l))), sentence_decimals(l), false)
            .text,
        l->new_entry->label, ms_signed(change, sentence_decimals(l)).text,
        number_percent_signed(p->new_ms / p->base_ms - 1).text, interval,
        noise == 1 ? "; the interval holds 0, so the direction is not settled" : "",
        base_flops > 0 ? number_percent_signed(new_flops / base_flops - 1).text : "none");
}

/* Where what is explained has not the sign of what was measured, a reader must know. */
static gb_status say_contradiction(ledger_sentences *s, const ledger *l)
{
    double profiled = l->profiled.change_ms.value, measured = l->measured.value;
    char interval[96] = "";
    if (!(profiled * measured < 0)) { /* NAN neither */
        return GB_OK;
    }
    if (isfinite(l->measured.low)) {
        snprintf(interval, sizeof interval, " (95 %% interval %s to %s)",
                 number_percent_signed(l->measured.low).text,
                 number_percent_signed(l->measured.high).text);
    }
    return say(
        s, "%s says the opposite, %s%s: what follows explains the profiled steps and not that.",
        l->measured_in_turn ? "Interleaved timing, which verdicts go by," : "step_avg of the runs",
        number_percent_signed(measured).text, interval);
}

/* "y 512x768x192 -> 512x576x192, dx ..."; "the same shapes" where nothing changed. */
static void shapes_text(const ledger *l, const ledger_row *row, char *out, size_t size)
{
    gpt_gemm base[GPT_GEMMS_MAX], new_gemms[GPT_GEMMS_MAX];
    int n = ledger_row_gemms(l, row, true, base);
    int same = 0, used = 0;
    out[0] = '\0';
    if (n == 0 || ledger_row_gemms(l, row, false, new_gemms) != n) {
        return;
    }
    for (int i = 0; i < n; i++) {
        same += base[i].m == new_gemms[i].m && base[i].n == new_gemms[i].n &&
                base[i].k == new_gemms[i].k;
    }
    if (same == n) {
        snprintf(out, size, " Its products have the same shapes.");
        return;
    }
    used = snprintf(out, size, " Products (M\xc3\x97N\xc3\x97K):");
    for (int i = 0; i < n && used < (int)size; i++) {
        const gpt_gemm *b = &base[i], *e = &new_gemms[i];
        used += snprintf(out + used, size - (size_t)used,
                         "%s %s %" PRId64 "\xc3\x97%" PRId64 "\xc3\x97%" PRId64
                         " \xe2\x86\x92 %" PRId64 "\xc3\x97%" PRId64 "\xc3\x97%" PRId64 "%s",
                         i ? "," : "", b->product, b->m, b->n, b->k, e->m, e->n, e->k,
                         i + 1 == n ? "." : "");
    }
}

static bool same_flops(const ledger_row *row)
{
    return fabs(row->new_flops / row->base_flops - 1) < 5e-4;
}

/* Whether the time departs from the FLOPs: beyond noise where that is known. */
static bool departs(const ledger_row *row)
{
    int noise = ledger_within_noise(row->rate_ms);
    return noise < 0 ? fabs(row->rate_ms.value) > 0.02 * row->base_ms : noise == 0;
}

/* What of the change FLOPs account for, and what the rate at which they are done. */
static void split_text(const ledger *l, const ledger_row *row, char *out, size_t size)
{
    double from_flops = row->change_ms.value - row->rate_ms.value, rate = row->rate_ms.value;
    int noise = ledger_within_noise(row->rate_ms), decimals = sentence_decimals(l);
    out[0] = '\0';
    if (same_flops(row)) {
        return;
    }
    if (noise == 1) {
        snprintf(out, size, " Its time follows its FLOPs within noise.");
    } else {
        snprintf(out, size, " At the old rate its FLOPs would make %s ms; the %s rate makes %s ms.",
                 ms_signed(from_flops, decimals).text, rate > 0 ? "lower" : "higher",
                 ms_signed(rate, decimals).text);
    }
}

/* For an op without FLOPs: what it must move, and how fast it did. */
static void bytes_text(const ledger *l, const ledger_row *row, char *out, size_t size)
{
    double base = ledger_row_bytes(l, row, true), new_bytes = ledger_row_bytes(l, row, false);
    out[0] = '\0';
    if (base > 0 && new_bytes > 0) {
        snprintf(out, size, " It must move %s bytes: %s \xe2\x86\x92 %s GB/s.",
                 base == new_bytes ? "the same" : number_percent_signed(new_bytes / base - 1).text,
                 rate_text(base, row->base_ms).text, rate_text(new_bytes, row->new_ms).text);
    }
}

/* " Of the roofline: 41.2 % (compute) -> 38.0 % (memory)."; nothing where that is not known. */
static gb_status roof_text(const ledger *l, const ledger_row *row, char *out, size_t size)
{
    op_row base, new_row;
    bool known, new_known;
    out[0] = '\0';
    GB_TRY(ledger_row_op(l, row, true, &base, &known));
    GB_TRY(ledger_row_op(l, row, false, &new_row, &new_known));
    if (!known || !new_known) {
        return GB_OK;
    }
    const op_roof base_roof = op_roof_of_entry(l->base), roof = op_roof_of_entry(l->new_entry);
    double from = op_row_share(&base, &base_roof), to = op_row_share(&new_row, &roof);
    if (isfinite(from) && isfinite(to)) {
        snprintf(out, size, " Of the roofline: %s (%s) \xe2\x86\x92 %s (%s).",
                 number_percent(from).text, op_bound_name(op_row_bound(&base, &base_roof)),
                 number_percent(to).text, op_bound_name(op_row_bound(&new_row, &roof)));
    }
    return GB_OK;
}

static const char *row_meaning(const ledger_row *row)
{
    static const struct {
        const char *op, *meaning;
    } meanings[] = {{"unattributed", " Time of the step that no op's timer saw."},
                    {"idle", " The device had nothing to do."},
                    {"data", " Loading the batch."},
                    {LEDGER_GAP, " What the rows in the database do not account for."}};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (strcmp(row->op, meanings[i].op) == 0) {
            return meanings[i].meaning;
        }
    }
    return "";
}

static gb_status say_row(ledger_sentences *s, const ledger *l, const ledger_row *row)
{
    char interval[96], shapes[384], split[192], flops[64], bytes[128], roof[128];
    int decimals = sentence_decimals(l);
    const ledger_name name = ledger_row_name(row);
    const number_text change = ms_signed(row->change_ms.value, decimals);
    interval_text(row->change_ms, decimals, interval, sizeof interval);
    if (row->base_ms == 0 || row->new_ms == 0) {
        return say(s, "%s: %s ms%s, only in %s.%s", name.text, change.text, interval,
                   row->base_ms == 0 ? l->new_entry->label : l->base->label, row_meaning(row));
    }
    double time = row->new_ms / row->base_ms - 1;
    GB_TRY(roof_text(l, row, roof, sizeof roof));
    if (!(row->base_flops > 0) || !(row->new_flops > 0)) {
        bytes_text(l, row, bytes, sizeof bytes);
        return say(s, "%s: %s ms, %s%s.%s%s%s", name.text, change.text,
                   number_percent_signed(time).text, interval, bytes, roof, row_meaning(row));
    }
    shapes_text(l, row, shapes, sizeof shapes);
    split_text(l, row, split, sizeof split);
    snprintf(flops, sizeof flops, "%s FLOPs",
             same_flops(row) ? "the same"
                             : number_percent_signed(row->new_flops / row->base_flops - 1).text);
    return say(s, "%s: %s %s %s time, %s ms%s: %s \xe2\x86\x92 %s GFLOP/s.%s%s%s", name.text, flops,
               departs(row) ? "but" : "and", number_percent_signed(time).text, change.text,
               interval, rate_text(row->base_flops, row->base_ms).text,
               rate_text(row->new_flops, row->new_ms).text, split, shapes, roof);
}

/* How many rows are within noise, and what they make together. */
static gb_status say_noise(ledger_sentences *s, const ledger *l)
{
    int within = 0;
    double sum = 0;
    for (int i = 0; i < l->n_rows; i++) {
        if (ledger_within_noise(l->rows[i].change_ms) == 1) {
            within++;
            sum += l->rows[i].change_ms.value;
        }
    }
    if (within == 0) {
        return GB_OK;
    }
    return say(s,
               "%d of %d rows are within noise (their intervals hold 0); together they make %s "
               "ms.",
               within, l->n_rows, ms_signed(sum, sentence_decimals(l)).text);
}

gb_status ledger_read(ledger_sentences *out, const ledger *l, int rows, gb_error *err)
{
    *out = (ledger_sentences){NULL, 0};
    double all = 0;
    for (int i = 0; i < l->n_rows; i++) {
        all += fabs(l->rows[i].change_ms.value);
    }
    gb_status status = say_step(out, l);
    int said = 0;
    status = status == GB_OK ? say_contradiction(out, l) : status;
    for (int i = 0; i < l->n_rows && said < rows && status == GB_OK; i++) {
        const ledger_row *row = &l->rows[i];
        bool counts = fabs(row->change_ms.value) >= 0.02 * all && row->change_ms.value != 0;
        if (counts && ledger_within_noise(row->change_ms) != 1) {
            status = say_row(out, l, row);
            said++;
        }
    }
    status =
        status == GB_OK && said == 0 ? say(out, "No single row stands out of the noise.") : status;
    status = status == GB_OK ? say_noise(out, l) : status;
    return status == GB_OK ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for sentences");
}

/* ---- notes ---- */

static gb_status say_conditions(ledger_sentences *s, const ledger *l)
{
    const run_facts *b = l->base->runs[0], *e = l->new_entry->runs[0];
    comparability c;
    gb_error err;
    gb_status status =
        comparability_of_entries(&c, l->data->facts, l->base, l->new_entry, METRIC_STEP_AVG, &err);
    if (status == GB_OK && c.n > 0) {
        status = say(s,
                     "The two do not compare step by step: %s. A difference of an op may be that "
                     "and not the config's.",
                     comparability_words(&c).text);
    }
    if (status == GB_OK && b->tokens_per_step != e->tokens_per_step) {
        status = say(s,
                     "A step has %" PRId64 " tokens in the one and %" PRId64
                     " in the other: all figures are per step.",
                     b->tokens_per_step, e->tokens_per_step);
    }
    return status;
}

/* The share of a run's profiled steps that belongs to no op; 0 where there is no such row. */
static double unattributed_share(const run_facts *run)
{
    double unattributed = 0, all = 0;
    for (int64_t i = 0; i < run->n_ops; i++) {
        all += run->ops[i].time_ms;
        unattributed += strcmp(run->ops[i].op, "unattributed") == 0 ? run->ops[i].time_ms : 0;
    }
    return all > 0 ? unattributed / all : 0;
}

/* A profile that lost something must not look whole. */
static gb_status say_profile_note(ledger_sentences *s, const result_entry *e)
{
    for (int i = 0; i < e->n_runs; i++) {
        const run_facts *run = e->runs[i];
        const bool incomplete = strncmp(run->profile_note, "incomplete", 10) == 0;
        if (*run->profile_note) {
            return say(s, "On the profile of %s, replicate %" PRId64 ": %s%s%s%s.", e->label,
                       run->replicate, run->profile_note,
                       incomplete ? "; unattributed there: " : "",
                       incomplete ? number_percent(unattributed_share(run)).text : "",
                       incomplete ? " of a step" : "");
        }
    }
    return GB_OK;
}

gb_status ledger_notes(ledger_sentences *out, const ledger *l, gb_error *err)
{
    *out = (ledger_sentences){NULL, 0};
    gb_status status;
    if (l->n_pairs >= 2) {
        status = say(out,
                     "Means over %d replicates that both have; intervals are paired t "
                     "intervals over them, row by row: of twenty rows that do not differ, "
                     "one will seem to.",
                     l->n_pairs);
    } else if (l->n_pairs == 1) {
        status = say(out, "One replicate: no row has an interval, and nothing here tells a "
                          "difference from noise.");
    } else {
        status = say(out,
                     "The two have no replicate in common (%d and %d): means of each, without "
                     "intervals.",
                     l->n_base, l->n_new);
    }
    verdict_text means = means_text(l->new_entry->label, &l->means);
    if (status == GB_OK && means.text[0]) {
        status = say(out, "%s", means.text);
    }
    status = status == GB_OK ? say_conditions(out, l) : status;
    status = status == GB_OK ? say_profile_note(out, l->base) : status;
    status =
        status == GB_OK && l->new_entry != l->base ? say_profile_note(out, l->new_entry) : status;
    return status == GB_OK ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for sentences");
}
