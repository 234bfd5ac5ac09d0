/* Data of the figures about step time, ops and sizes; see figure_data.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure_data.h"
#include "bench/report/figures/figure_layout.h"
#include "kernels/backend.h"

static figure_label entry_label(const report_data *data, int i)
{
    return figure_label_make(data->entries[i].label);
}

/* ---- step_avg against the baseline ---- */

gb_status figure_data_write_step_avg(const report_data *data, const char *dir, FILE *settings,
                                     gb_error *err)
{
    FILE *out = figure_file_open(dir, "data/step_avg.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    double max = 0, reference = 0;
    int baselines = 0;
    fprintf(out, "# row\tconfig\tstep_avg_ms\tlow\thigh\ttext\tpredicted_ms\ttext\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        const report_entry *base = e->baseline >= 0 ? &data->entries[e->baseline] : NULL;
        double avg = e->pace.step_avg_ms.value, low = e->pace.step_avg_ms.low,
               high = e->pace.step_avg_ms.high;
        double predicted =
            base && base != e ? base->pace.step_avg_ms.value * (1 + e->flops_fraction) : NAN;
        char text[64] = "", prediction[64] = "";
        if (base && base != e) {
            const report_verdict *row = report_verdict_of(data, i);
            snprintf(text, sizeof text, ", %s",
                     number_percent_signed(row->speed_judged
                                               ? row->speed.change.value
                                               : avg / base->pace.step_avg_ms.value - 1)
                         .text);
            snprintf(prediction, sizeof prediction, "FLOPs say %s",
                     number_percent_signed(e->flops_fraction).text);
        }
        fprintf(out, "%d\t%s\t%.8g\t%.8g\t%.8g\t%s%s%s\t%.8g\t%s\t%d\n", i + 1,
                entry_label(data, i).text, avg, isnan(low) ? avg : fmax(low, 0),
                isnan(high) ? avg : high, number_duration_ms(avg).text, text,
                base == e ? " (baseline)" : "", predicted, prediction, figure_color(i));
        if (base == e && isfinite(avg)) {
            reference = avg;
            baselines++;
        }
        max = fmax(max, isfinite(avg) ? avg : 0);
        max = fmax(max, isfinite(predicted) ? predicted : 0);
        /* An interval over two replicates can be very wide: it may leave the frame. */
        max = fmax(max, isfinite(high) ? fmin(high, 1.25 * avg) : 0);
    }
    max = max > 0 ? max : 1;
    /* A line at the baseline, where there is one for all. */
    fprintf(settings, "step_avg_max = %.10g\nstep_avg_base = %.10g\n", max,
            baselines == 1 ? reference : 0.0);
    figure_ticks_write(settings, "step_avg_ticks", figure_ticks_make(0, max, 6), false);
    return figure_file_close(out, dir, "data/step_avg.tsv", err);
}

/* ---- distribution of step times ---- */

enum { DENSITY_POINTS = 161, DENSITY_SAMPLES = 4000, OUTLIERS_SHOWN = 60 };

/* All timed steps of an entry, sorted; *n of them. NULL without memory. */
static double *sorted_steps(const report_entry *entry, size_t *n)
{
    double *all = malloc(((size_t)entry->n_timed + 1) * sizeof *all);
    *n = 0;
    for (int r = 0; all && r < entry->n_runs; r++) {
        for (int64_t k = 0; k < entry->runs[r]->n_timed; k++) {
            all[(*n)++] = entry->runs[r]->timed_ms[k];
        }
    }
    if (all) {
        stats_sort(all, *n);
    }
    return all;
}

/* Gaussian kernel density with Silverman's width, scaled to a half height of 0.4 rows; of the
 * logarithms (x is changed to them) where the axis is logarithmic, so that its shape is right
 * there. */
static void write_density(FILE *out, double *x, size_t n, bool logarithmic)
{
    for (size_t k = 0; logarithmic && k < n; k++) {
        x[k] = log(fmax(x[k], 1e-9));
    }
    double sd = stats_sd(x, n), low = stats_quantile_sorted(x, n, 0.002);
    double high = stats_quantile_sorted(x, n, 0.998);
    double iqr = stats_quantile_sorted(x, n, 0.75) - stats_quantile_sorted(x, n, 0.25);
    double width = iqr > 0 ? fmin(sd, iqr / 1.34) : sd;
    if (n < 5 || !(width > 0)) {
        double at = n ? x[0] : NAN;
        fprintf(out, "%.8g\t0\n", logarithmic ? exp(at) : at);
        return;
    }
    width *= 0.9 * pow((double)n, -0.2);
    double density[DENSITY_POINTS], peak = 0, from = low - 2.5 * width;
    double step = (high + 2.5 * width - from) / (DENSITY_POINTS - 1);
    size_t stride = n / DENSITY_SAMPLES + 1;
    for (int i = 0; i < DENSITY_POINTS; i++) {
        density[i] = 0;
        for (size_t k = 0; k < n; k += stride) {
            double z = (from + i * step - x[k]) / width;
            density[i] += z * z < 60 ? exp(-0.5 * z * z) : 0;
        }
        peak = fmax(peak, density[i]);
    }
    for (int i = 0; i < DENSITY_POINTS; i++) {
        double at = from + i * step;
        fprintf(out, "%.8g\t%.5f\n", logarithmic ? exp(at) : at, 0.4 * density[i] / peak);
    }
}

static void write_box(FILE *box, FILE *outliers, const double *x, size_t n, int i,
                      const char *label)
{
    double q1 = stats_quantile_sorted(x, n, 0.25), q3 = stats_quantile_sorted(x, n, 0.75);
    double reach = 1.5 * (q3 - q1);
    size_t first = 0, last = n - 1;
    while (x[first] < q1 - reach) {
        first++;
    }
    while (x[last] > q3 + reach) {
        last--;
    }
    fprintf(box, "%d\t%s\t%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%zu\t%d\n", i + 1, label, x[first],
            q1, stats_quantile_sorted(x, n, 0.5), q3, x[last], stats_mean(x, n), n,
            figure_color(i));
    size_t beyond = first + (n - 1 - last), stride = beyond / OUTLIERS_SHOWN + 1, seen = 0;
    for (size_t k = 0; k < n; k++) {
        if ((k < first || k > last) && seen++ % stride == 0) {
            fprintf(outliers, "%d\t%.8g\t%d\n", i + 1, x[k], figure_color(i));
        }
    }
}

/* What the axis must show: nearly all steps of every entry. */
static gb_status step_range(const report_data *data, double *low, double *high, gb_error *err)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < data->n_entries; i++) {
        size_t n;
        double *x = sorted_steps(&data->entries[i], &n);
        if (!x) {
            return gb_fail(err, GB_ERR_OOM, "no memory for the steps");
        }
        if (n > 0) {
            *low = fmin(*low, stats_quantile_sorted(x, n, 0.003));
            *high = fmax(*high, stats_quantile_sorted(x, n, 0.99));
        }
        free(x);
    }
    if (*low > *high) {
        *low = 0;
        *high = 1;
    }
    return GB_OK;
}

