/* Causal attention of bfloat16 with dot products of bfloat16 pairs (AVX512_BF16): the same tiles as
 * isa/attention.c, and sums in float throughout; probabilities and the gradients of the scores are
 * rounded to bfloat16 before they are multiplied. A word is a pair of bfloat16 numbers along the
 * dimension that a product sums over.
 */
#include "kernels/cpu/isa/isa.h"

#if defined(GB_ISA_avx512)

#include <immintrin.h>
#include <math.h>

#define MR   8
#define ROWS 32
#include "kernels/cpu/isa/attention_span.h"

/* c (MR, nv vectors) [+]= a (MR, depth words) . b (depth words, nv vectors); a's rows are a_row
 * apart and its columns a_col apart. */
ISA_INLINE void micro_dots(int64_t depth, const uint32_t *a, int64_t a_row, int64_t a_col,
                           const uint32_t *b, int64_t b_row, float *c, int64_t c_row,
                           bool accumulate, const int nv)
{
    __m512 acc[MR][2];
    ISA_UNROLL
    for (int r = 0; r < MR; r++) {
        acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < depth; k++) {
        const uint32_t *bk = b + k * b_row, *ak = a + k * a_col;
        const __m512bh b0 = (__m512bh)_mm512_loadu_si512(bk);
        const __m512bh b1 = (__m512bh)_mm512_loadu_si512(bk + (nv == 2 ? VW : 0));
        ISA_UNROLL
        for (int r = 0; r < MR; r++) {
            const __m512bh pair = (__m512bh)_mm512_set1_epi32((int)ak[r * a_row]);
            acc[r][0] = _mm512_dpbf16_ps(acc[r][0], pair, b0);
            if (nv == 2) {
                acc[r][1] = _mm512_dpbf16_ps(acc[r][1], pair, b1);
            }
        }
    }
    ISA_UNROLL
    for (int r = 0; r < MR; r++) {
        for (int v = 0; v < nv; v++) {
            float *to = c + r * c_row + v * VW;
            _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(acc[r][v], _mm512_loadu_ps(to))
                                            : acc[r][v]);
        }
    }
}

/* c (MR, columns) [+]= a . b with `columns` a multiple of VW. */
static void dots_block(int64_t depth, const uint32_t *a, int64_t a_row, int64_t a_col,
                       const uint32_t *b, int64_t b_row, float *c, int64_t c_row, int64_t columns,
                       bool accumulate)
{
    int64_t j = 0;
    for (; j + 2 * VW <= columns; j += 2 * VW) {
        micro_dots(depth, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate, 2);
    }
    if (j < columns) {
        micro_dots(depth, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate, 1);
    }
}

/* One thread's buffers for one key head. */
typedef struct dots_buffers {
    int64_t Tp, Dp;              /* T and D padded to whole panels and vectors */
    uint32_t *key_panels;        /* (Tp/PANEL, D/2, PANEL): words along D */
    uint32_t *value_panels;      /* the same of the values; backward only */
    uint32_t *key_pairs;         /* (Tp/2, Dp): words along T; backward only */
    uint32_t *value_pairs;       /* the same of the values; forward only */
    uint32_t *q, *o;             /* (ROWS, D/2) queries; gradient of the output, backward only */
    uint32_t *q_pairs, *o_pairs; /* (ROWS/2, Dp); backward only */
    float *scores, *dscores;     /* (ROWS, Tp); dscores backward only */
    uint32_t *rows;              /* (ROWS, Tp/2) probabilities; backward: their scores' gradients */
    uint32_t *p_pairs, *ds_pairs; /* (ROWS/2, Tp); backward only */
    float *d;                     /* (ROWS, Dp) output, or the queries' gradient */
    float *dkeys, *dvalues;       /* (Tp, Dp); backward only */
} dots_buffers;

static void *carve(float **at, int64_t words)
{
    float *start = *at;
    *at += round_up(words, 16);
    return start;
}

