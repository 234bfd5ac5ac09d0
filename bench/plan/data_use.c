#include "bench/plan/data_use.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "kernels/checked.h"

double data_passes(const data_shards *train, int64_t batch_tokens, int64_t batches)
{
    double in_a_pass = 0;
    for (int64_t i = 0; i < train->n; i++) {
        if (train->items[i].tokens < 1 || batch_tokens < 1) {
            return NAN;
        }
        int64_t batches_of_shard = (train->items[i].tokens - 1) / batch_tokens;
        in_a_pass += (double)batches_of_shard;
    }
    return in_a_pass > 0 ? (double)batches / in_a_pass : NAN;
}

/* The first of items[0..n) with this content, or NULL. */
static const data_shard *shard_like(const data_shard *items, int64_t n, const char *hash)
{
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(items[i].hash, hash) == 0) {
            return &items[i];
        }
    }
    return NULL;
}

static void shared_find(data_use *use, const data_shards *train, const data_shards *val)
{
    for (int64_t i = 0; i < val->n; i++) {
        const data_shard *same = shard_like(train->items, train->n, val->items[i].hash);
        if (same) {
            use->shared_train = use->shared == 0 ? same : use->shared_train;
            use->shared_val = use->shared == 0 ? &val->items[i] : use->shared_val;
            use->shared++;
            use->shared_tokens = gb_plus(use->shared_tokens, val->items[i].tokens);
        }
    }
}

static void repeated_find(data_use *use, const data_shards *train)
{
    for (int64_t i = 1; i < train->n; i++) {
        const data_shard *before = shard_like(train->items, i, train->items[i].hash);
        if (before) {
            use->repeated_first = use->repeated == 0 ? before : use->repeated_first;
            use->repeated_again = use->repeated == 0 ? &train->items[i] : use->repeated_again;
            use->repeated++;
        }
    }
}

data_use data_use_make(const data_shards *train, const data_shards *val,
                       const data_overlap *overlap, const data_run *runs, int n_runs)
{
    data_use use = {.passes_low = NAN, .passes_high = NAN};
    if (overlap) {
        use.overlap = *overlap;
    }
    shared_find(&use, train, val);
    repeated_find(&use, train);
    for (int i = 0; i < n_runs; i++) {
        double passes = data_passes(train, runs[i].batch_tokens, runs[i].batches);
        if (isfinite(passes) && !(passes <= use.passes_high)) {
            use.passes_high = passes;
            use.passes_high_config = runs[i].config;
        }
        if (isfinite(passes) && !(passes >= use.passes_low)) {
            use.passes_low = passes;
        }
        int64_t tokens = runs[i].val_tokens;
        if (tokens > 0 && (use.val_tokens_low == 0 || tokens < use.val_tokens_low)) {
            use.val_tokens_low = tokens;
            use.val_tokens_low_config = runs[i].config;
        }
    }
    return use;
}
