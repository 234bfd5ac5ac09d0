/* loader.h: where tokens come from. A source is a set of .bin shards or a synthetic process; a
 * loader walks one source in batches of B*T, in the same order for every config. */
#ifndef GPTBENCH_MODEL_LOADER_H
#define GPTBENCH_MODEL_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/status.h"

typedef struct token_source token_source;

/* Opens `spec`: a glob of .bin shards (read in name order) or "synth:vocab=256,seed=1[,...]".
 * Every shard's header, size and token range (all tokens < vocab_size) is checked; GB_ERR_FORMAT
 * names the file and what is wrong: "books.bin: truncated: header says 4076451 tokens, the file
 * holds 100", "not a token shard (magic 0x.., expected 20240520)", "token 50256 at position 0 is
 * not below vocab_size = 256". GB_ERR_USAGE when the glob matches nothing or the synth text is
 * wrong. The source is owned by the caller. Files are opened read-only and are never trusted to
 * keep their size. */
gb_status token_source_open(token_source **out, const char *spec, int64_t vocab_size,
                            gb_error *err);
/* The same for validation data: where `spec` is synthetic and names no stream, stream=val is
 * meant. So `train = val = synth:vocab=256,seed=1` trains and validates on two stretches of one
 * language. Shards are opened as they are. */
gb_status token_source_open_val(token_source **out, const char *spec, int64_t vocab_size,
                                gb_error *err);
void token_source_close(token_source *source); /* NULL is fine */

/* Tokens in all shards; INT64_MAX for an endless source. */
int64_t token_source_tokens(const token_source *source);
/* Entropy rate in nats per token where it is known exactly (synth), else NAN. */
double token_source_entropy_rate(const token_source *source);
/* Standard deviation of what a model that knows the source loses at one token; NAN as above. The
 * mean over n tokens scatters by this / sqrt(n) about the rate. */
double token_source_entropy_spread(const token_source *source);
/* 32 hex digits + NUL that identify the content: a hash of every shard's bytes in order, or of
 * the synth parameters. */
const char *token_source_hash(const token_source *source);
/* 32 hex digits + NUL that identify a stretch by its tokens alone: the XXH3-128 of each position's
 * token and of the one to be predicted there, of the first `sequences` sequences as a loader with
 * batch_size = 1 reads them. Where sequences follow each other without a gap, as in one shard, it
 * does not depend on their length. Errors as token_loader_open and token_loader_next; GB_ERR_OOM.
 */
gb_status token_source_hash_stretch(token_source *source, int64_t sequence_length,
                                    int64_t sequences, char out[33], gb_error *err);

/* The shards, scanned, in the order in which they are read; of an endless source none. */
const struct shard_set *token_source_shard_set(const token_source *source);

/* A loader is a position in a source, for one thread; several loaders may share a source when
 * they take turns. It takes B*T+1 consecutive tokens per batch and advances by
 * B*T; a shard's tail that is too short for a batch is skipped; after the last shard it starts
 * again at the first. */
typedef struct token_loader {
    token_source *source; /* borrowed */
    int64_t batch_size, sequence_length;
    int64_t batch_index; /* next batch, in 0..batches-1 */
    int64_t batches;     /* batches in one pass; INT64_MAX for an endless source */
} token_loader;

/* `replicate` shifts the start by a whole number of batches that depends on it and on the
 * source's length alone (0 for replicate 0). GB_ERR_FORMAT when no shard holds one batch. */
gb_status token_loader_open(token_loader *loader, token_source *source, int64_t batch_size,
                            int64_t sequence_length, int64_t replicate, gb_error *err);
/* Next batch: inputs and targets (B*T) each. */
gb_status token_loader_next(token_loader *loader, int32_t *inputs, int32_t *targets, gb_error *err);
/* Back to the first token of the source (validation). */
void token_loader_rewind(token_loader *loader);

#endif
