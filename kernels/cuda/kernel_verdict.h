/* kernel_verdict.h: what became of a kernel that was held against another, from process to process:
 * a text file per device beside the remembered algorithms (gemm_cache.h, whose form it has).
 * Deleting it makes every kernel be tried anew. Plain C without CUDA. */
#ifndef GPTBENCH_KERNELS_CUDA_KERNEL_VERDICT_H
#define GPTBENCH_KERNELS_CUDA_KERNEL_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kernel_verdict_kind {
    KERNEL_UNTRIED, /* the trial could not be held; it is held next time */
    KERNEL_BEGUN,   /* a process is at it, or did not live to its end */
    KERNEL_AGREED,
    KERNEL_DIFFERED,
    KERNEL_FAILED /* it could not be launched */
} kernel_verdict_kind;

typedef struct kernel_verdict {
    kernel_verdict_kind kind;
    int64_t at_s; /* seconds since 1970 */
    double
        error; /* the largest, in bounds: 1 is just allowed; of KERNEL_BEGUN who it is, a number */
} kernel_verdict;

typedef struct gemm_cache kernel_verdicts; /* opaque */

/* Of a device. NULL: out of memory. Where there is no file to be had nothing is remembered. */
kernel_verdicts *kernel_verdicts_open(const char *device);
void kernel_verdicts_close(kernel_verdicts *verdicts); /* NULL is fine */

/* What is remembered of the kernel that `key`, a line, names together with the driver; of other
 * sources of kernels than this program's nothing is. KERNEL_UNTRIED where there is nothing. */
kernel_verdict kernel_verdicts_find(const kernel_verdicts *verdicts, const char *key);
/* Remembers `next` where `before`, from find, is still what is remembered. False where another
 * process has put its own in its place meanwhile. */
bool kernel_verdicts_replace(kernel_verdicts *verdicts, const char *key,
                             const kernel_verdict *before, const kernel_verdict *next);

#ifdef __cplusplus
}
#endif
#endif
