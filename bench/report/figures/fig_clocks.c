/* Figure clocks: what the sensors saw, run after run on one axis of time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/entry_watch.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/stats/disturbance.h"

enum { BINS = 1200 };               /* over all runs; more points than pixels say nothing */
enum { LEFT_OUT_COLOR = 0xc0c0c0 }; /* of configs that the other figures leave out */
enum { PANEL_CLOCK, PANEL_POWER, PANEL_TEMPERATURE, PANEL_LOAD, PANELS };

/* A run on the common axis. */
typedef struct clocks_run {
    const run_facts *run;
    int color;
    double offset_s; /* where it begins */
    double length_s;
} clocks_run;

static int by_start(const void *a, const void *b)
{
    const clocks_run *x = a, *y = b;
    int order = strcmp(x->run->sensors.started_at, y->run->sensors.started_at);
    return order ? order : (x->run->run_id > y->run->run_id) - (x->run->run_id < y->run->run_id);
}

/* The runs with samples, in order of time; *total_s is the length of the axis. */
static int runs_arrange(const figure_choice *choice, clocks_run *out, double *total_s)
{
    const findings *data = choice->all;
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        int slot = figure_choice_slot(choice, i);
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const run_facts *run = data->entries[i].runs[r];
            if (run->sensors.n_samples > 0) {
                double last = run->sensors.samples[run->sensors.n_samples - 1].at_s;
                out[n++] = (clocks_run){run, slot < 0 ? LEFT_OUT_COLOR : figure_color(slot), 0,
                                        fmax(last, run->sensors.end_s)};
            }
        }
    }
    qsort(out, (size_t)n, sizeof *out, by_start);
    *total_s = 0;
    for (int i = 0; i < n; i++) {
        out[i].offset_s = *total_s;
        *total_s += out[i].length_s;
    }
    return n;
}

static double value_of(const sample_facts *sample, int panel)
{
    return panel == PANEL_CLOCK         ? sample->clock_mhz
           : panel == PANEL_POWER       ? sample->power_w
           : panel == PANEL_TEMPERATURE ? sample->temperature_c
                                        : 100 * sample->busy;
}

typedef struct bin {
    double sum[PANELS + 1], low[PANELS + 1], high[PANELS + 1]; /* the last is steal */
    int n[PANELS + 1];
} bin;

static void bin_add(bin *b, int k, double value)
{
    if (isfinite(value)) {
        b->low[k] = b->n[k] ? fmin(b->low[k], value) : value;
        b->high[k] = b->n[k] ? fmax(b->high[k], value) : value;
        b->sum[k] += value;
        b->n[k]++;
    }
}

/* Lowest and highest value of each panel over the figure. */
typedef struct clocks_range {
    double low[PANELS], high[PANELS];
    bool any[PANELS];
} clocks_range;

static void bin_write(const bin *b, double at_s, FILE *out, clocks_range *range)
{
    fprintf(out, "%.6g", at_s);
    for (int k = 0; k <= PANELS; k++) {
        if (b->n[k] == 0) {
            fprintf(out, "\tnan\tnan\tnan");
            continue;
        }
        fprintf(out, "\t%.8g\t%.8g\t%.8g", b->sum[k] / b->n[k], b->low[k], b->high[k]);
        if (k < PANELS) {
            range->low[k] = range->any[k] ? fmin(range->low[k], b->low[k]) : b->low[k];
            range->high[k] = range->any[k] ? fmax(range->high[k], b->high[k]) : b->high[k];
            range->any[k] = true;
        }
    }
    fprintf(out, "\n");
}

/* A blank line after each run, so that no line joins two runs; but runs of one point are joined, as
 * a point alone is no line. */
static void write_run(const clocks_run *run, double bin_s, FILE *out, clocks_range *range)
{
    const sensor_facts *s = &run->run->sensors;
    for (int64_t i = 0; i < s->n_samples;) {
        bin b = {.n = {0}};
        double first = s->samples[i].at_s, last = first;
        for (; i < s->n_samples && s->samples[i].at_s <= first + bin_s; i++) {
            for (int k = 0; k < PANELS; k++) {
                bin_add(&b, k, value_of(&s->samples[i], k));
            }
            bin_add(&b, PANELS, 100 * s->samples[i].steal);
            last = s->samples[i].at_s;
        }
        bin_write(&b, run->offset_s + (first + last) / 2, out, range);
    }
    if (run->length_s > bin_s) {
        fprintf(out, "\n");
    }
}

static int stretch_color(unsigned mask)
{
    return mask & DISTURBANCE_THROTTLED    ? 0xd55e00
           : mask & DISTURBANCE_CLOCK_DROP ? 0xe69f00
           : mask & DISTURBANCE_STEAL      ? 0xcc79a7
                                           : 0x999999;
}

/* Neighbours closer than a pixel are drawn as one, what is shorter than `least_s` is not drawn. */
static void write_stretches(const clocks_run *runs, int n, double bin_s, double least_s, FILE *out)
{
    fprintf(out, "# from_s\tto_s\tcolor\n0\t0\t16777215\n");
    for (int i = 0; i < n; i++) {
        const sensor_facts *s = &runs[i].run->sensors;
        for (int64_t k = 0; k < s->n_stretches;) {
            stretch_facts whole = s->stretches[k++];
            while (k < s->n_stretches && s->stretches[k].start_s < whole.end_s + bin_s &&
                   stretch_color(s->stretches[k].mask) == stretch_color(whole.mask)) {
                whole.end_s = s->stretches[k++].end_s;
            }
            if (whole.end_s - whole.start_s < least_s) {
                continue;
            }
            fprintf(out, "%.6g\t%.6g\t%d\n", runs[i].offset_s + whole.start_s,
                    runs[i].offset_s + fmax(whole.end_s, whole.start_s + bin_s),
                    stretch_color(whole.mask));
        }
    }
}

