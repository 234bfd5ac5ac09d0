/* tile.h: the inner part of every product: a tile of the result, up to TILE rows by one panel of
 * columns, whose sums stay in registers. */
#ifndef GPTBENCH_KERNELS_CPU_TILE_H
#define GPTBENCH_KERNELS_CPU_TILE_H

#include "kernels/cpu/isa/isa.h"

/* Rows of a tile, as many as registers can hold sums of. */
#if defined(GB_ISA_avx512)
#define TILE 14 /* 28 of 32 registers */
#elif defined(GB_ISA_avx2)
#define TILE 6 /* 12 of 16 */
#else
#define TILE 4 /* 8 of 16 */
#endif

enum {
    PANEL_AHEAD = 24, /* rows of a panel between a prefetch and its use */
};

/* How a tile reads the left-hand side: rows `stride` floats apart, or packed: columns of TILE
 * floats, these `stride` floats apart. */
typedef struct lhs {
    const float *at;
    int64_t stride;
    bool packed;
} lhs;

/* For the functions that become part of a tile: checks for undefined behaviour in all that is
 * unrolled there would take clang an hour to compile. Addresses are checked all the same. */
#define TILE_UNCHECKED __attribute__((no_sanitize("undefined")))

/* acc (rows, 2 vectors) = a . b (depth, PANEL). */
TILE_UNCHECKED ISA_INLINE void tile_sums(isa_vec acc[TILE][2], const int rows, int64_t depth,
                                         const lhs a, const float *b, const bool packed)
{
    const float *at = a.at;
    ISA_UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = (isa_vec){0};
    }
    for (int64_t k = 0; k < depth; k++, b += PANEL, at += packed ? a.stride : 1) {
        const isa_vec b0 = *(const isa_vec *)b, b1 = *(const isa_vec *)(b + VW);
        ISA_UNROLL
        for (int r = 0; r < rows; r++) {
            const float x = at[packed ? r : r * a.stride];
            acc[r][0] += x * b0;
            acc[r][1] += x * b1;
        }
    }
}

/* c (rows, PANEL), its rows c_row floats apart, gets a (rows, depth) . b (depth, PANEL), with `add`
 * on top of what it holds. b is aligned to vectors. */
TILE_UNCHECKED ISA_INLINE void tile_some(const int rows, float *c, int64_t c_row, bool add,
                                         int64_t depth, const lhs a, const float *b)
{
    isa_vec acc[TILE][2];
    if (a.packed) {
        tile_sums(acc, rows, depth, a, b, true);
    } else {
        tile_sums(acc, rows, depth, a, b, false);
    }
    ISA_UNROLL
    for (int r = 0; r < rows; r++) {
        for (int v = 0; v < 2; v++) {
            isa_vec_unaligned *to = (isa_vec_unaligned *)(c + r * c_row + v * VW);
            if (add) {
                acc[r][v] += *to;
            }
            *to = acc[r][v];
        }
    }
}

/* tile_whole: the same of TILE rows. */
#if defined(GB_ISA_avx512)
#include "kernels/cpu/isa/tile_avx512.h"
#elif defined(GB_ISA_avx2)
#include "kernels/cpu/isa/tile_avx2.h"
#else
static void tile_whole(float *c, int64_t c_row, bool add, int64_t depth, const lhs a,
                       const float *b)
{
    tile_some(TILE, c, c_row, add, depth, a, b);
}
#endif

#endif
