/* Causal attention by tiles of CPU_ATTENTION_ROWS queries. For one tile the scores against all the
 * keys that it can see are held in a buffer of (rows, T) floats per thread: never T x T, and the
 * softmax needs no rescaling. Keys are packed transposed into panels of ISA_PANEL columns, so that
 * every product runs through one register-blocked micro-kernel. Blocks of ISA_MR queries visit
 * only the panels that the causal mask and the window leave them.
 *
 * Parallel over (sequence, key head), forward over parts of its query heads too: each output
 * element is summed by one thread in a fixed order.
 */
#include <math.h>
#include <omp.h>

#include "kernels/cpu/isa/attention_span.h"
#include "kernels/cpu/isa/isa.h"

/* c (MR, nv vectors) [+]= a (MR, depth) . b (depth, nv vectors); a's rows are a_row apart and its
 * columns a_col apart. */
ISA_INLINE void micro_kernel(int64_t depth, const float *a, int64_t a_row, int64_t a_col,
                             const float *b, int64_t b_row, float *c, int64_t c_row,
                             bool accumulate, const int nv)
{
    isa_vec acc[MR][2];
    ISA_UNROLL
    for (int r = 0; r < MR; r++) {
        acc[r][0] = (isa_vec){0};
        acc[r][1] = (isa_vec){0};
    }
    for (int64_t k = 0; k < depth; k++) {
        const float *bk = b + k * b_row, *ak = a + k * a_col;
        isa_vec b0 = *(const isa_vec_unaligned *)bk;
        isa_vec b1 = *(const isa_vec_unaligned *)(bk + (nv == 2 ? VW : 0));
        ISA_UNROLL
        for (int r = 0; r < MR; r++) {
            acc[r][0] += ak[r * a_row] * b0;
            if (nv == 2) {
                acc[r][1] += ak[r * a_row] * b1;
            }
        }
    }
    ISA_UNROLL
    for (int r = 0; r < MR; r++) {
        float *row = c + r * c_row;
        if (accumulate) {
            acc[r][0] += *(const isa_vec_unaligned *)row;
            if (nv == 2) {
                acc[r][1] += *(const isa_vec_unaligned *)(row + VW);
            }
        }
        *(isa_vec_unaligned *)row = acc[r][0];
        if (nv == 2) {
            *(isa_vec_unaligned *)(row + VW) = acc[r][1];
        }
    }
}

/* c (MR, columns) [+]= a . b with `columns` a multiple of VW. */
static void row_block(int64_t depth, const float *a, int64_t a_row, int64_t a_col, const float *b,
                      int64_t b_row, float *c, int64_t c_row, int64_t columns, bool accumulate)
{
    int64_t j = 0;
    for (; j + 2 * VW <= columns; j += 2 * VW) {
        micro_kernel(depth, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate, 2);
    }
    if (j < columns) {
        micro_kernel(depth, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate, 1);
    }
}

/* One thread's buffers for one head. */
typedef struct head_buffers {
    int64_t Tp, Dp;         /* T and D padded to whole panels and vectors */
    float *key_panels;      /* (Tp/PANEL, D, PANEL) keys transposed */
    float *value_panels;    /* the same of the values; backward only */
    float *keys;            /* (Tp, Dp); backward only */
    float *values;          /* (Tp, Dp); forward only */
    float *dkeys, *dvalues; /* (Tp, Dp); backward only */
    float *scores;          /* (ROWS, Tp) scores, then probabilities */
    float *dscores;         /* (ROWS, Tp); backward only */
    float *q, *o, *d;       /* (ROWS, Dp) */
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
    head_buffers s = {.Tp = round_up(a->T, 32), .Dp = round_up(a->D, VW)};
    s.key_panels = carve(&at, s.Tp * s.Dp);
    s.scores = carve(&at, ROWS * s.Tp);
    s.q = carve(&at, ROWS * s.Dp);
    s.o = carve(&at, ROWS * s.Dp);
    if (backward) {
        s.value_panels = carve(&at, s.Tp * s.Dp);
        s.keys = carve(&at, s.Tp * s.Dp);
        s.dkeys = carve(&at, s.Tp * s.Dp);
        s.dvalues = carve(&at, s.Tp * s.Dp);
        s.dscores = carve(&at, ROWS * s.Tp);
        s.d = carve(&at, ROWS * s.Dp);
    } else {
        s.values = carve(&at, s.Tp * s.Dp);
    }
    return s;
}

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

