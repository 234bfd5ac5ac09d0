/* Causal attention by tiles of ROWS queries. For one tile the scores against all the keys that it
 * can see are held in a buffer of (ROWS, T) floats per thread: never T x T, and the softmax needs
 * no rescaling. What is multiplied from the right is packed into panels, so that every product runs
 * through tiles of tile.h; a panel stays in the first cache for all the blocks of MR queries,
 * which visit only the panels of keys that the causal mask and the window leave them.
 *
 * Parallel over (sequence, key head), forward over parts of its query heads too: each output
 * element is summed by one thread in a fixed order.
 */
#include <math.h>
#include <omp.h>

#include "kernels/cpu/isa/tile.h"

/* With AVX-512 whole tiles are too high: of what a block is multiplied with, its first and last
 * queries see too little. */
#if defined(GB_ISA_avx512)
#define MR   8
#define ROWS 32
#else
#define MR   TILE
#define ROWS 48
#endif
#include "kernels/cpu/isa/attention_span.h"

/* One thread's buffers for one head. Rows of scores have a panel behind the last key, and where
 * keys are in blocks of MR there is a panel of them behind the last, too. */
typedef struct head_buffers {
    int64_t Tp, Dp;         /* T and D padded to whole panels */
    int64_t Sp;             /* floats of a row of scores */
    float *key_panels;      /* (Tp/PANEL, D, PANEL) keys transposed */
    float *value_panels;    /* the same of the values; backward only */
    float *keys;            /* (Dp/PANEL, Tp, PANEL); backward only */
    float *values;          /* (Dp/PANEL, Tp, PANEL); forward only */
    float *dkeys, *dvalues; /* (Tp + PANEL, Dp); backward only */
    float *scores;          /* (ROWS, Sp) scores, then probabilities */
    float *dscores;         /* (ROWS, Sp); backward only */
    float *q, *o, *d;       /* (ROWS, Dp) */
    float *qs, *os;         /* q and o as (Dp/PANEL, ROWS, PANEL); backward only */
} head_buffers;

static float *carve(float **at, int64_t floats)
{
    float *start = *at;
    *at += round_up(floats, 16);
    return start;
}

static head_buffers head_buffers_carve(const cpu_attention_args *a, bool backward)
{
    float *at = a->scratch + (int64_t)omp_get_thread_num() * a->scratch_floats;
    head_buffers s = {.Tp = round_up(a->T, PANEL), .Dp = round_up(a->D, PANEL)};
    s.Sp = s.Tp + PANEL;
    s.key_panels = carve(&at, s.Tp * a->D);
    s.scores = carve(&at, ROWS * s.Sp);
    s.q = carve(&at, ROWS * s.Dp);
    s.o = carve(&at, ROWS * s.Dp);
    if (backward) {
        s.value_panels = carve(&at, s.Tp * a->D);
        s.keys = carve(&at, s.Tp * s.Dp);
        s.dkeys = carve(&at, (s.Tp + PANEL) * s.Dp);
        s.dvalues = carve(&at, (s.Tp + PANEL) * s.Dp);
        s.dscores = carve(&at, ROWS * s.Sp);
        s.d = carve(&at, ROWS * s.Dp);
        s.qs = carve(&at, ROWS * s.Dp);
        s.os = carve(&at, ROWS * s.Dp);
    } else {
        s.values = carve(&at, s.Tp * s.Dp);
    }
    return s;
}

/* ---- copies ---- */

/* Rows [0, n) of an act array, `stride` elements apart, times `factor`, into (padded, Dp) floats
 * with zeros around. */
ISA_INLINE void pack_rows(float *out, const void *in, int64_t stride, int64_t n, int64_t padded,
                          int64_t D, int64_t Dp, float factor, bool bf16)
{
    for (int64_t i = 0; i < padded; i++) {
        float *row = out + i * Dp;
        if (i >= n) {
            memset(row, 0, (size_t)Dp * sizeof *row);
            continue;
        }
        const void *from = isa_at(in, i * stride, bf16);
        prefetch_row(in, i + AHEAD, stride, D, false, bf16);
#pragma omp simd
        for (int64_t d = 0; d < D; d++) {
            row[d] = isa_load(from, d, bf16) * factor;
        }
        for (int64_t d = D; d < Dp; d++) {
            row[d] = 0;
        }
    }
}