static dots_buffers dots_buffers_carve(const cpu_attention_args *a, bool backward)
{
    float *at = a->scratch + (int64_t)omp_get_thread_num() * a->scratch_floats;
    dots_buffers s = {.Tp = round_up(a->T, 32), .Dp = round_up(a->D, VW)};
    s.key_panels = carve(&at, s.Tp * a->D / 2);
    s.q = carve(&at, ROWS * a->D / 2);
    s.scores = carve(&at, ROWS * s.Tp);
    s.rows = carve(&at, ROWS * s.Tp / 2);
    s.d = carve(&at, ROWS * s.Dp);
    if (!backward) {
        s.value_pairs = carve(&at, s.Tp / 2 * s.Dp);
        return s;
    }
    s.value_panels = carve(&at, s.Tp * a->D / 2);
    s.key_pairs = carve(&at, s.Tp / 2 * s.Dp);
    s.o = carve(&at, ROWS * a->D / 2);
    s.q_pairs = carve(&at, ROWS / 2 * s.Dp);
    s.o_pairs = carve(&at, ROWS / 2 * s.Dp);
    s.dscores = carve(&at, ROWS * s.Tp);
    s.p_pairs = carve(&at, ROWS / 2 * s.Tp);
    s.ds_pairs = carve(&at, ROWS / 2 * s.Tp);
    s.dkeys = carve(&at, s.Tp * s.Dp);
    s.dvalues = carve(&at, s.Tp * s.Dp);
    return s;
}

/* ---- copies ---- */

/* Rows [0, n) of a bfloat16 array, `stride` elements apart, into (ROWS, D/2) words, zeros below. */
static void copy_rows(uint32_t *out, const uint16_t *in, int64_t stride, int64_t n, int64_t D)
{
    for (int64_t i = 0; i < ROWS; i++) {
        if (i < n) {
            prefetch_row(in, i + AHEAD, stride, D, false, true);
            memcpy(out + i * (D / 2), in + i * stride, (size_t)D * 2);
        } else {
            memset(out + i * (D / 2), 0, (size_t)D * 2);
        }
    }
}

/* The same as (padded/2, Dp) words of two rows each; columns from D on are zero. */
static void pair_rows(uint32_t *out, const uint16_t *in, int64_t stride, int64_t n, int64_t padded,
                      int64_t D, int64_t Dp)
{
    for (int64_t i = 0; i < padded; i += 2) {
        uint32_t *words = out + i / 2 * Dp;
        const uint16_t *even = in + i * stride, *odd = even + stride;
        prefetch_row(in, i + AHEAD, stride, D, false, true);
        prefetch_row(in, i + AHEAD + 1, stride, D, false, true);
        if (i + 1 < n) {
#pragma omp simd
            for (int64_t d = 0; d < D; d++) {
                words[d] = (uint32_t)even[d] | (uint32_t)odd[d] << 16;
            }
        } else {
            for (int64_t d = 0; d < D; d++) {
                words[d] = i < n ? even[d] : 0;
            }
        }
        for (int64_t d = D; d < Dp; d++) {
            words[d] = 0;
        }
    }
}

/* (T, D) rows to panels (Tp/PANEL, D/2, PANEL): a transpose of words. */
static void panel_rows(uint32_t *out, const uint16_t *in, int64_t stride, int64_t T, int64_t Tp,
                       int64_t D)
{
    const int64_t words = D / 2;
    for (int64_t j = 0; j < Tp; j += VW) {
        uint32_t *panel = out + j / PANEL * PANEL * words + j % PANEL;
        for (int64_t r = 0; r < VW; r++) {
            prefetch_row(in, j + VW + r, stride, D, false, true);
        }
        for (int64_t w = 0; w < words; w += VW) {
            const int64_t n = words - w < VW ? words - w : VW;
            isa_vec tile[VW];
            for (int64_t r = 0; r < VW; r++) {
                tile[r] = (isa_vec){0};
                if (j + r < T) {
                    const uint16_t *from = in + (j + r) * stride + 2 * w;
                    tile[r] = (isa_vec)_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), from);
                }
            }
            isa_transpose(tile);
            for (int64_t c = 0; c < n; c++) {
                memcpy(panel + (w + c) * PANEL, &tile[c], sizeof tile[c]);
            }
        }
    }
}

