/* Data of the figures about verdicts: changes against the baseline with their intervals, in speed
 * and in loss, and the drift of a timing session. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure_data.h"
#include "bench/report/figures/figure_layout.h"

enum { CONTROL_COLOR = 0x606060, NO_ENTRY_COLOR = 0x909090 };

/* ---- changes against the baseline ---- */

/* One line of the figure; a change that is not known leaves it empty but for its text. */
typedef struct change_row {
    const char *label, *word; /* "SLOWER" */
    stats_interval change;
    double flops; /* what exact FLOPs say; NAN: nothing */
    int color;
} change_row;

typedef struct change_plot {
    FILE *out;
    int n, widest;
    double value_max, interval_max; /* of the absolute changes, in per cent */
} change_plot;

/* "SLOWER +7.4 % (+6.9 to +7.9)" */
static void change_text(char *out, size_t size, const change_row *row)
{
    size_t used = (size_t)snprintf(out, size, "%s", row->word);
    if (isfinite(row->change.value)) {
        used += (size_t)snprintf(out + used, size - used, " %s",
                                 number_percent_signed(row->change.value).text);
    }
    if (isfinite(row->change.low) && used < size) {
        snprintf(out + used, size - used, " (%s to %s)",
                 number_percent_signed(row->change.low).text,
                 number_percent_signed(row->change.high).text);
    }
}

static void change_add(change_plot *plot, const change_row *row)
{
    char text[128];
    figure_label label = figure_label_make(row->label);
    change_text(text, sizeof text, row);
    stats_interval c = row->change;
    bool interval = isfinite(c.low) && isfinite(c.high);
    fprintf(plot->out, "%d\t%s\t%.8g\t%.8g\t%.8g\t%s\t%.8g\t%d\n", ++plot->n, label.text,
            100 * c.value, 100 * (interval ? c.low : c.value), 100 * (interval ? c.high : c.value),
            text, 100 * row->flops, row->color);
    plot->widest = label.width > plot->widest ? label.width : plot->widest;
    plot->value_max = fmax(plot->value_max, isfinite(c.value) ? 100 * fabs(c.value) : 0);
    if (interval) {
        plot->interval_max = fmax(plot->interval_max, 100 * fmax(fabs(c.low), fabs(c.high)));
    }
}

static gb_status change_begin(change_plot *plot, const char *dir, const char *name, gb_error *err)
{
    *plot = (change_plot){.out = figure_file_open(dir, name, err), .widest = 8};
    if (!plot->out) {
        return GB_ERR_IO;
    }
    fprintf(plot->out, "# row\tconfig\tchange_percent\tlow\thigh\ttext\tflops_percent\tcolor\n");
    return GB_OK;
}

/* Both ends of the axis, in per cent. An interval over two replicates can be very wide: it may
 * leave the frame. `also`: what must be inside, whatever the values are. */
static void change_settings(const change_plot *plot, const char *prefix, double low, double high,
                            FILE *settings)
{
    double room = fmin(plot->interval_max, 4 * plot->value_max + 2);
    low = fmin(low, -fmin(room, plot->interval_max));
    high = fmax(high, fmin(room, plot->interval_max));
    double pad = 0.04 * (high - low);
    char name[48];
    fprintf(settings, "%s_n = %d\n%s_label_px = %.0f\n", prefix, plot->n, prefix,
            plot->widest * FIGURE_CHAR_PX);
    fprintf(settings, "%s_low = %.10g\n%s_high = %.10g\n", prefix, low - pad, prefix, high + pad);
    snprintf(name, sizeof name, "%s_ticks", prefix);
    figure_ticks_write(settings, name, figure_ticks_make(low - pad, high + pad, 7), false);
}

static int row_color(const report_verdict *row)
{
    return row->entry >= 0 ? figure_color(row->entry) : NO_ENTRY_COLOR;
}

static double row_flops(const report_data *data, const report_verdict *row)
{
    if (row->entry >= 0) {
        return data->entries[row->entry].flops_fraction;
    }
    int base = row->session ? row->session->arms[row->session->facts->baseline].facts->config : -1;
    return base >= 0 ? data->facts->configs[row->config].flops_per_token /
                               data->facts->configs[base].flops_per_token -
                           1
                     : NAN;
}

/* ---- speed ---- */

static void add_controls(change_plot *plot, const report_data *data, double *floor)
{
    for (int i = 0; data->speeds && i < data->speeds->n_sessions; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        if (s->facts->control >= 0) {
            change_add(plot,
                       &(change_row){"baseline again (A/A)", "", s->aa.change, NAN, CONTROL_COLOR});
            *floor = fmax(*floor, 100 * s->aa.floor);
        }
    }
}