static gb_status write_step_times(const report_data *data, FILE *density, FILE *box, FILE *outliers,
                                  bool logarithmic, gb_error *err)
{
    fprintf(density, "# a block per config: step_ms\thalf_height\n");
    fprintf(box,
            "# row\tconfig\twhisker_low_ms\tq1\tmedian\tq3\twhisker_high\tmean\tsteps\tcolor\n");
    fprintf(outliers, "# row\tstep_ms\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        size_t n;
        double *x = sorted_steps(&data->entries[i], &n);
        if (!x) {
            return gb_fail(err, GB_ERR_OOM, "no memory for the steps");
        }
        if (n > 0) {
            write_box(box, outliers, x, n, i, entry_label(data, i).text);
        }
        write_density(density, x, n, logarithmic);
        fprintf(density, "\n\n");
        free(x);
    }
    return GB_OK;
}

static int64_t steps_beyond(const report_data *data, double low, double high)
{
    int64_t beyond = 0;
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const report_run *run = data->entries[i].runs[r];
            for (int64_t k = 0; k < run->n_timed; k++) {
                beyond += run->timed_ms[k] < low || run->timed_ms[k] > high;
            }
        }
    }
    return beyond;
}

gb_status figure_data_write_step_times(const report_data *data, const char *dir, FILE *settings,
                                       gb_error *err)
{
    static const char *const names[3] = {"data/step_density.tsv", "data/step_box.tsv",
                                         "data/step_outliers.tsv"};
    FILE *files[3] = {NULL, NULL, NULL};
    double low, high;
    gb_status status = step_range(data, &low, &high, err);
    bool logarithmic = low > 0 && high / low > 8;
    for (int i = 0; i < 3 && status == GB_OK; i++) {
        files[i] = figure_file_open(dir, names[i], err);
        status = files[i] ? GB_OK : GB_ERR_IO;
    }
    if (status == GB_OK) {
        status = write_step_times(data, files[0], files[1], files[2], logarithmic, err);
    }
    for (int i = 0; i < 3; i++) {
        status = figure_file_finish(files[i], dir, names[i], status, err);
    }
    double pad = logarithmic ? 0 : 0.04 * (high - low) + 1e-3 * high;
    low = logarithmic ? low / 1.15 : fmax(low - pad, 0);
    high = logarithmic ? high * 1.15 : high + pad;
    fprintf(settings, "step_low = %.10g\nstep_high = %.10g\nstep_log = %d\n", low, high,
            logarithmic);
    fprintf(settings, "step_beyond = '%s'\n", number_count(steps_beyond(data, low, high)).text);
    figure_ticks_write(settings, "step_ticks", figure_ticks_make(low, high, 7), false);
    return status;
}