ISA_INLINE void store_rows(void *out, int64_t stride, const float *in, int64_t n, int64_t D,
                           int64_t Dp, bool bf16)
{
    for (int64_t i = 0; i < n; i++) {
        void *to = isa_at(out, i * stride, bf16);
        prefetch_row(out, i + AHEAD, stride, D, true, bf16);
#pragma omp simd
        for (int64_t d = 0; d < D; d++) {
            isa_store(to, d, in[i * Dp + d], bf16);
        }
    }
}

/* out (ROWS, Tp) = rows (ROWS, Dp) . panels, within the span of each block of MR queries. Panels
 * are walked in the outer loop: each stays in L1 for all the blocks. */
static void tile_scores(float *out, const float *rows, const float *panels,
                        const cpu_attention_args *a, const head_buffers *s, int64_t i0)
{
    key_span all = span_of(i0, ROWS, a->window, a->T);
    for (int64_t j = all.first; j < all.end; j += PANEL) {
        for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
            key_span span = span_of(i0 + r, MR, a->window, a->T);
            if (j >= span.first && j < span.end) {
                micro_kernel(a->D, rows + r * s->Dp, s->Dp, 1, panels + j * a->D, PANEL,
                             out + r * s->Tp + j, s->Tp, false, 2);
            }
        }
    }
}

/* Scores of queries [i, i + MR) to exponentials, in place; zero where a query sees nothing. Of the
 * `count` of them that there are: the log-sum-exp, and one over their sum. Step by step for all the
 * rows: they are short, and one need not wait for the other's sums. */
