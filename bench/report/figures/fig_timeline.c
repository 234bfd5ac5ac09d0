/* Figure timeline: one step, op by op. Of the configs that have spans the baseline is drawn, and
 * those whose profiled step differs most from it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/report/figures/figure_op_palette.h"
#include "kernels/backend.h"
#include "model/gemm_shape.h"

/* Time is drawn in BINS columns of about half a pixel, each in the colour of the op that takes most
 * of it: so a figure has the same size whatever the step holds. */
enum { PANELS_MAX = 3, BINS = 1400, LAYERS_MAX = 512, FRAME_PX = 700, CHAR_PX = 7 };
enum { PANEL_PX = 320, ROW_PX_MAX = 20, ROW_PX_MIN = 5, LABEL_PX = 14 };

typedef struct panel {
    int entry;
    const run_facts *run;
    double step_ms; /* end of the last span */
    int layers; /* rows 2 to layers + 1; the first row is what comes before, the last one after */
} panel;

typedef struct panels {
    panel list[PANELS_MAX];
    int n;
    double longest_ms;
} panels;

static bool span_valid(const span_facts *s)
{
    return isfinite(s->begin_ms) && isfinite(s->end_ms) && s->begin_ms >= 0 &&
           s->end_ms >= s->begin_ms && s->layer >= -1 && s->layer < LAYERS_MAX;
}

/* False where the entry has no step to draw. */
static bool panel_make(const findings *data, int entry, panel *out)
{
    const result_entry *e = &data->entries[entry];
    *out = (panel){.entry = entry};
    for (int r = 0; r < e->n_runs && !out->run; r++) {
        out->run = e->runs[r]->n_spans > 0 ? e->runs[r] : NULL;
    }
    for (int64_t i = 0; out->run && i < out->run->n_spans; i++) {
        const span_facts *s = &out->run->spans[i];
        if (span_valid(s)) {
            out->step_ms = fmax(out->step_ms, s->end_ms);
            out->layers = s->layer + 1 > out->layers ? (int)s->layer + 1 : out->layers;
        }
    }
    return out->step_ms > 0;
}

/* How much a config is worth a panel: the baseline most of all, then by how far its step is from
 * the baseline's, as a ratio. */
static double panel_weight(const findings *data, const panel *p)
{
    const result_entry *e = &data->entries[p->entry];
    panel base;
    if (e->is_baseline) {
        return INFINITY;
    }
    return e->baseline >= 0 && panel_make(data, e->baseline, &base)
               ? fabs(log(p->step_ms / base.step_ms))
               : 0;
}

static panels panels_choose(const findings *data)
{
    panels out = {.n = 0};
    double weights[PANELS_MAX];
    for (int i = 0; i < data->n_entries; i++) {
        panel p;
        if (!panel_make(data, i, &p)) {
            continue;
        }
        double weight = panel_weight(data, &p);
        int at = out.n;
        while (at > 0 && weights[at - 1] < weight) {
            at--;
        }
        if (at == PANELS_MAX) {
            continue;
        }
        for (int k = out.n < PANELS_MAX ? out.n : PANELS_MAX - 1; k > at; k--) {
            out.list[k] = out.list[k - 1];
            weights[k] = weights[k - 1];
        }
        out.list[at] = p;
        weights[at] = weight;
        out.n += out.n < PANELS_MAX;
    }
    for (int k = 0; k < out.n; k++) {
        out.longest_ms = fmax(out.longest_ms, out.list[k].step_ms);
    }
    return out;
}

static bool timeline_has_data(const findings *data)
{
    panel any;
    for (int i = 0; i < data->n_entries; i++) {
        if (panel_make(data, i, &any)) {
            return true;
        }
    }
    return false;
}

/* ---- boxes ---- */

/* Ops outside the blocks come before them (tokens, embedding) or after (norm, classifier, update).
 */
static int row_of(const panel *p, const span_facts *s)
{
    static const char *const before[] = {"embed", "data", "copy", "zero"};
    if (s->layer >= 0) {
        return (int)s->layer + 1;
    }
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        if (strcmp(s->op, before[i]) == 0 && strcmp(s->phase, "update") != 0) {
            return 0;
        }
    }
    return p->layers + 1;
}

/* One bin of one row. */
typedef struct bin {
    float part; /* of the bin, that its op takes */
    int op;     /* gb_op, GB_OP_COUNT where the name is none; valid when part > 0 */
} bin;

static void span_paint(bin *row, const span_facts *s, double bin_ms)
{
    int op = (int)gpt_op_find(s->op);
    int first = (int)(s->begin_ms / bin_ms), last = (int)(s->end_ms / bin_ms);
    for (int i = first; i <= last && i < BINS; i++) {
        double from = fmax(s->begin_ms, i * bin_ms), to = fmin(s->end_ms, (i + 1) * bin_ms);
        float part = (float)((to - from) / bin_ms);
        if (part > row[i].part) {
            row[i] = (bin){part, op};
        }
    }
}