/* Runs that share a pixel are drawn as the longest of them. */
static void write_strip(const clocks_run *runs, int n, double bin_s, FILE *out)
{
    fprintf(out, "# from_s\tto_s\tcolor\trun\n");
    for (int i = 0; i < n;) {
        const clocks_run *longest = &runs[i];
        double from_s = runs[i].offset_s, to_s = from_s;
        for (; i < n && (to_s == from_s || to_s + runs[i].length_s <= from_s + bin_s); i++) {
            longest = runs[i].length_s > longest->length_s ? &runs[i] : longest;
            to_s += runs[i].length_s;
        }
        fprintf(out, "%.6g\t%.6g\t%d\t%lld\n", from_s, to_s, longest->color,
                (long long)longest->run->run_id);
    }
}

static void write_settings(const clocks_run *runs, int n, double total_s, clocks_range *range,
                           FILE *settings)
{
    static const char *const names[PANELS] = {"clock", "power", "temperature", "load"};
    bool gpu = false, cpu = false;
    for (int i = 0; i < n; i++) {
        gpu |= runs[i].run->sensors.of_gpu;
        cpu |= !runs[i].run->sensors.of_gpu;
    }
    total_s = total_s > 0 ? total_s : 1;
    fprintf(settings, "clocks_max = %.10g\nclocks_of = '%s'\n", total_s,
            gpu && cpu ? "GPU or CPU"
            : gpu      ? "GPU"
                       : "CPU");
    figure_ticks_write(settings, "clocks_ticks", figure_ticks_make(0, total_s, 8), false);
    for (int k = 0; k < PANELS; k++) {
        char name[32];
        double low = range->low[k], high = range->high[k];
        double pad = fmax(0.08 * (high - low), 0.02 * fabs(high) + 1e-6);
        low = k == PANEL_LOAD ? 0 : fmax(low - pad, 0);
        high = k == PANEL_LOAD ? 104 : high + pad;
        low = k == PANEL_POWER ? 0 : low;
        fprintf(settings, "clocks_has_%s = %d\nclocks_%s_min = %.10g\nclocks_%s_max = %.10g\n",
                names[k], range->any[k], names[k], low, names[k], high);
        snprintf(name, sizeof name, "clocks_%s_ticks", names[k]);
        figure_ticks_write(settings, name, figure_ticks_make(low, high, 4), false);
    }
}

static void write_legend(FILE *out)
{
    fprintf(out,
            "# slot\ttext\tcolor\n1\tbusy\t%d\n2\tsteal\t%d\n3\tthrottled\t%d\n"
            "4\tclock drop\t%d\n5\tsteal over 5 %%\t%d\n6\tother programs\t%d\n",
            0x303030, 0x0072b2, stretch_color(DISTURBANCE_THROTTLED),
            stretch_color(DISTURBANCE_CLOCK_DROP), stretch_color(DISTURBANCE_STEAL),
            stretch_color(DISTURBANCE_PREEMPTED));
}

static void write_samples(const clocks_run *runs, int n, double bin_s, FILE *out,
                          clocks_range *range)
{
    fprintf(out, "# at_s, then mean, low, high of clock_mhz, power_w, temperature_c, busy_percent,"
                 " steal_percent; a blank line between runs\n");
    for (int i = 0; i < n; i++) {
        write_run(&runs[i], bin_s, out, range);
    }
}

enum { FILE_SAMPLES, FILE_RUNS, FILE_MARKS, FILE_LEGEND, FILES };

static gb_status clocks_write(const figure_choice *choice, const char *dir, FILE *settings,
                              gb_error *err)
{
    static const char *const names[FILES] = {"data/clocks.tsv", "data/clocks_runs.tsv",
                                             "data/clocks_marks.tsv", "data/clocks_legend.tsv"};
    FILE *files[FILES];
    clocks_range range = {.low = {0}};
    double total_s;
    clocks_run *runs = calloc((size_t)choice->all->facts->n_runs + 1, sizeof *runs);
    if (!runs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", choice->all->facts->n_runs);
    }
    const int n = runs_arrange(choice, runs, &total_s);
    const double bin_s = total_s / BINS;
    /* Over hundreds of configs a pixel is minutes: one step in it does not shade it. */
    const double least_s = choice->slots ? bin_s / 10 : 0;
    gb_status status = figure_files_open(files, names, FILES, dir, err);
    if (status == GB_OK) {
        write_samples(runs, n, bin_s, files[FILE_SAMPLES], &range);
        write_strip(runs, n, bin_s, files[FILE_RUNS]);
        write_stretches(runs, n, bin_s, least_s, files[FILE_MARKS]);
        write_legend(files[FILE_LEGEND]);
    }
    write_settings(runs, n, total_s, &range, settings);
    free(runs);
    return figure_files_finish(files, names, FILES, dir, status, err);
}

const figure figure_clocks = {
    .name = "clocks",
    .title = "The machine over the suite",
    .caption = "Run after run in the order in which they were made, pauses cut out; the strip on "
               "top has the colour of each run's config. Lines are means, bands reach from the "
               "lowest to the highest sample where several share a pixel. Shaded: stretches of "
               "marked steps. Steps there are not left out of anything.",
    .order = 130,
    .has_data = entry_watch_any,
    .write = clocks_write,
    .absent = "No figure of clocks and power: no sensor was read beside these runs.",
    .settings_order = 115,
};
