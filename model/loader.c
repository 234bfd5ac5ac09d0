#include "model/loader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/fraction.h"
#include "model/shard_set.h"
#include "model/synth.h"

/* Distance between the starts of two replicates in an endless source, in batches: more than any
 * run takes. */
#define ENDLESS_STRIDE   ((int64_t)1 << 24)
#define BATCH_TOKENS_MAX ((int64_t)1 << 31)

struct token_source {
    synth_chain *chain; /* NULL for shards */
    double entropy_rate;
    shard_set set;
    int64_t tokens;
    int64_t vocab_size;
    int64_t open_shard; /* the one that fd belongs to, -1 for none */
    int fd;
    char hash[33];
};

static void hash_format(XXH128_hash_t digest, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64, (uint64_t)digest.low64);
}

/* ---- synthetic ---- */

static gb_status open_synth(token_source *source, const char *text, bool validation, gb_error *err)
{
    synth_spec spec;
    GB_TRY(synth_spec_parse(&spec, text, err));
    if (validation && !spec.stream_given) {
        spec.stream = SYNTH_STREAM_VAL;
    }
    if (spec.vocab > source->vocab_size) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: its %" PRId64 " tokens are more than vocab_size = %" PRId64, text,
                       spec.vocab, source->vocab_size);
    }
    GB_TRY(synth_chain_open(&source->chain, &spec, err));
    char canonical[256];
    synth_spec_format(&spec, canonical, sizeof canonical);
    hash_format(XXH3_128bits(canonical, strlen(canonical)), source->hash);
    source->entropy_rate = synth_chain_entropy_rate(source->chain);
    source->tokens = INT64_MAX;
    return GB_OK;
}

/* ---- shards ---- */

static gb_status open_shards(token_source *source, const char *pattern, gb_error *err)
{
    GB_TRY(shard_set_find(&source->set, pattern, err));
    for (int64_t i = 0; i < source->set.count; i++) {
        shard_entry *shard = &source->set.shards[i];
        GB_TRY(shard_scan(shard->path, source->vocab_size, &shard->info, err));
        source->tokens += shard->info.tokens;
    }
    shard_set_hash(&source->set, source->hash);
    return GB_OK;
}

/* Makes source->fd the file of shard `index`; one file is open at a time, so that a data set may
 * have more shards than a process may have files. */
static gb_status select_shard(token_source *source, int64_t index, gb_error *err)
{
    if (source->open_shard == index) {
        return GB_OK;
    }
    if (source->fd >= 0) {
        close(source->fd);
    }
    source->open_shard = -1;
    GB_TRY(shard_open(source->set.shards[index].path, &source->set.shards[index].info, &source->fd,
                      err));
    source->open_shard = index;
    return GB_OK;
}

/* ---- source ---- */

static gb_status open_source(token_source **out, const char *spec, int64_t vocab_size,
                             bool validation, gb_error *err)
{
    *out = NULL;
    if (!*spec) {
        return gb_fail(err, GB_ERR_USAGE,
                       "no data given: expected a .bin shard, a glob, or synth:vocab=256,seed=1");
    }
    if (vocab_size < 1) {
        return gb_fail(err, GB_ERR_USAGE, "vocab_size = %" PRId64 ": must be at least 1",
                       vocab_size);
    }
    token_source *source = calloc(1, sizeof *source);
    if (!source) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to open it", spec);
    }
    source->fd = -1;
    source->open_shard = -1;
    source->vocab_size = vocab_size;
    source->entropy_rate = NAN;
    gb_status status = synth_spec_matches(spec) ? open_synth(source, spec, validation, err)
                                                : open_shards(source, spec, err);
    if (status != GB_OK) {
        token_source_close(source);
        return status;
    }
    *out = source;
    return GB_OK;
}

gb_status token_source_open(token_source **out, const char *spec, int64_t vocab_size, gb_error *err)
{
    return open_source(out, spec, vocab_size, false, err);
}

gb_status token_source_open_val(token_source **out, const char *spec, int64_t vocab_size,
                                gb_error *err)
{
    return open_source(out, spec, vocab_size, true, err);
}

void token_source_close(token_source *source)
{
    if (!source) {
        return;
    }
    shard_set_free(&source->set);
    if (source->fd >= 0) {
        close(source->fd);
    }
    synth_chain_close(source->chain);
    free(source);
}

int64_t token_source_tokens(const token_source *source)
{
    return source->tokens;
}

double token_source_entropy_rate(const token_source *source)
{
    return source->entropy_rate;
}

double token_source_entropy_spread(const token_source *source)
{
    return source->chain ? synth_chain_entropy_spread(source->chain) : NAN;
}

const char *token_source_hash(const token_source *source)
{
    return source->hash;
}

const shard_set *token_source_shard_set(const token_source *source)
{
    return &source->set;
}

/* ---- loader ---- */

/* Batches of `tokens` that a shard of `shard_tokens` holds, with one more token for the last
 * batch's last target. */
static int64_t shard_batches(int64_t shard_tokens, int64_t tokens)
{
    return (shard_tokens - 1) / tokens;
}

