/* cpu_sizes.h: how much room the kernels and ops of the CPU backend want. The plan of the workspace
 * (cpu_memory.c) and those who use it take the numbers from here, so that they agree. Shapes are as
 * in kernels/backend.h; all sizes are positive. */
#ifndef GPTBENCH_KERNELS_CPU_SIZES_H
#define GPTBENCH_KERNELS_CPU_SIZES_H

#include <stdint.h>

/* Scratch per thread that the attention kernels need, forward and backward, on any ISA. */
int64_t cpu_attention_scratch_floats(int64_t T, int64_t D);

/* Elements of a right-hand side (K, N) packed as cpu_pack_args of cpu_kernels.h says, its edges
 * filled up. */
int64_t cpu_packed_elements(int64_t K, int64_t N);

/* Of a product whose result has M rows, by a team of so many threads. */
int64_t cpu_product_workspace_bytes(int64_t M, int64_t threads);

/* Tokens whose logits the classifier holds at once: few enough for a bounded buffer, but enough
 * that reading and writing the (V, C) gradient once for each lot costs little beside its products.
 */
int64_t cpu_classifier_rows(int64_t N, int64_t V);
/* Columns of those that are worked on at once: what is left of one product is to be in the cache
 * when the next reads it. */
int64_t cpu_classifier_columns(int64_t rows, int64_t V);

#endif