/* Neighbouring bins of one op become one box. */
static void row_write(const bin *row, int index, double bin_ms, const int colors[GB_OP_COUNT + 1],
                      FILE *out)
{
    int from = 0;
    for (int i = 1; i <= BINS; i++) {
        const bin *b = &row[from];
        bool same = i < BINS && (row[i].part > 0) == (b->part > 0) && row[i].op == b->op;
        if (same) {
            continue;
        }
        if (b->part > 0) {
            fprintf(out, "%d\t%.8g\t%.8g\t%d\t%s\n", index + 1, from * bin_ms, i * bin_ms,
                    colors[b->op], b->op < GB_OP_COUNT ? gb_op_name((gb_op)b->op) : "other");
        }
        from = i;
    }
}

static gb_status panel_write(const panels *all, const panel *p, const int colors[GB_OP_COUNT + 1],
                             FILE *out, gb_error *err)
{
    const int rows = p->layers + 2;
    const double bin_ms = all->longest_ms / BINS;
    bin *bins = calloc((size_t)rows * BINS, sizeof *bins);
    if (!bins) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a timeline of %d rows", rows);
    }
    for (int64_t i = 0; i < p->run->n_spans; i++) {
        const span_facts *s = &p->run->spans[i];
        if (span_valid(s)) {
            span_paint(bins + (size_t)row_of(p, s) * BINS, s, bin_ms);
        }
    }
    for (int row = 0; row < rows; row++) {
        row_write(bins + (size_t)row * BINS, row, bin_ms, colors, out);
    }
    fprintf(out, "\n\n");
    free(bins);
    return GB_OK;
}

/* ---- phases ---- */

static const struct {
    const char *name;
    int color, text_color;
} phases[] = {{"data", 0xf0f0f0, 0},
              {"forward", 0xdcdcdc, 0},
              {"backward", 0xa8a8a8, 0},
              {"update", 0x5a5a5a, 0xffffff}};
enum { PHASES = sizeof phases / sizeof *phases };

/* Neighbours of one phase become one stretch of the strip; named where the name has room. */
static void phases_write(const panels *all, const panel *p, FILE *out)
{
    const run_facts *run = p->run;
    fprintf(out, "0\t0\t%d\t\t0\n", phases[0].color); /* so that no block is empty */
    for (int64_t i = 0, from = 0; i < run->n_spans; i++) {
        bool ends =
            i + 1 == run->n_spans || strcmp(run->spans[i + 1].phase, run->spans[i].phase) != 0;
        if (!ends) {
            continue;
        }
        const span_facts *first = &run->spans[from], *last = &run->spans[i];
        from = i + 1;
        for (int k = 0; k < PHASES && span_valid(first) && span_valid(last); k++) {
            double px = (last->end_ms - first->begin_ms) / all->longest_ms * FRAME_PX;
            bool named = px > CHAR_PX * (double)strlen(phases[k].name) + 6;
            if (strcmp(first->phase, phases[k].name) == 0 && px > 0.5) {
                fprintf(out, "%.8g\t%.8g\t%d\t%s\t%d\n", first->begin_ms, last->end_ms,
                        phases[k].color, named ? phases[k].name : "", phases[k].text_color);
            }
        }
    }
    fprintf(out, "\n\n");
}

/* ---- rows, titles, legend ---- */

static double row_px(const panel *p)
{
    double px = PANEL_PX / (double)(p->layers + 2);
    return px > ROW_PX_MAX ? ROW_PX_MAX : px < ROW_PX_MIN ? ROW_PX_MIN : px;
}

/* Layers at distances that leave room for their numbers. */
static void rows_write(const panel *p, FILE *out)
{
    static const int steps[] = {1, 2, 4, 5, 10, 20, 50, 100};
    int k = 0;
    while (k < 7 && steps[k] * row_px(p) < LABEL_PX) {
        k++;
    }
    fprintf(out, "1\tembedding\n");
    for (int layer = 0; layer < p->layers; layer += steps[k]) {
        bool room = layer == 0 || (p->layers + 1 - layer - 1) * row_px(p) >= LABEL_PX;
        bool clear = layer > 0 || row_px(p) >= LABEL_PX;
        if (room && clear) {
            fprintf(out, "%d\tlayer %d\n", layer + 2, layer);
        }
    }
    fprintf(out, "%d\toutput, update\n\n\n", p->layers + 2);
}

