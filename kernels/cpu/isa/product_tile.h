/* product_tile.h: a tile of a product: where its sums go, whole or at an edge, and what it asks for
 * on the side as it comes next. */
#ifndef GPTBENCH_KERNELS_CPU_PRODUCT_TILE_H
#define GPTBENCH_KERNELS_CPU_PRODUCT_TILE_H

#include "kernels/cpu/isa/tile.h"

/* How many tiles meet a panel one after the other, and of how many columns a thread holds the
 * panels. Low tiles leave a panel in the first cache for each other; a high tile's rows stay there
 * for all the panels. The panels are for the second cache: of 1 or 2 MiB on CPUs with AVX-512, of
 * 512 KiB on many others. */
#if defined(GB_ISA_avx512)
#define BLOCK   1
#define COLUMNS 768
#else
#define BLOCK   4
#define COLUMNS 512
#endif
_Static_assert(TILE <= VW, "a packed step of a tile's rows is one vector");

enum {
    DEPTH = CPU_PRODUCT_DEPTH,
    LINE = 64, /* bytes of a cache line */
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What a tile asks for on the side, as it will be needed soon: `lines` cache lines of each of
 * `rows` rows, these `stride` bytes apart. Any address may be asked for. */
typedef struct ahead {
    const char *at;
    int64_t stride;
    int32_t rows, lines;
} ahead;

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
    if (rows == TILE && columns == PANEL && to.c == NULL) {
        tile_whole(to.sums, to.row, to.add, depth, a, b);
        return;
    }
    if (rows == TILE) {
        tile_whole((float *)acc, PANEL, false, depth, a, b);
    } else if (a.packed) {
        tile_sums(acc, rows, depth, a, b, true);
    } else {
        tile_sums(acc, rows, depth, a, b, false);
    }
    if (columns < PANEL) {
        edge_store((const float *)acc, rows, columns, to);
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
