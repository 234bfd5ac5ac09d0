#include "bench/words/design_words.h"

#include <stdio.h>

verdict_text design_blocks_words(const suite *s)
{
    verdict_text out = {""};
    const timing_options *t = &s->timing;
    bool stops = t->stop_precision > 0;
    int64_t most = stops ? t->max_blocks : t->blocks;
    if (s->n_cells > 1 && t->blocks > 0 && most < ESTIMATE_MIN_BLOCKS) {
        snprintf(out.text, sizeof out.text,
                 "With %s = %lld no speed gets an interval, so every verdict on speed will be "
                 "UNCLEAR. It takes %d blocks or more.",
                 stops ? "max_blocks" : "blocks", (long long)most, ESTIMATE_MIN_BLOCKS);
    }
    return out;
}
