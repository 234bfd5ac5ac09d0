/* Copies of bfloat16 matrices in the order in which a product reads them: right-hand sides in
 * blocks of 32 rows by 64 columns, rows in pairs, and plain transposes of left-hand sides. Both are
 * memory-bound: whole cache lines are written, in as few streams as the order allows. */
#include "kernels/cpu/isa/isa.h"

#define LANES ISA_LANES
/* Rows and columns of a block, and its elements. */
enum { BLOCK_K = CPU_PACK_K, BLOCK_N = CPU_PACK_N, BLOCK = BLOCK_K * BLOCK_N };
/* Blocks between a prefetch and its use. */
enum { AHEAD = 4 };

/* out (LANES, LANES) rows `out_row` apart is in (LANES, LANES) transposed, elements of 32 bits. */
ISA_INLINE void transpose_words(uint32_t *out, int64_t out_row, const uint32_t *in, int64_t in_row)
{
    isa_vec tile[LANES];
    ISA_UNROLL
    for (int r = 0; r < LANES; r++) {
        memcpy(&tile[r], in + r * in_row, sizeof tile[r]);
    }
    isa_transpose(tile);
    ISA_UNROLL
    for (int r = 0; r < LANES; r++) {
        memcpy(out + r * out_row, &tile[r], sizeof tile[r]);
    }
}

/* ---- right-hand sides ---- */

/* A block at an edge of the matrix, element by element, with zeros beyond. */
static void pack_edge(uint16_t *out, const cpu_pack_args *a, int64_t k0, int64_t n0)
{
    const int64_t k_step = a->transposed ? 1 : a->stride, n_step = a->transposed ? a->stride : 1;
    for (int64_t k = 0; k < BLOCK_K; k++) {
        for (int64_t n = 0; n < BLOCK_N; n++) {
            bool inside = k0 + k < a->K && n0 + n < a->N;
            out[(k / 2 * BLOCK_N + n) * 2 + k % 2] =
                inside ? a->in[(k0 + k) * k_step + (n0 + n) * n_step] : 0;
        }
    }
}

/* From (N, K): a pair of rows is one word there, so the block is a transpose of words. */
static void pack_transposed(uint16_t *out, const cpu_pack_args *a, int64_t k0, int64_t n0)
{
    const uint16_t *in = a->in + n0 * a->stride + k0;
    for (int64_t n = 0; n < BLOCK_N; n++) {
        __builtin_prefetch(in + n * a->stride + AHEAD * BLOCK_K, 0);
    }
    uint32_t words[BLOCK_N][BLOCK_K / 2];
    for (int64_t n = 0; n < BLOCK_N; n++) {
        memcpy(words[n], in + n * a->stride, sizeof words[n]);
    }
    for (int64_t n = 0; n < BLOCK_N; n += LANES) {
        for (int64_t k = 0; k < BLOCK_K / 2; k += LANES) {
            transpose_words((uint32_t *)(void *)out + k * BLOCK_N + n, BLOCK_N, &words[n][k],
                            BLOCK_K / 2);
        }
    }
}

/* From (K, N): two rows are interleaved. */
static void pack_plain(uint16_t *out, const cpu_pack_args *a, int64_t k0, int64_t n0)
{
    for (int64_t k = 0; k < BLOCK_K; k += 2) {
        const uint16_t *even = a->in + (k0 + k) * a->stride + n0, *odd = even + a->stride;
        uint32_t *words = (uint32_t *)(void *)out + k / 2 * BLOCK_N;
#pragma omp simd
        for (int64_t n = 0; n < BLOCK_N; n++) {
            words[n] = (uint32_t)even[n] | (uint32_t)odd[n] << 16;
        }
    }
}

static void pack_block(const cpu_pack_args *a, int64_t kb, int64_t nb)
{
    const int64_t k0 = kb * BLOCK_K, n0 = nb * BLOCK_N;
    uint16_t *out = a->out + (nb * isa_parts(a->K, BLOCK_K) + kb) * BLOCK;
    if (k0 + BLOCK_K > a->K || n0 + BLOCK_N > a->N) {
        pack_edge(out, a, k0, n0);
    } else if (a->transposed) {
        pack_transposed(out, a, k0, n0);
    } else {
        pack_plain(out, a, k0, n0);
    }
}

static void pack(const cpu_pack_args *a)
{
    const int64_t k_blocks = isa_parts(a->K, BLOCK_K), n_blocks = isa_parts(a->N, BLOCK_N);
    /* The input is walked along its rows. */
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < k_blocks * n_blocks; i++) {
        if (a->transposed) {
            pack_block(a, i % k_blocks, i / k_blocks);
        } else {
            pack_block(a, i / n_blocks, i % n_blocks);
        }
    }
}

/* ---- transposes ---- */

enum { SIDE = 32 };

/* (SIDE, SIDE): pairs of rows are joined to words, and those transposed. */
static void transpose_tile(uint16_t *out, int64_t out_row, const uint16_t *in, int64_t in_row)
{
    uint32_t words[SIDE / 2][SIDE];
    for (int64_t r = 0; r < SIDE; r += 2) {
        const uint16_t *even = in + r * in_row, *odd = even + in_row;
        __builtin_prefetch(even + AHEAD * SIDE * in_row, 0);
        __builtin_prefetch(odd + AHEAD * SIDE * in_row, 0);
#pragma omp simd
        for (int64_t c = 0; c < SIDE; c++) {
            words[r / 2][c] = (uint32_t)even[c] | (uint32_t)odd[c] << 16;
        }
    }
    uint32_t turned[SIDE][SIDE / 2];
    for (int64_t r = 0; r < SIDE / 2; r += LANES) {
        for (int64_t c = 0; c < SIDE; c += LANES) {
            transpose_words(&turned[c][r], SIDE / 2, &words[r][c], SIDE);
        }
    }
    for (int64_t c = 0; c < SIDE; c++) {
        memcpy(out + c * out_row, turned[c], sizeof turned[c]);
    }
}

static void transpose_block(const cpu_transpose_args *a, int64_t r0, int64_t c0)
{
    const int64_t rows = a->rows - r0 < SIDE ? a->rows - r0 : SIDE;
    const int64_t columns = a->columns - c0 < SIDE ? a->columns - c0 : SIDE;
    const uint16_t *in = a->in + r0 * a->stride + c0;
    uint16_t *out = a->out + c0 * a->rows + r0;
    if (rows == SIDE && columns == SIDE) {
        transpose_tile(out, a->rows, in, a->stride);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++) {
            out[c * a->rows + r] = in[r * a->stride + c];
        }
    }
}

static void transpose(const cpu_transpose_args *a)
{
    const int64_t r_blocks = isa_parts(a->rows, SIDE), c_blocks = isa_parts(a->columns, SIDE);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r_blocks * c_blocks; i++) {
        transpose_block(a, i % r_blocks * SIDE, i / r_blocks * SIDE);
    }
}

void ISA_NAME(cpu_fill_pack)(cpu_kernels *table)
{
    table->pack = pack;
    table->transpose = transpose;
}
