/* shard_set.h: the shards that a glob names. */
#ifndef GPTBENCH_MODEL_SHARD_SET_H
#define GPTBENCH_MODEL_SHARD_SET_H

#include <stdint.h>

#include "kernels/status.h"
#include "model/shard.h"

typedef struct shard_entry {
    char *path;
    shard_info info; /* filled by shard_scan */
} shard_entry;

/* Zero-initialise; end with shard_set_free. */
typedef struct shard_set {
    shard_entry *shards; /* (count) */
    int64_t count;
} shard_set;

/* Adds what `pattern` names, by name (byte order): a file of exactly that name, else the matches
 * of the glob; ~ is the home directory. Nothing is opened. GB_ERR_USAGE when there is no such
 * file. */
gb_status shard_set_find(shard_set *set, const char *pattern, gb_error *err);
void shard_set_free(shard_set *set);

/* Identifies the content of all shards, scanned before, in order: the XXH3-128 of each
 * one's hash and of what came before (32 hex digits each; zero bytes before the first). */
void shard_set_hash(const shard_set *set, char out[33]);

#endif
