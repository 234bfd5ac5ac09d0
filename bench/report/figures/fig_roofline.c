/* Figure roofline: ops by FLOPs per byte and FLOP/s, those without FLOPs by bytes moved. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry_floor.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/report/figures/figure_op_palette.h"
#include "kernels/backend.h"
#include "model/gemm_shape.h"

/* Pixels: the frame of the left panel, and of the right one. plots/roofline.gp knows the rest. */
enum { LEFT = 100, RIGHT = 600, BOTTOM = 70, TOP = 530, POINTS_MAX = 4096 };
enum { CHAR_PX = 7, TEXT_PX = 15, ROOFS_MAX = 4, PLACED_MAX = 500, ROOF_CHAR_PX = 7 };

static const char *const phases[] = {"forward", "backward", "update"};
enum { PHASES = sizeof phases / sizeof *phases };

/* One op in one phase of one entry, per step. */
typedef struct op_rate {
    int entry, phase;
    gb_op op;
    double intensity;   /* FLOPs per byte; 0 without FLOPs */
    double flops_per_s; /* 0 without FLOPs */
    double bytes_per_s;
} op_rate;

static bool rate_make(const findings *data, int i, int phase, gb_op op, op_rate *out)
{
    const result_entry *e = &data->entries[i];
    double time_ms = 0, flops = 0;
    int runs = 0;
    for (int r = 0; r < e->n_runs; r++) {
        const run_facts *run = e->runs[r];
        runs += run->n_ops > 0;
        for (int64_t k = 0; k < run->n_ops; k++) {
            const op_facts *row = &run->ops[k];
            if (strcmp(row->op, gb_op_name(op)) == 0 && strcmp(row->phase, phases[phase]) == 0) {
                time_ms += row->time_ms;
                flops += row->flops;
            }
        }
    }
    if (runs == 0 || !(time_ms > 0) || !isfinite(time_ms) || !isfinite(flops)) {
        return false;
    }
    double bytes = entry_op_floor(data, e, phases[phase], gb_op_name(op)).bytes;
    double seconds = time_ms / runs / 1e3;
    flops /= runs;
    *out = (op_rate){.entry = i,
                     .phase = phase,
                     .op = op,
                     .intensity = bytes > 0 ? flops / bytes : 0,
                     .flops_per_s = flops / seconds,
                     .bytes_per_s = bytes / seconds};
    return bytes > 0;
}

/* All that are known, up to POINTS_MAX: by op, phase, then in the order of the suite. */
static int rates_collect(const findings *data, op_rate *out, int capacity)
{
    int n = 0;
    for (int op = 0; op < GB_OP_COUNT; op++) {
        for (int phase = 0; phase < PHASES; phase++) {
            for (int i = 0; i < data->n_entries && n < capacity; i++) {
                n += rate_make(data, i, phase, (gb_op)op, &out[n]);
            }
        }
    }
    return n;
}

static bool roofline_has_data(const findings *data)
{
    op_rate any;
    return rates_collect(data, &any, 1) > 0;
}

/* ---- logarithmic axes ---- */

typedef struct log_axis {
    double low, high;
} log_axis;

static void axis_add(log_axis *axis, double x)
{
    if (x > 0 && isfinite(x)) {
        axis->low = fmin(axis->low, x);
        axis->high = fmax(axis->high, x);
    }
}

static log_axis axis_finish(log_axis axis, double below, double above)
{
    return axis.low > axis.high ? (log_axis){1, 10}
                                : (log_axis){axis.low / below, axis.high * above};
}

/* As figure_ticks_write, at 1, 2, 5 of every decade, or at 1 alone where there are many. */
static void log_ticks_write(FILE *out, const char *name, log_axis axis)
{
    static const int steps[] = {1, 2, 5};
    int first = (int)floor(log10(axis.low)), last = (int)ceil(log10(axis.high)), written = 0;
    bool many = last - first > 4;
    fprintf(out, "%s = '(", name);
    for (int decade = first; decade <= last; decade++) {
        for (int k = 0; k < (many ? 1 : 3); k++) {
            double x = steps[k] * pow(10, decade);
            if (x >= axis.low && x <= axis.high) {
                fprintf(out, "%s\"%.10g\" %.10g", written++ ? ", " : "", x, x);
            }
        }
    }
    fprintf(out, ")'\n");
}

