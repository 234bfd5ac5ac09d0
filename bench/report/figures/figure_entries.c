#include "bench/report/figures/figure_entries.h"

#include <math.h>

#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

double figure_entries_label_px(const findings *data)
{
    int widest = 8;
    for (int i = 0; i < data->n_entries; i++) {
        int width = figure_label_make(data->entries[i].label).width;
        widest = width > widest ? width : widest;
    }
    return widest * FIGURE_CHAR_PX;
}

bool figure_entries_any_loss(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (isfinite(e->val_loss.value) && isfinite(e->pace.tokens_per_s.value)) {
            return true;
        }
    }
    return false;
}

bool figure_entries_any_step_avg(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (isfinite(data->entries[i].pace.step_avg_ms.value)) {
            return true;
        }
    }
    return false;
}

gb_status figure_entries_write(const findings *data, const char *dir, FILE *settings, gb_error *err)
{
    fprintf(settings, "n = %d\nlabel_px = %.0f\n", data->n_entries, figure_entries_label_px(data));
    FILE *out = figure_file_open(dir, "data/entries.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    fprintf(out, "# row\tconfig\tcolor\tpoint_type\tdash_type\n");
    for (int i = 0; i < data->n_entries; i++) {
        fprintf(out, "%d\t%s\t%d\t%d\t%d\n", i + 1, figure_label_make(data->entries[i].label).text,
                figure_color(i), figure_point_type(i), figure_dash_type(i));
    }
    return figure_file_close(out, dir, "data/entries.tsv", err);
}
