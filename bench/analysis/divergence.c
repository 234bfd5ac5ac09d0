#include "bench/analysis/divergence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ABOVE_START    0.01 /* of the first loss */
#define UNIFORM_NATS   1e-5
#define UNIFORM_SOURCE 0.99 /* of ln(vocab_size): a source that cannot be told from chance */
#define LOST_GAIN      0.5
#define LEAST_NATS     0.05 /* less is noise, or nothing to mind */

/* Comparisons are false with NAN. */
divergence divergence_of(const loss_course *c)
{
    if (c->last > c->first * (1 + ABOVE_START) && c->last - c->first > LEAST_NATS) {
        return DIVERGENCE_ABOVE_START;
    }
    bool chance = c->entropy >= UNIFORM_SOURCE * c->uniform;
    if (fabs(c->last - c->uniform) <= UNIFORM_NATS && !chance) {
        return DIVERGENCE_UNIFORM;
    }
    double lost = c->last - c->lowest;
    if (lost > LOST_GAIN * (c->first - c->lowest) && lost > LEAST_NATS) {
        return DIVERGENCE_NOT_BACK;
    }
    return DIVERGENCE_NONE;
}

divergence divergence_of_run(const run_facts *run)
{
    const loss_course course = {run->first_val_loss, run->best_val_loss, run->final_val_loss,
                                run->uniform_nats, run->entropy_rate_nats};
    return divergence_of(&course);
}

const char *divergence_name(divergence kind)
{
    static const char *const names[] = {
        [DIVERGENCE_NONE] = "",
        [DIVERGENCE_ABOVE_START] = "above its start",
        [DIVERGENCE_UNIFORM] = "at ln(vocab_size)",
        [DIVERGENCE_NOT_BACK] = "a rise that did not come back",
    };
    return names[kind];
}

entry_divergence divergence_of_entry(const result_entry *entry)
{
    entry_divergence out = {0, DIVERGENCE_NONE, NULL, "none"};
    for (int i = 0; i < entry->n_runs; i++) {
        divergence kind = divergence_of_run(entry->runs[i]);
        if (kind != DIVERGENCE_NONE && out.n_runs++ == 0) {
            out.kind = kind;
            out.run = entry->runs[i];
        }
    }
    if (out.n_runs > 0) {
        snprintf(out.text, sizeof out.text, "%d of %d, %s", out.n_runs, entry->n_runs,
                 divergence_name(out.kind));
    }
    return out;
}

bool divergence_of_side(const facts *f, int config, const result_entry *entry)
{
    if (entry && isfinite(entry->val_loss.value)) {
        return divergence_of_entry(entry).n_runs > 0;
    }
    for (int i = 0; i < f->n_runs; i++) {
        if (f->runs[i].config == config && strcmp(f->runs[i].status, "nan") == 0) {
            return true;
        }
    }
    return false;
}
