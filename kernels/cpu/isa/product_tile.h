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

/* Rows of a tile, as many as registers can hold sums of; and how many tiles meet a panel one after
 * the other. Where tiles are low, the panel stays in the first cache for them; a tall tile's rows
 * stay there for all the panels. Then, how many columns' panels the second cache takes: of 2 MiB
 * on most CPUs with AVX-512, of 512 KiB on the smallest others. */
#if defined(GB_ISA_avx512)
#define TILE    14 /* 28 of 32 registers */
#define BLOCK   1
#define COLUMNS 768
#define SEGMENT 16
#elif defined(GB_ISA_avx2)
#define TILE    6 /* 12 of 16 */
#define BLOCK   4
#define COLUMNS 512
#define SEGMENT DEPTH
#else
#define TILE    4 /* 8 of 16 */
#define BLOCK   8
#define COLUMNS 384
#define SEGMENT DEPTH
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
 * `rows` rows, these `stride` bytes apart, every SEGMENT steps. Any address may be asked for. */
typedef struct ahead {
    const char *at;
    int64_t stride;
    int32_t rows, lines;
} ahead;

/* For the functions that become part of a tile: checks for undefined behaviour in all that is
 * unrolled there would take clang an hour to compile. Addresses are checked all the same. */
#define TILE_UNCHECKED __attribute__((no_sanitize("undefined")))

/* Once per SEGMENT. */
TILE_UNCHECKED ISA_INLINE void ask_ahead(ahead next[2], ahead *result)
{
    for (int which = 0; which < 2; which++) {
        ahead *n = &next[which];
        for (int32_t i = 0; i < n->rows; i++, n->at += n->stride) {
            for (int32_t line = 0; line < n->lines; line++) {
                __builtin_prefetch(n->at + line * LINE, 0, 2);
            }
        }
    }
    const bool straddles = (((uintptr_t)result->at | (uintptr_t)result->stride) & (LINE - 1)) != 0;
    for (int32_t i = 0; i < result->rows; i++, result->at += result->stride) {
        for (int32_t line = 0; line < result->lines; line++) {
            __builtin_prefetch(result->at + line * LINE, 1);
        }
        if (straddles) {
            __builtin_prefetch(result->at + result->lines * LINE - 1, 1);
        }
    }
}

/* acc (rows, 2 vectors) = a . b (depth, PANEL). */
TILE_UNCHECKED ISA_INLINE void tile_sums(isa_vec acc[TILE][2], const int rows, int64_t depth,
                                         const lhs a, const float *b, ahead next[2], ahead result,
                                         const bool packed)
{
    const int64_t stride = a.stride * (int64_t)sizeof(float);
    const char *base[(TILE + 2) / 3];
    ISA_UNROLL
    for (int i = 0; i < (TILE + 2) / 3; i++) {
        base[i] = (const char *)a.at + (packed ? 0 : 3 * i * stride);
    }
    ISA_UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = (isa_vec){0};
    }
    for (int64_t k = 0; k < depth; k += SEGMENT) {
        const int64_t end = k + SEGMENT < depth ? k + SEGMENT : depth;
        ask_ahead(next, &result);
        /* The first cache gets what is multiplied next. */
        ISA_UNROLL
        for (int r = 0; r < rows; r++) {
            const char *at = packed ? base[0] + (SEGMENT * VW * 4 + r * LINE)
                                    : base[r / 3] + r % 3 * stride + SEGMENT * 4;
            __builtin_prefetch(at);
        }
        for (int64_t l = k; l < end; l++) {
            const isa_vec b0 = *(const isa_vec *)b, b1 = *(const isa_vec *)(b + VW);
            ISA_UNROLL
            for (int i = 0; i < PANEL * 4; i += LINE) {
                __builtin_prefetch((const char *)(b + PANEL_AHEAD * PANEL) + i);
            }
            b += PANEL;
            ISA_UNROLL
            for (int r = 0; r < rows; r++) {
                const char *at = packed ? base[0] + 4 * r : base[r / 3] + r % 3 * stride;
                const float x = *(const float *)(const void *)at;
                acc[r][0] += x * b0;
                acc[r][1] += x * b1;
            }
            ISA_UNROLL
            for (int i = 0; i < (TILE + 2) / 3; i++) {
                if (i < (packed ? 1 : (rows + 2) / 3)) {
                    base[i] += packed ? 4 * VW : 4;
                    /* Few bases and scaled offsets, rather than a pointer for each row. */
                    __asm__("" : "+r"(base[i]));
                }
            }
        }
    }
}

#if defined(GB_ISA_avx2)
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
                                       const target to, int64_t columns, ahead next[2])
{
    isa_vec acc[TILE][2];
    const int64_t bytes = to.c != NULL ? 2 : 4;
    ahead result = {.at = to.c != NULL ? (const char *)to.c : (const char *)to.sums,
                          .stride = to.row * bytes,
                          .rows = (int32_t)isa_parts(rows, isa_parts(depth, SEGMENT)),
                          .lines = (int32_t)isa_parts(PANEL * bytes, LINE)};
#if defined(GB_ISA_avx2)
    if (rows == TILE) {
        const bool whole = columns == PANEL && to.c == NULL;
        ask_ahead(next, &result);
        tile_sums_avx2(whole ? to.sums : (float *)acc, whole ? to.row : PANEL, whole && to.add,
                       depth, a, b);
        if (whole) {
            return;
        }
    } else
#endif
    if (a.packed) {
        tile_sums(acc, rows, depth, a, b, next, result, true);
    } else {
        tile_sums(acc, rows, depth, a, b, next, result, false);
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

TILE_UNCHECKED static void tile(int64_t rows, int64_t depth, const lhs a, const float *b,
                                const target to, int64_t columns, ahead next[2])
{
    switch (rows) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        tile_of(n, depth, a, b, to, columns, next);                                                \
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