static void softmax_rows(float *scores, int64_t Tp, int64_t i, int64_t count, int64_t window,
                         key_span span, float *lse, float inv_sums[MR])
{
    const int64_t n = span.end - span.first;
    float tops[MR], sums[MR];
    for (int64_t m = 0; m < MR; m++) {
        unseen_fill(scores + m * Tp, span, first_key(i + m, window), i + m);
    }
    for (int64_t m = 0; m < MR; m++) {
        tops[m] = isa_max(scores + m * Tp + span.first, n);
    }
    for (int64_t m = 0; m < MR; m++) {
        float *x = scores + m * Tp + span.first, sum = 0;
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

static void forward_tile(const cpu_attention_args *a, const head_buffers *s, int64_t i0, float *lse)
{
    tile_scores(s->scores, s->q, s->key_panels, a, s, i0);
    for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
        const int64_t left = a->T - i0 - r, count = left < MR ? left : MR;
        key_span span = span_of(i0 + r, MR, a->window, a->T);
        float inv_sums[MR] = {0};
        softmax_rows(s->scores + r * s->Tp, s->Tp, i0 + r, count, a->window, span, lse + i0 + r,
                     inv_sums);
        row_block(span.end - span.first, s->scores + r * s->Tp + span.first, s->Tp, 1,
                  s->values + span.first * s->Dp, s->Dp, s->o + r * s->Dp, s->Dp, s->Dp, false);
        for (int64_t m = 0; m < MR; m++) {
            float *o = s->o + (r + m) * s->Dp;
            for (int64_t d = 0; d < s->Dp; d++) {
                o[d] *= inv_sums[m];
            }
        }
    }
}

ISA_INLINE void forward_heads(const cpu_attention_args *a, int64_t b, int64_t kv, int64_t first,
                              int64_t count, bool bf16)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const void *k = isa_at(a->qkv, b * T * width + (H + kv) * D, bf16);
    const void *v = isa_at(a->qkv, b * T * width + (H + K + kv) * D, bf16);
    const float scale = (float)(1.0 / sqrt((double)D));
    head_buffers s = head_buffers_carve(a, false);
    pack_panels(s.key_panels, k, width, T, s.Tp, D, bf16);
    pack_rows(s.values, v, width, T, s.Tp, D, s.Dp, 1.0f, bf16);
    for (int64_t h = first; h < first + count; h++) {
        const void *q = isa_at(a->qkv, b * T * width + h * D, bf16);
        void *out = isa_at(a->out, b * T * H * D + h * D, bf16);
        for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
            int64_t n = T - i0 < ROWS ? T - i0 : ROWS;
            pack_rows(s.q, isa_at(q, i0 * width, bf16), width, n, ROWS, D, s.Dp, scale, bf16);
            forward_tile(a, &s, i0, a->lse + (b * H + h) * T);
            store_rows(isa_at(out, i0 * H * D, bf16), H * D, s.o, n, D, s.Dp, bf16);
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

/* Probabilities from scores and lse, and gradients of the scores from those of the
 * probabilities (in s->dscores), both in place and zero where query i sees nothing. */
static void softmax_grad(const head_buffers *s, int64_t r, int64_t i, int64_t window, key_span span,
                         float lse, float delta)
{
    float *p = s->scores + r * s->Tp, *dp = s->dscores + r * s->Tp;
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
    key_span all = span_of(i0, ROWS, a->window, a->T);
    for (int64_t j = all.first; j < all.end && j < a->T; j += MR) {
        const key_span q = queries_of(a, i0, j);
        const int64_t from = q.first, to = q.end;
        row_block(to - from, s->scores + from * s->Tp + j, 1, s->Tp, s->o + from * s->Dp, s->Dp,
                  s->dvalues + j * s->Dp, s->Dp, s->Dp, true);
        row_block(to - from, s->dscores + from * s->Tp + j, 1, s->Tp, s->q + from * s->Dp, s->Dp,
                  s->dkeys + j * s->Dp, s->Dp, s->Dp, true);
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
                memset(s->scores + m * s->Tp + span.first, 0, bytes);
                memset(s->dscores + m * s->Tp + span.first, 0, bytes);
            }
        }
        row_block(span.end - span.first, s->dscores + r * s->Tp + span.first, s->Tp, 1,
                  s->keys + span.first * s->Dp, s->Dp, s->d + r * s->Dp, s->Dp, s->Dp, false);
    }
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
        output_dots(delta, s->o, s->Dp, isa_at(out, i0 * H * D, bf16), H * D, n, D, bf16);
        backward_tile(a, s, i0, a->lse + (b * H + h) * T, delta);
        for (int64_t i = 0; i < n * s->Dp; i++) {
            s->d[i] *= scale;
        }
        store_rows(isa_at(dq, i0 * width, bf16), width, s->d, n, D, s->Dp, bf16);
    }
}

ISA_INLINE void backward_key_head(const cpu_attention_args *a, int64_t b, int64_t kv, bool bf16)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const int64_t at_key = b * T * width + (H + kv) * D, at_value = at_key + K * D;
    head_buffers s = head_buffers_carve(a, true);
    pack_panels(s.key_panels, isa_at(a->qkv, at_key, bf16), width, T, s.Tp, D, bf16);
    pack_panels(s.value_panels, isa_at(a->qkv, at_value, bf16), width, T, s.Tp, D, bf16);
    pack_rows(s.keys, isa_at(a->qkv, at_key, bf16), width, T, s.Tp, D, s.Dp, 1.0f, bf16);
    memset(s.dkeys, 0, (size_t)(s.Tp * s.Dp) * sizeof(float));
    memset(s.dvalues, 0, (size_t)(s.Tp * s.Dp) * sizeof(float));
    for (int64_t h = kv * (H / K); h < (kv + 1) * (H / K); h++) {
        backward_query_head(a, &s, b, h, bf16);
    }
    store_rows(isa_at(a->dqkv, at_key, bf16), width, s.dkeys, T, D, s.Dp, bf16);
    store_rows(isa_at(a->dqkv, at_value, bf16), width, s.dvalues, T, D, s.Dp, bf16);
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
