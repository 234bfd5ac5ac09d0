/* Figure step_avg: time per step, and what exact FLOPs would make of the baseline's. */
#include <math.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_entries.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

/* Returns the largest time that the axis must show. */
static double write_line(const findings *data, int i, FILE *out)
{
    const result_entry *e = &data->entries[i];
    const result_entry *base = e->baseline >= 0 ? &data->entries[e->baseline] : NULL;
    const stats_interval avg_ms = e->pace.step_avg_ms;
    double predicted_ms = NAN;
    char text[64] = "", prediction[64] = "";
    if (base && base != e) {
        const config_verdict *row = config_verdict_of(data, i);
        const double base_ms = base->pace.step_avg_ms.value;
        const double tokens = (double)e->runs[0]->tokens_per_step;
        predicted_ms = row->speed_refused ? NAN
                                          : base_ms * (1 + e->flops_fraction) * tokens /
                                                (double)base->runs[0]->tokens_per_step;
        if (isfinite(row->time_change.value)) {
            snprintf(text, sizeof text, ", %s%s",
                     number_percent_signed(row->time_change.value).text,
                     row->per_token ? " per token" : "");
        }
        snprintf(prediction, sizeof prediction, "FLOPs say %s",
                 number_percent_signed(e->flops_fraction).text);
    }
    fprintf(out, "%d\t%s\t%.8g\t%.8g\t%.8g\t%s%s%s\t%.8g\t%s\t%d\n", i + 1,
            figure_label_make(e->label).text, avg_ms.value,
            isnan(avg_ms.low) ? avg_ms.value : fmax(avg_ms.low, 0),
            isnan(avg_ms.high) ? avg_ms.value : avg_ms.high, number_duration_ms(avg_ms.value).text,
            text, base == e ? " (baseline)" : "", predicted_ms, prediction, figure_color(i));
    /* An interval over two replicates can be very wide: it may leave the frame. */
    double high_ms = isfinite(avg_ms.high) ? fmin(avg_ms.high, 1.25 * avg_ms.value) : 0;
    high_ms = fmax(high_ms, isfinite(avg_ms.value) ? avg_ms.value : 0);
    return fmax(high_ms, isfinite(predicted_ms) ? predicted_ms : 0);
}

/* The baseline's time, where there is one for all; else 0. */
static double common_baseline_ms(const findings *data)
{
    double ms = 0;
    int baselines = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (e->baseline == i && isfinite(e->pace.step_avg_ms.value)) {
            ms = e->pace.step_avg_ms.value;
            baselines++;
        }
    }
    return baselines == 1 ? ms : 0;
}

static gb_status step_avg_write(const figure_choice *choice, const char *dir, FILE *settings,
                                gb_error *err)
{
    const findings *data = &choice->drawn;
    double max_ms = 0;
    FILE *out = figure_file_open(dir, "data/step_avg.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    fprintf(out, "# row\tconfig\tstep_avg_ms\tlow\thigh\ttext\tpredicted_ms\ttext\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        max_ms = fmax(max_ms, write_line(data, i, out));
    }
    max_ms = max_ms > 0 ? max_ms : 1;
    fprintf(settings, "step_avg_max = %.10g\nstep_avg_base = %.10g\n", max_ms,
            common_baseline_ms(data));
    figure_ticks_write(settings, "step_avg_ticks", figure_ticks_make(0, max_ms, 6), false);
    return figure_file_close(out, dir, "data/step_avg.tsv", err);
}

const figure figure_step_avg = {
    .name = "step_avg",
    .title = "Time per step against the baseline",
    .caption = "Filled bars: measured step_avg with its 95 % interval, from interleaved timing "
               "where there is any. Pale bars: the baseline's time scaled by exact FLOPs per "
               "token, which is what the step would take if FLOPs were all that counts.",
    .order = 60,
    .has_data = figure_entries_any_step_avg,
    .write = step_avg_write,
};
