#include "bench/words/data_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"

/* Room for one more sentence. */
static char *warning_next(data_warnings *w)
{
    return w->texts[w->n++];
}

static void shared_warn(data_warnings *w, const data_use *use)
{
    const data_shard *train = use->shared_train, *val = use->shared_val;
    const size_t size = sizeof w->texts[0];
    char *out = warning_next(w), more[64] = "";
    if (val->tokens == 0) {
        snprintf(out, size,
                 "Training and validation data overlap: both read the same tokens, from the start "
                 "of `%.200s`. Losses say how well these are remembered. Leave `stream` out, or "
                 "give the two different ones.",
                 val->path);
        return;
    }
    if (use->shared > 1) {
        snprintf(more, sizeof more, ", and %" PRId64 " more", use->shared - 1);
    }
    if (strcmp(train->path, val->path) == 0) {
        snprintf(out, size,
                 "Training and validation data overlap: the shard `%.200s` is in both%s (%s tokens "
                 "together). Losses say how well these are remembered. Take what is for "
                 "validation out of `train`.",
                 val->path, more, number_count(use->shared_tokens).text);
    } else {
        snprintf(out, size,
                 "Training and validation data overlap: `%.150s` and `%.150s` are the same shard%s "
                 "(%s tokens together). Losses say how well these are remembered. Take what is "
                 "for validation out of `train`.",
                 train->path, val->path, more, number_count(use->shared_tokens).text);
    }
}

/* What was not looked at; "" where all was. */
static void looked_format(char *out, size_t size, const data_overlap *x)
{
    out[0] = '\0';
    if (x->train_looked < x->train_tokens) {
        snprintf(out, size, " Gone through were the first %s of %s training tokens.",
                 number_count(x->train_looked).text, number_count(x->train_tokens).text);
    }
}

/* Shards that are in both whole are left out of what was looked for, and have their own warning. */
static void overlap_warn(data_warnings *w, const data_use *use)
{
    const data_overlap *x = &use->overlap;
    char looked[160];
    looked_format(looked, sizeof looked, x);
    snprintf(warning_next(w), sizeof w->texts[0],
             "Training data hold validation tokens: of the %s tokens of a validation that were "
             "looked for, at least %s (%s) stand in the training data too, the first of `%.80s` in "
             "`%.80s`.%s Losses say how well these are remembered. Take them out of `train`.",
             number_count(x->val_looked).text, number_count(x->found).text,
             number_percent((double)x->found / (double)x->val_looked).text, x->val_path,
             x->train_path, looked);
}

static void repeated_warn(data_warnings *w, const data_use *use)
{
    char more[64] = "";
    if (use->repeated > 1) {
        snprintf(more, sizeof more, ", and %" PRId64 " more are copies", use->repeated - 1);
    }
    snprintf(warning_next(w), sizeof w->texts[0],
             "The training data hold the same shard twice: `%.150s` and `%.150s`%s.",
             use->repeated_first->path, use->repeated_again->path, more);
}

/* " of `a`"; "" of a training that is of no suite, and so has no name. */
static const char *whose(char out[140], const char *config)
{
    out[0] = '\0';
    if (config[0]) {
        snprintf(out, 140, " of `%.120s`", config);
    }
    return out;
}

static void passes_warn(data_warnings *w, const data_use *use)
{
    char of[140];
    snprintf(warning_next(w), sizeof w->texts[0],
             "A run%s reads its training data %.1f times. Up to about %.0f times, text "
             "that is read again teaches almost as much as new text; beyond that, losses say how "
             "well a model remembers. Give it more data, or fewer steps.",
             whose(of, use->passes_high_config), use->passes_high, DATA_PASSES_MANY);
}

static void val_tokens_warn(data_warnings *w, const data_use *use)
{
    char of[140];
    snprintf(warning_next(w), sizeof w->texts[0],
             "A validation%s reads %s tokens. The loss over so few is uncertain by about "
             "%.2f nats (%.0f nats / root of their number): other text could turn smaller "
             "differences round. Validate on %s or more.",
             whose(of, use->val_tokens_low_config), number_count(use->val_tokens_low).text,
             DATA_TOKEN_SPREAD_NATS / sqrt((double)use->val_tokens_low), DATA_TOKEN_SPREAD_NATS,
             number_count(DATA_VAL_TOKENS_FEW).text);
}

data_warnings data_warnings_make(const data_use *use)
{
    data_warnings w = {.n = 0};
    if (use->shared > 0) {
        shared_warn(&w, use);
    }
    if (use->overlap.found > 0 &&
        (double)use->overlap.found >= DATA_OVERLAP_SHARE * (double)use->overlap.val_looked) {
        overlap_warn(&w, use);
    }
    if (use->repeated > 0) {
        repeated_warn(&w, use);
    }
    if (use->passes_high > DATA_PASSES_MANY) {
        passes_warn(&w, use);
    }
    if (use->val_tokens_low > 0 && use->val_tokens_low < DATA_VAL_TOKENS_FEW) {
        val_tokens_warn(&w, use);
    }
    return w;
}

data_passes_text data_passes_number(double passes)
{
    data_passes_text out = {.text = "-"};
    if (isfinite(passes)) {
        snprintf(out.text, sizeof out.text, passes < 9.95 ? "%.2g" : "%.0f", passes);
    }
    return out;
}

data_passes_text data_passes_format(const data_use *use)
{
    data_passes_text out = {.text = ""};
    data_passes_text low = data_passes_number(use->passes_low);
    data_passes_text high = data_passes_number(use->passes_high);
    if (!isfinite(use->passes_high)) {
        return out;
    }
    if (strcmp(low.text, high.text) == 0) {
        snprintf(out.text, sizeof out.text, "a run reads them %.20s times (epochs)", high.text);
    } else {
        snprintf(out.text, sizeof out.text, "runs read them %.20s to %.20s times (epochs)",
                 low.text, high.text);
    }
    return out;
}
