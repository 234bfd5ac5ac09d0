#include "bench/words/machine_words.h"

#include <math.h>
#include <stdio.h>

#include "bench/analysis/speed.h"
#include "bench/base/numbers.h"

#define MARKED_SHARE 0.01
#define CLOCK_RANGE  0.05 /* of the mean, as DISTURBANCE_CLOCK_DROP_LIMIT */

/* Taken together over all that was timed. */
typedef struct weather {
    int64_t timed, marked;
    double clock_low, clock_high; /* of the session whose clock varied most; NAN: none did */
    double floor;                 /* the highest */
} weather;

static void weather_add_session(weather *w, const speed_session *s)
{
    const timing_facts *f = s->facts;
    double range = f->clock_high - f->clock_low, least = fmax(0, w->clock_high - w->clock_low);
    for (int a = 0; a < s->n_arms; a++) {
        w->timed += (int64_t)s->arms[a].facts->n_timed;
        w->marked += s->arms[a].facts->marked;
    }
    if (range > CLOCK_RANGE * f->clock_mean_mhz && !(range <= least)) { /* false with NAN */
        w->clock_low = f->clock_low;
        w->clock_high = f->clock_high;
    }
    if (f->control >= 0 && s->aa.floor > w->floor) {
        w->floor = s->aa.floor;
    }
}

static weather weather_of(const findings *data)
{
    weather w = {.clock_low = NAN, .clock_high = NAN};
    for (int i = 0; i < data->speeds->n_sessions; i++) {
        weather_add_session(&w, &data->speeds->sessions[i]);
    }
    for (int i = 0; data->speeds->n_sessions == 0 && i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            w.timed += data->entries[i].runs[r]->sensors.timed_known;
            w.marked += data->entries[i].runs[r]->sensors.timed_marked;
        }
    }
    return w;
}

verdict_text machine_words(const findings *data)
{
    verdict_text out = {""};
    weather w = weather_of(data);
    char parts[3][96];
    int n = 0;
    if (w.marked > 0 && (double)w.marked >= MARKED_SHARE * (double)w.timed) {
        snprintf(parts[n++], sizeof parts[0], "%s of the timed steps are marked",
                 number_percent((double)w.marked / (double)w.timed).text);
    }
    if (isfinite(w.clock_low)) {
        snprintf(parts[n++], sizeof parts[0], "the clock went from %.0f to %.0f MHz", w.clock_low,
                 w.clock_high);
    }
    if (w.floor > verdict_rule_default().band) {
        snprintf(parts[n++], sizeof parts[0], "the baseline differs from itself by %s",
                 number_percent(w.floor).text);
    }
    if (n > 0) {
        snprintf(out.text, sizeof out.text, "The machine was disturbed: %s%s%s%s%s.", parts[0],
                 n == 3   ? ", "
                 : n == 2 ? " and "
                          : "",
                 n > 1 ? parts[1] : "", n == 3 ? " and " : "", n == 3 ? parts[2] : "");
    }
    return out;
}