/* Rows [0, n) of (n, Dp) floats, each times its factor, into a bfloat16 array. */
static void store_rows(uint16_t *out, int64_t stride, const float *in, const float *factors,
                       float factor, int64_t n, int64_t D, int64_t Dp)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t *to = out + i * stride;
        const float f = factors != NULL ? factors[i] : factor;
        prefetch_row(out, i + AHEAD, stride, D, true, true);
#pragma omp simd
        for (int64_t d = 0; d < D; d++) {
            to[d] = isa_round_bf16(in[i * Dp + d] * f);
        }
    }
}

/* out (ROWS, Tp) = rows (ROWS, D/2) . panels, within the span of each block of MR queries. */
static void tile_scores(float *out, const uint32_t *rows, const uint32_t *panels,
                        const cpu_attention_args *a, int64_t Tp, int64_t i0)
{
    const int64_t words = a->D / 2;
    key_span all = span_of(i0, ROWS, a->window, a->T);
    for (int64_t j = all.first; j < all.end; j += PANEL) {
        for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
            key_span span = span_of(i0 + r, MR, a->window, a->T);
            if (j >= span.first && j < span.end) {
                micro_dots(words, rows + r * words, words, 1, panels + j * words, PANEL,
                           out + r * Tp + j, Tp, false, 2);
            }
        }
    }
}

/* ---- forward ---- */

/* exp(scale * (score - top)) of query i as bfloat16, zero where it sees nothing; *inv_sum is one
 * over their sum. Returns the log-sum-exp. */
static float softmax_scores(uint16_t *out, float *row, int64_t i, int64_t window, key_span span,
                            float scale, float *inv_sum)
{
    unseen_fill(row, span, first_key(i, window), i);
    const float top = isa_max(row + span.first, span.end - span.first);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = span.first; j < span.end; j++) {
        float e = isa_exp((row[j] - top) * scale);
        out[j] = isa_round_bf16(e);
        sum += e;
    }
    sum = row_sum(sum, top);
    *inv_sum = 1.0f / sum;
    return top * scale + logf(sum);
}

static void forward_tile(const cpu_attention_args *a, const dots_buffers *s, int64_t i0,
                         float scale, float *lse, float inv_sums[ROWS])
{
    const int64_t words = s->Tp / 2;
    tile_scores(s->scores, s->q, s->key_panels, a, s->Tp, i0);
    for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
        key_span span = span_of(i0 + r, MR, a->window, a->T);
        for (int64_t m = r; m < r + MR; m++) {
            uint16_t *row = (uint16_t *)(void *)(s->rows + m * words);
            if (i0 + m < a->T) {
                lse[i0 + m] = softmax_scores(row, s->scores + m * s->Tp, i0 + m, a->window, span,
                                             scale, &inv_sums[m]);
            } else {
                memset(row + span.first, 0, (size_t)(span.end - span.first) * 2);
            }
        }
        dots_block((span.end - span.first) / 2, s->rows + r * words + span.first / 2, words, 1,
                   s->value_pairs + span.first / 2 * s->Dp, s->Dp, s->d + r * s->Dp, s->Dp, s->Dp,
                   false);
    }
}

static void forward_heads(const cpu_attention_args *a, int64_t b, int64_t kv, int64_t first,
                          int64_t count)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const uint16_t *qkv = (const uint16_t *)a->qkv + b * T * width;
    const float scale = (float)(1.0 / sqrt((double)D));
    const dots_buffers s = dots_buffers_carve(a, false);
    float inv_sums[ROWS];
    panel_rows(s.key_panels, qkv + (H + kv) * D, width, T, s.Tp, D);
    pair_rows(s.value_pairs, qkv + (H + K + kv) * D, width, T, s.Tp, D, s.Dp);
    for (int64_t h = first; h < first + count; h++) {
        uint16_t *out = (uint16_t *)a->out + (b * T * H + h) * D;
        for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
            const int64_t n = T - i0 < ROWS ? T - i0 : ROWS;
            copy_rows(s.q, qkv + i0 * width + h * D, width, n, D);
            forward_tile(a, &s, i0, scale, a->lse + (b * H + h) * T, inv_sums);
            store_rows(out + i0 * H * D, H * D, s.d, inv_sums, 1, n, D, s.Dp);
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
            const int64_t kv = unit / parts % args->K;
            forward_heads(args, unit / parts / args->K, kv,
                          kv * (args->H / args->K) + unit % parts * count, count);
        }
        isa_note_end(args->ends);
    }
}

