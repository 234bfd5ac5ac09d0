/* attention_span.h: the tiles of both attention kernels: which keys a block of queries can see and
 * the reverse, who works on what. Before it is included, MR is the number of queries that a block
 * has, and ROWS, a multiple of it, of those that a tile has. */
#ifndef GPTBENCH_KERNELS_CPU_ATTENTION_SPAN_H
#define GPTBENCH_KERNELS_CPU_ATTENTION_SPAN_H

#include <float.h>
#include <math.h>

#include "kernels/cpu/isa/isa.h"

_Static_assert(ROWS % MR == 0 && ROWS <= CPU_ATTENTION_ROWS, "tiles are whole blocks, and planned");

/* Rows between a prefetch and its use. */
#define AHEAD 8

ISA_INLINE int64_t round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Rows are a few cache lines each and far apart, which hardware prefetchers do not follow: ask for
 * the lines of a row that is needed soon. Any address may be asked for. */
ISA_INLINE void prefetch_row(const void *array, int64_t i, int64_t stride, int64_t D, bool write,
                             bool bf16)
{
    const char *row = isa_at(array, i * stride, bf16);
    for (int64_t byte = 0; byte < D * (bf16 ? 2 : 4); byte += 64) {
        if (write) {
            __builtin_prefetch(row + byte, 1);
        } else {
            __builtin_prefetch(row + byte, 0);
        }
    }
}

/* Keys [first, end) that queries [i, i + MR) can see, widened to whole panels. */
typedef struct key_span {
    int64_t first, end;
} key_span;

ISA_INLINE int64_t first_key(int64_t i, int64_t window)
{
    return window > 0 && i > window ? i - window : 0;
}

ISA_INLINE key_span span_of(int64_t i, int64_t count, int64_t window, int64_t T)
{
    int64_t end = i + count < T ? i + count : T;
    return (key_span){first_key(i, window) / PANEL * PANEL, round_up(end, PANEL)};
}

/* The score of what a query does not see: the largest of no row, and its exponential is zero. */
#define UNSEEN (-FLT_MAX)

/* The sum of a row's exponentials. Where the largest score is UNSEEN, all that is seen has
 * overflowed to minus infinity: not a number, rather than what is not seen. */
ISA_INLINE float row_sum(float sum, float top)
{
    return top == UNSEEN ? NAN : sum;
}

/* What lies outside of keys [first, last] in the panel that begins at `at`. A loop of known length:
 * no rest that is done one by one. */
ISA_INLINE void panel_fill(float *row, int64_t at, int64_t first, int64_t last)
{
    const int32_t low = (int32_t)(first - at < 0 ? 0 : first - at);
    const int32_t high = (int32_t)(last - at < PANEL ? last - at : PANEL);
    for (int32_t l = 0; l < PANEL; l++) {
        row[at + l] = l < low || l > high ? UNSEEN : row[at + l];
    }
}

/* What of a row's span lies outside of the keys [first, last] that its query sees: rows are worked
 * on in whole panels. */
ISA_INLINE void unseen_fill(float *row, key_span span, int64_t first, int64_t last)
{
    for (int64_t j = span.first; j < first; j += PANEL) {
        panel_fill(row, j, first, last);
    }
    for (int64_t j = last / PANEL * PANEL; j < span.end; j += PANEL) {
        panel_fill(row, j, first, last);
    }
}

/* The queries of a tile, in whole blocks of MR, of which some see some of the keys j .. j + MR. */
ISA_INLINE key_span queries_of(const cpu_attention_args *a, int64_t i0, int64_t j)
{
    int64_t from = j > i0 ? (j - i0) / MR * MR : 0;
    int64_t to = round_up(a->T - i0 < ROWS ? a->T - i0 : ROWS, MR);
    while (from < to && j >= span_of(i0 + from, MR, a->window, a->T).end) {
        from += MR;
    }
    while (to > from && j + MR <= span_of(i0 + to - MR, MR, a->window, a->T).first) {
        to -= MR;
    }
    return (key_span){from, to};
}

/* Query heads of a group share its packed keys and values, as long as there is a group for every
 * thread; else groups are split, into as few equal parts as do. */
ISA_INLINE int64_t group_parts(const cpu_attention_args *a)
{
    const int64_t group = a->H / a->K, threads = omp_get_max_threads();
    int64_t parts = 1;
    while (parts < group && (a->B * a->K * parts < threads || group % parts != 0)) {
        parts++;
    }
    return parts;
}

#endif
