/* The files in data/ that the gnuplot scripts read: settings.gp (numbers and tick labels only: no
 * name from the database ever stands in a script) and tab-separated tables whose first column is a
 * number, so that no name can look like a comment. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/report/figures/figure_data.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/stats/pareto.h"

#define FONT_PX 14.0 /* of every figure; plots/style.gp */

typedef struct range {
    double low, high;
} range;

static void range_add(range *r, double x)
{
    if (isfinite(x)) {
        r->low = fmin(r->low, x);
        r->high = fmax(r->high, x);
    }
}

/* ---- entries: the legend and how wide its names are ---- */

static double labels_width_px(const report_data *data)
{
    int widest = 8;
    for (int i = 0; i < data->n_entries; i++) {
        int width = figure_label_make(data->entries[i].label).width;
        widest = width > widest ? width : widest;
    }
    return widest * FIGURE_CHAR_PX;
}

static void write_entries(const report_data *data, FILE *out)
{
    fprintf(out, "# row\tconfig\tcolor\tpoint_type\tdash_type\n");
    for (int i = 0; i < data->n_entries; i++) {
        fprintf(out, "%d\t%s\t%d\t%d\t%d\n", i + 1, figure_label_make(data->entries[i].label).text,
                figure_color(i), figure_point_type(i), figure_dash_type(i));
    }
}

/* ---- speed against loss ---- */

enum { SPEED_WIDTH = 900, SPEED_HEIGHT = 600, SPEED_NUMBERED_FROM = 11 };

/* Room around the points; intervals widen it, but never so far that the points huddle together. */
static range speed_axis(range values, range intervals)
{
    double span = values.high - values.low;
    double least = span > 0 ? 0.12 * span : 0.04 * fabs(values.high) + 1e-9;
    double most = span > 0 ? 0.5 * span : 0.2 * fabs(values.high) + 1e-9;
    double below = fmin(most, fmax(least, 1.1 * (values.low - intervals.low)));
    double above = fmin(most, fmax(least, 1.1 * (intervals.high - values.high)));
    return (range){values.low - below, values.high + above};
}

typedef struct speed_plot {
    range x, y;
    figure_box frame; /* pixels, y upwards */
    bool numbered;
} speed_plot;

static int speed_width(bool numbered)
{
    return SPEED_WIDTH + (numbered ? 210 : 0);
}

static bool speed_has(const report_entry *entry)
{
    return isfinite(entry->val_loss.value) && isfinite(entry->pace.tokens_per_s.value);
}

/* "d12_mlp3x, 97 %": how sure its place on the front is. One seed tells nothing of that. */
typedef struct speed_label {
    char text[sizeof(figure_label) + 16];
    int width; /* in characters */
} speed_label;

enum { SHARE_CHARS = 8 }; /* of ", 1 seed" */

static speed_label speed_label_make(const report_entry *entry)
{
    figure_label name = figure_label_make(entry->label);
    speed_label out = {.width = name.width};
    int named = snprintf(out.text, sizeof out.text, "%s", name.text);
    if (isfinite(entry->front_probability)) {
        out.width += snprintf(out.text + named, sizeof out.text - (size_t)named, ", %s",
                              entry->n_runs < 2 ? "1 seed"
                                                : pareto_share_text(entry->front_probability).text);
    }
    return out;
}

static speed_plot speed_plan(const report_data *data)
{
    range x = {INFINITY, -INFINITY}, y = x, x_wide = x, y_wide = x;
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        if (speed_has(e)) {
            range_add(&x, e->pace.tokens_per_s.value);
            range_add(&y, e->val_loss.value);
            range_add(&x_wide, e->pace.tokens_per_s.value);
            range_add(&x_wide, e->pace.tokens_per_s.low);
            range_add(&x_wide, e->pace.tokens_per_s.high);
            range_add(&y_wide, e->val_loss.value);
            range_add(&y_wide, e->val_loss.low);
            range_add(&y_wide, e->val_loss.high);
        }
    }
    speed_plot plot = {.numbered = data->n_entries >= SPEED_NUMBERED_FROM};
    if (x.low > x.high) { /* nothing to draw: any frame will do */
        x = x_wide = y = y_wide = (range){1, 2};
    }
    plot.x = speed_axis(x, x_wide);
    plot.y = speed_axis(y, y_wide);
    plot.x.low = fmax(plot.x.low, 0);
    double legend = plot.numbered ? labels_width_px(data) + SHARE_CHARS * FIGURE_CHAR_PX + 75 : 25;
    plot.frame = (figure_box){105, 72, speed_width(plot.numbered) - legend, SPEED_HEIGHT - 20};
    return plot;
}

