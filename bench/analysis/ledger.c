#include "bench/analysis/ledger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparison.h"
#include "bench/analysis/entry.h"

const char *const ledger_by_names[LEDGER_BY_COUNT + 1] = {
    [LEDGER_BY_OP_PHASE] = "op,phase", [LEDGER_BY_OP] = "op", [LEDGER_BY_LAYER] = "layer"};

/* The runs that enter: pairs of one replicate where there are any, else all of each. */
typedef struct ledger_runs {
    const run_facts **base, **new_runs;
    int n_base, n_new, n_pairs;
} ledger_runs;

/* What is gathered of a row before its statistics. */
typedef struct row_values {
    double *base_ms, *new_ms; /* per run */
    double base_flops, new_flops;
} row_values;

typedef struct builder {
    ledger *l;
    ledger_runs runs;
    row_values *values; /* beside l->rows */
    int capacity;
} builder;

/* ---- runs ---- */

static gb_status runs_choose(ledger_runs *runs, const result_entry *base,
                             const result_entry *new_entry, gb_error *err)
{
    runs->base = calloc((size_t)base->n_runs + 1, sizeof(*runs->base));
    runs->new_runs = calloc((size_t)(base->n_runs + new_entry->n_runs) + 1, sizeof *runs->base);
    if (!runs->base || !runs->new_runs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", base->n_runs + new_entry->n_runs);
    }
    for (int i = 0; i < base->n_runs; i++) {
        const run_facts *other = entry_find_run(new_entry, base->runs[i]->replicate);
        if (base->runs[i]->n_ops > 0 && other && other->n_ops > 0) {
            runs->base[runs->n_pairs] = base->runs[i];
            runs->new_runs[runs->n_pairs++] = other;
        }
    }
    runs->n_base = runs->n_new = runs->n_pairs;
    for (int i = 0; i < base->n_runs && runs->n_pairs == 0; i++) {
        if (base->runs[i]->n_ops > 0) {
            runs->base[runs->n_base++] = base->runs[i];
        }
    }
    for (int i = 0; i < new_entry->n_runs && runs->n_pairs == 0; i++) {
        if (new_entry->runs[i]->n_ops > 0) {
            runs->new_runs[runs->n_new++] = new_entry->runs[i];
        }
    }
    const result_entry *without = runs->n_base == 0 ? base : runs->n_new == 0 ? new_entry : NULL;
    if (without) {
        return gb_fail(err, GB_ERR_USAGE,
                       "`%s` has no profiled steps, so nothing says where its time goes; let its "
                       "suite say profile_steps = 3 and run it again",
                       without->label);
    }
    return GB_OK;
}

static bool entry_has_ledger(const result_entry *e)
{
    bool any = false;
    for (int i = 0; i < e->n_runs; i++) {
        const run_facts *run = e->runs[i];
        any |= run->n_ops > 0;
        for (int64_t k = 0; k < run->n_ops; k++) {
            if (!isfinite(run->ops[k].time_ms) || !isfinite(run->ops[k].flops)) {
                return false;
            }
        }
        for (int64_t k = 0; k < run->n_steps; k++) {
            if (run->steps[k].tag == 'p' && !isfinite(run->steps[k].step_ms)) {
                return false;
            }
        }
    }
    return any;
}

bool ledger_possible(const result_entry *base, const result_entry *new_entry)
{
    return entry_has_ledger(base) && entry_has_ledger(new_entry);
}

/* Mean duration of the profiled steps; without any, what the rows say. */
static double run_profiled_ms(const run_facts *run)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < run->n_steps; i++) {
        if (run->steps[i].tag == 'p') {
            sum += run->steps[i].step_ms;
            n++;
        }
    }
    for (int64_t i = 0; i < run->n_ops && n == 0; i++) {
        sum += run->ops[i].time_ms;
    }
    return n ? sum / (double)n : sum;
}

/* ---- rows ---- */

static bool row_is(const ledger_row *row, const char *op, const char *phase, int64_t layer)
{
    return row->layer == layer && strcmp(row->op, op) == 0 && strcmp(row->phase, phase) == 0;
}