/* ---- backward ---- */

/* Probabilities from scores and lse, and gradients of the scores from those of the probabilities,
 * both in place and zero where query i sees nothing. */
static void softmax_grad(const dots_buffers *s, int64_t r, int64_t i, int64_t window, key_span span,
                         float scale, float lse, float delta)
{
    float *p = s->scores + r * s->Tp, *dp = s->dscores + r * s->Tp;
    unseen_fill(p, span, first_key(i, window), i);
#pragma omp simd
    for (int64_t j = span.first; j < span.end; j++) {
        float probability = isa_exp(p[j] * scale - lse);
        p[j] = probability;
        dp[j] = probability * (dp[j] - delta);
    }
}

/* Two rows of probabilities and of gradients, rounded: as pairs, and the gradients as rows too. */
static void round_two_rows(const dots_buffers *s, int64_t r, key_span span)
{
    const float *p0 = s->scores + r * s->Tp, *p1 = p0 + s->Tp;
    const float *d0 = s->dscores + r * s->Tp, *d1 = d0 + s->Tp;
    uint32_t *p_pairs = s->p_pairs + r / 2 * s->Tp, *ds_pairs = s->ds_pairs + r / 2 * s->Tp;
    uint16_t *even = (uint16_t *)(void *)(s->rows + r * (s->Tp / 2)), *odd = even + s->Tp;
#pragma omp simd
    for (int64_t j = span.first; j < span.end; j++) {
        uint16_t low = isa_round_bf16(d0[j]), high = isa_round_bf16(d1[j]);
        p_pairs[j] = (uint32_t)isa_round_bf16(p0[j]) | (uint32_t)isa_round_bf16(p1[j]) << 16;
        ds_pairs[j] = (uint32_t)low | (uint32_t)high << 16;
        even[j] = low;
        odd[j] = high;
    }
}

/* dkeys and dvalues of all keys that the tile sees, from its probabilities and their gradients. */
static void backward_keys(const cpu_attention_args *a, const dots_buffers *s, int64_t i0)
{
    key_span all = span_of(i0, ROWS, a->window, a->T);
    for (int64_t j = all.first; j < all.end && j < a->T; j += MR) {
        const key_span q = queries_of(a, i0, j);
        const int64_t depth = (q.end - q.first) / 2, from = q.first / 2;
        dots_block(depth, s->p_pairs + from * s->Tp + j, 1, s->Tp, s->o_pairs + from * s->Dp, s->Dp,
                   s->dvalues + j * s->Dp, s->Dp, s->Dp, true);
        dots_block(depth, s->ds_pairs + from * s->Tp + j, 1, s->Tp, s->q_pairs + from * s->Dp,
                   s->Dp, s->dkeys + j * s->Dp, s->Dp, s->Dp, true);
    }
}

static void backward_tile(const cpu_attention_args *a, const dots_buffers *s, int64_t i0,
                          float scale, const float *lse, const float *delta)
{
    const int64_t words = s->Tp / 2;
    tile_scores(s->scores, s->q, s->key_panels, a, s->Tp, i0);
    tile_scores(s->dscores, s->o, s->value_panels, a, s->Tp, i0);
    for (int64_t r = 0; r < ROWS && i0 + r < a->T; r += MR) {
        key_span span = span_of(i0 + r, MR, a->window, a->T);
        for (int64_t m = r; m < r + MR; m++) {
            if (i0 + m < a->T) {
                softmax_grad(s, m, i0 + m, a->window, span, scale, lse[i0 + m], delta[m]);
            } else {
                size_t bytes = (size_t)(span.end - span.first) * sizeof(float);
                memset(s->scores + m * s->Tp + span.first, 0, bytes);
                memset(s->dscores + m * s->Tp + span.first, 0, bytes);
            }
        }
        for (int64_t m = r; m < r + MR; m += 2) {
            round_two_rows(s, m, span);
        }
        dots_block((span.end - span.first) / 2, s->rows + r * words + span.first / 2, words, 1,
                   s->key_pairs + span.first / 2 * s->Dp, s->Dp, s->d + r * s->Dp, s->Dp, s->Dp,
                   false);
    }
    backward_keys(a, s, i0);
}

