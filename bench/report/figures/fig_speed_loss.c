/* Figure speed_loss: throughput against final loss, the Pareto front and how sure it is. */
#include <math.h>
#include <stdlib.h>

#include "bench/analysis/peers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_entries.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/stats/pareto.h"

#define FONT_PX 14.0 /* of every figure; plots/style.gp */

enum { SPEED_WIDTH = 900, SPEED_HEIGHT = 600, SPEED_NUMBERED_FROM = 11 };

/* Room around the points; intervals widen it, but never so far that the points huddle together. */
static figure_range speed_axis(figure_range values, figure_range intervals)
{
    double span = values.high - values.low;
    double least = span > 0 ? 0.12 * span : 0.04 * fabs(values.high) + 1e-9;
    double most = span > 0 ? 0.5 * span : 0.2 * fabs(values.high) + 1e-9;
    double below = fmin(most, fmax(least, 1.1 * (values.low - intervals.low)));
    double above = fmin(most, fmax(least, 1.1 * (intervals.high - values.high)));
    return (figure_range){values.low - below, values.high + above};
}

typedef struct speed_plot {
    figure_range x, y;
    figure_box frame; /* pixels, y upwards */
    bool numbered;
} speed_plot;

static int speed_width(bool numbered)
{
    return SPEED_WIDTH + (numbered ? 210 : 0);
}

/* Drawn are those that compare with the baseline in both. */
static bool speed_has(const findings *data, const result_entry *entry)
{
    return isfinite(entry->val_loss.value) && isfinite(entry->pace.tokens_per_s.value) &&
           entry->beside == peers_lead(data) && entry->speed_compares && entry->loss_compares;
}

/* "d12_mlp3x, 97 %": how sure its place on the front is. One seed tells nothing of that. */
typedef struct speed_label {
    char text[sizeof(figure_label) + 16];
    int width; /* in characters */
} speed_label;

enum { SHARE_CHARS = 8 }; /* of ", 1 seed" */

static speed_label speed_label_make(const result_entry *entry)
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

static speed_plot speed_plan(const findings *data)
{
    figure_range x = {INFINITY, -INFINITY}, y = x, x_wide = x, y_wide = x;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (speed_has(data, e)) {
            figure_range_add(&x, e->pace.tokens_per_s.value);
            figure_range_add(&y, e->val_loss.value);
            figure_range_add(&x_wide, e->pace.tokens_per_s.value);
            figure_range_add(&x_wide, e->pace.tokens_per_s.low);
            figure_range_add(&x_wide, e->pace.tokens_per_s.high);
            figure_range_add(&y_wide, e->val_loss.value);
            figure_range_add(&y_wide, e->val_loss.low);
            figure_range_add(&y_wide, e->val_loss.high);
        }
    }
    speed_plot plot = {.numbered = data->n_entries >= SPEED_NUMBERED_FROM};
    if (x.low > x.high) { /* nothing to draw: any frame will do */
        x = x_wide = y = y_wide = (figure_range){1, 2};
    }
    plot.x = speed_axis(x, x_wide);
    plot.y = speed_axis(y, y_wide);
    plot.x.low = fmax(plot.x.low, 0);
    double legend =
        plot.numbered ? figure_entries_label_px(data) + SHARE_CHARS * FIGURE_CHAR_PX + 75 : 25;
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

static void speed_place(const findings *data, const speed_plot *plot, figure_point *points)
{
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (speed_has(data, e)) {
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

static void write_points(const findings *data, const speed_plot *plot, const figure_point *points,
                         FILE *out)
{
    double unit_x = (plot->x.high - plot->x.low) / (plot->frame.right - plot->frame.left);
    double unit_y = (plot->y.high - plot->y.low) / (plot->frame.top - plot->frame.bottom);
    fprintf(out, "# row\tlabel\ttokens_per_s\tlow\thigh\tval_loss\tlow\thigh\tcolor\tpoint_type"
                 "\tlabel_x\tlabel_y\tleader_dx\tleader_dy\tconfig\n");
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (!speed_has(data, e)) {
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

static gb_status write_speed(const findings *data, const speed_plot *plot, FILE *out, gb_error *err)
{
    figure_point *points = calloc((size_t)data->n_entries + 1, sizeof *points);
    if (!points) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d points", data->n_entries);
    }
    speed_place(data, plot, points);
    write_points(data, plot, points, out);
    free(points);
    return GB_OK;
}

static int by_speed(const void *a, const void *b)
{
    double x = (*(const result_entry *const *)a)->pace.tokens_per_s.value;
    double y = (*(const result_entry *const *)b)->pace.tokens_per_s.value;
    return (x > y) - (x < y);
}

/* The corners of the front, slow to fast, carried on to the frame at both ends. */
static gb_status write_front(const findings *data, const speed_plot *plot, FILE *out, gb_error *err)
{
    size_t n = 0;
    const result_entry **front = calloc((size_t)data->n_entries + 1, sizeof *front);
    if (!front) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the Pareto front");
    }
    for (int i = 0; i < data->n_entries; i++) {
        if (data->entries[i].on_front && speed_has(data, &data->entries[i])) {
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

static gb_status speed_loss_write(const figure_choice *choice, const char *dir, FILE *settings,
                                  gb_error *err)
{
    static const char *const names[] = {"data/speed_loss.tsv", "data/speed_loss_front.tsv"};
    const findings *data = &choice->drawn;
    const speed_plot plot = speed_plan(data);
    FILE *files[2];
    write_speed_settings(&plot, settings);
    gb_status status = figure_files_open(files, names, 2, dir, err);
    if (status == GB_OK) {
        status = write_speed(data, &plot, files[0], err);
    }
    if (status == GB_OK) {
        status = write_front(data, &plot, files[1], err);
    }
    return figure_files_finish(files, names, 2, dir, status, err);
}

const figure figure_speed_loss = {
    .name = "speed_loss",
    .title = "Speed against loss",
    .caption = "Each point is one config: training throughput and final validation loss, with 95 "
               "% intervals. Down and to the right is better. The line is the Pareto front: no "
               "config is both faster and lower in loss than one on it. The percentage is how "
               "sure it is that a config is on it, given the noise of speed and loss between "
               "replicates. A config with one seed shows none: nothing is known of the noise of "
               "its loss, and the others' percentages take that loss as exact. Configs whose speed "
               "or loss does "
               "not compare with the baseline's are not drawn.",
    .order = 10,
    .has_data = figure_entries_any_loss,
    .write = speed_loss_write,
};