static gb_status rows_grow(builder *b, gb_error *err)
{
    int capacity = b->capacity ? 2 * b->capacity : 32;
    ledger_row *rows = realloc(b->l->rows, (size_t)capacity * sizeof *rows);
    b->l->rows = rows ? rows : b->l->rows;
    row_values *values = realloc(b->values, (size_t)capacity * sizeof *values);
    b->values = values ? values : b->values;
    if (!rows || !values) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d rows", capacity);
    }
    b->capacity = capacity;
    return GB_OK;
}

/* The row of this key, made where it is missing. */
static gb_status row_find(builder *b, const char *op, const char *phase, int64_t layer, int *out,
                          gb_error *err)
{
    ledger *l = b->l;
    int i = 0;
    while (i < l->n_rows && !row_is(&l->rows[i], op, phase, layer)) {
        i++;
    }
    *out = i;
    if (i < l->n_rows) {
        return GB_OK;
    }
    if (l->n_rows == b->capacity) {
        GB_TRY(rows_grow(b, err));
    }
    size_t n = (size_t)(b->runs.n_base + b->runs.n_new);
    double *values = calloc(n, sizeof *values);
    if (!values) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a row of the ledger");
    }
    l->rows[i] = (ledger_row){.op = op, .phase = phase, .layer = layer};
    b->values[i] = (row_values){.base_ms = values, .new_ms = values + b->runs.n_base};
    l->n_rows++;
    return GB_OK;
}

static gb_status row_of_op(builder *b, const op_facts *op, int *row, gb_error *err)
{
    switch (b->l->by) {
    case LEDGER_BY_OP:
        return row_find(b, op->op, "", -1, row, err);
    case LEDGER_BY_LAYER:
        return row_find(b, op->layer >= 0 ? "" : op->op, "", op->layer, row, err);
    default:
        return row_find(b, op->op, op->phase, -1, row, err);
    }
}

/* Adds run `r` of the base's runs (or the new one's) to the rows. */
static gb_status run_add(builder *b, bool is_base, int r, gb_error *err)
{
    const run_facts *run = is_base ? b->runs.base[r] : b->runs.new_runs[r];
    double count = is_base ? b->runs.n_base : b->runs.n_new, sum = 0;
    for (int64_t i = 0; i < run->n_ops; i++) {
        const op_facts *op = &run->ops[i];
        int row;
        if (!isfinite(op->time_ms) || !isfinite(op->flops)) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%s: op_time of run %lld holds a time or FLOPs that are no number",
                           b->l->data->facts->db_path, (long long)run->run_id);
        }
        GB_TRY(row_of_op(b, op, &row, err));
        (is_base ? b->values[row].base_ms : b->values[row].new_ms)[r] += op->time_ms;
        *(is_base ? &b->values[row].base_flops : &b->values[row].new_flops) += op->flops / count;
        sum += op->time_ms;
    }
    double total = run_profiled_ms(run), gap = total - sum;
    if (!isfinite(total)) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: a profiled step of run %lld took no finite time",
                       b->l->data->facts->db_path, (long long)run->run_id);
    }
    if (fabs(gap) > 1e-6 * fabs(total)) { /* more than rounding: it gets a row */
        int row;
        GB_TRY(row_find(b, LEDGER_GAP, "", -1, &row, err));
        (is_base ? b->values[row].base_ms : b->values[row].new_ms)[r] += gap;
    }
    return GB_OK;
}

/* ---- statistics ---- */

/* mean(new) - mean(base), with an interval where there are two pairs or more. */
static gb_status change_make(const builder *b, const double *base, const double *new_values,
                             stats_interval *out, gb_error *err)
{
    *out = (stats_interval){stats_mean(new_values, (size_t)b->runs.n_new) -
                                stats_mean(base, (size_t)b->runs.n_base),
                            NAN, NAN};
    if (b->runs.n_pairs >= 2) {
        double value = out->value;
        GB_TRY(stats_paired_interval(new_values, base, (size_t)b->runs.n_pairs, 0.95, out, err));
        out->value = value;
    }
    return GB_OK;
}

