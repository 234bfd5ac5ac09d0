/* cuda_sizes.cuh: how much room the ops of the CUDA backend want. The plan of the workspace
 * (cuda_memory.cu) and those who use it take the numbers from here, so that they agree. Shapes are
 * as in kernels/backend.h; all sizes are positive. */
#ifndef GPTBENCH_KERNELS_CUDA_SIZES_CUH
#define GPTBENCH_KERNELS_CUDA_SIZES_CUH

#include <stdint.h>

#include "kernels/backend.h"

enum { CUDA_CLASSIFIER_ROWS = 32768 };

/* What a product's algorithm may use, from 32 to 128 MiB: a 256th of the device's memory (0: not
 * known), and not of what is free at the moment, which would give two processes two algorithms. */
int64_t cuda_gemm_workspace_bytes(int64_t memory_bytes);

/* Rows of logits held at once on a GPU of so much memory, and elements between those rows. */
int64_t cuda_classifier_rows(int64_t N, int64_t V, int act_bytes, int64_t memory_bytes);
int64_t cuda_classifier_stride(int64_t V);

/* What attention's backward keeps between its two kernels: a float per query and head. */
int64_t cuda_attention_delta_bytes(int64_t B, int64_t T, int64_t H);

/* What one staged upload may hold at most to overlap with other work. */
int64_t cuda_stage_entry_bytes(const gb_shape *shape);

#endif
