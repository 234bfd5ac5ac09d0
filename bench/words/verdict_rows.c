#include "bench/words/verdict_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

verdict_text config_verdict_speed_words(const findings *data, const config_verdict *row)
{
    verdict_text out = {""};
    if (row->speed_judged) {
        return verdict_reason(&row->speed, VERDICT_OF_SPEED, NAN);
    }
    const speed_session *s = row->session;
    if (!row->arm) {
        snprintf(out.text, sizeof out.text,
                 "cannot tell: it was not timed in turn with the baseline here");
    } else if (!speed_arm_is_ok(row->arm)) {
        snprintf(out.text, sizeof out.text, "cannot tell: its timing ended as %s%s%.180s",
                 row->arm->facts->status, *row->arm->facts->message ? ": " : "",
                 row->arm->facts->message);
    } else {
        int other = s->arms[s->facts->baseline].facts->config;
        snprintf(out.text, sizeof out.text, "cannot tell: it was timed against `%.120s`",
                 other >= 0 ? data->facts->configs[other].name
                            : "a config that has left the suite");
    }
    return out;
}

verdict_text config_verdict_loss_words(const config_verdict *row)
{
    verdict_text out = {""};
    if (row->loss_judged) {
        out = verdict_reason(&row->loss, VERDICT_OF_LOSS, row->seed_noise);
        size_t used = strlen(out.text);
        if (row->rates_differ > 0) {
            snprintf(out.text + used, sizeof out.text - used,
                     "; learning rates differ in %d pair%s: halved after a NaN", row->rates_differ,
                     row->rates_differ == 1 ? "" : "s");
        }
        return out;
    }
    snprintf(out.text, sizeof out.text, "cannot tell: %s",
             row->entry < 0 ? "no run of it has finished" : "no baseline here to hold it against");
    return out;
}
