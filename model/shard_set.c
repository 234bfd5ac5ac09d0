#include "model/shard_set.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/process_limits.h"
#include "model/near_file.h"

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gb_status append_paths(shard_set *set, char **paths, size_t n, gb_error *err)
{
    size_t total = (size_t)set->count + n;
    shard_entry *shards = realloc(set->shards, total * sizeof *shards);
    if (!shards) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu file names", total);
    }
    set->shards = shards;
    for (size_t i = 0; i < n; i++) {
        shards[set->count] = (shard_entry){.path = strdup(paths[i])};
        if (!shards[set->count].path) {
            return gb_fail(err, GB_ERR_OOM, "no memory for %zu file names", total);
        }
        set->count++;
    }
    return GB_OK;
}

gb_status shard_set_find(shard_set *set, const char *pattern, gb_error *err)
{
    /* A name that exists is that file, even when it contains [ or *. */
    if (access(pattern, F_OK) == 0) {
        char *path = (char *)pattern;
        return append_paths(set, &path, 1, err);
    }
    glob_t found;
    int rc = glob(pattern, GLOB_ERR | GLOB_NOSORT | GLOB_TILDE, NULL, &found);
    /* With GLOB_ERR a folder that is not there is an abort, which for the user is no match. */
    bool no_folder = rc == GLOB_ABORTED && (errno == ENOENT || errno == ENOTDIR);
    if (rc == GLOB_NOMATCH || no_folder) {
        near_file near = near_file_find(pattern, ".bin");
        return gb_fail(err, GB_ERR_USAGE, "%s: no such file%s", pattern,
                       near.hint[0] ? near.hint
                                    : "; expected a .bin shard of tokens, or a glob that matches "
                                      "some: `gptbench data pack` makes shards of text, and "
                                      "synth:vocab=256,seed=1 needs none");
    }
    if (rc != 0) {
        bool memory = rc == GLOB_NOSPACE;
        return gb_fail(err, memory ? GB_ERR_OOM : GB_ERR_IO, "%s: cannot list: %s", pattern,
                       memory ? "no memory" : gb_reason(errno));
    }
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_paths);
    gb_status status = append_paths(set, found.gl_pathv, found.gl_pathc, err);
    globfree(&found);
    return status;
}

void shard_set_free(shard_set *set)
{
    for (int64_t i = 0; i < set->count; i++) {
        free(set->shards[i].path);
    }
    free(set->shards);
    *set = (shard_set){0};
}

void shard_set_hash(const shard_set *set, char out[33])
{
    char link[2 * 32 + 1] = "";
    for (int64_t i = 0; i < set->count; i++) {
        snprintf(link + 32, 33, "%s", set->shards[i].info.hash);
        XXH128_hash_t digest = XXH3_128bits(link, 64);
        snprintf(link, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64,
                 (uint64_t)digest.low64);
    }
    snprintf(out, 33, "%.32s", link);
}
