#include "kernels/cpu/cpu_sizes.h"

#include "kernels/checked.h"
#include "kernels/cpu/cpu_kernels.h"

enum { LINE = 64 };

/* What isa/attention.c carves out; isa/attention_bf16.c needs less. */
int64_t cpu_attention_scratch_floats(int64_t T, int64_t D)
{
    const int64_t panel = CPU_ATTENTION_PANEL_MAX, rows = CPU_ATTENTION_ROWS;
    const int64_t Tp = gb_round_up(T, panel), Dp = gb_round_up(D, panel);
    return 5 * Tp * Dp + 2 * panel * Dp + 2 * rows * (Tp + panel) + 5 * rows * Dp;
}

int64_t cpu_packed_elements(int64_t K, int64_t N)
{
    return gb_round_up(K, CPU_PACK_K) * gb_round_up(N, CPU_PACK_N);
}

int64_t cpu_product_workspace_bytes(int64_t M, int64_t threads)
{
    const int64_t tiles = M / CPU_PRODUCT_TILE_MIN + 1;
    return threads *
           (CPU_PRODUCT_SHARED_BYTES + gb_round_up(tiles * (int64_t)sizeof(int32_t), LINE) +
            CPU_PRODUCT_SCRATCH_FLOATS * (int64_t)sizeof(float));
}

/* Float logits of as many columns as are held in the cache together. */
enum { COLUMNS_BYTES = 12 << 20 };

int64_t cpu_classifier_rows(int64_t N, int64_t V)
{
    int64_t rows = ((int64_t)4 << 20) / (V * (int64_t)sizeof(float));
    if (rows < 1024) {
        rows = 1024;
    }
    return rows < N ? rows : N;
}

int64_t cpu_classifier_columns(int64_t rows, int64_t V)
{
    const int64_t row_bytes = rows * (int64_t)sizeof(float);
    int64_t chunks = (V * row_bytes + COLUMNS_BYTES - 1) / COLUMNS_BYTES;
    int64_t columns = (V + chunks - 1) / chunks;
    columns = (columns + CPU_PACK_N - 1) / CPU_PACK_N * CPU_PACK_N;
    return columns < V ? columns : V;
}
