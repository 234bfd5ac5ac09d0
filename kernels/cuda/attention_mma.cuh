/* attention_mma.cuh: tiles and fragments of the bf16 attention kernels.
 *
 * A tile is rows of one head in shared memory, its width D padded with zeros to dp, a multiple of
 * 16, and each row followed by 8 unused elements: the row stride is then an odd multiple of 16
 * bytes, so that the 8 rows of an ldmatrix meet all 32 banks once.
 *
 * Sums live in registers as the D fragments of mma.m16n8k16 (see ptx.cuh): element [n][0..1] of
 * lane l is (row l/4, columns 8n + 2(l%4) + 0..1), [n][2..3] the same 8 rows below. Two such
 * fragments side by side, rounded to bf16, are one A fragment of the next product. */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_MMA_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_MMA_CUH

#include "kernels/cuda/attention_common.cuh"
#include "kernels/cuda/ptx.cuh"

enum { PAD = 8 };

constexpr float LOG2_E = 1.44269504088896340736f;

/* The least that a block may use on every sm_80 and later (sm_86, 89 and 120 have 100 KB per SM).
 */
constexpr int MAX_SHARED_BYTES = 99 * 1024;

/* Bytes of `rows` rows of tiles of padded width dp. */
constexpr int tile_bytes(int rows, int dp)
{
    return rows * (dp + PAD) * (int)sizeof(bf16);
}

/* The least power of two that is not below n. */
__host__ __device__ constexpr int power_of_two(int n)
{
    return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2);
}

/* Starts copying rows [row0, row0 + rows) of a head; zero behind row T and column D.
 *
 * A thread keeps its 16-byte column and goes down the rows by a constant step, so that a copy
 * costs one addition to the address and one comparison of rows: what a tile costs in instructions
 * stands against those of its products. A row is served by a power of two of threads, of which
 * those behind its end do nothing. */
template <int dp, int rows, int threads>
static __device__ __forceinline__ void tile_load(bf16 *tile, const bf16 *head, int64_t stride,
                                                 int row0, int T, int D)
{
    constexpr int chunks = dp / 8, per_row = power_of_two(chunks), step = threads / per_row;
    static_assert(threads % per_row == 0, "whole rows at a time");
    const int first = (int)(threadIdx.x / (unsigned)per_row);
    const int column = (int)(threadIdx.x % (unsigned)per_row) * 8;
    const int rows_left = column < D ? T - row0 - first : 0; /* that are there to be read */
    const bf16 *from = head + (row0 + first) * stride + column;
    bf16 *to = tile + first * (dp + PAD) + column;
    if (chunks < per_row && column >= dp) {
        return;
    }
#pragma unroll
    for (int r = 0; r < rows; r += step) {
        if (rows % step == 0 || first + r < rows) {
            ptx_cp_async_16(to + r * (dp + PAD), from, r < rows_left);
        }
        from += step * stride;
    }
}

/* The 16 x 16 A fragment at (row0, col0). */
template <int dp>
static __device__ __forceinline__ void fragment_a(uint32_t a[4], const bf16 *tile, int row0,
                                                  int col0)
{
    const int lane = (int)(threadIdx.x % 32u);
    ptx_ldmatrix_x4(a, tile + (row0 + lane % 16) * (dp + PAD) + col0 + lane / 16 * 8);
}

/* Two B fragments of tile^T: b[0..1] k = columns col0.. of n = rows row0.., b[2..3] rows row0+8...
 */
template <int dp>
static __device__ __forceinline__ void fragment_b_rows(uint32_t b[4], const bf16 *tile, int row0,
                                                       int col0)
{
    const int lane = (int)(threadIdx.x % 32u);
    ptx_ldmatrix_x4(b, tile + (row0 + lane % 8 + lane / 16 * 8) * (dp + PAD) + col0 +
                           lane / 8 % 2 * 8);
}

/* Two B fragments of tile: b[0..1] k = rows row0.. of n = columns col0.., b[2..3] columns col0+8..
 */
template <int dp>
static __device__ __forceinline__ void fragment_b_columns(uint32_t b[4], const bf16 *tile, int row0,
                                                          int col0)
{
    const int lane = (int)(threadIdx.x % 32u);
    ptx_ldmatrix_x4_trans(b, tile + (row0 + lane % 8 + lane / 8 % 2 * 8) * (dp + PAD) + col0 +
                                 lane / 16 * 8);
}