static double or_value(double bound, double value, double limit)
{
    return isnan(bound) ? value : isinf(bound) ? limit : bound;
}

static double pixel_x(const speed_plot *plot, double x)
{
    return plot->frame.left + (x - plot->x.low) * (plot->frame.right - plot->frame.left) /
                                  (plot->x.high - plot->x.low);
}

static double pixel_y(const speed_plot *plot, double y)
{
    return plot->frame.bottom + (y - plot->y.low) * (plot->frame.top - plot->frame.bottom) /
                                    (plot->y.high - plot->y.low);
}

static void speed_place(const report_data *data, const speed_plot *plot, figure_point *points)
{
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        if (speed_has(e)) {
            double chars = plot->numbered ? (i >= 9 ? 2 : 1) : speed_label_make(e).width;
            points[n++] = (figure_point){
                .x = pixel_x(plot, e->pace.tokens_per_s.value),
                .y = pixel_y(plot, e->val_loss.value),
                .low_x = pixel_x(plot,
                                 or_value(e->pace.tokens_per_s.low, e->pace.tokens_per_s.value, 0)),
                .high_x = pixel_x(
                    plot, or_value(e->pace.tokens_per_s.high, e->pace.tokens_per_s.value, 1e9)),
                .low_y = pixel_y(plot, or_value(e->val_loss.low, e->val_loss.value, 0)),
                .high_y = pixel_y(plot, or_value(e->val_loss.high, e->val_loss.value, 0)),
                .width = chars * FIGURE_CHAR_PX,
            };
        }
    }
    figure_labels_place(points, n, FONT_PX + 3, plot->frame);
}

static void write_speed(const report_data *data, const speed_plot *plot, FILE *out,
                        figure_point *points)
{
    double unit_x = (plot->x.high - plot->x.low) / (plot->frame.right - plot->frame.left);
    double unit_y = (plot->y.high - plot->y.low) / (plot->frame.top - plot->frame.bottom);
    speed_place(data, plot, points);
    fprintf(out, "# row\tlabel\ttokens_per_s\tlow\thigh\tval_loss\tlow\thigh\tcolor\tpoint_type"
                 "\tlabel_x\tlabel_y\tleader_dx\tleader_dy\tconfig\n");
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        if (!speed_has(e)) {
            continue;
        }
        const figure_point *p = &points[n++];
        speed_label label = speed_label_make(e);
        char number[16];
        snprintf(number, sizeof number, "%d", i + 1);
        double x = e->pace.tokens_per_s.value, y = e->val_loss.value;
        /* the leader ends at the nearest point of the text's middle line */
        double near_x = fmin(fmax(p->x, p->label_x), p->label_x + p->width);
        fprintf(out, "%d\t%s\t%.10g\t%.10g\t%.10g\t%.10g\t%.10g\t%.10g\t%d\t%d\t%.10g\t%.10g",
                i + 1, plot->numbered ? number : label.text, x,
                or_value(e->pace.tokens_per_s.low, x, 0),
                or_value(e->pace.tokens_per_s.high, x, 10 * plot->x.high), y,
                or_value(e->val_loss.low, y, 0), or_value(e->val_loss.high, y, 0), figure_color(i),
                figure_point_type(i), plot->x.low + (p->label_x - plot->frame.left) * unit_x,
                plot->y.low + (p->label_y - plot->frame.bottom) * unit_y);
        fprintf(out, "\t%.10g\t%.10g\t%s\n", p->leader ? (near_x - p->x) * unit_x : 0.0,
                p->leader ? (p->label_y - p->y) * unit_y : 0.0, label.text);
    }
}

static int by_speed(const void *a, const void *b)
{
    double x = (*(const report_entry *const *)a)->pace.tokens_per_s.value;
    double y = (*(const report_entry *const *)b)->pace.tokens_per_s.value;
    return (x > y) - (x < y);
}

/* The corners of the front, slow to fast, carried on to the frame at both ends. */
static gb_status write_front(const report_data *data, const speed_plot *plot, FILE *out,
                             gb_error *err)
{
    size_t n = 0;
    const report_entry **front = calloc((size_t)data->n_entries + 1, sizeof *front);
    if (!front) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the Pareto front");
    }
    for (int i = 0; i < data->n_entries; i++) {
        if (data->entries[i].on_front) {
            front[n++] = &data->entries[i];
        }
    }
    qsort(front, n, sizeof *front, by_speed);
    fprintf(out, "# tokens_per_s\tval_loss\n");
    for (size_t i = 0; i < n; i++) {
        double x = front[i]->pace.tokens_per_s.value, y = front[i]->val_loss.value;
        fprintf(out, "%.10g\t%.10g\n", i == 0 ? plot->x.low : front[i - 1]->pace.tokens_per_s.value,
                y);
        fprintf(out, "%.10g\t%.10g\n", x, y);
        if (i + 1 == n) {
            fprintf(out, "%.10g\t%.10g\n", x, plot->y.high);
        }
    }
    free(front);
    return GB_OK;
}

