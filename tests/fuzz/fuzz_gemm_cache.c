/* Fuzzes the file that remembers cuBLASLt algorithms: whatever stands in it, a choice is found or
 * not, and one that is stored is found afterwards. Builds and runs like fuzz_shard.c.
 *
 * The first byte of the input picks the key, whether the stored choice refuses the one that was
 * there, and, with its highest bit, that each line gets its true checksum, so that the fuzzer need
 * not guess it; the rest is the file. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/cuda/gemm_cache.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], path[96];

static void folder_remove(void)
{
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *shared = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/fuzz_gemm_cache_XXXXXX", shared);
    if (!mkdtemp(folder)) {
        abort();
    }
    snprintf(path, sizeof path, "%s/gemm-x.txt", folder);
    setenv("GPTBENCH_CACHE_DIR", folder, 1);
    return atexit(folder_remove);
}

/* Each line behind its checksum, or as it is. */
static void file_write(const uint8_t *text, size_t size, bool mend)
{
    FILE *file = fopen(path, "wb");
    for (const uint8_t *line = text, *end = text + size; file && line < end;) {
        const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        const size_t length = (size_t)((newline ? newline : end) - line);
        if (mend) {
            fprintf(file, "%016llx ", (unsigned long long)XXH64(line, length, 0));
        }
        fwrite(line, 1, length + (newline != NULL), file);
        line += length + 1;
    }
    if (!file || fclose(file) != 0) {
        abort();
    }
}

static bool same(const gemm_choice *a, const gemm_choice *b)
{
    return memcmp(a->algo, b->algo, sizeof a->algo) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"K", "bf16 M=1 N=2", "2", "M=1 N=2"};
    if (size < 1) {
        return 0;
    }
    const char *key = keys[data[0] & 3];
    const bool refuse = data[0] & 4;
    file_write(data + 1, size - 1, data[0] & 128);
    gemm_cache *cache = gemm_cache_open("x");
    if (!cache) {
        return 0;
    }
    gemm_choice before, ours = {.algo = {1, 2, 3}, .time_ms = 0.25}, stored = ours, after;
    const bool found = gemm_cache_find(cache, key, &before);
    gemm_cache_store(cache, key, found && refuse ? &before : NULL, &stored);
    if (!same(&stored, found && !refuse ? &before : &ours) || gemm_cache_reason(cache)) {
        abort(); /* the one that was there first counts, or the one that takes a refused one's place
                  */
    }
    if (!gemm_cache_find(cache, key, &after) || !same(&after, &stored)) {
        abort(); /* what is stored is found */
    }
    gemm_cache_close(cache);
    return 0;
}
