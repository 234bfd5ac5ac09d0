/* Figure loss_curves: validation losses over steps, tokens, seconds and FLOPs. */
#include <math.h>

#include "bench/analysis/equal_budget.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_entries.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

typedef struct loss_point {
    double step, tokens, seconds, flops, mean, low, high;
} loss_point;

static const eval_facts *run_eval_at(const run_facts *run, int64_t step)
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
static bool loss_at(const findings *data, const result_entry *entry, int64_t k, loss_point *out)
{
    const run_facts *first = entry->runs[0];
    int64_t step = first->evals[k].step;
    figure_range band = {INFINITY, -INFINITY};
    double sum = 0, seconds = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const eval_facts *e = run_eval_at(entry->runs[r], step);
        if (!e || !isfinite(e->val_loss)) {
            return false;
        }
        figure_range_add(&band, e->val_loss);
        sum += e->val_loss;
        seconds += (double)step * equal_budget_step_s(entry, entry->runs[r], true);
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
    figure_range y;
    double floor; /* NAN when unknown or not the same for all */
} loss_plot;

static void write_loss(const findings *data, FILE *out, loss_plot *plot)
{
    *plot = (loss_plot){.y = {INFINITY, -INFINITY}, .floor = NAN};
    fprintf(out, "# a block per config: step\ttokens\tseconds\tflops\tmean\tlow\thigh\n");
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *entry = &data->entries[i];
        const run_facts *first = entry->runs[0];
        double last_step = first->n_evals ? (double)first->evals[first->n_evals - 1].step : 0;
        int64_t written = 0;
        for (int64_t k = 0; k < first->n_evals; k++) {
            loss_point p;
            if (!entry->loss_compares || !loss_at(data, entry, k, &p)) {
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
                figure_range_add(&plot->y, p.low);
                figure_range_add(&plot->y, p.high);
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
    figure_range y = plot->y;
    if (y.low > y.high) {
        y = (figure_range){0, 1};
    }
    if (isfinite(plot->floor)) {
        figure_range_add(&y, plot->floor);
    }
    double pad = y.high > y.low ? 0.05 * (y.high - y.low) : 0.05 * fabs(y.high) + 1e-9;
    y = (figure_range){y.low - pad, y.high + pad};
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

static gb_status loss_curves_write(const figure_choice *choice, const char *dir, FILE *settings,
                                   gb_error *err)
{
    FILE *out = figure_file_open(dir, "data/loss.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    loss_plot plot;
    write_loss(&choice->drawn, out, &plot);
    write_loss_settings(&plot, settings);
    return figure_file_close(out, dir, "data/loss.tsv", err);
}

const figure figure_loss_curves = {
    .name = "loss_curves",
    .title = "Validation loss",
    .caption =
        "The same validations over steps, tokens, seconds of training and exact training "
        "FLOPs. Seconds are steps times step_avg, of interleaved timing where a config has "
        "it, as in the tables. Lines are means over replicates, bands reach from the lowest to the "
        "highest replicate. Losses that do not compare with the baseline's have no line. The first "
        "steps, where the loss falls from its start, lie "
        "above the frame.",
    .order = 20,
    .has_data = figure_entries_any_loss,
    .write = loss_curves_write,
};
