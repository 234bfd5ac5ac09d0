#include "bench/words/verdict_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/words/loss_terms_text.h"

verdict_text config_verdict_speed_words(const findings *data, const config_verdict *row)
{
    verdict_text out = {""};
    if (row->speed_judged) {
        out = verdict_reason(&row->speed, VERDICT_OF_SPEED, NAN);
        size_t used = strlen(out.text);
        if (row->per_token) {
            snprintf(out.text + used, sizeof out.text - used,
                     " Per token, since the steps hold other numbers of tokens.");
        }
        return out;
    }
    if (row->speed_refused) {
        snprintf(out.text, sizeof out.text, "Not compared: %.200s.", row->speed_refused);
        return out;
    }
    const speed_session *s = row->session;
    if (!row->arm) {
        snprintf(out.text, sizeof out.text,
                 "Cannot tell: it was not timed in turn with the baseline here.");
    } else if (!speed_arm_is_ok(row->arm)) {
        snprintf(out.text, sizeof out.text, "Cannot tell: its timing ended as %s%s%.180s.",
                 row->arm->facts->status, *row->arm->facts->message ? ": " : "",
                 row->arm->facts->message);
    } else {
        int other = s->arms[s->facts->baseline].facts->config;
        snprintf(out.text, sizeof out.text, "Cannot tell: it was timed against %s%.120s%s.",
                 other >= 0 ? "`" : "",
                 other >= 0 ? data->facts->configs[other].name : "a config that has left the suite",
                 other >= 0 ? "`" : "");
    }
    return out;
}

verdict_subject config_verdict_loss_subject(const config_verdict *row)
{
    return row->loss_in_nats ? VERDICT_OF_NATS : VERDICT_OF_LOSS;
}

verdict_text config_verdict_loss_words(const config_verdict *row)
{
    verdict_text out = {""};
    if (row->loss_judged) {
        out = verdict_reason(&row->loss, config_verdict_loss_subject(row), row->seed_noise);
        size_t used = strlen(out.text);
        if (isfinite(row->pair_loss[0]) && used < sizeof out.text) {
            snprintf(out.text + used, sizeof out.text - used,
                     " Over the replicates that both finished: %.4f against %.4f.",
                     row->pair_loss[1], row->pair_loss[0]);
        }
        verdict_text terms = loss_terms_words(&row->terms, "the baseline");
        used = strlen(out.text);
        if (terms.text[0] && used < sizeof out.text) {
            snprintf(out.text + used, sizeof out.text - used, " %.240s", terms.text);
        }
        return out;
    }
    if (row->loss_refused) {
        snprintf(out.text, sizeof out.text, "Not compared: %.200s.", row->loss_refused);
        return out;
    }
    snprintf(out.text, sizeof out.text, "Cannot tell: %s.",
             row->entry < 0 ? "no run of it has finished" : "no baseline here to hold it against");
    return out;
}
