#include "bench/analysis/run_ends.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/checked.h"

static bool is_newest_attempt(const facts *f, const run_facts *run)
{
    for (int64_t i = 0; i < f->n_runs; i++) {
        const run_facts *other = &f->runs[i];
        if (other->config == run->config && other->replicate == run->replicate &&
            other->attempt > run->attempt && strcmp(other->identity, run->identity) == 0) {
            return false;
        }
    }
    return true;
}

static void end_count(run_end *out, int *n, const run_facts *run)
{
    int i = 0;
    while (i < *n && strcmp(out[i].status, run->status) != 0) {
        i++;
    }
    if (i == RUN_ENDS_MAX) {
        return;
    }
    if (i == *n) {
        out[(*n)++] = (run_end){.status = run->status};
    }
    out[i].n++;
    out[i].halved += run->lr_scale < 1;
}

static int ok_first(const void *a, const void *b)
{
    const run_end *x = a, *y = b;
    int x_ok = strcmp(x->status, "ok") == 0, y_ok = strcmp(y->status, "ok") == 0;
    return x_ok != y_ok ? y_ok - x_ok : strcmp(x->status, y->status);
}

/* Of several machines a run is counted with the one that it ran on. */
static bool is_at(const facts *f, const run_facts *run, const run_place *place)
{
    bool known = false;
    if (run->config != place->config || strcmp(run->backend, place->backend) != 0 ||
        strcmp(run->precision, place->precision) != 0) {
        return false;
    }
    if (place->machine == RUN_PLACE_ANY || run->machine == place->machine) {
        return true;
    }
    for (int64_t i = 0; i < f->n_runs && !known; i++) { /* a machine with a row of its own? */
        const run_facts *other = &f->runs[i];
        known = other->machine == run->machine && other->config == run->config &&
                strcmp(other->status, "ok") == 0 && strcmp(other->backend, run->backend) == 0 &&
                strcmp(other->precision, run->precision) == 0;
    }
    return place->also_unplaced && !known;
}

int run_ends_of(run_end *out, const facts *f, const run_place *place)
{
    int n = 0;
    for (int64_t i = 0; i < f->n_runs; i++) {
        if (is_at(f, &f->runs[i], place) && is_newest_attempt(f, &f->runs[i])) {
            end_count(out, &n, &f->runs[i]);
        }
    }
    qsort(out, (size_t)n, sizeof *out, ok_first);
    return n;
}

run_count run_count_of(const facts *f)
{
    run_count out = {.wanted = gb_times(f->n_configs, f->replicates)};
    for (int64_t i = 0; i < f->n_runs; i++) {
        const run_facts *run = &f->runs[i];
        bool counted = strcmp(run->status, "ok") != 0 || run->config < 0 || run->replicate < 0 ||
                       run->replicate >= f->replicates;
        for (int64_t k = 0; k < i && !counted; k++) {
            counted = f->runs[k].config == run->config && strcmp(f->runs[k].status, "ok") == 0 &&
                      f->runs[k].replicate == run->replicate;
        }
        out.finished += !counted;
    }
    return out;
}