static double pixel(log_axis axis, double x, double from, double to)
{
    return from + (to - from) * log(x / axis.low) / log(axis.high / axis.low);
}

static double value_at(log_axis axis, double px, double from, double to)
{
    return axis.low * exp((px - from) / (to - from) * log(axis.high / axis.low));
}

/* ---- left: ops with FLOPs ---- */

/* Rates of a large product and a large copy, in 10^9 a second; gbytes is 0 where that was not
 * measured. */
typedef struct roof {
    double gflops, gbytes;
} roof;

static int roofs_find(const findings *data, roof roofs[ROOFS_MAX])
{
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const op_rates rates = entry_rates(&data->entries[i]);
        const bool copied = rates.bytes_per_s > 0 && isfinite(rates.bytes_per_s);
        const roof r = {rates.flops_per_s / 1e9, copied ? rates.bytes_per_s / 1e9 : 0};
        bool known = !(r.gflops > 0) || !isfinite(r.gflops);
        for (int k = 0; k < n && !known; k++) {
            known = roofs[k].gflops == r.gflops && roofs[k].gbytes == r.gbytes;
        }
        if (!known && n < ROOFS_MAX) {
            roofs[n++] = r;
        }
    }
    return n;
}

/* FLOPs per byte where the slope meets the ceiling; 0 without a slope. */
static double roof_ridge(const roof *r)
{
    return r->gbytes > 0 ? r->gflops / r->gbytes : 0;
}

typedef struct roofline {
    log_axis x, y, bytes; /* FLOPs per byte, GFLOP/s, GB/s */
    roof roofs[ROOFS_MAX];
    int n_roofs;
} roofline;

static roofline roofline_plan(const findings *data, const op_rate *rates, int n)
{
    roofline plot = {.x = {INFINITY, 0}, .y = {INFINITY, 0}, .bytes = {INFINITY, 0}};
    plot.n_roofs = roofs_find(data, plot.roofs);
    for (int i = 0; i < n; i++) {
        if (rates[i].flops_per_s > 0) {
            axis_add(&plot.x, rates[i].intensity);
            axis_add(&plot.y, rates[i].flops_per_s / 1e9);
        } else {
            axis_add(&plot.bytes, rates[i].bytes_per_s / 1e9);
        }
    }
    for (int i = 0; i < plot.n_roofs; i++) {
        axis_add(&plot.x, roof_ridge(&plot.roofs[i]) / 2); /* so that some of the slope is seen */
        axis_add(&plot.x, roof_ridge(&plot.roofs[i]));
        axis_add(&plot.y, plot.roofs[i].gflops);
        axis_add(&plot.bytes, plot.roofs[i].gbytes);
    }
    plot.x = axis_finish(plot.x, 1.7, 2.2);
    plot.y = axis_finish(plot.y, 1.5, 1.6);
    plot.bytes = axis_finish(plot.bytes, 1.4, 1.4);
    return plot;
}

/* The line from the frame's left or lower edge up to the ridge and on to the right edge: `n` points
 * in the axes' units. */
typedef struct roof_line {
    double x[3], y[3];
    int n;
} roof_line;

static roof_line roof_line_make(const roofline *plot, const roof *r)
{
    double ridge = roof_ridge(r);
    if (!(ridge > plot->x.low)) {
        return (roof_line){{plot->x.low, plot->x.high}, {r->gflops, r->gflops}, 2};
    }
    double from = fmax(plot->x.low, plot->y.low / r->gbytes);
    return (roof_line){{from, ridge, plot->x.high}, {from * r->gbytes, r->gflops, r->gflops}, 3};
}

typedef struct roof_label {
    char text[96];
    double x, width; /* pixels: its left end */
} roof_label;

