/* Figure step_times: the distribution of timed steps, a density and a box per config. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_entries.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

enum { DENSITY_POINTS = 161, DENSITY_SAMPLES = 4000, OUTLIERS_SHOWN = 60 };

/* The timed steps that an entry's step_avg is the mean of, sorted; *n of them: those of interleaved
 * timing where it was timed so, else of its runs. NULL without memory. */
static double *sorted_steps(const findings *data, int i, size_t *n)
{
    const result_entry *entry = &data->entries[i];
    const config_verdict *row = config_verdict_of(data, i);
    const timing_arm *arm = entry->pace.interleaved && row ? row->arm->facts : NULL;
    size_t most = arm ? arm->n_timed : (size_t)entry->n_timed;
    double *all = malloc((most + 1) * sizeof *all);
    *n = 0;
    if (all && arm) {
        memcpy(all, arm->timed_ms, most * sizeof *all);
        *n = most;
    }
    for (int r = 0; all && !arm && r < entry->n_runs; r++) {
        for (int64_t k = 0; k < entry->runs[r]->n_timed; k++) {
            all[(*n)++] = entry->runs[r]->timed_ms[k];
        }
    }
    if (all) {
        stats_sort(all, *n);
    }
    return all;
}

typedef struct density {
    double low, step, half_heights[DENSITY_POINTS];
} density;

/* Gaussian kernel density of n sorted values with Silverman's width (Density Estimation for
 * Statistics and Data Analysis, 1986, eq. 3.31), scaled to a half height of 0.4 rows. False for
 * fewer than five values and for values that are all equal. */
static bool density_make(density *out, const double *x, size_t n)
{
    double sd = stats_sd(x, n), low = stats_quantile_sorted(x, n, 0.002);
    double high = stats_quantile_sorted(x, n, 0.998), peak = 0;
    double iqr = stats_quantile_sorted(x, n, 0.75) - stats_quantile_sorted(x, n, 0.25);
    double width = iqr > 0 ? fmin(sd, iqr / 1.34) : sd;
    if (n < 5 || !(width > 0)) {
        return false;
    }
    width *= 0.9 * pow((double)n, -0.2);
    out->low = low - 2.5 * width;
    out->step = (high + 2.5 * width - out->low) / (DENSITY_POINTS - 1);
    size_t stride = n / DENSITY_SAMPLES + 1;
    for (int i = 0; i < DENSITY_POINTS; i++) {
        double sum = 0;
        for (size_t k = 0; k < n; k += stride) {
            double z = (out->low + i * out->step - x[k]) / width;
            sum += z * z < 60 ? exp(-0.5 * z * z) : 0;
        }
        out->half_heights[i] = sum;
        peak = fmax(peak, sum);
    }
    for (int i = 0; i < DENSITY_POINTS; i++) {
        out->half_heights[i] = 0.4 * out->half_heights[i] / peak;
    }
    return true;
}

/* Of the logarithms (x is changed to them) where the axis is logarithmic, so that its shape is
 * right there. */
static void write_density(FILE *out, double *x, size_t n, bool logarithmic)
{
    density d;
    for (size_t k = 0; logarithmic && k < n; k++) {
        x[k] = log(fmax(x[k], 1e-9));
    }
    if (!density_make(&d, x, n)) {
        double at = n ? x[0] : NAN;
        fprintf(out, "%.8g\t0\n", logarithmic ? exp(at) : at);
        return;
    }
    for (int i = 0; i < DENSITY_POINTS; i++) {
        double at = d.low + i * d.step;
        fprintf(out, "%.8g\t%.5f\n", logarithmic ? exp(at) : at, d.half_heights[i]);
    }
}

static void write_box(FILE *box, FILE *outliers, const double *x, size_t n, const findings *data,
                      int i)
{
    const result_entry *entry = &data->entries[i];
    double q1 = stats_quantile_sorted(x, n, 0.25), q3 = stats_quantile_sorted(x, n, 0.75);
    double reach = 1.5 * (q3 - q1);
    size_t first = 0, last = n - 1;
    while (x[first] < q1 - reach) {
        first++;
    }
    while (x[last] > q3 + reach) {
        last--;
    }
    fprintf(box, "%d\t%s\t%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%.8g\t%zu\t%d\n", i + 1,
            figure_label_make(entry->label).text, x[first], q1, stats_quantile_sorted(x, n, 0.5),
            q3, x[last], entry->pace.step_avg_ms.value, n, figure_color(i));
    size_t beyond = first + (n - 1 - last), stride = beyond / OUTLIERS_SHOWN + 1, seen = 0;
    for (size_t k = 0; k < n; k++) {
        if ((k < first || k > last) && seen++ % stride == 0) {
            fprintf(outliers, "%d\t%.8g\t%d\n", i + 1, x[k], figure_color(i));
        }
    }
}