gb_status token_loader_open(token_loader *loader, token_source *source, int64_t batch_size,
                            int64_t sequence_length, int64_t replicate, gb_error *err)
{
    *loader = (token_loader){.source = source, .batch_size = 1, .sequence_length = 1};
    if (batch_size < 1 || sequence_length < 1 || batch_size > BATCH_TOKENS_MAX / sequence_length) {
        return gb_fail(err, GB_ERR_USAGE,
                       "batch_size = %" PRId64 ", sequence_length = %" PRId64
                       ": both must be at least 1, their product at most 2^31",
                       batch_size, sequence_length);
    }
    if (replicate < 0) {
        return gb_fail(err, GB_ERR_USAGE, "replicate = %" PRId64 ": must not be negative",
                       replicate);
    }
    loader->batch_size = batch_size;
    loader->sequence_length = sequence_length;
    if (source->chain) {
        loader->batches = INT64_MAX;
        loader->batch_index = (int64_t)((uint64_t)replicate * ENDLESS_STRIDE % INT64_MAX);
        return GB_OK;
    }
    int64_t longest = 0;
    for (int64_t i = 0; i < source->set.count; i++) {
        int64_t tokens = source->set.shards[i].info.tokens;
        loader->batches += shard_batches(tokens, batch_size * sequence_length);
        longest = tokens > longest ? tokens : longest;
    }
    if (loader->batches == 0) {
        const char *path = source->set.shards[0].path;
        return batch_size == 1
                   ? gb_fail(err, GB_ERR_FORMAT,
                             "%s: %" PRId64 " tokens are too few for one sequence: sequence_length "
                             "= %" PRId64 " needs %" PRId64 " in one shard",
                             path, longest, sequence_length, sequence_length + 1)
                   : gb_fail(err, GB_ERR_FORMAT,
                             "%s: %" PRId64
                             " tokens are too few for one batch: batch_size = %" PRId64
                             " and sequence_length = %" PRId64 " need %" PRId64 " in one shard",
                             path, longest, batch_size, sequence_length,
                             batch_size * sequence_length + 1);
    }
    /* Multiples of the golden ratio, modulo 1: any number of replicates starts well apart. */
    uint64_t turn = (uint64_t)replicate * UINT64_C(0x9E3779B97F4A7C15);
    loader->batch_index = (int64_t)fraction_of(turn, (uint64_t)loader->batches);
    return GB_OK;
}

static gb_status read_from_shards(const token_loader *loader, int32_t *inputs, int32_t *last,
                                  gb_error *err)
{
    token_source *source = loader->source;
    int64_t tokens = loader->batch_size * loader->sequence_length, batch = loader->batch_index;
    int64_t i = 0;
    for (int64_t n; i < source->set.count; i++, batch -= n) {
        n = shard_batches(source->set.shards[i].info.tokens, tokens);
        if (batch < n) {
            break;
        }
    }
    if (i == source->set.count) {
        return gb_fail(err, GB_ERR_INTERNAL, "batch %" PRId64 " of %" PRId64 " does not exist",
                       loader->batch_index, loader->batches);
    }
    GB_TRY(select_shard(source, i, err));
    const char *path = source->set.shards[i].path;
    GB_TRY(shard_read(path, source->fd, batch * tokens, tokens, source->vocab_size, inputs, err));
    return shard_read(path, source->fd, (batch + 1) * tokens, 1, source->vocab_size, last, err);
}

gb_status token_loader_next(token_loader *loader, int32_t *inputs, int32_t *targets, gb_error *err)
{
    int64_t tokens = loader->batch_size * loader->sequence_length;
    int32_t last;
    if (loader->source->chain) {
        uint64_t position = (uint64_t)loader->batch_index * (uint64_t)tokens;
        synth_chain_read(loader->source->chain, position, tokens, inputs);
        synth_chain_read(loader->source->chain, position + (uint64_t)tokens, 1, &last);
    } else {
        GB_TRY(read_from_shards(loader, inputs, &last, err));
    }
    memcpy(targets, inputs + 1, (size_t)(tokens - 1) * sizeof *targets);
    targets[tokens - 1] = last;
    loader->batch_index = loader->batch_index + 1 < loader->batches ? loader->batch_index + 1 : 0;
    return GB_OK;
}

void token_loader_rewind(token_loader *loader)
{
    loader->batch_index = 0;
}

/* ---- a stretch ---- */

/* `tokens` has room for two sequences of tokens and one of pairs. */
static gb_status stretch_add(XXH3_state_t *state, token_loader *loader, int32_t *tokens,
                             gb_error *err)
{
    const int64_t T = loader->sequence_length;
    int32_t *inputs = tokens, *targets = tokens + T, *pairs = tokens + 2 * T;
    GB_TRY(token_loader_next(loader, inputs, targets, err));
    for (int64_t i = 0; i < T; i++) {
        pairs[2 * i] = inputs[i];
        pairs[2 * i + 1] = targets[i];
    }
    XXH3_128bits_update(state, pairs, (size_t)(2 * T) * sizeof *pairs);
    return GB_OK;
}

gb_status token_source_hash_stretch(token_source *source, int64_t sequence_length,
                                    int64_t sequences, char out[33], gb_error *err)
{
    token_loader loader;
    GB_TRY(token_loader_open(&loader, source, 1, sequence_length, 0, err));
    int32_t *tokens = malloc((size_t)sequence_length * 4 * sizeof *tokens);
    XXH3_state_t *state = XXH3_createState();
    gb_status status = tokens && state ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a hash");
    if (status == GB_OK) {
        XXH3_128bits_reset(state);
    }
    for (int64_t i = 0; i < sequences && status == GB_OK; i++) {
        status = stretch_add(state, &loader, tokens, err);
    }
    if (status == GB_OK) {
        hash_format(XXH3_128bits_digest(state), out);
    }
    XXH3_freeState(state);
    free(tokens);
    return status;
}