static gb_status row_finish(builder *b, int i, gb_error *err)
{
    ledger_row *row = &b->l->rows[i];
    row_values *v = &b->values[i];
    row->base_ms = stats_mean(v->base_ms, (size_t)b->runs.n_base);
    row->new_ms = stats_mean(v->new_ms, (size_t)b->runs.n_new);
    row->base_flops = v->base_flops;
    row->new_flops = v->new_flops;
    GB_TRY(change_make(b, v->base_ms, v->new_ms, &row->change_ms, err));
    row->rate_ms = (stats_interval){NAN, NAN, NAN};
    if (row->base_flops > 0 && row->new_flops > 0) {
        for (int r = 0; r < b->runs.n_base; r++) { /* the base at the new one's FLOPs */
            v->base_ms[r] *= row->new_flops / row->base_flops;
        }
        GB_TRY(change_make(b, v->base_ms, v->new_ms, &row->rate_ms, err));
    }
    return GB_OK;
}

static gb_status total_make(const builder *b, double (*value)(const run_facts *), ledger_total *out,
                            gb_error *err)
{
    int n = b->runs.n_base + b->runs.n_new;
    double *values = calloc((size_t)n, sizeof *values);
    if (!values) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", n);
    }
    for (int r = 0; r < n; r++) {
        values[r] =
            value(r < b->runs.n_base ? b->runs.base[r] : b->runs.new_runs[r - b->runs.n_base]);
    }
    out->base_ms = stats_mean(values, (size_t)b->runs.n_base);
    out->new_ms = stats_mean(values + b->runs.n_base, (size_t)b->runs.n_new);
    gb_status status = change_make(b, values, values + b->runs.n_base, &out->change_ms, err);
    free(values);
    return status;
}

static double run_step_avg_ms(const run_facts *run)
{
    return run->step_avg_ms;
}

static int by_change(const void *a, const void *b)
{
    const ledger_row *x = a, *y = b;
    double dx = fabs(x->change_ms.value), dy = fabs(y->change_ms.value);
    if (dx != dy) {
        return dx < dy ? 1 : -1;
    }
    int order = strcmp(x->op, y->op);
    order = order ? order : strcmp(x->phase, y->phase);
    return order ? order : (x->layer > y->layer) - (x->layer < y->layer);
}

/* ---- whole ---- */

/* The two as `compare` holds them against each other. */
static gb_status measured_make(ledger *l, gb_error *err)
{
    pair_side base = pair_side_of_entry(l->data, l->base);
    pair_side new_side = pair_side_of_entry(l->data, l->new_entry);
    comparison c;
    pair_align(&base, &new_side, l->base->label);
    GB_TRY(comparison_of_pair(&c, &base, &new_side, METRIC_STEP_AVG, err));
    l->measured = c.change;
    l->means = c.means;
    l->measured_in_turn = pair_is_timed(&base, &new_side) && base.session == new_side.session;
    return GB_OK;
}

static gb_status ledger_fill(builder *b, gb_error *err)
{
    ledger *l = b->l;
    GB_TRY(runs_choose(&b->runs, l->base, l->new_entry, err));
    l->n_pairs = b->runs.n_pairs;
    l->n_base = b->runs.n_base;
    l->n_new = b->runs.n_new;
    for (int r = 0; r < l->n_base; r++) {
        GB_TRY(run_add(b, true, r, err));
    }
    for (int r = 0; r < l->n_new; r++) {
        GB_TRY(run_add(b, false, r, err));
    }
    for (int i = 0; i < l->n_rows; i++) {
        GB_TRY(row_finish(b, i, err));
    }
    GB_TRY(total_make(b, run_profiled_ms, &l->profiled, err));
    GB_TRY(total_make(b, run_step_avg_ms, &l->timed, err));
    return measured_make(l, err);
}

