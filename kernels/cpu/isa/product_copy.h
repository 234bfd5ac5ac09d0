/* product_copy.h: the operands of a product in the order in which tiles read them: the right-hand
 * side in panels, rows of the left-hand side where they cannot be read in place. Operands of
 * bfloat16 are widened on the way. */
#ifndef GPTBENCH_KERNELS_CPU_PRODUCT_COPY_H
#define GPTBENCH_KERNELS_CPU_PRODUCT_COPY_H

#include "kernels/cpu/isa/product_tile.h"

enum {
    AHEAD = 8,        /* rows between a prefetch and its use */
    TILE_PAD = 16,    /* floats between copied tiles, likewise */
    ROW_PAD = 16,     /* floats between copied rows, so that they do not share sets */
    CACHE_WAY = 4096, /* bytes after which addresses meet in the first cache */
};

/* Things [begin, begin + count). */
typedef struct range {
    int64_t begin, count;
} range;

/* Part i of n things in `parts` nearly equal ones. */
static range part_of(int64_t n, int64_t parts, int64_t i)
{
    const int64_t begin = n * i / parts;
    return (range){begin, n * (i + 1) / parts - begin};
}

/* Rows k and columns n of b (K, N) to panels, zero beyond. */
ISA_INLINE void panels_plain(float *out, const cpu_product_args *g, range k, range n, bool bf16)
{
    for (int64_t i0 = 0; i0 < k.count; i0 += AHEAD) {
        const int64_t i1 = min64(i0 + AHEAD, k.count);
        for (int64_t j = 0; j < n.count; j += PANEL) {
            for (int64_t i = i0; i < i1; i++) {
                const int64_t from = (k.begin + i) * g->ldb + n.begin + j;
                float *to = out + j * k.count + i * PANEL;
                for (int64_t line = 0; line < PANEL * 4; line += LINE) {
                    __builtin_prefetch((char *)(to + PANEL * k.count) + line, 1);
                    __builtin_prefetch((char *)isa_at(g->b, from + AHEAD * g->ldb, bf16) + line);
                }
                if (j + PANEL <= n.count) {
                    *(isa_vec *)to = isa_load_vec(g->b, from, bf16);
                    *(isa_vec *)(to + VW) = isa_load_vec(g->b, from + VW, bf16);
                    continue;
                }
                for (int64_t c = 0; c < PANEL; c++) {
                    to[c] = j + c < n.count ? isa_load(g->b, from + c, bf16) : 0.0f;
                }
            }
        }
    }
}

/* A panel of b stored (N, K): rows k and columns [n, n + width), zero beyond. */
ISA_INLINE void panel_transposed(float *out, const cpu_product_args *g, range k, int64_t n,
                                 int64_t width, bool bf16)
{
    for (int64_t j = 0; j < PANEL; j += VW) {
        for (int64_t i = 0; i < k.count; i += VW) {
            const int64_t from = (n + j) * g->ldb + k.begin + i;
            /* Behind the end of these rows the next ones begin. */
            const int64_t next = i + 4 * VW, rest = next < k.count ? 0 : VW * g->ldb - k.count;
            if (j + VW <= width && i + VW <= k.count) {
                isa_vec rows[VW];
                ISA_UNROLL
                for (int64_t r = 0; r < VW; r++) {
                    rows[r] = isa_load_vec(g->b, from + r * g->ldb, bf16);
                    __builtin_prefetch(isa_at(g->b, from + r * g->ldb + 4 * VW + rest, bf16));
                }
                isa_transpose(rows);
                ISA_UNROLL
                for (int64_t r = 0; r < VW; r++) {
                    *(isa_vec *)(out + (i + r) * PANEL + j) = rows[r];
                }
                continue;
            }
            for (int64_t r = 0; r < VW && i + r < k.count; r++) {
                for (int64_t l = 0; l < VW; l++) {
                    out[(i + r) * PANEL + j + l] =
                        j + l < width ? isa_load(g->b, from + l * g->ldb + r, bf16) : 0.0f;
                }
            }
        }
    }
}

/* Rows k and columns n of b as panels, one after the other. */
static void panels_fill(float *out, const cpu_product_args *g, range k, range n)
{
    if (!g->b_transposed) {
        g->bf16 ? panels_plain(out, g, k, n, true) : panels_plain(out, g, k, n, false);
        return;
    }
    for (int64_t j = 0; j < n.count; j += PANEL, out += PANEL * k.count) {
        const int64_t width = min64(n.count - j, PANEL);
        g->bf16 ? panel_transposed(out, g, k, n.begin + j, width, true)
                : panel_transposed(out, g, k, n.begin + j, width, false);
    }
}

/* Columns k of rows m of a, (m.count, k.count + ROW_PAD). */
ISA_INLINE void copy_rows(float *out, const cpu_product_args *g, range m, range k, bool bf16)
{
    for (int64_t i = 0; i < m.count; i++, out += k.count + ROW_PAD) {
        const void *row = isa_at(g->a, (m.begin + i) * g->lda + k.begin, bf16);
#pragma omp simd
        for (int64_t j = 0; j < k.count; j++) {
            out[j] = isa_load(row, j, bf16);
        }
    }
}

/* Rows k of columns m of a stored (K, M) as (tiles, k.count, VW), TILE_PAD floats between tiles:
 * whole vectors, where a has them. */
ISA_INLINE void copy_columns(float *out, const cpu_product_args *g, range m, range k, bool bf16)
{
    const int64_t tile = VW * k.count + TILE_PAD;
    for (int64_t j0 = 0; j0 < k.count; j0 += AHEAD) {
        const int64_t j1 = min64(j0 + AHEAD, k.count);
        for (int64_t i = 0; i < m.count; i += TILE) {
            const bool whole = m.begin + i + VW <= g->M;
            for (int64_t j = j0; j < j1; j++) {
                const int64_t from = (k.begin + j) * g->lda + m.begin + i;
                float *to = out + i / TILE * tile + j * VW;
                __builtin_prefetch(to + tile, 1);
                __builtin_prefetch(isa_at(g->a, from + AHEAD * g->lda, bf16));
                if (BLOCK == 1) {
                    __builtin_prefetch(isa_at(g->a, from + AHEAD * g->lda + VW - 1, bf16));
                }
                if (whole) {
                    *(isa_vec *)to = isa_load_vec(g->a, from, bf16);
                    continue;
                }
                for (int64_t r = 0; r < TILE && i + r < m.count; r++) {
                    to[r] = isa_load(g->a, from + r, bf16);
                }
            }
        }
    }
}

/* Where the block of rows m reads a's columns k: in place if it can. *tile_floats is the distance
 * from one tile's rows to the next one's. */
static lhs lhs_prepare(const cpu_product_args *g, float *copy, range m, range k,
                       int64_t *tile_floats)
{
    lhs a = {.at = copy, .stride = k.count + ROW_PAD};
    if (g->a_transposed) {
        g->bf16 ? copy_columns(copy, g, m, k, true) : copy_columns(copy, g, m, k, false);
        *tile_floats = VW * k.count + TILE_PAD;
        return (lhs){.at = copy, .stride = VW, .packed = true};
    }
    if (!g->bf16 && g->lda * (int64_t)sizeof(float) % CACHE_WAY != 0) {
        a = (lhs){.at = (const float *)g->a + m.begin * g->lda + k.begin, .stride = g->lda};
    } else {
        g->bf16 ? copy_rows(copy, g, m, k, true) : copy_rows(copy, g, m, k, false);
    }
    *tile_floats = TILE * a.stride;
    return a;
}

#endif
