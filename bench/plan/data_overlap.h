/* data_overlap.h: which of the tokens that a validation reads stand in the training data too, at
 * whatever place, as when a file of text was cut otherwise, or packed twice.
 *
 * Every stretch of 64 validation tokens is kept by its hash, and every 64th one of each training
 * shard is looked up: so whatever was copied and is 127 tokens long or more is found, and of what
 * is found less than 64 tokens at either end are missed. What is counted was compared token by
 * token. Shards that are in both whole are told by their hash, and left out here. */
#ifndef GPTBENCH_BENCH_DATA_OVERLAP_H
#define GPTBENCH_BENCH_DATA_OVERLAP_H

#include "bench/plan/data_use.h"
#include "kernels/status.h"

struct shard_set;

/* What is to be looked at. The last two bound memory (some 30 bytes for a validation token) and
 * time (1 s for some billion training tokens): what is beyond is not looked at. */
typedef struct data_overlap_wanted {
    const struct shard_set *train, *val; /* scanned */
    int64_t val_tokens;                  /* that a validation reads, from the first one on */
    int64_t val_most, train_most;
} data_overlap_wanted;

#define DATA_OVERLAP_VAL_MOST   ((int64_t)1 << 22)
#define DATA_OVERLAP_TRAIN_MOST ((int64_t)1 << 33)

/* The paths of *out point into the sets. GB_ERR_OOM; GB_ERR_IO where a shard is not any more what
 * was scanned. */
gb_status data_overlap_find(data_overlap *out, const data_overlap_wanted *wanted, gb_error *err);

#endif