/* ---- time by op ---- */

enum { OPS_OWN = 9, OPS_MAX = 64 };
static const int op_palette[OPS_OWN] = {0x0072b2, 0xe69f00, 0x009e73, 0xd55e00, 0x56b4e9,
                                        0xcc79a7, 0xf0e442, 0x004a73, 0x7a4a1e};
enum { OTHER_COLOR = 0xc8c8c8, UNATTRIBUTED_COLOR = 0x707070 };

typedef struct op_group {
    const char *names[OPS_MAX]; /* those with a colour of their own, in the order of a step */
    int n;
} op_group;

static double entry_op_ms(const report_entry *entry, const char *op)
{
    double sum = 0;
    int runs = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const report_run *run = entry->runs[r];
        runs += run->n_ops > 0;
        for (int64_t k = 0; k < run->n_ops; k++) {
            sum += !op || strcmp(run->ops[k].op, op) == 0 ? run->ops[k].time_ms : 0;
        }
    }
    return runs ? sum / runs : 0;
}

static int op_order(const char *name)
{
    int i = 0;
    while (i < GB_OP_COUNT && strcmp(gb_op_name((gb_op)i), name) != 0) {
        i++;
    }
    return i;
}

static double op_total(const report_data *data, const char *name)
{
    double sum = 0;
    for (int i = 0; i < data->n_entries; i++) {
        sum += entry_op_ms(&data->entries[i], name);
    }
    return sum;
}

static void op_group_add(op_group *group, const char *name)
{
    for (int i = 0; i < group->n; i++) {
        if (strcmp(group->names[i], name) == 0) {
            return;
        }
    }
    if (group->n < OPS_MAX && strcmp(name, "unattributed") != 0) {
        group->names[group->n++] = name;
    }
}

/* Keeps the OPS_OWN ops that take most time over all entries, in the order of a step. */
static op_group op_group_make(const report_data *data)
{
    op_group all = {.n = 0}, kept = {.n = 0};
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const report_run *run = data->entries[i].runs[r];
            for (int64_t k = 0; k < run->n_ops; k++) {
                op_group_add(&all, run->ops[k].op);
            }
        }
    }
    double totals[OPS_MAX];
    for (int i = 0; i < all.n; i++) {
        totals[i] = op_total(data, all.names[i]);
    }
    for (int order = 0; order <= GB_OP_COUNT; order++) {
        for (int i = 0; i < all.n; i++) {
            int larger = 0;
            for (int k = 0; k < all.n; k++) {
                larger += totals[k] > totals[i] || (totals[k] == totals[i] && k < i);
            }
            if (op_order(all.names[i]) == order && larger < OPS_OWN && kept.n < OPS_OWN) {
                kept.names[kept.n++] = all.names[i];
            }
        }
    }
    return kept;
}

int figure_op_color(const report_data *data, const char *op)
{
    op_group group = op_group_make(data);
    for (int i = 0; i < group.n; i++) {
        if (strcmp(group.names[i], op) == 0) {
            return op_palette[i];
        }
    }
    return UNATTRIBUTED_COLOR;
}

typedef struct op_bar {
    FILE *out;
    int row;
    const char *label;
    double at, total;
} op_bar;

static void write_segment(op_bar *bar, const char *name, double ms, int color, double widest)
{
    char text[16] = "";
    if (ms > 0.045 * widest) {
        snprintf(text, sizeof text, "%.0f %%", 100 * ms / bar->total);
    }
    fprintf(bar->out, "%d\t%s\t%s\t%.8g\t%.8g\t%.8g\t%d\t%s\t%d\n", bar->row, bar->label, name, ms,
            bar->at, bar->at + ms, color, text, figure_color_is_dark(color) ? 0xffffff : 0);
    bar->at += ms;
}

static double write_ops(const report_data *data, const op_group *group, FILE *out)
{
    double widest = 0;
    for (int i = 0; i < data->n_entries; i++) {
        widest = fmax(widest, entry_op_ms(&data->entries[i], NULL));
    }
    fprintf(out, "# row\tconfig\top\tms_per_step\tfrom\tto\tcolor\ttext\ttext_color\n");
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        figure_label label = entry_label(data, i);
        op_bar bar = {out, i + 1, label.text, 0, entry_op_ms(e, NULL)};
        double rest = bar.total, unattributed = entry_op_ms(e, "unattributed");
        for (int k = 0; k < group->n; k++) {
            double ms = entry_op_ms(e, group->names[k]);
            figure_label name = figure_label_make(group->names[k]);
            write_segment(&bar, name.text, ms, op_palette[k], widest);
            rest -= ms;
        }
        write_segment(&bar, "other", fmax(rest - unattributed, 0), OTHER_COLOR, widest);
        write_segment(&bar, "unattributed", unattributed, UNATTRIBUTED_COLOR, widest);
    }
    return widest;
}

