#include "bench/plan/data_overlap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/shard_set.h"

enum { WINDOW = 64, CHUNK = 1024 * WINDOW };

/* The start of a validation shard, as it is kept. */
typedef struct segment {
    const shard_entry *shard;
    int64_t begin, n; /* among the kept tokens */
} segment;

typedef struct finder {
    const data_overlap_wanted *wanted;
    data_overlap *out;
    int32_t *val; /* (n_val) */
    int64_t n_val;
    segment *segments;
    int64_t n_segments;
    bool *found; /* (n_val) */
    /* Windows of `val` by hash: the position, from 1, and some bits of the hash; 0: free. */
    uint64_t *slots;
    uint64_t mask;
    int32_t *chunk; /* (CHUNK) */
} finder;

static bool is_of(const shard_set *set, const char *hash)
{
    bool same = false;
    for (int64_t i = 0; i < set->count && !same; i++) {
        same = strcmp(set->shards[i].info.hash, hash) == 0;
    }
    return same;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- windows ---- */

static uint64_t window_hash(const int32_t *tokens)
{
    return XXH3_64bits(tokens, WINDOW * sizeof *tokens);
}

/* The slot of this window, or the free one where it belongs. */
static uint64_t *slot_of(const finder *f, const int32_t *tokens)
{
    const uint64_t hash = window_hash(tokens), tag = hash >> 32 << 32;
    for (uint64_t at = hash & f->mask;; at = (at + 1) & f->mask) {
        uint64_t *slot = &f->slots[at];
        const int64_t position = (int64_t)(*slot & UINT32_MAX) - 1;
        if (position < 0 || ((*slot >> 32 << 32) == tag &&
                             memcmp(f->val + position, tokens, WINDOW * sizeof *tokens) == 0)) {
            return slot;
        }
    }
}

static void windows_keep(finder *f)
{
    for (int64_t s = 0; s < f->n_segments; s++) {
        const segment *x = &f->segments[s];
        for (int64_t i = x->begin; i + WINDOW <= x->begin + x->n; i++) {
            uint64_t *slot = slot_of(f, f->val + i);
            if (*slot == 0) { /* of equal windows the first is kept */
                *slot = window_hash(f->val + i) >> 32 << 32 | (uint64_t)(i + 1);
            }
        }
    }
}

/* ---- validation ---- */

/* Which shards a validation reads from, and how much of each. */
static gb_status segments_choose(finder *f, gb_error *err)
{
    const shard_set *val = f->wanted->val;
    int64_t left = f->wanted->val_tokens;
    f->segments = calloc((size_t)val->count + 1, sizeof *f->segments);
    if (!f->segments) {
        return gb_fail(err, GB_ERR_OOM, "no memory to look for validation tokens");
    }
    for (int64_t i = 0; i < val->count && left > 0; i++) {
        const shard_entry *shard = &val->shards[i];
        const int64_t read = at_most(left, shard->info.tokens);
        left -= read;
        f->out->val_tokens += read;
        const int64_t n = is_of(f->wanted->train, shard->info.hash)
                              ? 0
                              : at_most(read, f->wanted->val_most - f->n_val);
        if (n > 0) {
            f->segments[f->n_segments++] = (segment){shard, f->n_val, n};
            f->n_val += n;
        }
    }
    f->out->val_looked = f->n_val;
    return GB_OK;
}

static gb_status val_read(finder *f, gb_error *err)
{
    for (int64_t s = 0; s < f->n_segments; s++) {
        const segment *x = &f->segments[s];
        int fd;
        GB_TRY(shard_open(x->shard->path, &x->shard->info, &fd, err));
        gb_status status = shard_read(x->shard->path, fd, 0, x->n, 0, f->val + x->begin, err);
        close(fd);
        GB_TRY(status);
    }
    return GB_OK;
}

static gb_status room_make(finder *f, gb_error *err)
{
    uint64_t slots = 2;
    while (slots < 2 * (uint64_t)f->n_val) {
        slots *= 2;
    }
    f->mask = slots - 1;
    f->val = malloc((size_t)f->n_val * sizeof *f->val);
    f->found = calloc((size_t)f->n_val, sizeof *f->found);
    f->slots = calloc(slots, sizeof *f->slots);
    f->chunk = malloc(CHUNK * sizeof *f->chunk);
    return f->val && f->found && f->slots && f->chunk
               ? GB_OK
               : gb_fail(err, GB_ERR_OOM, "no memory to look for validation tokens");
}

/* ---- training ---- */

static void found_mark(finder *f, int64_t position, const shard_entry *train)
{
    int64_t s = 0;
    while (position >= f->segments[s].begin + f->segments[s].n) {
        s++;
    }
    if (!f->out->train_path) {
        f->out->train_path = train->path;
        f->out->val_path = f->segments[s].shard->path;
    }
    for (int64_t i = position; i < position + WINDOW; i++) {
        f->out->found += !f->found[i];
        f->found[i] = true;
    }
}

static gb_status train_search(finder *f, const shard_entry *shard, gb_error *err)
{
    const int64_t n = at_most(shard->info.tokens, f->wanted->train_most - f->out->train_looked);
    gb_status status = GB_OK;
    int fd;
    GB_TRY(shard_open(shard->path, &shard->info, &fd, err));
    for (int64_t at = 0; at < n && status == GB_OK; at += CHUNK) {
        const int64_t count = at_most(CHUNK, n - at);
        status = shard_read(shard->path, fd, at, count, 0, f->chunk, err);
        for (int64_t i = 0; status == GB_OK && i + WINDOW <= count; i += WINDOW) {
            const uint64_t slot = *slot_of(f, f->chunk + i);
            if (slot != 0) {
                found_mark(f, (int64_t)(slot & UINT32_MAX) - 1, shard);
            }
        }
    }
    close(fd);
    f->out->train_looked += n;
    return status;
}

static gb_status find(finder *f, gb_error *err)
{
    const shard_set *train = f->wanted->train;
    gb_status status = segments_choose(f, err);
    if (status != GB_OK || f->n_val == 0) {
        return status;
    }
    GB_TRY(room_make(f, err));
    GB_TRY(val_read(f, err));
    windows_keep(f);
    for (int64_t i = 0; i < train->count; i++) {
        f->out->train_tokens += train->shards[i].info.tokens;
        if (f->out->train_looked < f->wanted->train_most) {
            GB_TRY(train_search(f, &train->shards[i], err));
        }
    }
    return GB_OK;
}

gb_status data_overlap_find(data_overlap *out, const data_overlap_wanted *wanted, gb_error *err)
{
    finder f = {.wanted = wanted, .out = out};
    *out = (data_overlap){.found = 0};
    gb_status status = find(&f, err);
    free(f.val);
    free(f.segments);
    free(f.found);
    free(f.slots);
    free(f.chunk);
    return status;
}