static void write_speed_settings(const speed_plot *plot, FILE *out)
{
    int width = speed_width(plot->numbered);
    fprintf(out, "speed_width = %d\nspeed_height = %d\nspeed_numbered = %d\n", width, SPEED_HEIGHT,
            plot->numbered);
    fprintf(out, "speed_left = %.1f\nspeed_right = %.1f\nspeed_bottom = %.1f\nspeed_top = %.1f\n",
            plot->frame.left, plot->frame.right, plot->frame.bottom, plot->frame.top);
    fprintf(out, "speed_x_min = %.10g\nspeed_x_max = %.10g\n", plot->x.low, plot->x.high);
    fprintf(out, "speed_y_min = %.10g\nspeed_y_max = %.10g\n", plot->y.low, plot->y.high);
    figure_ticks_write(out, "speed_x_ticks", figure_ticks_make(plot->x.low, plot->x.high, 7),
                       false);
    figure_ticks_write(out, "speed_y_ticks", figure_ticks_make(plot->y.low, plot->y.high, 7),
                       false);
}

/* ---- loss curves ---- */

typedef struct loss_point {
    double step, tokens, seconds, flops, mean, low, high;
} loss_point;

static const report_eval *run_eval_at(const report_run *run, int64_t step)
{
    for (int64_t i = 0; i < run->n_evals; i++) {
        if (run->evals[i].step == step) {
            return &run->evals[i];
        }
    }
    return NULL;
}

/* The k-th validation of the entry's first run, over the replicates; false when one of them lacks
 * it. */
static bool loss_at(const report_data *data, const report_entry *entry, int64_t k, loss_point *out)
{
    const report_run *first = entry->runs[0];
    int64_t step = first->evals[k].step;
    range band = {INFINITY, -INFINITY};
    double sum = 0, seconds = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const report_eval *e = run_eval_at(entry->runs[r], step);
        if (!e || !isfinite(e->val_loss)) {
            return false;
        }
        range_add(&band, e->val_loss);
        sum += e->val_loss;
        seconds += e->train_time_ms / 1000;
    }
    double tokens = (double)step * (double)first->tokens_per_step;
    *out = (loss_point){.step = (double)step,
                        .tokens = tokens,
                        .seconds = seconds / entry->n_runs,
                        .flops = tokens * data->facts->configs[entry->config].flops_per_token,
                        .mean = sum / entry->n_runs,
                        .low = band.low,
                        .high = band.high};
    return true;
}

typedef struct loss_plot {
    double max[4]; /* step, tokens, seconds, flops */
    range y;
    double floor; /* NAN when unknown or not the same for all */
} loss_plot;

static void write_loss(const report_data *data, FILE *out, loss_plot *plot)
{
    *plot = (loss_plot){.y = {INFINITY, -INFINITY}, .floor = NAN};
    fprintf(out, "# a block per config: step\ttokens\tseconds\tflops\tmean\tlow\thigh\n");
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *entry = &data->entries[i];
        const report_run *first = entry->runs[0];
        double last_step = first->n_evals ? (double)first->evals[first->n_evals - 1].step : 0;
        int64_t written = 0;
        for (int64_t k = 0; k < first->n_evals; k++) {
            loss_point p;
            if (!loss_at(data, entry, k, &p)) {
                continue;
            }
            fprintf(out, "%.0f\t%.0f\t%.6g\t%.10g\t%.8g\t%.8g\t%.8g\n", p.step, p.tokens, p.seconds,
                    p.flops, p.mean, p.low, p.high);
            written++;
            plot->max[0] = fmax(plot->max[0], p.step);
            plot->max[1] = fmax(plot->max[1], p.tokens);
            plot->max[2] = fmax(plot->max[2], p.seconds);
            plot->max[3] = fmax(plot->max[3], p.flops);
            if (p.step >= 0.12 * last_step || first->n_evals <= 3) {
                range_add(&plot->y, p.low);
                range_add(&plot->y, p.high);
            }
        }
        if (written == 0) {
            fprintf(out, "0\t0\t0\t0\tnan\tnan\tnan\n");
        }
        fprintf(out, "\n\n");
        bool same = i == 0 || plot->floor == entry->entropy_rate_nats;
        plot->floor = same ? entry->entropy_rate_nats : NAN;
    }
}