gb_status figure_data_write_speed_ratio(const report_data *data, const char *dir, FILE *settings,
                                        gb_error *err)
{
    change_plot plot;
    double floor = 0, low = -1, high = 1;
    GB_TRY(change_begin(&plot, dir, "data/speed_ratio.tsv", err));
    for (int i = 0; i < data->verdicts->n; i++) {
        const report_verdict *row = &data->verdicts->rows[i];
        if (row->is_baseline || !row->arm) {
            continue;
        }
        bool judged = row->speed_judged;
        change_row line = {row->label, judged ? verdict_speed_name(row->speed.kind) : "no speed",
                           judged ? row->speed.change : (stats_interval){NAN, NAN, NAN},
                           row_flops(data, row), row_color(row)};
        change_add(&plot, &line);
        low = fmin(low, isfinite(line.flops) ? 100 * line.flops : low);
        high = fmax(high, isfinite(line.flops) ? 100 * line.flops : high);
        low = fmin(low, isfinite(line.change.value) ? 100 * line.change.value : low);
        high = fmax(high, isfinite(line.change.value) ? 100 * line.change.value : high);
        low = fmin(low, isfinite(line.change.low) ? 100 * line.change.low : low);
        high = fmax(high, isfinite(line.change.high) ? 100 * line.change.high : high);
    }
    add_controls(&plot, data, &floor);
    plot.interval_max = 1; /* each side has its own room, in `low` and `high` */
    change_settings(&plot, "speed_ratio", low, high, settings);
    fprintf(settings, "speed_ratio_floor = %.10g\n", floor);
    return figure_file_close(plot.out, dir, "data/speed_ratio.tsv", err);
}

/* ---- loss ---- */

bool figure_data_has_loss_ratio(const report_data *data)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        const report_verdict *row = &data->verdicts->rows[i];
        if (row->loss_judged && isfinite(row->loss.change.value)) {
            return true;
        }
    }
    return false;
}

gb_status figure_data_write_loss_ratio(const report_data *data, const char *dir, FILE *settings,
                                       gb_error *err)
{
    change_plot plot;
    double flops_low = 0, flops_high = 0;
    GB_TRY(change_begin(&plot, dir, "data/loss_ratio.tsv", err));
    for (int i = 0; i < data->verdicts->n; i++) {
        const report_verdict *row = &data->verdicts->rows[i];
        if (row->is_baseline || !row->loss_judged) {
            continue;
        }
        double flops = row_flops(data, row);
        change_add(&plot, &(change_row){row->label, verdict_loss_name(row->loss.kind),
                                        row->loss.change, flops, row_color(row)});
        flops_low = fmin(flops_low, isfinite(flops) ? 100 * flops : 0);
        flops_high = fmax(flops_high, isfinite(flops) ? 100 * flops : 0);
    }
    double reach = fmax(1, plot.value_max);
    change_settings(&plot, "loss_ratio", -reach, reach, settings);
    double flops_pad = 0.05 * fmax(flops_high - flops_low, 1);
    flops_low -= flops_pad;
    flops_high += flops_pad;
    fprintf(settings, "loss_ratio_flops_low = %.10g\nloss_ratio_flops_high = %.10g\n", flops_low,
            flops_high);
    figure_ticks_write(settings, "loss_ratio_flops_ticks",
                       figure_ticks_make(flops_low, flops_high, 4), false);
    return figure_file_close(plot.out, dir, "data/loss_ratio.tsv", err);
}

/* ---- drift ---- */

enum { DRIFT_PANELS = 4 }; /* sessions drawn, the newest ones */

typedef struct drift_range {
    double low, high, longest;
} drift_range;

/* Each arm's burst against the arm's own median, as logarithms: the extremes of one block. */
static void block_spread(const speed_session *s, const double *medians, int64_t b, double *low,
                         double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int a = 0; a < s->n_arms; a++) {
        double x = log(s->arms[a].facts->median_ms[b]) - log(medians[a]);
        if (isfinite(x)) {
            *low = fmin(*low, x);
            *high = fmax(*high, x);
        }
    }
}

static gb_status median_of(const double *x, size_t n, double *scratch, double *out, gb_error *err)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            scratch[m++] = x[i];
        }
    }
    return stats_median(scratch, m, out, err);
}

