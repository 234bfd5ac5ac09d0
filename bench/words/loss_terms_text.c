#include "bench/words/loss_terms_text.h"

#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"

/* As short as tells the two apart. */
static number_text tokens_text(double tokens, double other)
{
    number_text a = number_short(tokens), b = number_short(other);
    return strcmp(a.text, b.text) == 0 ? number_count((int64_t)tokens) : a;
}

verdict_text loss_terms_words(const loss_terms *t, const char *base)
{
    verdict_text out = {""};
    size_t used = 0;
    if (t->trained > 0) {
        snprintf(out.text, sizeof out.text, "Trained on %s tokens, %.120s on %s.",
                 tokens_text(t->trained, t->base_trained).text, base,
                 tokens_text(t->base_trained, t->trained).text);
        used = strlen(out.text);
    }
    if (t->context > 0) {
        snprintf(out.text + used, sizeof out.text - used,
                 "%sPredicted from up to %lld tokens before, %.120s from %lld.", used ? " " : "",
                 (long long)t->context, base, (long long)t->base_context);
    }
    return out;
}
