/* gemm_cache.h: remembers from process to process which algorithm a matrix product uses.
 *
 * One text file per device and library version, under $GPTBENCH_CACHE_DIR, else
 * $XDG_CACHE_HOME/gptbench, else ~/.cache/gptbench. Deleting it makes everything be timed anew. A
 * line is
 *     CHECKSUM ALGORITHM TIME_MS KEY
 * with the checksum (XXH64, 16 hex digits) of what follows it, the algorithm's bytes in hex and the
 * key as the caller wrote it. Lines that do not look so are ignored: comments, what a process that
 * was killed while writing left behind, and damage. The last good line of a key is the one that
 * counts, and under a lock a line is only added where there is none yet or where the one there was
 * refused, so that all processes agree.
 *
 * Plain C without CUDA: the algorithm is bytes here. */
#ifndef GPTBENCH_KERNELS_CUDA_GEMM_CACHE_H
#define GPTBENCH_KERNELS_CUDA_GEMM_CACHE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GEMM_CACHE_ALGO_BYTES = 64 };

typedef struct gemm_choice {
    unsigned char algo[GEMM_CACHE_ALGO_BYTES];
    double time_ms; /* what one run took; 0: chosen without timing */
} gemm_choice;

typedef struct gemm_cache gemm_cache;

/* `name` distinguishes device and library version; what does not suit a file name is replaced.
 * Makes the directory; the file is only made when something is stored. Never fails for the sake of
 * the file (see gemm_cache_reason): NULL means out of memory. Ended with gemm_cache_close. */
gemm_cache *gemm_cache_open(const char *name);
/* The same for choices of another kind, in a file of their own: PREFIX-NAME.txt, which begins with
 * the heading, a line. Both stay the caller's. */
gemm_cache *gemm_cache_open_as(const char *prefix, const char *heading, const char *name);
void gemm_cache_close(gemm_cache *cache); /* NULL is fine */

/* Why choices are not remembered, a few words; NULL where they are. Owned by the cache. */
const char *gemm_cache_reason(const gemm_cache *cache);

/* The choice for `key`, a line of printable text. False where the file has none. */
bool gemm_cache_find(const gemm_cache *cache, const char *key, gemm_choice *out);

/* Remembers *choice for `key`. Where another process was faster to store one, *choice becomes
 * that one, unless it is `refused` (NULL: nothing was): an earlier choice that did not work. */
void gemm_cache_store(gemm_cache *cache, const char *key, const gemm_choice *refused,
                      gemm_choice *choice);

#ifdef __cplusplus
}
#endif
#endif
