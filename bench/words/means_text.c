#include "bench/words/means_text.h"

#include <stdio.h>

verdict_text means_contrast(const means_check *means)
{
    verdict_text out;
    snprintf(out.text, sizeof out.text,
             "by the medians of its bursts is %.60s, which the verdict goes by, but by their means "
             "%.60s. Some of its steps are much slower than most: step_avg has them, the verdict "
             "does not.",
             verdict_range(means->by_medians, VERDICT_OF_SPEED).text,
             verdict_range(means->by_means, VERDICT_OF_SPEED).text);
    return out;
}

verdict_text means_text(const char *config, const means_check *means)
{
    verdict_text out = {""};
    if (means->disagree) {
        snprintf(out.text, sizeof out.text, "Warning: %.120s %.340s", config,
                 means_contrast(means).text);
    }
    return out;
}
