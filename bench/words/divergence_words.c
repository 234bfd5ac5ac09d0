#include "bench/words/divergence_words.h"

#include <math.h>
#include <stdio.h>

#include "bench/base/numbers.h"

/* As everywhere; what overflowed has hundreds of digits. */
static number_text loss_text(double loss)
{
    number_text out;
    snprintf(out.text, sizeof out.text, fabs(loss) < 1e6 ? "%.4f" : "%.3g", loss);
    return out;
}

divergence_text divergence_of_run_words(const run_facts *run)
{
    divergence_text out = {""};
    char *what = out.text;
    switch (divergence_of_run(run)) {
    case DIVERGENCE_ABOVE_START:
        snprintf(what, sizeof out.text, "the final loss, %s, lies above the first, %s",
                 loss_text(run->final_val_loss).text, loss_text(run->first_val_loss).text);
        break;
    case DIVERGENCE_UNIFORM:
        snprintf(what, sizeof out.text,
                 "the final loss is ln(vocab_size), %.4f: it predicts every token alike",
                 run->uniform_nats);
        break;
    case DIVERGENCE_NOT_BACK:
        snprintf(what, sizeof out.text,
                 "the loss had come down to %s from %s, rose, and ended at %s",
                 loss_text(run->best_val_loss).text, loss_text(run->first_val_loss).text,
                 loss_text(run->final_val_loss).text);
        break;
    case DIVERGENCE_NONE:
        break;
    }
    return out;
}

divergence_text divergence_words(const result_entry *entry)
{
    entry_divergence d = divergence_of_entry(entry);
    divergence_text out = {""};
    if (d.run) {
        snprintf(out.text, sizeof out.text,
                 "%d of %d runs diverged: in replicate %lld %.240s. Its losses are not compared.",
                 d.n_runs, entry->n_runs, (long long)d.run->replicate,
                 divergence_of_run_words(d.run).text);
    }
    return out;
}
