#include "bench/analysis/run_ends.h"

#include <stdlib.h>
#include <string.h>

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

int run_ends_of(run_end *out, const facts *f, int config, const char *backend,
                const char *precision)
{
    int n = 0;
    for (int64_t i = 0; i < f->n_runs; i++) {
        const run_facts *run = &f->runs[i];
        if (run->config == config && strcmp(run->backend, backend) == 0 &&
            strcmp(run->precision, precision) == 0 && is_newest_attempt(f, run)) {
            end_count(out, &n, run);
        }
    }
    qsort(out, (size_t)n, sizeof *out, ok_first);
    return n;
}
