/* Figure loss_ratio: changes of the final loss against the baseline, beside exact FLOPs. */
#include <math.h>

#include "bench/analysis/verdicts.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_change.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

static bool loss_ratio_has_data(const findings *data)
{
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row->loss_judged && isfinite(row->loss.change.value)) {
            return true;
        }
    }
    return false;
}

static gb_status loss_ratio_write(const figure_choice *choice, const char *dir, FILE *settings,
                                  gb_error *err)
{
    const findings *data = &choice->drawn;
    figure_changes lines;
    double flops_low = 0, flops_high = 0;
    GB_TRY(figure_changes_begin(&lines, dir, "data/loss_ratio.tsv", err));
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row->is_baseline || !row->loss_judged) {
            continue;
        }
        double flops = row->flops_change;
        figure_changes_add(&lines, &(figure_change){row->label, verdict_loss_name(row->loss.kind),
                                                    row->loss.change, flops,
                                                    figure_change_color(row), row->loss_in_nats});
        flops_low = fmin(flops_low, isfinite(flops) ? 100 * flops : 0);
        flops_high = fmax(flops_high, isfinite(flops) ? 100 * flops : 0);
    }
    double reach = fmax(1, lines.value_max);
    figure_changes_settings(&lines, "loss_ratio", -reach, reach, settings);
    double flops_pad = 0.05 * fmax(flops_high - flops_low, 1);
    flops_low -= flops_pad;
    flops_high += flops_pad;
    fprintf(settings, "loss_ratio_flops_low = %.10g\nloss_ratio_flops_high = %.10g\n", flops_low,
            flops_high);
    figure_ticks_write(settings, "loss_ratio_flops_ticks",
                       figure_ticks_make(flops_low, flops_high, 4), false);
    return figure_file_close(lines.out, dir, "data/loss_ratio.tsv", err);
}

const figure figure_loss_ratio = {
    .name = "loss_ratio",
    .title = "Loss against the baseline",
    .caption = "Left: change of the final validation loss over paired replicates, with the 95 % "
               "t interval of that config alone; left of 0 is better. Grey band: half a per cent "
               "either way. Losses below 1 nat, or less than 0.1 nats above a known "
               "entropy, are drawn by perplexity and written in nats: 1 % is 0.01 nats. A "
               "point without an interval stands on one replicate and decides "
               "nothing. An interval may leave the frame. Right: exact FLOPs per token against "
               "the baseline's: what that loss costs.",
    .order = 40,
    .has_data = loss_ratio_has_data,
    .write = loss_ratio_write,
};