/* Above the ceiling, from the ridge on where it has room there. */
static roof_label roof_label_make(const roofline *plot, const roof *r)
{
    roof_label out;
    int used = snprintf(out.text, sizeof out.text, "large product, measured: %s GFLOP/s",
                        number_rounded(r->gflops).text);
    if (r->gbytes > 0) {
        snprintf(out.text + used, sizeof out.text - (size_t)used, "; copy: %s GB/s",
                 number_gigas(r->gbytes * 1e9).text);
    }
    out.width = ROOF_CHAR_PX * (double)strlen(out.text);
    double ridge = fmax(roof_ridge(r), plot->x.low);
    double from = pixel(plot->x, ridge, LEFT, RIGHT) + 6;
    out.x = fmax(LEFT + 6, fmin(from, RIGHT - out.width));
    return out;
}

static int obstacle_add(figure_point *points, int count, double x, double y)
{
    if (count < PLACED_MAX) {
        points[count++] =
            (figure_point){.x = x, .y = y, .low_x = x, .high_x = x, .low_y = y, .high_y = y};
    }
    return count;
}

/* The lines across the frame and the texts above them are in the way of names. */
static int roofs_place(const roofline *plot, figure_point *points, int count)
{
    for (int i = 0; i < plot->n_roofs; i++) {
        const roof_line line = roof_line_make(plot, &plot->roofs[i]);
        const roof_label label = roof_label_make(plot, &plot->roofs[i]);
        for (int k = 0; k + 1 < line.n; k++) {
            double x = pixel(plot->x, line.x[k], LEFT, RIGHT);
            double y = pixel(plot->y, line.y[k], BOTTOM, TOP);
            double dx = pixel(plot->x, line.x[k + 1], LEFT, RIGHT) - x;
            double dy = pixel(plot->y, line.y[k + 1], BOTTOM, TOP) - y;
            int steps = 1 + (int)(hypot(dx, dy) / 12);
            for (int at = 0; at <= steps; at++) {
                count = obstacle_add(points, count, x + dx * at / steps, y + dy * at / steps);
            }
        }
        double y = pixel(plot->y, plot->roofs[i].gflops, BOTTOM, TOP) + 9;
        for (int at = 0; at < (int)label.width; at += 14) {
            count = obstacle_add(points, count, label.x + at, y);
        }
    }
    return count;
}

/* Points of ops with FLOPs, those of the baseline first: their names are placed around all of them.
 * Two of the baseline's that all but coincide share a name. */
static int names_place(const findings *data, const roofline *plot, const op_rate *rates, int n,
                       figure_point *points, const op_rate **of)
{
    int count = 0, named = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n && count < PLACED_MAX; i++) {
            const op_rate *r = &rates[i];
            bool baseline = data->entries[r->entry].is_baseline;
            if (!(r->flops_per_s > 0) || baseline != (pass == 0)) {
                continue;
            }
            double x = pixel(plot->x, r->intensity, LEFT, RIGHT);
            double y = pixel(plot->y, r->flops_per_s / 1e9, BOTTOM, TOP);
            bool shares = baseline && count > 0 && of[count - 1]->op == r->op &&
                          hypot(points[count - 1].x - x, points[count - 1].y - y) < 12;
            double width = baseline && !shares ? CHAR_PX * (double)strlen(gb_op_name(r->op)) : 0;
            of[count] = r;
            points[count++] = (figure_point){
                .x = x, .y = y, .low_x = x, .high_x = x, .low_y = y, .high_y = y, .width = width};
        }
        named = pass == 0 ? count : named;
        count = pass == 0 ? roofs_place(plot, points, count) : count;
    }
    figure_labels_place(points, count, TEXT_PX, (figure_box){LEFT, BOTTOM, RIGHT, TOP});
    return named;
}

