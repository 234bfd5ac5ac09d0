/* bpe_internal.h: what the merge-file reader (bpe_merges.c) and the encoder (bpe.c) share. */
#ifndef GPTBENCH_MODEL_BPE_INTERNAL_H
#define GPTBENCH_MODEL_BPE_INTERNAL_H

#include <stdint.h>

#include "model/bpe.h"

#define BPE_MERGES_MAX (65536 - 256 - 1) /* with the bytes and <|endoftext|>: 16-bit ids */
#define BPE_NO_MERGE   INT32_MAX

/* The merge list as tables. */
typedef struct bpe_merges {
    int32_t count;
    int32_t byte_token[256]; /* token of each byte */
    char *bytes;             /* all tokens' bytes, one after the other */
    int64_t *starts;         /* (256 + count + 1): where each token's begin */
    uint64_t *pair_keys;     /* (pair_mask + 1): left << 32 | right, UINT64_MAX = free */
    int32_t *pair_tokens;    /* (pair_mask + 1): the token that the pair makes */
    uint64_t pair_mask;
    uint64_t fingerprint; /* of the pairs in order */
} bpe_merges;

/* *out is freed with bpe_merges_free, after a failure as well. */
gb_status bpe_merges_parse(bpe_merges *out, const char *name, const char *text, size_t bytes,
                           gb_error *err);
void bpe_merges_free(bpe_merges *merges);

static inline uint64_t bpe_pair_slot(const bpe_merges *merges, uint64_t key)
{
    return (key * UINT64_C(0x9E3779B97F4A7C15) >> 32) & merges->pair_mask;
}

/* The token that two neighbours make, which is also the order of merging: BPE_NO_MERGE if none. */
static inline int32_t bpe_pair_token(const bpe_merges *merges, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (uint64_t i = bpe_pair_slot(merges, key);; i = (i + 1) & merges->pair_mask) {
        if (merges->pair_keys[i] == key) {
            return merges->pair_tokens[i];
        }
        if (merges->pair_keys[i] == UINT64_MAX) {
            return BPE_NO_MERGE;
        }
    }
}

#endif