/* The trend turns about the middle of the session, where all its slopes meet. */
static void write_trend(FILE *out, const speed_session *s, double middle, double level, int64_t b)
{
    const stats_interval *t = &s->drift.total;
    double part = (s->hours[b] - middle) / s->drift.hours; /* of the session */
    double one = level + log1p(t->low) * part, other = level + log1p(t->high) * part;
    fprintf(out, "\t%.8g\t%.8g\t%.8g\n", 100 * expm1(level + log1p(t->value) * part),
            100 * expm1(fmin(one, other)), 100 * expm1(fmax(one, other)));
}

/* What time is counted in: hours per unit. */
typedef struct time_unit {
    const char *name;
    double hours;
} time_unit;

static time_unit unit_choose(const report_data *data, int panels)
{
    double longest = 0;
    for (int i = 0; i < panels; i++) {
        longest = fmax(longest, data->speeds->sessions[i].drift.hours);
    }
    return longest > 3          ? (time_unit){"hours", 1}
           : longest > 3.0 / 60 ? (time_unit){"minutes", 1.0 / 60}
                                : (time_unit){"seconds", 1.0 / 3600};
}

static gb_status write_session(FILE *out, const speed_session *s, time_unit unit, double *scratch,
                               double *medians, drift_range *range, gb_error *err)
{
    const size_t n = (size_t)s->facts->blocks;
    double middle, level;
    for (int a = 0; a < s->n_arms; a++) {
        GB_TRY(median_of(s->arms[a].facts->median_ms, n, scratch, &medians[a], err));
    }
    GB_TRY(median_of(s->hours, n, scratch, &middle, err));
    GB_TRY(median_of(s->drift_effects, n, scratch, &level, err));
    for (int64_t b = 0; b < s->facts->blocks; b++) {
        double low, high;
        block_spread(s, medians, b, &low, &high);
        if (low > high || !isfinite(s->drift_effects[b])) {
            continue;
        }
        fprintf(out, "%lld\t%.8g\t%.8g\t%.8g\t%.8g", (long long)b + 1, s->hours[b] / unit.hours,
                100 * expm1(s->drift_effects[b]), 100 * expm1(low), 100 * expm1(high));
        write_trend(out, s, middle, level, b);
        range->low = fmin(range->low, 100 * expm1(low));
        range->high = fmax(range->high, 100 * expm1(high));
        range->longest = fmax(range->longest, s->hours[b] / unit.hours);
    }
    fprintf(out, "\n\n");
    return GB_OK;
}

static gb_status write_sessions(const report_data *data, FILE *out, int panels, time_unit unit,
                                drift_range *range, gb_error *err)
{
    for (int i = 0; i < panels; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        double *scratch = malloc(((size_t)s->facts->blocks + (size_t)s->n_arms) * sizeof *scratch);
        if (!scratch) {
            return gb_fail(err, GB_ERR_OOM, "no memory for %lld blocks",
                           (long long)s->facts->blocks);
        }
        gb_status status =
            write_session(out, s, unit, scratch, scratch + s->facts->blocks, range, err);
        free(scratch);
        GB_TRY(status);
    }
    return GB_OK;
}

gb_status figure_data_write_drift(const report_data *data, const char *dir, FILE *settings,
                                  gb_error *err)
{
    int sessions = data->speeds ? data->speeds->n_sessions : 0;
    int panels = sessions < DRIFT_PANELS ? sessions : DRIFT_PANELS;
    drift_range range = {-0.5, 0.5, 0};
    time_unit unit = unit_choose(data, panels);
    FILE *out = figure_file_open(dir, "data/drift.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    fprintf(out, "# a block of lines per session: block\ttime\teffect_percent\tlowest_config"
                 "\thighest_config\ttrend\ttrend_low\ttrend_high\n");
    gb_status status = write_sessions(data, out, panels, unit, &range, err);
    status = figure_file_finish(out, dir, "data/drift.tsv", status, err);
    double pad = 0.05 * (range.high - range.low), longest = range.longest > 0 ? range.longest : 1;
    fprintf(settings, "drift_panels = %d\ndrift_longest = %.10g\ndrift_unit = '%s'\n", panels,
            longest, unit.name);
    fprintf(settings, "drift_low = %.10g\ndrift_high = %.10g\n", range.low - pad, range.high + pad);
    figure_ticks_write(settings, "drift_x_ticks", figure_ticks_make(0, longest, 7), false);
    figure_ticks_write(settings, "drift_y_ticks",
                       figure_ticks_make(range.low - pad, range.high + pad, 6), false);
    return status;
}
