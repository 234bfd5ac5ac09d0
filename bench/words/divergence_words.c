#include "bench/words/divergence_words.h"

#include <stdio.h>

divergence_text divergence_of_run_words(const run_facts *run)
{
    divergence_text out = {""};
    char *what = out.text;
    switch (divergence_of_run(run)) {
    case DIVERGENCE_ABOVE_START:
        snprintf(what, sizeof out.text, "the final loss, %.4f, lies above the first, %.4f",
                 run->final_val_loss, run->first_val_loss);
        break;
    case DIVERGENCE_UNIFORM:
        snprintf(what, sizeof out.text,
                 "the final loss is ln(vocab_size), %.4f: it predicts every token alike",
                 run->uniform_nats);
        break;
    case DIVERGENCE_NOT_BACK:
        snprintf(what, sizeof out.text,
                 "the loss had come down to %.4f from %.4f, rose, and ended at %.4f",
                 run->best_val_loss, run->first_val_loss, run->final_val_loss);
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
