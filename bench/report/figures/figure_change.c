#include "bench/report/figures/figure_change.h"

#include <math.h>

#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/words/verdict_words.h"

enum { NO_ENTRY_COLOR = 0x909090 };

/* "SLOWER +7.4 % (+6.9 to +7.9)" */
static void change_text(char *out, size_t size, const figure_change *line)
{
    size_t used = (size_t)snprintf(out, size, "%s", line->word);
    if (isfinite(line->change.value)) {
        used += (size_t)snprintf(out + used, size - used, " %s",
                                 verdict_signed(line->change.value, line->in_nats).text);
    }
    if (isfinite(line->change.low) && used < size) {
        snprintf(out + used, size - used, " (%s to %s)",
                 verdict_signed(line->change.low, line->in_nats).text,
                 verdict_signed(line->change.high, line->in_nats).text);
    }
}

gb_status figure_changes_begin(figure_changes *changes, const char *dir, const char *name,
                               gb_error *err)
{
    *changes = (figure_changes){.out = figure_file_open(dir, name, err), .widest_chars = 8};
    if (!changes->out) {
        return GB_ERR_IO;
    }
    fprintf(changes->out, "# row\tconfig\tchange_percent\tlow\thigh\ttext\tflops_percent\tcolor\n");
    return GB_OK;
}

void figure_changes_add(figure_changes *all, const figure_change *line)
{
    char text[128];
    figure_label label = figure_label_make(line->label);
    change_text(text, sizeof text, line);
    stats_interval c = line->change;
    bool interval = isfinite(c.low) && isfinite(c.high);
    fprintf(all->out, "%d\t%s\t%.8g\t%.8g\t%.8g\t%s\t%.8g\t%d\n", ++all->n, label.text,
            100 * c.value, 100 * (interval ? c.low : c.value), 100 * (interval ? c.high : c.value),
            text, 100 * line->flops, line->color);
    all->widest_chars = label.width > all->widest_chars ? label.width : all->widest_chars;
    all->value_max = fmax(all->value_max, isfinite(c.value) ? 100 * fabs(c.value) : 0);
    if (interval) {
        all->interval_max = fmax(all->interval_max, 100 * fmax(fabs(c.low), fabs(c.high)));
    }
}

/* An interval over two replicates can be very wide: it may leave the frame. */
void figure_changes_settings(const figure_changes *changes, const char *prefix, double low,
                             double high, FILE *settings)
{
    double room = fmin(changes->interval_max, 4 * changes->value_max + 2);
    low = fmin(low, -fmin(room, changes->interval_max));
    high = fmax(high, fmin(room, changes->interval_max));
    double pad = 0.04 * (high - low);
    char name[48];
    fprintf(settings, "%s_n = %d\n%s_label_px = %.0f\n", prefix, changes->n, prefix,
            changes->widest_chars * FIGURE_CHAR_PX);
    fprintf(settings, "%s_low = %.10g\n%s_high = %.10g\n", prefix, low - pad, prefix, high + pad);
    snprintf(name, sizeof name, "%s_ticks", prefix);
    figure_ticks_write(settings, name, figure_ticks_make(low - pad, high + pad, 7), false);
}

int figure_change_color(const config_verdict *row)
{
    return row->entry >= 0 ? figure_color(row->entry) : NO_ENTRY_COLOR;
}
