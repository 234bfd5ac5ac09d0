/* Figure waterfall: how the profiled step of a config differs from the baseline's, op by op. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/ledger.h"
#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

enum { PANELS_MAX = 6, OPS_OWN = 9 };
#define PANEL_PX   370.0 /* width of a panel in plots/waterfall.gp */
#define CHAR_PX    7.2
#define TEXT_SHARE 0.16 /* of a panel's width, for the text of a bar */

enum {
    LESS_COLOR = 0x0072b2,
    LESS_PALE = 0xa6cbe3,
    MORE_COLOR = 0xd55e00,
    MORE_PALE = 0xf0c4a4,
    REST_COLOR = 0xc8c8c8,
    STEP_COLOR = 0x404040,
    STEP_PALE = 0x9a9a9a
};

typedef struct panel {
    int entry;
    double change; /* of the profiled step, as a fraction of the baseline's */
} panel;

static gb_status panel_ledger(ledger **out, const findings *data, int entry, gb_error *err)
{
    const result_entry *e = &data->entries[entry];
    return ledger_make(out, data, &data->entries[e->baseline], e, LEDGER_BY_OP, err);
}

static int by_falling_change(const void *a, const void *b)
{
    double x = fabs(((const panel *)a)->change), y = fabs(((const panel *)b)->change);
    return (x < y) - (x > y);
}

static int by_entry(const void *a, const void *b)
{
    return ((const panel *)a)->entry - ((const panel *)b)->entry;
}

/* The entries that get a panel, in the order of the suite; *n <= PANELS_MAX of them. */
static gb_status panels_choose(const findings *data, panel **out, int *n, gb_error *err)
{
    *n = 0;
    *out = calloc((size_t)data->n_entries + 1, sizeof **out);
    if (!*out) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d configs", data->n_entries);
    }
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (e->baseline < 0 || e->baseline == i || !e->steps_compare ||
            !ledger_possible(&data->entries[e->baseline], e)) {
            continue;
        }
        ledger *l = NULL;
        GB_TRY(panel_ledger(&l, data, i, err));
        (*out)[(*n)++] = (panel){i, l->profiled.change_ms.value / l->profiled.base_ms};
        ledger_free(l);
    }
    if (*n > PANELS_MAX) {
        qsort(*out, (size_t)*n, sizeof **out, by_falling_change);
        *n = PANELS_MAX;
        qsort(*out, (size_t)*n, sizeof **out, by_entry);
    }
    return GB_OK;
}

typedef struct waterfall {
    FILE *out;
    int row;
    double at, low, high, step_change;
    double step_text_share; /* of the panel's width that the whole step's text takes */
} waterfall;

/* "-12.3" with as many decimals as the step wants. */
static number_text change_text(double ms, double step_ms)
{
    number_text out;
    int decimals = step_ms < 10 ? 3 : step_ms < 100 ? 2 : step_ms < 1000 ? 1 : 0;
    double least = 0.5 * pow(10, -decimals);
    snprintf(out.text, sizeof out.text, "%s%.*f",
             ms >= least ? "+" : (ms <= -least ? "\xe2\x88\x92" : ""), decimals, fabs(ms));
    return out;
}

static void write_bar(waterfall *w, const char *name, double from, double to, int color,
                      const char *text)
{
    w->row++;
    fprintf(w->out, "%d\t%s\t%.8g\t%.8g\t%d\t%s\t%.8g\t%d\n", w->row, figure_label_make(name).text,
            from, to, color, text, to < from ? fmin(from, to) : fmax(from, to), to < from);
    w->low = fmin(w->low, fmin(from, to));
    w->high = fmax(w->high, fmax(from, to));
}

static int bar_color(stats_interval change)
{
    bool pale = ledger_within_noise(change) != 0; /* or not known to be beyond it */
    return change.value < 0 ? (pale ? LESS_PALE : LESS_COLOR) : (pale ? MORE_PALE : MORE_COLOR);
}

/* The first rows of the ledger, those that are more than a line. */
static int rows_worth_a_bar(const ledger *l)
{
    double all = 0;
    int n = 0;
    for (int i = 0; i < l->n_rows; i++) {
        all += fabs(l->rows[i].change_ms.value);
    }
    while (n < l->n_rows && n < OPS_OWN && fabs(l->rows[n].change_ms.value) > 0.005 * all) {
        n++;
    }
    return n + 1 == l->n_rows ? l->n_rows : n;
}

