/* Figure model_size: parameters and exact FLOPs per token, side by side. */
#include <math.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

static void change_text(char *out, size_t size, double value, double change, bool is_baseline)
{
    if (is_baseline || !isfinite(change)) {
        snprintf(out, size, "%s", number_short(value).text);
    } else {
        snprintf(out, size, "%s, %s", number_short(value).text, number_percent_signed(change).text);
    }
}

static bool model_size_has_data(const findings *data)
{
    return data->n_entries > 0;
}

static gb_status model_size_write(const figure_choice *choice, const char *dir, FILE *settings,
                                  gb_error *err)
{
    const findings *data = &choice->drawn;
    FILE *out = figure_file_open(dir, "data/model_size.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    double max_params = 1, max_flops = 1;
    fprintf(out, "# row\tconfig\tn_params\ttext\tflops_per_token\ttext\tcolor\n");
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        const config_facts *c = &data->facts->configs[e->config];
        char params[80], flops[80];
        change_text(params, sizeof params, (double)c->n_params,
                    config_params_change(data->facts, e->config), c->is_baseline);
        change_text(flops, sizeof flops, c->flops_per_token,
                    config_flops_change(data->facts, e->config), c->is_baseline);
        fprintf(out, "%d\t%s\t%lld\t%s\t%.10g\t%s\t%d\n", i + 1, figure_label_make(e->label).text,
                (long long)c->n_params, params, c->flops_per_token, flops, figure_color(i));
        max_params = fmax(max_params, (double)c->n_params);
        max_flops = fmax(max_flops, c->flops_per_token);
    }
    fprintf(settings, "params_max = %.10g\nflops_max = %.10g\n", max_params, max_flops);
    figure_ticks_write(settings, "params_ticks", figure_ticks_make(0, max_params, 4), true);
    figure_ticks_write(settings, "flops_ticks", figure_ticks_make(0, max_flops, 4), true);
    return figure_file_close(out, dir, "data/model_size.tsv", err);
}

const figure figure_model_size = {
    .name = "model_size",
    .title = "Parameters and FLOPs",
    .caption = "Parameters (the tied matrix counted once) and exact FLOPs per token, forward and "
               "backward, with the difference from the baseline.",
    .order = 120,
    .has_data = model_size_has_data,
    .write = model_size_write,
};
