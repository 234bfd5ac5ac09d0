#include "kernels/cuda/kernel_verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/gemm_cache.h"
#include "version.h"

enum { KEY_CHARS = 512 };

static const char HEADING[] =
    "# Which kernels were held against portable ones here, as gptbench found "
    "it. Delete this file to try them anew.\n";
static const char *const kinds[] = {"untried", "begun", "agreed", "differed", "failed"};

kernel_verdicts *kernel_verdicts_open(const char *device)
{
    return gemm_cache_open_as("kernels", HEADING, device);
}

void kernel_verdicts_close(kernel_verdicts *verdicts)
{
    gemm_cache_close(verdicts);
}

/* "agreed 1764567890 0.412": the bytes that stand for an algorithm in other files. */
static gemm_choice choice_of(const kernel_verdict *v)
{
    gemm_choice choice = {.time_ms = 0};
    snprintf((char *)choice.algo, sizeof choice.algo, "%s %" PRId64 " %.9g", kinds[v->kind],
             v->at_s, v->error);
    return choice;
}

static kernel_verdict verdict_of(const gemm_choice *choice)
{
    kernel_verdict v = {KERNEL_UNTRIED, 0, 0};
    char text[GEMM_CACHE_ALGO_BYTES + 1] = "", kind[16] = "";
    memcpy(text, choice->algo, GEMM_CACHE_ALGO_BYTES);
    if (sscanf(text, "%15s %" SCNd64 " %lf", kind, &v.at_s, &v.error) == 3) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            v.kind = strcmp(kind, kinds[i]) == 0 ? (kernel_verdict_kind)i : v.kind;
        }
    }
    return v;
}

static void key_write(const char *key, char out[KEY_CHARS])
{
    snprintf(out, KEY_CHARS, "sources %s: %s", GPTBENCH_CODE, key);
}

kernel_verdict kernel_verdicts_find(const kernel_verdicts *verdicts, const char *key)
{
    char full[KEY_CHARS];
    gemm_choice choice = {.time_ms = 0};
    key_write(key, full);
    return gemm_cache_find(verdicts, full, &choice) ? verdict_of(&choice)
                                                    : (kernel_verdict){KERNEL_UNTRIED, 0, 0};
}

bool kernel_verdicts_replace(kernel_verdicts *verdicts, const char *key,
                             const kernel_verdict *before, const kernel_verdict *next)
{
    char full[KEY_CHARS];
    const gemm_choice old = choice_of(before);
    gemm_choice there = choice_of(next);
    const gemm_choice wanted = there;
    key_write(key, full);
    gemm_cache_store(verdicts, full, &old, &there);
    return memcmp(there.algo, wanted.algo, sizeof wanted.algo) == 0;
}
