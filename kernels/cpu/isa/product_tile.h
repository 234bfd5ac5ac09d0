/* product_tile.h: the inner part of a product: a tile of the result, up to TILE rows by one panel
 * of columns, whose sums stay in registers. It runs on panels and rows that lie in caches, and asks
 * on the side for what comes next: the lines of the result that it will add to, and what it is
 * told. */
#ifndef GPTBENCH_KERNELS_CPU_PRODUCT_TILE_H
#define GPTBENCH_KERNELS_CPU_PRODUCT_TILE_H

#include "kernels/cpu/isa/isa.h"

#define VW ISA_LANES
/* Columns of a panel. */
#define PANEL (2 * VW)

/* Rows of a tile, as many as registers can hold sums of; how many tiles meet a panel one after the
 * other; and of how many columns a thread holds the panels. Low tiles leave a panel in the first
 * cache for each other; a high tile's rows stay there for all the panels. The panels are for the
 * second cache: that is of 1 or 2 MiB on CPUs with AVX-512, on many others of 512 KiB. */
#if defined(GB_ISA_avx512)
#define TILE    14 /* 28 of 32 registers */
#define BLOCK   1
#define COLUMNS 768
#elif defined(GB_ISA_avx2)
#define TILE    6 /* 12 of 16 */
#define BLOCK   4
#define COLUMNS 512
#else
#define TILE    4 /* 8 of 16 */
#define BLOCK   4
#define COLUMNS 512
#endif
#if defined(GB_ISA_avx512) || defined(GB_ISA_avx2)
#define TILE_WHOLE 1 /* tile_sums_whole exists */
#else
#define TILE_WHOLE 0
#endif
_Static_assert(TILE <= VW, "a packed step of a tile's rows is one vector");

enum {
    DEPTH = CPU_PRODUCT_DEPTH,
    LINE = 64,        /* bytes of a cache line */
    PANEL_AHEAD = 24, /* rows of a panel between a prefetch and its use */
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How a tile reads the left-hand side: rows `stride` floats apart, or packed (depth, VW). */
typedef struct lhs {
    const float *at;
    int64_t stride;
    int64_t tile; /* floats between the rows of one tile and of the next */
    bool packed;
} lhs;

/* What a tile asks for on the side, as it will be needed soon: `lines` cache lines of each of
 * `rows` rows, these `stride` bytes apart. Any address may be asked for. */
typedef struct ahead {
    const char *at;
    int64_t stride;
    int32_t rows, lines;
} ahead;

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
    for (int64_t k = 0; k < depth; k++, b += PANEL, at += packed ? VW : 1) {
        const isa_vec b0 = *(const isa_vec *)b, b1 = *(const isa_vec *)(b + VW);
        ISA_UNROLL
        for (int r = 0; r < rows; r++) {
            const float x = at[packed ? r : r * a.stride];
            acc[r][0] += x * b0;
            acc[r][1] += x * b1;
        }
    }
}

#if defined(GB_ISA_avx512)
#include "kernels/cpu/isa/product_tile_avx512.h"
#elif defined(GB_ISA_avx2)
#include "kernels/cpu/isa/product_tile_avx2.h"
#endif

/* Where a tile's sums go. */
typedef struct target {
    float *sums; /* what there was, with add; gets the sums where c is NULL */
    void *c;     /* bfloat16, gets the sums rounded; or NULL */
    int64_t row; /* elements between rows of both */
    bool add;
} target;

TILE_UNCHECKED ISA_INLINE void vector_store(isa_vec v, const target to, int64_t at)
{
    if (to.add) {
        v += *(const isa_vec_unaligned *)(to.sums + at);
    }
    isa_store_vec(to.c != NULL ? to.c : to.sums, at, v, to.c != NULL);
}

/* Fewer columns than a panel has. */
static void edge_store(const float *sums, int64_t rows, int64_t columns, const target to)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < columns; j++) {
            const int64_t at = r * to.row + j;
            const float sum = sums[r * PANEL + j] + (to.add ? to.sums[at] : 0.0f);
            if (to.c != NULL) {
                ((uint16_t *)to.c)[at] = isa_round_bf16(sum);
            } else {
                to.sums[at] = sum;
            }
        }
    }
}

TILE_UNCHECKED ISA_INLINE void tile_of(const int rows, int64_t depth, const lhs a, const float *b,
                                       const target to, int64_t columns)
{
    isa_vec acc[TILE][2];
#if TILE_WHOLE
    const bool in_place = columns == PANEL && to.c == NULL;
    if (rows == TILE) {
        tile_sums_whole(in_place ? to.sums : (float *)acc, in_place ? to.row : PANEL,
                        in_place && to.add, depth, a, b);
        if (in_place) {
            return;
        }
    } else
#endif
        if (a.packed) {
        tile_sums(acc, rows, depth, a, b, true);
    } else {
        tile_sums(acc, rows, depth, a, b, false);
    }
    if (columns < PANEL) {
        float sums[TILE * PANEL];
        ISA_UNROLL
        for (int r = 0; r < rows; r++) {
            *(isa_vec_unaligned *)(sums + r * PANEL) = acc[r][0];
            *(isa_vec_unaligned *)(sums + r * PANEL + VW) = acc[r][1];
        }
        edge_store(sums, rows, columns, to);
        return;
    }
    ISA_UNROLL
    for (int r = 0; r < rows; r++) {
        vector_store(acc[r][0], to, r * to.row);
        vector_store(acc[r][1], to, r * to.row + VW);
    }
}

/* Asks for the lines of the result that the tile adds to, and for what comes next. */
ISA_INLINE void tile_ask(int64_t rows, const target to, ahead next)
{
    const int64_t bytes = to.c != NULL ? 2 : 4, stride = to.row * bytes;
    const char *at = to.c != NULL ? (const char *)to.c : (const char *)to.sums;
    const bool straddles = (((uintptr_t)at | (uintptr_t)stride) & (LINE - 1)) != 0;
    for (int64_t r = 0; r < rows; r++, at += stride) {
        for (int64_t line = 0; line < PANEL * bytes; line += LINE) {
            __builtin_prefetch(at + line, 1);
        }
        if (straddles) {
            __builtin_prefetch(at + PANEL * bytes - 1, 1);
        }
    }
    for (int32_t r = 0; r < next.rows; r++, next.at += next.stride) {
        for (int32_t line = 0; line < next.lines; line++) {
            __builtin_prefetch(next.at + line * LINE, 0, 2);
        }
    }
}

TILE_UNCHECKED static void tile(int64_t rows, int64_t depth, const lhs a, const float *b,
                                const target to, int64_t columns, ahead next)
{
    tile_ask(rows, to, next);
    switch (rows) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        tile_of(n, depth, a, b, to, columns);                                                      \
        break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#if TILE >= 6
        CASE(5)
        CASE(6)
#endif
#if TILE >= 14
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
#undef CASE
    default:
        break;
    }
}

#endif