static void write_loss_settings(const loss_plot *plot, FILE *out)
{
    static const char *const names[4] = {"steps", "tokens", "seconds", "flops"};
    range y = plot->y;
    if (y.low > y.high) {
        y = (range){0, 1};
    }
    if (isfinite(plot->floor)) {
        range_add(&y, plot->floor);
    }
    double pad = y.high > y.low ? 0.05 * (y.high - y.low) : 0.05 * fabs(y.high) + 1e-9;
    y = (range){y.low - pad, y.high + pad};
    fprintf(out, "loss_y_min = %.10g\nloss_y_max = %.10g\n", y.low, y.high);
    figure_ticks_write(out, "loss_y_ticks", figure_ticks_make(y.low, y.high, 6), false);
    fprintf(out, "loss_has_floor = %d\nloss_floor = %.10g\nloss_floor_text = '%.4f'\n",
            isfinite(plot->floor), isfinite(plot->floor) ? plot->floor : 0.0,
            isfinite(plot->floor) ? plot->floor : 0.0);
    for (int i = 0; i < 4; i++) {
        double max = plot->max[i] > 0 ? plot->max[i] : 1;
        char name[32];
        snprintf(name, sizeof name, "loss_%s_ticks", names[i]);
        fprintf(out, "loss_%s_max = %.10g\n", names[i], 1.02 * max);
        figure_ticks_write(out, name, figure_ticks_make(0, max, 5), i == 1 || i == 3);
    }
}

/* ---- all ---- */

static gb_status write_speed_files(const report_data *data, const char *dir, FILE *settings,
                                   gb_error *err)
{
    speed_plot plot = speed_plan(data);
    write_speed_settings(&plot, settings);
    figure_point *points = calloc((size_t)data->n_entries + 1, sizeof *points);
    if (!points) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d points", data->n_entries);
    }
    FILE *out = figure_file_open(dir, "data/speed_loss.tsv", err);
    gb_status status = out ? GB_OK : GB_ERR_IO;
    if (out) {
        write_speed(data, &plot, out, points);
        status = figure_file_close(out, dir, "data/speed_loss.tsv", err);
    }
    free(points);
    GB_TRY(status);
    out = figure_file_open(dir, "data/speed_loss_front.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    status = write_front(data, &plot, out, err);
    return figure_file_finish(out, dir, "data/speed_loss_front.tsv", status, err);
}

static gb_status write_loss_files(const report_data *data, const char *dir, FILE *settings,
                                  gb_error *err)
{
    FILE *out = figure_file_open(dir, "data/loss.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    loss_plot plot;
    write_loss(data, out, &plot);
    write_loss_settings(&plot, settings);
    return figure_file_close(out, dir, "data/loss.tsv", err);
}

static gb_status write_all(const figure_choice *choice, const char *dir, FILE *settings,
                           gb_error *err)
{
    const report_data *data = &choice->drawn;
    fprintf(settings, "# Written by gptbench report: sizes, ranges and ticks for plots/*.gp.\n");
    fprintf(settings, "n = %d\nlabel_px = %.0f\n", data->n_entries, labels_width_px(data));
    FILE *out = figure_file_open(dir, "data/entries.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    write_entries(data, out);
    GB_TRY(figure_file_close(out, dir, "data/entries.tsv", err));
    GB_TRY(write_speed_files(data, dir, settings, err));
    GB_TRY(write_loss_files(data, dir, settings, err));
    GB_TRY(figure_data_write_speed_ratio(data, dir, settings, err));
    GB_TRY(figure_data_write_loss_ratio(data, dir, settings, err));
    GB_TRY(figure_data_write_drift(data, dir, settings, err));
    GB_TRY(figure_data_write_step_avg(data, dir, settings, err));
    GB_TRY(figure_data_write_step_times(data, dir, settings, err));
    GB_TRY(figure_data_write_op_time(data, dir, settings, err));
    GB_TRY(figure_data_write_waterfall(data, dir, settings, err));
    GB_TRY(figure_data_write_roofline(data, dir, settings, err));
    GB_TRY(figure_data_write_timeline(data, dir, settings, err));
    GB_TRY(figure_data_write_clocks(choice, dir, settings, err));
    return figure_data_write_size(data, dir, settings, err);
}

gb_status figure_data_write(const figure_choice *choice, const char *dir, gb_error *err)
{
    FILE *settings = figure_file_open(dir, "data/settings.gp", err);
    if (!settings) {
        return GB_ERR_IO;
    }
    gb_status status = write_all(choice, dir, settings, err);
    return figure_file_finish(settings, dir, "data/settings.gp", status, err);
}
