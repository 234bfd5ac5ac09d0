#include "bench/words/divergence_words.h"

#include <stdio.h>

divergence_text divergence_words(const result_entry *entry)
{
    entry_divergence d = divergence_of_entry(entry);
    divergence_text out = {""};
    char what[200] = "";
    if (!d.run) {
        return out;
    }
    switch (d.kind) {
    case DIVERGENCE_ABOVE_START:
        snprintf(what, sizeof what, "the final loss, %.4f, lies above the first, %.4f",
                 d.run->final_val_loss, d.run->first_val_loss);
        break;
    case DIVERGENCE_UNIFORM:
        snprintf(what, sizeof what,
                 "the final loss is ln(vocab_size), %.4f: it predicts every token alike",
                 d.run->uniform_nats);
        break;
    case DIVERGENCE_NOT_BACK:
        snprintf(what, sizeof what,
                 "the loss had come down to %.4f from %.4f, rose, and ended at %.4f",
                 d.run->best_val_loss, d.run->first_val_loss, d.run->final_val_loss);
        break;
    case DIVERGENCE_NONE:
        break;
    }
    snprintf(out.text, sizeof out.text,
             "%d of %d runs diverged: in replicate %lld %s. Its losses are not compared.", d.n_runs,
             entry->n_runs, (long long)d.run->replicate, what);
    return out;
}