gb_status ledger_make(ledger **out, const findings *data, const result_entry *base,
                      const result_entry *new_entry, ledger_by by, gb_error *err)
{
    ledger *l = calloc(1, sizeof *l);
    if (!l) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a ledger");
    }
    *l = (ledger){.data = data, .base = base, .new_entry = new_entry, .by = by};
    builder b = {.l = l};
    gb_status status = ledger_fill(&b, err);
    for (int i = 0; i < l->n_rows; i++) {
        free(b.values[i].base_ms);
    }
    free(b.values);
    free(b.runs.base);
    free(b.runs.new_runs);
    if (status != GB_OK) {
        ledger_free(l);
        return status;
    }
    qsort(l->rows, (size_t)l->n_rows, sizeof *l->rows, by_change);
    *out = l;
    return GB_OK;
}

void ledger_free(ledger *l)
{
    if (l) {
        free(l->rows);
        free(l);
    }
}

int ledger_within_noise(stats_interval change)
{
    return !isfinite(change.low) ? -1 : change.low <= 0 && change.high >= 0;
}

ledger_name ledger_row_name(const ledger_row *row)
{
    ledger_name out;
    if (row->layer >= 0) {
        snprintf(out.text, sizeof out.text, "layer %lld", (long long)row->layer);
    } else {
        snprintf(out.text, sizeof out.text, "%.64s%s%.16s", row->op, *row->phase ? " " : "",
                 row->phase);
    }
    return out;
}

/* ---- figures that add up as printed ---- */

void ledger_round(const double *values, int n, int64_t total, int64_t *out)
{
    int64_t left = total;
    for (int i = 0; i < n; i++) {
        out[i] = (int64_t)floor(values[i]);
        left -= out[i];
    }
    /* What is missing goes to the largest remainders. Rounding errors of the sum may ask for one
     * more or less than there are rows: then some row gets it twice, or gives it back. */
    while (left != 0 && n > 0) {
        int best = 0, sign = left > 0 ? 1 : -1;
        for (int i = 1; i < n; i++) {
            double here = values[i] - (double)out[i], there = values[best] - (double)out[best];
            best = sign * here > sign * there ? i : best;
        }
        out[best] += sign;
        left -= sign;
    }
}

gb_status ledger_units_make(ledger_units *out, const ledger *l, gb_error *err)
{
    double largest = fmax(fabs(l->profiled.base_ms), fabs(l->profiled.new_ms));
    int decimals = largest < 10 ? 4 : largest < 1000 ? 3 : 2;
    size_t n = (size_t)l->n_rows + 1;
    *out = (ledger_units){.decimals = decimals, .scale = pow(10, decimals)};
    for (int i = 0; i < l->n_rows; i++) {
        largest = fmax(largest, fmax(fabs(l->rows[i].base_ms), fabs(l->rows[i].new_ms)));
    }
    if (largest * out->scale > 1e15) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: %g ms for a part of a step cannot be true",
                       l->data->facts->db_path, largest);
    }
    double *scaled = calloc(n, sizeof *scaled);
    out->base = calloc(2 * n, sizeof *out->base);
    if (!scaled || !out->base) {
        free(scaled);
        free(out->base);
        return gb_fail(err, GB_ERR_OOM, "no memory for %d rows", l->n_rows);
    }
    out->new_value = out->base + n;
    out->base_total = llround(l->profiled.base_ms * out->scale);
    out->new_total = llround(l->profiled.new_ms * out->scale);
    for (int i = 0; i < l->n_rows; i++) {
        scaled[i] = l->rows[i].base_ms * out->scale;
    }
    ledger_round(scaled, l->n_rows, out->base_total, out->base);
    for (int i = 0; i < l->n_rows; i++) {
        scaled[i] = l->rows[i].new_ms * out->scale;
    }
    ledger_round(scaled, l->n_rows, out->new_total, out->new_value);
    free(scaled);
    return GB_OK;
}

void ledger_units_free(ledger_units *u)
{
    free(u->base); /* new_value is its second half */
}