/* 16 * m rows of a tile as A fragments: held in registers, or read each time. */
template <int dp, int m, bool in_registers> struct row_fragments;

template <int dp, int m> struct row_fragments<dp, m, true> {
    uint32_t a[m][dp / 16][4];

    __device__ __forceinline__ void init(const bf16 *tile, int row0)
    {
#pragma unroll
        for (int i = 0; i < m; i++) {
#pragma unroll
            for (int k = 0; k < dp / 16; k++) {
                fragment_a<dp>(a[i][k], tile, row0 + 16 * i, 16 * k);
            }
        }
    }

    __device__ __forceinline__ void get(uint32_t out[4], int i, int k) const
    {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            out[j] = a[i][k][j];
        }
    }
};

template <int dp, int m> struct row_fragments<dp, m, false> {
    const bf16 *rows;

    __device__ __forceinline__ void init(const bf16 *tile, int row0)
    {
        rows = tile + row0 * (dp + PAD);
    }

    __device__ __forceinline__ void get(uint32_t out[4], int i, int k) const
    {
        fragment_a<dp>(out, rows, 16 * i, 16 * k);
    }
};

/* s (16 m rows, n columns) = rows . tile^T, over dp; n rows of the tile. */
template <int dp, int m, int n, bool in_registers>
static __device__ __forceinline__ void
product_rows(float s[m][n / 8][4], const row_fragments<dp, m, in_registers> &rows, const bf16 *tile)
{
#pragma unroll
    for (int i = 0; i < m; i++) {
#pragma unroll
        for (int j = 0; j < n / 8; j++) {
            s[i][j][0] = s[i][j][1] = s[i][j][2] = s[i][j][3] = 0;
        }
    }
#pragma unroll(in_registers ? dp / 16 : 2)
    for (int k = 0; k < dp / 16; k++) {
        uint32_t a[m][4];
#pragma unroll
        for (int i = 0; i < m; i++) {
            rows.get(a[i], i, k);
        }
#pragma unroll
        for (int j = 0; j < n / 16; j++) {
            uint32_t b[4];
            fragment_b_rows<dp>(b, tile, 16 * j, 16 * k);
#pragma unroll
            for (int i = 0; i < m; i++) {
                ptx_mma_m16n8k16_bf16(s[i][2 * j], a[i], b);
                ptx_mma_m16n8k16_bf16(s[i][2 * j + 1], a[i], b + 2);
            }
        }
    }
}

/* acc (16 m rows, width columns) += bf16(p) (16 m rows, n) . tile (n rows, columns from col0). */
template <int dp, int m, int n, int width>
static __device__ __forceinline__ void
product_columns(float acc[m][width / 8][4], const float p[m][n / 8][4], const bf16 *tile, int col0)
{
#pragma unroll
    for (int k = 0; k < n / 16; k++) {
        uint32_t a[m][4];
#pragma unroll
        for (int i = 0; i < m; i++) {
            a[i][0] = ptx_pack_bf16x2(p[i][2 * k][0], p[i][2 * k][1]);
            a[i][1] = ptx_pack_bf16x2(p[i][2 * k][2], p[i][2 * k][3]);
            a[i][2] = ptx_pack_bf16x2(p[i][2 * k + 1][0], p[i][2 * k + 1][1]);
            a[i][3] = ptx_pack_bf16x2(p[i][2 * k + 1][2], p[i][2 * k + 1][3]);
        }
#pragma unroll
        for (int j = 0; j < width / 16; j++) {
            uint32_t b[4];
            fragment_b_columns<dp>(b, tile, 16 * k, col0 + 16 * j);
#pragma unroll
            for (int i = 0; i < m; i++) {
                ptx_mma_m16n8k16_bf16(acc[i][2 * j], a[i], b);
                ptx_mma_m16n8k16_bf16(acc[i][2 * j + 1], a[i], b + 2);
            }
        }
    }
}

/* Writes 16 rows of this warp, times a factor per row half, to rows [row0, row0 + 16) of `out`
 * (row 0 of the head, rows `stride` apart) by 16-byte stores, by way of the warp's own 16 rows of a
 * tile that nobody reads any more. Columns [col0, col0 + width) of D. */