static void write_names(const roofline *plot, const figure_point *points, const op_rate *const *of,
                        int named, FILE *out)
{
    fprintf(out, "# intensity\tgflops_per_s\tleader_dx\tleader_dy\ttext_x\ttext_y\top\n");
    for (int i = 0; i < named; i++) {
        const figure_point *p = &points[i];
        double near_x = fmin(fmax(p->x, p->label_x), p->label_x + p->width);
        double to_x = value_at(plot->x, p->leader ? near_x : p->x, LEFT, RIGHT);
        double to_y = value_at(plot->y, p->leader ? p->label_y : p->y, BOTTOM, TOP);
        double y = of[i]->flops_per_s / 1e9;
        if (p->width > 0) {
            fprintf(out, "%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%s\n", of[i]->intensity, y,
                    to_x - of[i]->intensity, to_y - y, value_at(plot->x, p->label_x, LEFT, RIGHT),
                    value_at(plot->y, p->label_y, BOTTOM, TOP), gb_op_name(of[i]->op));
        }
    }
}

static void write_points(const findings *data, const op_rate *rates, int n,
                         const int colors[GB_OP_COUNT], FILE *out)
{
    fprintf(out, "# baseline\tintensity\tgflops_per_s\tcolor\tpoint_type\tconfig\top\tphase\n");
    for (int i = 0; i < n; i++) {
        const op_rate *r = &rates[i];
        const result_entry *e = &data->entries[r->entry];
        if (r->flops_per_s > 0) {
            fprintf(out, "%d\t%.8g\t%.8g\t%d\t%d\t%s\t%s\t%s\n", e->is_baseline, r->intensity,
                    r->flops_per_s / 1e9, colors[r->op], r->phase == 0 ? 7 : 5,
                    figure_label_make(e->label).text, gb_op_name(r->op), phases[r->phase]);
        }
    }
}

/* A block of points per roof; the label stands at the first one. */
static void write_roofs(const roofline *plot, FILE *lines, FILE *labels)
{
    fprintf(lines, "# intensity\tgflops_per_s\n");
    fprintf(labels, "# text_x\tgflops_per_s\ttext\tgbytes_per_s\tbytes_text\n");
    for (int i = 0; i < plot->n_roofs; i++) {
        const roof *r = &plot->roofs[i];
        const roof_line line = roof_line_make(plot, r);
        const roof_label label = roof_label_make(plot, r);
        char gbytes[32] = "nan";
        if (r->gbytes > 0) {
            snprintf(gbytes, sizeof gbytes, "%.8g", r->gbytes);
        }
        for (int k = 0; k < line.n; k++) {
            fprintf(lines, "%.8g\t%.8g\n", line.x[k], line.y[k]);
        }
        fprintf(lines, "\n\n");
        fprintf(labels, "%.8g\t%.8g\t%s\t%s\t%s\n", value_at(plot->x, label.x, LEFT, RIGHT),
                r->gflops, label.text, gbytes, i == 0 && r->gbytes > 0 ? "large copy" : "");
    }
}

/* ---- right: ops without ---- */

/* Returns the number of rows. */
static int write_bytes(const findings *data, const op_rate *rates, int n,
                       const int colors[GB_OP_COUNT], FILE *out)
{
    int row = 0;
    const op_rate *last = NULL;
    fprintf(out, "# baseline\trow\tname\tgbytes_per_s\tcolor\ttext\tconfig\n");
    for (int i = 0; i < n; i++) {
        const op_rate *r = &rates[i];
        const result_entry *e = &data->entries[r->entry];
        if (r->flops_per_s > 0) {
            continue;
        }
        if (!last || last->op != r->op || last->phase != r->phase) {
            row++;
        }
        last = r;
        char text[32] = "";
        if (e->is_baseline) {
            snprintf(text, sizeof text, "%.3g", r->bytes_per_s / 1e9);
        }
        fprintf(out, "%d\t%d\t%s %s\t%.8g\t%d\t%s\t%s\n", e->is_baseline, row, gb_op_name(r->op),
                phases[r->phase], r->bytes_per_s / 1e9, colors[r->op], text,
                figure_label_make(e->label).text);
    }
    return row;
}

/* ---- all ---- */

