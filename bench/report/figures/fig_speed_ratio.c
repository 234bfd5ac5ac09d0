/* Figure speed_ratio: changes of the step time against the baseline, from interleaved timing. */
#include <math.h>

#include "bench/analysis/verdicts.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_change.h"
#include "bench/report/figures/figure_file.h"

enum { CONTROL_COLOR = 0x606060 };

/* The baseline against itself; *floor_percent is the largest that equals differ by. */
static void add_controls(figure_changes *lines, const findings *data, double *floor_percent)
{
    for (int i = 0; data->speeds && i < data->speeds->n_sessions; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        if (s->facts->control >= 0) {
            figure_changes_add(lines, &(figure_change){"baseline again (A/A)", "", s->aa.change,
                                                       NAN, CONTROL_COLOR, false});
            *floor_percent = fmax(*floor_percent, 100 * s->aa.floor);
        }
    }
}

static gb_status speed_ratio_write(const figure_choice *choice, const char *dir, FILE *settings,
                                   gb_error *err)
{
    const findings *data = &choice->drawn;
    figure_changes lines;
    double floor_percent = 0, low = -1, high = 1, ends_low = 0, ends_high = 0;
    GB_TRY(figure_changes_begin(&lines, dir, "data/speed_ratio.tsv", err));
    for (int i = 0; i < data->verdicts->n; i++) {
        const config_verdict *row = &data->verdicts->rows[i];
        if (row->is_baseline || !row->arm) {
            continue;
        }
        const bool judged = row->speed_judged;
        const figure_change line = {row->label,
                                    judged               ? verdict_speed_name(row->speed.kind)
                                    : row->speed_refused ? "not compared"
                                                         : "no speed",
                                    judged ? row->speed.change : (stats_interval){NAN, NAN, NAN},
                                    row->flops_change,
                                    figure_change_color(row),
                                    false};
        figure_changes_add(&lines, &line);
        const double values[] = {line.flops, line.change.value};
        for (int k = 0; k < 2; k++) {
            low = fmin(low, isfinite(values[k]) ? 100 * values[k] : low);
            high = fmax(high, isfinite(values[k]) ? 100 * values[k] : high);
        }
        ends_low = fmin(ends_low, isfinite(line.change.low) ? 100 * line.change.low : 0);
        ends_high = fmax(ends_high, isfinite(line.change.high) ? 100 * line.change.high : 0);
    }
    /* A wide interval, of a noisy machine, may leave the frame: the points must be told apart. */
    const double room = 3 * fmax(high, -low);
    low = fmin(low, fmax(ends_low, -room));
    high = fmax(high, fmin(ends_high, room));
    add_controls(&lines, data, &floor_percent);
    low = fmin(low, -floor_percent);
    high = fmax(high, floor_percent);
    lines.interval_max = 1; /* each side has its own room, in `low` and `high` */
    figure_changes_settings(&lines, "speed_ratio", low, high, settings);
    fprintf(settings, "speed_ratio_floor = %.10g\n", floor_percent);
    return figure_file_close(lines.out, dir, "data/speed_ratio.tsv", err);
}

const figure figure_speed_ratio = {
    .name = "speed_ratio",
    .title = "Speed against the baseline",
    .caption =
        "Change of the step time, or of the time per token where steps hold other numbers of "
        "tokens, block by block against the baseline: point and 95 % "
        "interval of that config alone. Left of 0 is faster. Grey band: half a per cent "
        "either way, which counts as the same. Read off: an interval wholly outside of "
        "the band is a difference, one wholly inside is none, one across an edge is "
        "unclear; the word beside it also corrects for the number of configs. Diamonds: "
        "what exact FLOPs alone would predict. Last line: the baseline timed a second "
        "time; dashed lines: as much as it differs from itself, and nothing smaller is "
        "called real. A very wide interval may leave the frame.",
    .order = 30,
    .has_data = speed_report_any,
    .write = speed_ratio_write,
};
