/* Figure drift: how slow the machine was, block by block over a timing session, and the trend. */
#include <math.h>
#include <stdlib.h>

#include "bench/analysis/verdicts.h"
#include "bench/report/figures/figure.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figure_layout.h"

enum { DRIFT_PANELS = 4 }; /* sessions drawn, the newest ones */

typedef struct drift_range {
    double low, high, longest;
} drift_range;

/* Each arm's burst against the arm's own median, as logarithms: the extremes of one block. */
static void block_spread(const speed_session *s, const double *medians, int64_t b, double *low,
                         double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int a = 0; a < s->n_arms; a++) {
        double x = log(s->arms[a].facts->median_ms[b]) - log(medians[a]);
        if (isfinite(x)) {
            *low = fmin(*low, x);
            *high = fmax(*high, x);
        }
    }
}

static gb_status median_of(const double *x, size_t n, double *scratch, double *out, gb_error *err)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            scratch[m++] = x[i];
        }
    }
    return stats_median(scratch, m, out, err);
}

/* The trend turns about the middle of the session, where all its slopes meet. */
static void write_trend(FILE *out, const speed_session *s, double middle, double level, int64_t b)
{
    const stats_interval *t = &s->drift.total;
    double part = (s->hours[b] - middle) / s->drift.hours; /* of the session */
    double one = level + log1p(t->low) * part, other = level + log1p(t->high) * part;
    fprintf(out, "\t%.8g\t%.8g\t%.8g\n", 100 * expm1(level + log1p(t->value) * part),
            100 * expm1(fmin(one, other)), 100 * expm1(fmax(one, other)));
}

/* What time is counted in: hours per unit. */
typedef struct time_unit {
    const char *name;
    double hours;
} time_unit;

static time_unit unit_choose(const findings *data, int panels)
{
    double longest = 0;
    for (int i = 0; i < panels; i++) {
        longest = fmax(longest, data->speeds->sessions[i].drift.hours);
    }
    return longest > 3          ? (time_unit){"hours", 1}
           : longest > 3.0 / 60 ? (time_unit){"minutes", 1.0 / 60}
                                : (time_unit){"seconds", 1.0 / 3600};
}

static gb_status write_session(FILE *out, const speed_session *s, time_unit unit, double *scratch,
                               double *medians, drift_range *range, gb_error *err)
{
    const size_t n = (size_t)s->facts->blocks;
    double middle, level;
    for (int a = 0; a < s->n_arms; a++) {
        GB_TRY(median_of(s->arms[a].facts->median_ms, n, scratch, &medians[a], err));
    }
    GB_TRY(median_of(s->hours, n, scratch, &middle, err));
    GB_TRY(median_of(s->drift_effects, n, scratch, &level, err));
    for (int64_t b = 0; b < s->facts->blocks; b++) {
        double low, high;
        block_spread(s, medians, b, &low, &high);
        if (low > high || !isfinite(s->drift_effects[b])) {
            continue;
        }
        fprintf(out, "%lld\t%.8g\t%.8g\t%.8g\t%.8g", (long long)b + 1, s->hours[b] / unit.hours,
                100 * expm1(s->drift_effects[b]), 100 * expm1(low), 100 * expm1(high));
        write_trend(out, s, middle, level, b);
        range->low = fmin(range->low, 100 * expm1(low));
        range->high = fmax(range->high, 100 * expm1(high));
        range->longest = fmax(range->longest, s->hours[b] / unit.hours);
    }
    fprintf(out, "\n\n");
    return GB_OK;
}

static gb_status write_sessions(const findings *data, FILE *out, int panels, time_unit unit,
                                drift_range *range, gb_error *err)
{
    for (int i = 0; i < panels; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        double *scratch = malloc(((size_t)s->facts->blocks + (size_t)s->n_arms) * sizeof *scratch);
        if (!scratch) {
            return gb_fail(err, GB_ERR_OOM, "no memory for %lld blocks",
                           (long long)s->facts->blocks);
        }
        gb_status status =
            write_session(out, s, unit, scratch, scratch + s->facts->blocks, range, err);
        free(scratch);
        GB_TRY(status);
    }
    return GB_OK;
}

static gb_status drift_write(const figure_choice *choice, const char *dir, FILE *settings,
                             gb_error *err)
{
    const findings *data = &choice->drawn;
    int sessions = data->speeds ? data->speeds->n_sessions : 0;
    int panels = sessions < DRIFT_PANELS ? sessions : DRIFT_PANELS;
    drift_range range = {-0.5, 0.5, 0};
    time_unit unit = unit_choose(data, panels);
    FILE *out = figure_file_open(dir, "data/drift.tsv", err);
    if (!out) {
        return GB_ERR_IO;
    }
    fprintf(out, "# a block of lines per session: block\ttime\teffect_percent\tlowest_config"
                 "\thighest_config\ttrend\ttrend_low\ttrend_high\n");
    gb_status status = write_sessions(data, out, panels, unit, &range, err);
    status = figure_file_finish(out, dir, "data/drift.tsv", status, err);
    double pad = 0.05 * (range.high - range.low), longest = range.longest > 0 ? range.longest : 1;
    fprintf(settings, "drift_panels = %d\ndrift_longest = %.10g\ndrift_unit = '%s'\n", panels,
            longest, unit.name);
    fprintf(settings, "drift_low = %.10g\ndrift_high = %.10g\n", range.low - pad, range.high + pad);
    figure_ticks_write(settings, "drift_x_ticks", figure_ticks_make(0, longest, 7), false);
    figure_ticks_write(settings, "drift_y_ticks",
                       figure_ticks_make(range.low - pad, range.high + pad, 6), false);
    return status;
}

const figure figure_drift = {
    .name = "drift",
    .title = "The machine during the timing",
    .caption = "Points: how much slower or faster than its typical self a block was, the median "
               "over all configs; bars: from the config least to the one most affected. Line and "
               "band: the trend with its 95 % interval. All configs of a block share its "
               "weather, so the ratios hold none of it: what to look for are bars that are long "
               "against the differences that matter, and a trend that has not come to rest.",
    .order = 50,
    .has_data = speed_report_any,
    .write = drift_write,
};