/* delta_i = dout_i . out_i, which is also sum_j p_ij dp_ij. */
static void output_dots(float *delta, const uint16_t *dout, const uint16_t *out, int64_t stride,
                        int64_t n, int64_t D)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t d = 0; d < D; d++) {
            sum += isa_load(dout, i * stride + d, true) * isa_load(out, i * stride + d, true);
        }
        delta[i] = sum;
    }
}

static void backward_query_head(const cpu_attention_args *a, const dots_buffers *s, int64_t b,
                                int64_t h)
{
    const int64_t T = a->T, H = a->H, D = a->D, width = (H + 2 * a->K) * D;
    const uint16_t *q = (const uint16_t *)a->qkv + b * T * width + h * D;
    const uint16_t *out = (const uint16_t *)a->out + (b * T * H + h) * D;
    const uint16_t *dout = (const uint16_t *)a->dout + (b * T * H + h) * D;
    uint16_t *dq = (uint16_t *)a->dqkv + b * T * width + h * D;
    const float scale = (float)(1.0 / sqrt((double)D));
    float delta[ROWS];
    for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
        const int64_t n = T - i0 < ROWS ? T - i0 : ROWS, at = i0 * H * D;
        copy_rows(s->q, q + i0 * width, width, n, D);
        copy_rows(s->o, dout + at, H * D, n, D);
        pair_rows(s->q_pairs, q + i0 * width, width, n, ROWS, D, s->Dp);
        pair_rows(s->o_pairs, dout + at, H * D, n, ROWS, D, s->Dp);
        output_dots(delta, dout + at, out + at, H * D, n, D);
        backward_tile(a, s, i0, scale, a->lse + (b * H + h) * T, delta);
        store_rows(dq + i0 * width, width, s->d, NULL, scale, n, D, s->Dp);
    }
}

static void backward_key_head(const cpu_attention_args *a, int64_t b, int64_t kv)
{
    const int64_t T = a->T, H = a->H, K = a->K, D = a->D, width = (H + 2 * K) * D;
    const int64_t at_key = b * T * width + (H + kv) * D, at_value = at_key + K * D;
    const uint16_t *key = (const uint16_t *)a->qkv + at_key;
    const uint16_t *value = (const uint16_t *)a->qkv + at_value;
    const float scale = (float)(1.0 / sqrt((double)D));
    const dots_buffers s = dots_buffers_carve(a, true);
    panel_rows(s.key_panels, key, width, T, s.Tp, D);
    panel_rows(s.value_panels, value, width, T, s.Tp, D);
    pair_rows(s.key_pairs, key, width, T, s.Tp, D, s.Dp);
    memset(s.dkeys, 0, (size_t)(s.Tp * s.Dp) * sizeof(float));
    memset(s.dvalues, 0, (size_t)(s.Tp * s.Dp) * sizeof(float));
    for (int64_t h = kv * (H / K); h < (kv + 1) * (H / K); h++) {
        backward_query_head(a, &s, b, h);
    }
    store_rows((uint16_t *)a->dqkv + at_key, width, s.dkeys, NULL, scale, T, D, s.Dp);
    store_rows((uint16_t *)a->dqkv + at_value, width, s.dvalues, NULL, 1, T, D, s.Dp);
}

static void attention_backward(const cpu_attention_args *args)
{
#pragma omp parallel
    {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t unit = 0; unit < args->B * args->K; unit++) {
            backward_key_head(args, unit / args->K, unit % args->K);
        }
        isa_note_end(args->ends);
    }
}

void ISA_NAME(cpu_fill_attention_bf16)(cpu_kernels *table)
{
    table->attention_dots_forward = attention_forward;
    table->attention_dots_backward = attention_backward;
}

#else

void ISA_NAME(cpu_fill_attention_bf16)(cpu_kernels *table)
{
    table->attention_dots_forward = NULL;
    table->attention_dots_backward = NULL;
}

#endif