/* The same as (Dp/PANEL, padded, PANEL), and times one. */
ISA_INLINE void pack_columns(float *out, const void *in, int64_t stride, int64_t n, int64_t padded,
                             int64_t D, bool bf16)
{
    for (int64_t i = 0; i < n; i++) {
        const void *from = isa_at(in, i * stride, bf16);
        prefetch_row(in, i + AHEAD, stride, D, false, bf16);
        int64_t d = 0;
        for (; d + PANEL <= D; d += PANEL) {
            isa_vec *to = (isa_vec *)(void *)(out + d * padded + i * PANEL);
            to[0] = isa_load_vec(from, d, bf16);
            to[1] = isa_load_vec(from, d + VW, bf16);
        }
        for (int64_t c = 0; d < D && c < PANEL; c++) {
            out[d * padded + i * PANEL + c] = d + c < D ? isa_load(from, d + c, bf16) : 0.0f;
        }
    }
    for (int64_t d = 0; d < D; d += PANEL) {
        memset(out + d * padded + n * PANEL, 0, (size_t)((padded - n) * PANEL) * sizeof *out);
    }
}

/* Rows [j, j + VW) and columns [d, d + VW) of the (T, D) array at `in`, zero outside it. */
ISA_INLINE void load_tile(isa_vec tile[VW], const void *in, int64_t stride, int64_t j, int64_t T,
                          int64_t d, int64_t D, bool bf16)
{
    const int64_t n = D - d < VW ? D - d : VW;
    for (int64_t r = 0; r < VW; r++) {
        const void *from = isa_at(in, (j + r) * stride + d, bf16);
        if (j + r < T && n == VW) {
            tile[r] = isa_load_vec(from, 0, bf16);
            continue;
        }
        float row[VW] = {0};
        for (int64_t c = 0; j + r < T && c < n; c++) {
            row[c] = isa_load(from, c, bf16);
        }
        tile[r] = *(const isa_vec_unaligned *)row;
    }
}

/* (T, D) rows to panels (Tp/PANEL, D, PANEL). */
ISA_INLINE void pack_panels(float *out, const void *in, int64_t stride, int64_t T, int64_t Tp,
                            int64_t D, bool bf16)
{
    for (int64_t j = 0; j < Tp; j += VW) {
        float *panel = out + j / PANEL * PANEL * D + j % PANEL;
        for (int64_t r = 0; r < VW; r++) {
            prefetch_row(in, j + VW + r, stride, D, false, bf16);
        }
        for (int64_t d = 0; d < D; d += VW) {
            isa_vec tile[VW];
            load_tile(tile, in, stride, j, T, d, D, bf16);
            isa_transpose(tile);
            for (int64_t c = 0; c < VW && d + c < D; c++) {
                *(isa_vec_unaligned *)(panel + (d + c) * PANEL) = tile[c];
            }
        }
    }
}

/* Rows [0, n) of (n, Dp) floats, each times its factor, or all times `factor`, into an act array.
 */
ISA_INLINE void store_rows(void *out, int64_t stride, const float *in, const float *factors,
                           float factor, int64_t n, int64_t D, int64_t Dp, bool bf16)
{
    for (int64_t i = 0; i < n; i++) {
        void *to = isa_at(out, i * stride, bf16);
        const float f = factors != NULL ? factors[i] : factor;
        prefetch_row(out, i + AHEAD, stride, D, true, bf16);
#pragma omp simd
        for (int64_t d = 0; d < D; d++) {
            isa_store(to, d, in[i * Dp + d] * f, bf16);
        }
    }
}

/* ---- products ---- */

/* c (MR, PANEL) = or, with `add`, += a . b. */
static void block_product(float *c, int64_t c_row, bool add, int64_t depth, const lhs a,
                          const float *b)
{
    if (MR == TILE) {
        tile_whole(c, c_row, add, depth, a, b);
    } else {
        tile_some(MR, c, c_row, add, depth, a, b);
    }
}