/* The whole bar, with its t interval over replicates where there are two or more. */
static gb_status write_op_totals(const report_data *data, const char *dir, gb_error *err)
{
    double *totals = malloc(((size_t)data->facts->n_runs + 1) * sizeof *totals);
    FILE *out = totals ? figure_file_open(dir, "data/op_total.tsv", err) : NULL;
    if (!totals) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the ops");
    }
    if (!out) {
        free(totals);
        return GB_ERR_IO;
    }
    fprintf(out, "# row\tms_per_step\tlow\thigh\n");
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        size_t n = 0;
        for (int r = 0; r < e->n_runs; r++) {
            double sum = 0;
            for (int64_t k = 0; k < e->runs[r]->n_ops; k++) {
                sum += e->runs[r]->ops[k].time_ms;
            }
            totals[n] = sum;
            n += e->runs[r]->n_ops > 0;
        }
        stats_interval x = stats_mean_interval(totals, n, 0.95);
        fprintf(out, "%d\t%.8g\t%.8g\t%.8g\n", i + 1, x.value, x.low, x.high);
    }
    free(totals);
    return figure_file_close(out, dir, "data/op_total.tsv", err);
}

gb_status figure_data_write_op_time(const report_data *data, const char *dir, FILE *settings,
                                    gb_error *err)
{
    op_group group = op_group_make(data);
    FILE *out = figure_file_open(dir, "data/op_time.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    double widest = write_ops(data, &group, out);
    widest = widest > 0 ? widest : 1;
    GB_TRY(figure_file_close(out, dir, "data/op_time.tsv", err));
    GB_TRY(write_op_totals(data, dir, err));
    out = figure_file_open(dir, "data/op_legend.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    fprintf(out, "# slot\top\tcolor\n");
    for (int k = 0; k < group.n; k++) {
        fprintf(out, "%d\t%s\t%d\n", k + 1, figure_label_make(group.names[k]).text, op_palette[k]);
    }
    fprintf(out, "%d\tother\t%d\n%d\tunattributed\t%d\n", group.n + 1, OTHER_COLOR, group.n + 2,
            UNATTRIBUTED_COLOR);
    fprintf(settings, "op_max = %.10g\nop_slots = %d\n", widest, group.n + 2);
    figure_ticks_write(settings, "op_ticks", figure_ticks_make(0, widest, 6), false);
    return figure_file_close(out, dir, "data/op_legend.tsv", err);
}

/* ---- parameters and FLOPs ---- */

static void change_text(char *out, size_t size, double value, double base, bool is_baseline)
{
    if (is_baseline || !(base > 0)) {
        snprintf(out, size, "%s", number_short(value).text);
    } else {
        snprintf(out, size, "%s, %s", number_short(value).text,
                 number_percent_signed(value / base - 1).text);
    }
}

gb_status figure_data_write_size(const report_data *data, const char *dir, FILE *settings,
                                 gb_error *err)
{
    FILE *out = figure_file_open(dir, "data/model_size.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    double max_params = 1, max_flops = 1;
    fprintf(out, "# row\tconfig\tn_params\ttext\tflops_per_token\ttext\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        const report_config *c = &data->facts->configs[e->config];
        const report_config *base =
            e->baseline >= 0 ? &data->facts->configs[data->entries[e->baseline].config] : NULL;
        char params[80], flops[80];
        change_text(params, sizeof params, (double)c->n_params, base ? (double)base->n_params : 0,
                    base == c);
        change_text(flops, sizeof flops, c->flops_per_token, base ? base->flops_per_token : 0,
                    base == c);
        fprintf(out, "%d\t%s\t%lld\t%s\t%.10g\t%s\t%d\n", i + 1, entry_label(data, i).text,
                (long long)c->n_params, params, c->flops_per_token, flops, figure_color(i));
        max_params = fmax(max_params, (double)c->n_params);
        max_flops = fmax(max_flops, c->flops_per_token);
    }
    fprintf(settings, "params_max = %.10g\nflops_max = %.10g\n", max_params, max_flops);
    figure_ticks_write(settings, "params_ticks", figure_ticks_make(0, max_params, 4), true);
    figure_ticks_write(settings, "flops_ticks", figure_ticks_make(0, max_flops, 4), true);
    return figure_file_close(out, dir, "data/model_size.tsv", err);
}