template <int dp, int width>
static __device__ __forceinline__ void
store_rows(bf16 *warp_rows, bf16 *out, int64_t stride, int row0, int T, int col0, int D,
           const float acc[width / 8][4], float factor_low, float factor_high)
{
    const int lane = (int)(threadIdx.x % 32u);
    __syncwarp();
#pragma unroll
    for (int n = 0; n < width / 8; n++) {
        bf16 *at = warp_rows + lane / 4 * (dp + PAD) + 8 * n + lane % 4 * 2;
        *reinterpret_cast<uint32_t *>(at) =
            ptx_pack_bf16x2(acc[n][0] * factor_low, acc[n][1] * factor_low);
        *reinterpret_cast<uint32_t *>(at + 8 * (dp + PAD)) =
            ptx_pack_bf16x2(acc[n][2] * factor_high, acc[n][3] * factor_high);
    }
    __syncwarp();
    for (int i = lane; i < 16 * (width / 8); i += 32) {
        const int r = i / (width / 8), c = i % (width / 8) * 8;
        if (row0 + r < T && col0 + c < D) {
            *reinterpret_cast<uint4 *>(out + (row0 + r) * stride + col0 + c) =
                *reinterpret_cast<const uint4 *>(warp_rows + r * (dp + PAD) + c);
        }
    }
}

/* Over the four lanes that share a row. */
static __device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

static __device__ __forceinline__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

/* Scores to weights 2^(s * scale2 - max), with the running maximum `top` (of s) and sum `total` of
 * rows g and g + 8; returns in `correction` the factors of what was summed before. */
template <int n>
static __device__ __forceinline__ void softmax_step(float s[n / 8][4], float top[2], float total[2],
                                                    float correction[2], float scale2)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float x = top[half];
#pragma unroll
        for (int j = 0; j < n / 8; j++) {
            x = fmaxf(x, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
        }
        x = quad_max(x);
        /* A row may see nothing of this tile, and nothing so far. */
        const float shift = x == -INFINITY ? 0 : x * scale2;
        correction[half] = ptx_exp2(top[half] * scale2 - shift);
        top[half] = x;
        float sum = 0;
#pragma unroll
        for (int j = 0; j < n / 8; j++) {
#pragma unroll
            for (int e = 2 * half; e < 2 * half + 2; e++) {
                s[j][e] = ptx_exp2(fmaf(s[j][e], scale2, -shift));
                sum += s[j][e];
            }
        }
        total[half] = total[half] * correction[half] + sum;
    }
}

/* Scores of pairs that are not seen become -inf; row0 is the first of the warp's 16 queries. As in
 * attention_sees, but both of its bounds in one comparison: query - key in [0, window]. */
template <int n>
static __device__ __forceinline__ void mask_keys(float s[n / 8][4], int row0, int k0, int window)
{
    const int lane = (int)(threadIdx.x % 32u);
    const unsigned limit = window > 0 ? (unsigned)window : 0x7fffffffu;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int ahead = row0 + lane / 4 + e / 2 * 8 - (k0 + lane % 4 * 2 + e % 2);
#pragma unroll
        for (int j = 0; j < n / 8; j++) {
            s[j][e] = (unsigned)(ahead - 8 * j) <= limit ? s[j][e] : -INFINITY;
        }
    }
}

/* Calls RUN(dp) for the least padded width that holds D. */
#define ATTENTION_FOR_WIDTH(D, RUN)                                                                \
    do {                                                                                           \
        if ((D) <= 16) {                                                                           \
            RUN(16);                                                                               \
        } else if ((D) <= 32) {                                                                    \
            RUN(32);                                                                               \
        } else if ((D) <= 48) {                                                                    \
            RUN(48);                                                                               \
        } else if ((D) <= 64) {                                                                    \
            RUN(64);                                                                               \
        } else if ((D) <= 80) {                                                                    \
            RUN(80);                                                                               \
        } else if ((D) <= 96) {                                                                    \
            RUN(96);                                                                               \
        } else if ((D) <= 112) {                                                                   \
            RUN(112);                                                                              \
        } else if ((D) <= 128) {                                                                   \
            RUN(128);                                                                              \
        } else if ((D) <= 160) {                                                                   \
            RUN(160);                                                                              \
        } else if ((D) <= 192) {                                                                   \
            RUN(192);                                                                              \
        } else if ((D) <= 224) {                                                                   \
            RUN(224);                                                                              \
        } else {                                                                                   \
            RUN(256);                                                                              \
        }                                                                                          \
    } while (0)

#endif