static void write_panel(waterfall *w, const ledger *l)
{
    double step_ms = fmax(l->profiled.base_ms, l->profiled.new_ms), rest = 0;
    int own = rows_worth_a_bar(l);
    for (int i = 0; i < l->n_rows; i++) {
        stats_interval change = l->rows[i].change_ms;
        if (i < own) {
            write_bar(w, ledger_row_name(&l->rows[i]).text, w->at, w->at + change.value,
                      bar_color(change), change_text(change.value, step_ms).text);
            w->at += change.value;
        } else {
            rest += change.value;
        }
    }
    if (own < l->n_rows) {
        char name[32];
        snprintf(name, sizeof name, "%d others", l->n_rows - own);
        write_bar(w, name, w->at, w->at + rest, REST_COLOR, change_text(rest, step_ms).text);
    }
    double change = l->profiled.change_ms.value;
    char text[80];
    snprintf(text, sizeof text, "%s, %s", change_text(change, step_ms).text,
             number_percent_signed(l->profiled.new_ms / l->profiled.base_ms - 1).text);
    w->step_change = change;
    w->step_text_share = fmin(0.5, (figure_label_make(text).width * CHAR_PX + 10) / PANEL_PX);
    write_bar(w, "whole step", 0, change,
              ledger_within_noise(l->profiled.change_ms) != 0 ? STEP_PALE : STEP_COLOR, text);
}

static void write_panel_settings(const waterfall *w, int k, FILE *settings)
{
    double span = w->high - w->low;
    span = span > 0 ? span : 1;
    /* Room for the texts beside the bars; that of the whole step is the longest. */
    double whole = span / (1 - TEXT_SHARE - w->step_text_share);
    double low = w->low - (w->step_change < 0 ? w->step_text_share : TEXT_SHARE) * whole;
    double high = w->high + (w->step_change < 0 ? TEXT_SHARE : w->step_text_share) * whole;
    char name[32];
    fprintf(settings,
            "waterfall_low_%d = %.10g\nwaterfall_high_%d = %.10g\nwaterfall_rows_%d = %d\n", k, low,
            k, high, k, w->row);
    snprintf(name, sizeof name, "waterfall_ticks_%d", k);
    figure_ticks_write(settings, name, figure_ticks_make(low, high, 5), false);
}

static gb_status write_waterfall(const findings *data, const panel *panels, int n, FILE *out,
                                 FILE *titles, FILE *settings, gb_error *err)
{
    int rows = 1;
    fprintf(out, "# a block per config: row\top\tfrom_ms\tto_ms\tcolor\ttext\ttext_x\tleft\n");
    fprintf(titles, "# panel\tconfig\tprofiled step\n");
    for (int k = 0; k < n; k++) {
        ledger *l = NULL;
        waterfall w = {.out = out};
        GB_TRY(panel_ledger(&l, data, panels[k].entry, err));
        write_panel(&w, l);
        fprintf(out, "\n\n");
        write_panel_settings(&w, k + 1, settings);
        fprintf(titles, "%d\t%s\t%s \xe2\x86\x92 %s%s\n", k + 1,
                figure_label_make(l->new_entry->label).text,
                number_duration_ms(l->profiled.base_ms).text,
                number_duration_ms(l->profiled.new_ms).text,
                l->n_pairs < 2 ? ", no intervals" : "");
        rows = w.row > rows ? w.row : rows;
        ledger_free(l);
    }
    fprintf(settings, "waterfall_panels = %d\nwaterfall_rows = %d\n", n, rows);
    return GB_OK;
}

static bool waterfall_has_data(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (e->baseline >= 0 && e->baseline != i && e->steps_compare &&
            ledger_possible(&data->entries[e->baseline], e)) {
            return true;
        }
    }
    return false;
}

static gb_status waterfall_write(const figure_choice *choice, const char *dir, FILE *settings,
                                 gb_error *err)
{
    const findings *data = &choice->drawn;
    static const char *const names[2] = {"data/waterfall.tsv", "data/waterfall_titles.tsv"};
    FILE *files[2];
    panel *panels = NULL;
    int n = 0;
    gb_status status = panels_choose(data, &panels, &n, err);
    if (status == GB_OK) {
        status = figure_files_open(files, names, 2, dir, err);
        if (status == GB_OK) {
            status = write_waterfall(data, panels, n, files[0], files[1], settings, err);
        }
        status = figure_files_finish(files, names, 2, dir, status, err);
    }
    free(panels);
    return status;
}

const figure figure_waterfall = {
    .name = "waterfall",
    .title = "From the baseline's step to another's",
    .caption = "How the profiled step of a config differs from the baseline's: op by op, largest "
               "difference first, each bar starting where the one above ends; the last bar is "
               "the whole step. Blue is less time, orange is more. Strong colours: the 95 % "
               "interval of the difference leaves 0 out; pale: it holds 0, or there is none "
               "because there is one replicate. Of more than six configs those are drawn whose "
               "step differs most.",
    .order = 90,
    .has_data = waterfall_has_data,
    .write = waterfall_write,
    .of_why = true,
};