/* What the axis must show: nearly all steps of every entry. */
static gb_status step_range(const findings *data, double *low, double *high, gb_error *err)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < data->n_entries; i++) {
        size_t n;
        double *x = sorted_steps(data, i, &n);
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

enum { FILE_DENSITY, FILE_BOX, FILE_OUTLIERS, FILES };

static gb_status write_files(const findings *data, bool logarithmic, FILE *const files[FILES],
                             gb_error *err)
{
    fprintf(files[FILE_DENSITY], "# a block per config: step_ms\thalf_height\n");
    fprintf(files[FILE_BOX],
            "# row\tconfig\twhisker_low_ms\tq1\tmedian\tq3\twhisker_high\tmean\tsteps\tcolor\n");
    fprintf(files[FILE_OUTLIERS], "# row\tstep_ms\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        size_t n;
        double *x = sorted_steps(data, i, &n);
        if (!x) {
            return gb_fail(err, GB_ERR_OOM, "no memory for the steps");
        }
        if (n > 0) {
            write_box(files[FILE_BOX], files[FILE_OUTLIERS], x, n, data, i);
        }
        write_density(files[FILE_DENSITY], x, n, logarithmic);
        fprintf(files[FILE_DENSITY], "\n\n");
        free(x);
    }
    return GB_OK;
}

static gb_status steps_beyond(const findings *data, double low, double high, int64_t *beyond,
                              gb_error *err)
{
    *beyond = 0;
    for (int i = 0; i < data->n_entries; i++) {
        size_t n;
        double *x = sorted_steps(data, i, &n);
        if (!x) {
            return gb_fail(err, GB_ERR_OOM, "no memory for the steps");
        }
        for (size_t k = 0; k < n; k++) {
            *beyond += x[k] < low || x[k] > high;
        }
        free(x);
    }
    return GB_OK;
}

static gb_status write_settings(const findings *data, figure_range range, bool logarithmic,
                                FILE *settings, gb_error *err)
{
    double low = range.low, high = range.high;
    double pad = logarithmic ? 0 : 0.04 * (high - low) + 1e-3 * high;
    int64_t beyond;
    low = logarithmic ? low / 1.15 : fmax(low - pad, 0);
    high = logarithmic ? high * 1.15 : high + pad;
    GB_TRY(steps_beyond(data, low, high, &beyond, err));
    fprintf(settings, "step_low = %.10g\nstep_high = %.10g\nstep_log = %d\n", low, high,
            logarithmic);
    fprintf(settings, "step_beyond = '%s'\n", number_count(beyond).text);
    figure_ticks_write(settings, "step_ticks", figure_ticks_make(low, high, 7), false);
    return GB_OK;
}

static gb_status step_times_write(const figure_choice *choice, const char *dir, FILE *settings,
                                  gb_error *err)
{
    static const char *const names[FILES] = {"data/step_density.tsv", "data/step_box.tsv",
                                             "data/step_outliers.tsv"};
    const findings *data = &choice->drawn;
    FILE *files[FILES];
    double low, high;
    GB_TRY(step_range(data, &low, &high, err));
    const bool logarithmic = low > 0 && high / low > 8;
    gb_status status = figure_files_open(files, names, FILES, dir, err);
    if (status == GB_OK) {
        status = write_files(data, logarithmic, files, err);
    }
    if (status == GB_OK) {
        status = write_settings(data, (figure_range){low, high}, logarithmic, settings, err);
    }
    return figure_files_finish(files, names, FILES, dir, status, err);
}

const figure figure_step_times = {
    .name = "step_times",
    .title = "Distribution of step times",
    .caption = "Timed steps only, warm-up left out: of interleaved timing where a config has it, "
               "else of its runs. Shape: density; box: quartiles with the "
               "median; whiskers: the last step within 1.5 box lengths; diamonds: step_avg; "
               "dots: single steps beyond the whiskers.",
    .order = 70,
    .has_data = figure_entries_any_step_avg,
    .write = step_times_write,
};