enum { FILE_POINTS, FILE_NAMES, FILE_ROOFS, FILE_ROOF_LABELS, FILE_BYTES, FILES };

static void write_all(const findings *data, const op_rate *rates, int n, figure_point *points,
                      FILE *const files[FILES], FILE *settings)
{
    roofline plot = roofline_plan(data, rates, n);
    int with_flops = 0, colors[GB_OP_COUNT];
    for (int i = 0; i < n; i++) {
        with_flops += rates[i].flops_per_s > 0;
    }
    const figure_op_palette palette = figure_op_palette_make(data);
    for (int op = 0; op < GB_OP_COUNT; op++) {
        colors[op] = figure_op_color(&palette, gb_op_name((gb_op)op));
    }
    write_points(data, rates, n, colors, files[FILE_POINTS]);
    const op_rate *of[PLACED_MAX];
    int named = names_place(data, &plot, rates, n, points, of);
    write_names(&plot, points, of, named, files[FILE_NAMES]);
    write_roofs(&plot, files[FILE_ROOFS], files[FILE_ROOF_LABELS]);
    int rows = write_bytes(data, rates, n, colors, files[FILE_BYTES]);
    fprintf(settings,
            "roofline_left = %d\nroofline_right = %d\nroofline_bottom = %d\nroofline_top = %d\n",
            LEFT, RIGHT, BOTTOM, TOP);
    fprintf(settings, "roofline_points = %d\nroofline_roofs = %d\nroofline_rows = %d\n", with_flops,
            plot.n_roofs, rows);
    const struct {
        const char *name;
        log_axis axis;
    } axes[] = {{"x", plot.x}, {"y", plot.y}, {"bytes", plot.bytes}};
    for (int i = 0; i < 3; i++) {
        char name[40];
        fprintf(settings, "roofline_%s_min = %.10g\nroofline_%s_max = %.10g\n", axes[i].name,
                axes[i].axis.low, axes[i].name, axes[i].axis.high);
        snprintf(name, sizeof name, "roofline_%s_ticks", axes[i].name);
        log_ticks_write(settings, name, axes[i].axis);
    }
}

static gb_status roofline_write(const figure_choice *choice, const char *dir, FILE *settings,
                                gb_error *err)
{
    const findings *data = &choice->drawn;
    static const char *const names[FILES] = {
        "data/roofline.tsv", "data/roofline_names.tsv", "data/roofline_roofs.tsv",
        "data/roofline_roof_labels.tsv", "data/roofline_bytes.tsv"};
    FILE *files[FILES];
    op_rate *rates = calloc(POINTS_MAX, sizeof *rates);
    figure_point *points = calloc(PLACED_MAX, sizeof *points);
    gb_status status = GB_ERR_OOM;
    if (rates && points) {
        status = figure_files_open(files, names, FILES, dir, err);
        if (status == GB_OK) {
            int n = rates_collect(data, rates, POINTS_MAX);
            write_all(data, rates, n, points, files, settings);
        }
        status = figure_files_finish(files, names, FILES, dir, status, err);
    } else {
        gb_fail(err, GB_ERR_OOM, "no memory for the roofline");
    }
    free(rates);
    free(points);
    return status;
}

const figure figure_roofline = {
    .name = "roofline",
    .title = "Ops against the roof",
    .caption = "Left: FLOPs per byte that an op must move at least (each input read once, each "
               "output written once) and the FLOP/s that it achieved in profiled steps; the "
               "dashed line is the roof: the measured rate of a large product, and left of the "
               "ridge what the measured rate of a large copy allows. Where a copy was not "
               "measured the roof is flat. Large points with names are the baseline, small ones "
               "the other configs. Right: ops without FLOPs by the rate at which they move those "
               "bytes; numbers are the baseline's; the dashed line is the large copy. A point "
               "above the roof, or beyond the copy, had its data in a cache.",
    .order = 110,
    .has_data = roofline_has_data,
    .write = roofline_write,
    .of_why = true,
    .settings_order = 95,
};
