/* Figure op_time: milliseconds of a profiled step by op, stacked. */
#include <math.h>
#include <stdlib.h>

#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/report/figures/figure_op_palette.h"

/* A config's bar, as far as it is written. */
typedef struct op_bar {
    FILE *out;
    int row;
    const char *label;
    double at, total; /* ms */
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

static void write_bar(const result_entry *e, int row, const figure_op_palette *palette,
                      double widest, FILE *out)
{
    const figure_label label = figure_label_make(e->label);
    op_bar bar = {out, row, label.text, 0, figure_op_ms(e, NULL)};
    double rest = bar.total, unattributed = figure_op_ms(e, "unattributed");
    for (int k = 0; k < palette->n; k++) {
        double ms = figure_op_ms(e, palette->names[k]);
        figure_label name = figure_label_make(palette->names[k]);
        write_segment(&bar, name.text, ms, palette->colors[k], widest);
        rest -= ms;
    }
    write_segment(&bar, "other", fmax(rest - unattributed, 0), FIGURE_OP_OTHER_COLOR, widest);
    write_segment(&bar, "unattributed", unattributed, FIGURE_OP_UNATTRIBUTED_COLOR, widest);
}

static void write_bars(const findings *data, const figure_op_palette *palette, double widest,
                       FILE *out)
{
    fprintf(out, "# row\tconfig\top\tms_per_step\tfrom\tto\tcolor\ttext\ttext_color\n");
    for (int i = 0; i < data->n_entries; i++) {
        write_bar(&data->entries[i], i + 1, palette, widest, out);
    }
}

/* The whole bar, with its t interval over replicates where there are two or more. */
static gb_status write_totals(const findings *data, FILE *out, gb_error *err)
{
    double *totals = malloc(((size_t)data->facts->n_runs + 1) * sizeof *totals);
    if (!totals) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the ops");
    }
    fprintf(out, "# row\tms_per_step\tlow\thigh\n");
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
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
    return GB_OK;
}

static void write_legend(const figure_op_palette *palette, FILE *out)
{
    fprintf(out, "# slot\top\tcolor\n");
    for (int k = 0; k < palette->n; k++) {
        fprintf(out, "%d\t%s\t%d\n", k + 1, figure_label_make(palette->names[k]).text,
                palette->colors[k]);
    }
    fprintf(out, "%d\tother\t%d\n%d\tunattributed\t%d\n", palette->n + 1, FIGURE_OP_OTHER_COLOR,
            palette->n + 2, FIGURE_OP_UNATTRIBUTED_COLOR);
}

static bool op_time_has_data(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            if (data->entries[i].runs[r]->n_ops > 0) {
                return true;
            }
        }
    }
    return false;
}

static gb_status op_time_write(const figure_choice *choice, const char *dir, FILE *settings,
                               gb_error *err)
{
    static const char *const names[] = {"data/op_time.tsv", "data/op_total.tsv",
                                        "data/op_legend.tsv"};
    const findings *data = &choice->drawn;
    const figure_op_palette palette = figure_op_palette_make(data);
    FILE *files[3];
    double widest = 0;
    for (int i = 0; i < data->n_entries; i++) {
        widest = fmax(widest, figure_op_ms(&data->entries[i], NULL));
    }
    gb_status status = figure_files_open(files, names, 3, dir, err);
    if (status == GB_OK) {
        write_bars(data, &palette, widest, files[0]);
        status = write_totals(data, files[1], err);
        write_legend(&palette, files[2]);
    }
    widest = widest > 0 ? widest : 1;
    fprintf(settings, "op_max = %.10g\nop_slots = %d\n", widest, palette.n + 2);
    figure_ticks_write(settings, "op_ticks", figure_ticks_make(0, widest, 6), false);
    return figure_files_finish(files, names, 3, dir, status, err);
}

const figure figure_op_time = {
    .name = "op_time",
    .title = "Where a step's time goes",
    .caption = "Per op over all layers, forward, backward and update, from the profiled steps; "
               "\"unattributed\" is what the ops do not account for. Small ops are gathered "
               "under \"other\". The line across a bar's end is the 95 % interval of the whole, "
               "over replicates where there are two or more.",
    .order = 80,
    .has_data = op_time_has_data,
    .write = op_time_write,
    .of_why = true,
};