/* out (ROWS, Sp) = rows (ROWS, Dp) . panels, within the span of each block of queries. */
static void tile_scores(float *out, const float *rows, const float *panels,
                        const cpu_attention_args *a, const head_buffers *s, int64_t i0)
{
    key_span all = span_of(i0, ROWS, a->window, a->T);
    for (int64_t j = all.first; j < all.end; j += PANEL) {
        for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
            key_span span = span_of(i0 + r, MR, a->window, a->T);
            if (j >= span.first && j < span.end) {
                block_product(out + r * s->Sp + j, s->Sp, false, a->D,
                              (lhs){.at = rows + r * s->Dp, .stride = s->Dp}, panels + j * a->D);
            }
        }
    }
}

/* out (ROWS, Dp) = scores (ROWS, Sp) . columns (Dp/PANEL, Tp, PANEL), over the keys that a block's
 * queries see. */
static void tile_outputs(float *out, const float *scores, const float *columns,
                         const cpu_attention_args *a, const head_buffers *s, int64_t i0)
{
    for (int64_t d = 0; d < s->Dp; d += PANEL) {
        for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
            const int64_t first = first_key(i0 + r, a->window), end = i0 + r + MR;
            block_product(out + r * s->Dp + d, s->Dp, false, (end < a->T ? end : a->T) - first,
                          (lhs){.at = scores + r * s->Sp + first, .stride = s->Sp},
                          columns + d * s->Tp + first * PANEL);
        }
    }
}

/* ---- forward ---- */

/* Scores of queries [i, i + MR) to exponentials, in place; zero where a query sees nothing. Of the
 * `count` of them that there are: the log-sum-exp, and one over their sum. Step by step for all the
 * rows: they are short, and one need not wait for the other's sums. */
static void softmax_rows(float *scores, int64_t Sp, int64_t i, int64_t count, int64_t window,
                         key_span span, float *lse, float inv_sums[MR])
{
    const int64_t n = span.end - span.first;
    float tops[MR], sums[MR];
    for (int64_t m = 0; m < MR; m++) {
        unseen_fill(scores + m * Sp, span, first_key(i + m, window), i + m);
    }
    for (int64_t m = 0; m < MR; m++) {
        tops[m] = isa_max(scores + m * Sp + span.first, n);
    }
    for (int64_t m = 0; m < MR; m++) {
        float *x = scores + m * Sp + span.first, sum = 0;
        const float top = tops[m];
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++) {
            float e = isa_exp(x[j] - top);
            x[j] = e;
            sum += e;
        }
        sums[m] = sum;
    }
    for (int64_t m = 0; m < count; m++) {
        const float sum = row_sum(sums[m], tops[m]);
        inv_sums[m] = 1.0f / sum;
        lse[m] = tops[m] + logf(sum);
    }
}

static void forward_tile(const cpu_attention_args *a, const head_buffers *s, int64_t i0, float *lse,
                         float inv_sums[ROWS])
{
    tile_scores(s->scores, s->q, s->key_panels, a, s, i0);
    for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
        const int64_t left = a->T - i0 - r, count = left < MR ? left : MR;
        softmax_rows(s->scores + r * s->Sp, s->Sp, i0 + r, count, a->window,
                     span_of(i0 + r, MR, a->window, a->T), lse + i0 + r, inv_sums + r);
    }
    tile_outputs(s->o, s->scores, s->values, a, s, i0);
}

ISA_INLINE void forward_heads(const cpu_attention_args *a, int64_t b, int64_t kv, int64_t first,
                              int64_t count, bool bf16)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const void *k = isa_at(a->qkv, b * T * width + (H + kv) * D, bf16);
    const void *v = isa_at(a->qkv, b * T * width + (H + K + kv) * D, bf16);
    const float scale = (float)(1.0 / sqrt((double)D));
    head_buffers s = head_buffers_carve(a, false);
    float inv_sums[ROWS];
    pack_panels(s.key_panels, k, width, T, s.Tp, D, bf16);
    pack_columns(s.values, v, width, T, s.Tp, D, bf16);
    for (int64_t h = first; h < first + count; h++) {
        const void *q = isa_at(a->qkv, b * T * width + h * D, bf16);
        void *out = isa_at(a->out, b * T * H * D + h * D, bf16);
        for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
            int64_t n = T - i0 < ROWS ? T - i0 : ROWS;
            pack_rows(s.q, isa_at(q, i0 * width, bf16), width, n, ROWS, D, s.Dp, scale, bf16);
            forward_tile(a, &s, i0, a->lse + (b * H + h) * T, inv_sums);
            store_rows(isa_at(out, i0 * H * D, bf16), H * D, s.o, inv_sums, 1, n, D, s.Dp, bf16);
        }
    }
}

