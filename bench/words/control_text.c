#include "bench/words/control_text.h"

#include <math.h>
#include <stdio.h>

#include "bench/base/numbers.h"

verdict_text control_means_text(const speed_session *s)
{
    verdict_text out = {""};
    if (s->facts->control < 0) {
        return out;
    }
    double typical = s->aa.change.value;
    double means =
        s->arms[s->facts->control].step_avg_ms / s->arms[s->facts->baseline].step_avg_ms - 1;
    if (isfinite(means) && typical * means < 0 && fabs(means) >= 0.0005) { /* as it is shown */
        snprintf(out.text, sizeof out.text,
                 "By step_avg the second timing is %.60s: the noise floor goes by the medians of "
                 "bursts, as verdicts do.",
                 verdict_change(means, VERDICT_OF_SPEED).text);
    }
    return out;
}