static void legend_write(const panels *all, const int colors[GB_OP_COUNT + 1], FILE *out,
                         int *slots)
{
    bool seen[GB_OP_COUNT + 1] = {false}, other = false;
    *slots = 0;
    fprintf(out, "# slot\ttext\tcolor\n");
    for (int k = 0; k < all->n; k++) {
        for (int64_t i = 0; i < all->list[k].run->n_spans; i++) {
            seen[gpt_op_find(all->list[k].run->spans[i].op)] = true;
        }
    }
    for (int op = 0; op <= GB_OP_COUNT; op++) {
        if (op < GB_OP_COUNT && seen[op] && colors[op] != colors[GB_OP_COUNT]) {
            fprintf(out, "%d\t%s\t%d\n", ++*slots, gb_op_name((gb_op)op), colors[op]);
        } else {
            other |= seen[op];
        }
    }
    if (other) {
        fprintf(out, "%d\tother\t%d\n", ++*slots, colors[GB_OP_COUNT]);
    }
    ++*slots; /* a gap before the strip's colours */
    for (int k = 0; k < PHASES; k++) {
        fprintf(out, "%d\t%s\t%d\n", ++*slots, phases[k].name, phases[k].color);
    }
}

/* ---- all ---- */

enum { FILE_BOXES, FILE_PHASES, FILE_ROWS, FILE_TITLES, FILE_LEGEND, FILES };

static gb_status write_all(const findings *data, FILE *const files[FILES], FILE *settings,
                           gb_error *err)
{
    const panels all = panels_choose(data);
    const figure_op_palette palette = figure_op_palette_make(data);
    int colors[GB_OP_COUNT + 1], slots = 0;
    for (int op = 0; op <= GB_OP_COUNT; op++) {
        colors[op] = figure_op_color(&palette, op < GB_OP_COUNT ? gb_op_name((gb_op)op) : "");
    }
    fprintf(files[FILE_BOXES], "# row\tfrom_ms\tto_ms\tcolor\top\n");
    fprintf(files[FILE_PHASES], "# from_ms\tto_ms\tcolor\ttext\ttext_color\n");
    fprintf(files[FILE_ROWS], "# row\ttext\n");
    fprintf(files[FILE_TITLES], "# panel\ttitle\n");
    for (int k = 0; k < all.n; k++) {
        const panel *p = &all.list[k];
        const result_entry *e = &data->entries[p->entry];
        GB_TRY(panel_write(&all, p, colors, files[FILE_BOXES], err));
        phases_write(&all, p, files[FILE_PHASES]);
        rows_write(p, files[FILE_ROWS]);
        fprintf(files[FILE_TITLES], "%d\t%s%s: %s\n", k + 1, figure_label_make(e->label).text,
                e->is_baseline ? " (baseline)" : "", number_duration_ms(p->step_ms).text);
        fprintf(settings, "timeline_rows_%d = %d\ntimeline_row_px_%d = %.6g\n", k + 1,
                p->layers + 2, k + 1, row_px(p));
    }
    legend_write(&all, colors, files[FILE_LEGEND], &slots);
    double longest = all.longest_ms > 0 ? all.longest_ms : 1;
    fprintf(settings, "timeline_panels = %d\ntimeline_slots = %d\ntimeline_max = %.10g\n", all.n,
            slots, longest);
    fprintf(settings, "timeline_frame_px = %d\n", FRAME_PX);
    figure_ticks_write(settings, "timeline_ticks", figure_ticks_make(0, longest, 8), false);
    return GB_OK;
}

static gb_status timeline_write(const figure_choice *choice, const char *dir, FILE *settings,
                                gb_error *err)
{
    const findings *data = &choice->drawn;
    static const char *const names[FILES] = {"data/timeline.tsv", "data/timeline_phases.tsv",
                                             "data/timeline_rows.tsv", "data/timeline_titles.tsv",
                                             "data/timeline_legend.tsv"};
    FILE *files[FILES];
    gb_status status = figure_files_open(files, names, FILES, dir, err);
    status = status == GB_OK ? write_all(data, files, settings, err) : status;
    return figure_files_finish(files, names, FILES, dir, status, err);
}

const figure figure_timeline = {
    .name = "timeline",
    .title = "One step, op by op",
    .caption = "The last profiled step of replicate 0: each box is an op, from left to right in "
               "time, in the row of its layer; white is time in which no op ran. A step goes "
               "down through the layers (forward), up again (backward) and ends with the update "
               "in the lowest row; the grey strip on top says which is which. Boxes of one "
               "colour that grow from row to row are layers that are not alike; a slope that "
               "bends is a slow stretch of that step. Drawn are the baseline and the two configs "
               "whose step differs most from its, all on one scale of time.",
    .order = 100,
    .has_data = timeline_has_data,
    .write = timeline_write,
    .of_why = true,
};