static void attention_forward(const cpu_attention_args *args)
{
    const int64_t parts = group_parts(args), count = args->H / args->K / parts;
#pragma omp parallel
    {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t unit = 0; unit < args->B * args->K * parts; unit++) {
            const int64_t b = unit / parts / args->K, kv = unit / parts % args->K;
            const int64_t first = kv * (args->H / args->K) + unit % parts * count;
            if (args->bf16) {
                forward_heads(args, b, kv, first, count, true);
            } else {
                forward_heads(args, b, kv, first, count, false);
            }
        }
        isa_note_end(args->ends);
    }
}

/* ---- backward ---- */

/* A panel of zeros before and behind a row's span, where there are keys: blocks of keys reach
 * beyond it. */
static void margins_clear(float *row, key_span span)
{
    if (span.first > 0) {
        memset(row + span.first - PANEL, 0, PANEL * sizeof *row);
    }
    memset(row + span.end, 0, PANEL * sizeof *row);
}

/* Probabilities from scores and lse, and gradients of the scores from those of the
 * probabilities (in s->dscores), both in place and zero where query i sees nothing. */
static void softmax_grad(const head_buffers *s, int64_t r, int64_t i, int64_t window, key_span span,
                         float lse, float delta)
{
    float *p = s->scores + r * s->Sp, *dp = s->dscores + r * s->Sp;
    unseen_fill(p, span, first_key(i, window), i);
#pragma omp simd
    for (int64_t j = span.first; j < span.end; j++) {
        float probability = isa_exp(p[j] - lse);
        p[j] = probability;
        dp[j] = probability * (dp[j] - delta);
    }
}

/* dkeys and dvalues of all keys that the tile sees, from its probabilities and their gradients. */
static void backward_keys(const cpu_attention_args *a, const head_buffers *s, int64_t i0)
{
    const int64_t end = i0 + ROWS < a->T ? i0 + ROWS : a->T;
    for (int64_t j = span_of(i0, ROWS, a->window, a->T).first; j < end; j += MR) {
        const key_span q = queries_of(a, i0, j);
        const int64_t from = q.first, depth = q.end - q.first;
        const lhs p = {.at = s->scores + from * s->Sp + j, .stride = s->Sp, .packed = true};
        const lhs ds = {.at = s->dscores + from * s->Sp + j, .stride = s->Sp, .packed = true};
        for (int64_t d = 0; d < s->Dp; d += PANEL) {
            block_product(s->dvalues + j * s->Dp + d, s->Dp, true, depth, p,
                          s->os + d * ROWS + from * PANEL);
            block_product(s->dkeys + j * s->Dp + d, s->Dp, true, depth, ds,
                          s->qs + d * ROWS + from * PANEL);
        }
    }
}

/* With q (scaled) and o (the output's gradient) of the tile packed: adds to dkeys and dvalues,
 * leaves the gradient of the scaled scores times the keys in s->d. */
static void backward_tile(const cpu_attention_args *a, const head_buffers *s, int64_t i0,
                          const float *lse, const float *delta)
{
    tile_scores(s->scores, s->q, s->key_panels, a, s, i0);
    tile_scores(s->dscores, s->o, s->value_panels, a, s, i0);
    for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
        key_span span = span_of(i0 + r, MR, a->window, a->T);
        for (int64_t m = r; m < r + MR; m++) {
            if (i0 + m < a->T) {
                softmax_grad(s, m, i0 + m, a->window, span, lse[i0 + m], delta[m]);
            } else {
                size_t bytes = (size_t)(span.end - span.first) * sizeof(float);
                memset(s->scores + m * s->Sp + span.first, 0, bytes);
                memset(s->dscores + m * s->Sp + span.first, 0, bytes);
            }
            margins_clear(s->scores + m * s->Sp, span);
            margins_clear(s->dscores + m * s->Sp, span);
        }
    }
    tile_outputs(s->d, s->dscores, s->keys, a, s, i0);
    backward_keys(a, s, i0);
}

