/* data_pack.h: text files to shards of tokens. */
#ifndef GPTBENCH_BENCH_DATA_PACK_H
#define GPTBENCH_BENCH_DATA_PACK_H

#include <stdint.h>

#include "kernels/status.h"
#include "model/bpe.h"
#include "model/shard_set.h"

typedef struct data_pack {
    /* What to do. */
    bpe *encoder;          /* NULL: each byte is a token */
    const char *separator; /* ends a document inside a file; NULL: a file is one document */
    int64_t separator_bytes;
    const char *output;   /* "x.bin", or a prefix for several shards */
    const char *merges;   /* the encoder's file, which no shard may replace; or NULL */
    int64_t shard_tokens; /* tokens per shard; 0: one file, `output` */
    /* What was done. */
    shard_set written; /* paths; not scanned */
    int64_t tokens, documents;
    int64_t replaced; /* U+FFFD put in for what is not UTF-8 */
} data_pack;

/* Packs the files, in order. With an encoder each document starts with <|endoftext|>; empty ones
 * leave nothing. Files are read in pieces, so their size does not matter unless they have no white
 * space. Shards appear complete or not at all, but those finished before an error stay. With
 * shard_tokens the shards are PREFIX_000000.bin and so on (".bin" is taken off the prefix), and
 * GB_ERR_USAGE says so when there are some already, or when a shard would take the place of a file
 * that is read. `written` is the caller's to free. */
gb_status data_pack_files(data_pack *job, const char *const *paths, int count, gb_error *err);

#endif