/* delta_i = dout_i . out_i, which is also sum_j p_ij dp_ij. */
ISA_INLINE void output_dots(float *delta, const float *dout, int64_t Dp, const void *out,
                            int64_t stride, int64_t n, int64_t D, bool bf16)
{
    for (int64_t i = 0; i < n; i++) {
        const void *row = isa_at(out, i * stride, bf16);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t d = 0; d < D; d++) {
            sum += dout[i * Dp + d] * isa_load(row, d, bf16);
        }
        delta[i] = sum;
    }
}

ISA_INLINE void backward_query_head(const cpu_attention_args *a, const head_buffers *s, int64_t b,
                                    int64_t h, bool bf16)
{
    const int64_t T = a->T, H = a->H, D = a->D, width = (H + 2 * a->K) * D;
    const void *q = isa_at(a->qkv, b * T * width + h * D, bf16);
    const void *out = isa_at(a->out, b * T * H * D + h * D, bf16);
    const void *dout = isa_at(a->dout, b * T * H * D + h * D, bf16);
    void *dq = isa_at(a->dqkv, b * T * width + h * D, bf16);
    const float scale = (float)(1.0 / sqrt((double)D));
    float delta[ROWS];
    for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
        int64_t n = T - i0 < ROWS ? T - i0 : ROWS;
        pack_rows(s->q, isa_at(q, i0 * width, bf16), width, n, ROWS, D, s->Dp, scale, bf16);
        pack_rows(s->o, isa_at(dout, i0 * H * D, bf16), H * D, n, ROWS, D, s->Dp, 1.0f, bf16);
        pack_columns(s->qs, s->q, s->Dp, ROWS, ROWS, s->Dp, false);
        pack_columns(s->os, s->o, s->Dp, ROWS, ROWS, s->Dp, false);
        output_dots(delta, s->o, s->Dp, isa_at(out, i0 * H * D, bf16), H * D, n, D, bf16);
        backward_tile(a, s, i0, a->lse + (b * H + h) * T, delta);
        store_rows(isa_at(dq, i0 * width, bf16), width, s->d, NULL, scale, n, D, s->Dp, bf16);
    }
}

ISA_INLINE void backward_key_head(const cpu_attention_args *a, int64_t b, int64_t kv, bool bf16)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const int64_t at_key = b * T * width + (H + kv) * D, at_value = at_key + K * D;
    head_buffers s = head_buffers_carve(a, true);
    pack_panels(s.key_panels, isa_at(a->qkv, at_key, bf16), width, T, s.Tp, D, bf16);
    pack_panels(s.value_panels, isa_at(a->qkv, at_value, bf16), width, T, s.Tp, D, bf16);
    pack_columns(s.keys, isa_at(a->qkv, at_key, bf16), width, T, s.Tp, D, bf16);
    memset(s.dkeys, 0, (size_t)((s.Tp + PANEL) * s.Dp) * sizeof(float));
    memset(s.dvalues, 0, (size_t)((s.Tp + PANEL) * s.Dp) * sizeof(float));
    for (int64_t h = kv * (H / K); h < (kv + 1) * (H / K); h++) {
        backward_query_head(a, &s, b, h, bf16);
    }
    store_rows(isa_at(a->dqkv, at_key, bf16), width, s.dkeys, NULL, 1, T, D, s.Dp, bf16);
    store_rows(isa_at(a->dqkv, at_value, bf16), width, s.dvalues, NULL, 1, T, D, s.Dp, bf16);
}

static void attention_backward(const cpu_attention_args *args)
{
#pragma omp parallel
    {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t unit = 0; unit < args->B * args->K; unit++) {
            if (args->bf16) {
                backward_key_head(args, unit / args->K, unit % args->K, true);
            } else {
                backward_key_head(args, unit / args->K, unit % args->K, false);
            }
        }
        isa_note_end(args->ends);
    }
}

void ISA_NAME(cpu_fill_attention)(cpu_kernels *table)
{
    table->attention_forward = attention_forward;
    table->attention_backward = attention_backward;
}
